use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::DestinationId;
use runtime::Tasks;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::{join, select};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::config::{Bound, Config};
use crate::engine::{Channels, Engine, Input, Shared};
use crate::leases::{Lease, Token};
use crate::link::{self, Asker, Link, Patience, Way, Ways};

/// What every lane needs to be at work: one supervised task each, so that none waits for another.
pub(crate) struct Workplace {
    bound: BTreeMap<DestinationId, Arc<Bound>>,
    shared: Shared,
    ways: Ways,
    shortest_timeout: Duration,
    tasks: Tasks,
}

/// How a lane ended.
pub(crate) struct Ended {
    pub(crate) lane: DestinationId,
    pub(crate) token: Token,
    pub(crate) result: Result<(), Error>,
}

// === impl Workplace ===

impl Workplace {
    pub(crate) fn new(
        config: &Config,
        bound: Vec<Bound>,
        shared: Shared,
        ways: Ways,
        tasks: Tasks,
    ) -> Self {
        let by_id = |bound: Bound| (bound.destination.id.clone(), Arc::new(bound));
        Self {
            bound: bound.into_iter().map(by_id).collect(),
            shared,
            ways,
            shortest_timeout: config.shortest_timeout,
            tasks,
        }
    }

    /// Cancelled by the stop, if not before.
    pub(crate) fn leave_token(&self) -> CancellationToken {
        self.tasks.stop_token().child_token()
    }

    /// Puts a lane to work; `None`: the configuration does not have it.
    pub(crate) fn start(
        &self,
        lease: Lease,
        found: Vec<Input>,
        inputs: mpsc::UnboundedReceiver<Input>,
        leave: CancellationToken,
        lost: CancellationToken,
    ) -> Option<JoinHandle<Ended>> {
        let (lane, token) = (lease.destination.clone(), lease.token);
        let bound = self.bound.get(&lane)?.clone();
        let (jobs, jobs_received) = mpsc::unbounded_channel();
        let (answers_sent, answers) = mpsc::unbounded_channel();
        let patience = Patience {
            clock: self.shared.clock.clone(),
            timeout: bound.destination.timeout,
            shortest: self.shortest_timeout,
        };
        let canary = bound.destination.terms.canary.clone();
        let asker = Asker::new(&bound.way, canary, patience.clone());
        let link = Link {
            jobs: jobs_received,
            answers: answers_sent,
            clock: self.shared.clock.clone(),
            patience,
            reader: bound.reader.clone(),
        };
        let channels = Channels {
            inputs,
            answers,
            jobs,
        };
        // Elsewhere a call that has not left yet could still do so when the next owner asks or offers.
        let may_listen = bound.destination.terms.idempotent && !matches!(bound.way, Way::Pull(_));
        let last_answers = self.shared.last_answers;
        let way = bound.way.clone();
        let mut ways = self.ways.clone();
        ways.stop = leave.clone();
        let engine = Engine::new(bound, lease, self.shared.clone(), channels, asker);
        Some(self.tasks.spawn_brief(async move {
            // The link ends when the engine, which holds its jobs, has ended.
            let engine = engine.run(found, leave, lost.clone());
            let work = async { join!(engine, link::run(way, &ways, link)).0 };
            let over = async {
                lost.cancelled().await;
                if may_listen {
                    sleep(last_answers).await;
                }
            };
            let result = select! {
                biased;
                () = over => Ok(()),
                worked = work => worked,
            };
            Ended {
                lane,
                token,
                result,
            }
        }))
    }
}
