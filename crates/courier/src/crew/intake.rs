//! Reading the deliveries topic, by one courier at a time.

use std::future::pending;
use std::sync::Arc;

use consumer::{Consumer, Options, Start};
use log::Log;
use runtime::{Clock, Health, Tasks};
use store::{Fence, Store};
use tokio::select;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::payloads::Payloads;
use crate::Error;
use crate::fold::{Deliveries, GROUP};
use crate::jobs::Runner;
use crate::lanes::Lanes;
use crate::orders::Gate;
use crate::payload::{Budget, Resting};
use crate::verdicts::Flow;

/// What reading needs.
pub(crate) struct Reading {
    pub(crate) lanes: Lanes,
    pub(crate) budget: Budget,
    pub(crate) resting: Resting,
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    pub(crate) tasks: Tasks,
    pub(crate) gate: Gate,
    pub(crate) flow: Flow,
    pub(crate) options: Options,
    /// Whether others follow in the store.
    pub(crate) is_shared: bool,
}

/// Reading, and working jobs off, at work.
pub(crate) struct Intake {
    stop: CancellationToken,
    consumer: JoinHandle<Result<(), consumer::Error>>,
    runner: JoinHandle<Result<(), Error>>,
}

/// How one of both ended.
pub(crate) type Ended = Result<(), Error>;

// === impl Reading ===

impl Reading {
    /// What the owner of the group must do before lanes begin.
    pub(super) fn payloads<'a>(&'a self, start: &'a Start, epoch: i64) -> Payloads<'a> {
        Payloads {
            start,
            log: &self.log,
            store: &self.store,
            clock: &self.clock,
            fence: Fence {
                group: GROUP,
                epoch,
                moves: Vec::new(),
            },
        }
    }

    pub(crate) fn begin(&self, epoch: i64) -> Intake {
        let jobs = Arc::new(Notify::new());
        let fold = Deliveries::new(self, jobs.clone());
        let consumer = Consumer::new(
            fold,
            self.log.clone(),
            self.store.clone(),
            epoch,
            self.clock.clone(),
            self.health.clone(),
            self.options,
        );
        let (store, log, clock) = (self.store.clone(), self.log.clone(), self.clock.clone());
        let runner = Runner::new(store, log, clock, jobs);
        let stop = self.tasks.stop_token().child_token();
        Intake {
            consumer: self.tasks.spawn_brief(consumer.run(stop.clone())),
            runner: self.tasks.spawn_brief(runner.run(stop.clone())),
            stop,
        }
    }
}

// === impl Intake ===

impl Intake {
    /// Ends after the batch in hand.
    pub(crate) async fn stop(self) -> Ended {
        self.stop.cancel();
        let (consumed, ran) = tokio::join!(self.consumer, self.runner);
        flat(consumed).and(flat(ran))
    }
}

/// Waits until reading ends on its own.
pub(crate) async fn ended(intake: &mut Option<Intake>) -> Ended {
    let Some(intake) = intake else {
        return pending().await;
    };
    let ended = select! {
        consumed = &mut intake.consumer => flat(consumed),
        ran = &mut intake.runner => flat(ran),
    };
    intake.stop.cancel();
    ended
}

fn flat<E>(ended: Result<Result<(), E>, JoinError>) -> Ended
where
    Error: From<E>,
{
    Ok(ended.map_err(Error::Lane)??)
}
