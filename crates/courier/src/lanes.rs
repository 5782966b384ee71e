//! All lanes: who has which, and how to reach it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{DeliveryId, DestinationId};
use runtime::{Clock, Tasks};
use tokio::sync::{mpsc, oneshot};

use crate::config::{Bound, Config};
use crate::engine::{Channels, Engine, Input, Shared};
use crate::holding::hold;
use crate::lane::Forecast;
use crate::link::{self, Asker, Link, Patience, Trial, Ways};
use crate::view::LaneView;

/// The lanes by destination. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lanes(Arc<Inner>);

struct Inner {
    tasks: Tasks,
    clock: Clock,
    inputs: Mutex<BTreeMap<DestinationId, mpsc::UnboundedSender<Input>>>,
}

// === impl Lanes ===

impl Lanes {
    /// Starts a lane per destination: one supervised task each, so that none waits for another.
    pub(crate) fn start(
        config: &Config,
        bound: Vec<Bound>,
        shared: &Shared,
        ways: &Ways,
        tasks: &Tasks,
    ) -> Self {
        let mut inputs = BTreeMap::new();
        for bound in bound {
            let id = bound.destination.id.clone();
            inputs.insert(
                id,
                start(config, bound, shared.clone(), ways.clone(), tasks),
            );
        }
        Self(Arc::new(Inner {
            tasks: tasks.clone(),
            clock: shared.clock.clone(),
            inputs: Mutex::new(inputs),
        }))
    }

    /// Gives a lane its input. A destination that the configuration does not have gets a lane that
    /// holds everything.
    pub(crate) fn give(&self, destination: &DestinationId, input: Input) {
        let mut inputs = self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = inputs
            .entry(destination.clone())
            .or_insert_with(|| self.hold(destination.clone()));
        // A lane that has ended is one of a process that is stopping; the store has its work.
        let _ = sender.send(input);
    }

    /// Gives a lane its input, if the configuration has its destination.
    pub(crate) fn give_known(&self, destination: &DestinationId, input: Input) {
        let inputs = self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = inputs.get(destination) {
            let _ = sender.send(input);
        }
    }

    /// How every lane stands, by destination.
    pub(crate) async fn views(&self) -> Vec<LaneView> {
        let replies: Vec<_> = {
            let inputs = self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner);
            let asked = inputs.values().map(|sender| {
                let (ask, reply) = oneshot::channel();
                let _ = sender.send(Input::Show(ask));
                reply
            });
            asked.collect()
        };
        let mut views = Vec::with_capacity(replies.len());
        for reply in replies {
            views.extend(reply.await.ok());
        }
        views
    }

    /// The attempts to come of a delivery, as long as nothing changes.
    pub(crate) async fn forecast(
        &self,
        destination: &DestinationId,
        id: DeliveryId,
    ) -> Option<Forecast> {
        let reply = {
            let inputs = self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner);
            let (ask, reply) = oneshot::channel();
            let _ = inputs.get(destination)?.send(Input::Forecast(id, ask));
            reply
        };
        reply.await.ok()?
    }

    /// Tries a destination that has a lane here: `None` inside, nobody calls it.
    pub(crate) async fn try_destination(
        &self,
        destination: &DestinationId,
    ) -> Option<Option<Trial>> {
        let asker = {
            let inputs = self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner);
            let (ask, reply) = oneshot::channel();
            let _ = inputs.get(destination)?.send(Input::Asker(ask));
            reply
        };
        Some(asker.await.ok()?.try_it().await)
    }

    fn hold(&self, destination: DestinationId) -> mpsc::UnboundedSender<Input> {
        let (sender, inputs) = mpsc::unbounded_channel();
        let clock = self.0.clock.clone();
        self.0.tasks.spawn_sure("courier holding lane", |stop| {
            hold(destination, clock, inputs, stop)
        });
        sender
    }
}

fn start(
    config: &Config,
    bound: Bound,
    shared: Shared,
    ways: Ways,
    tasks: &Tasks,
) -> mpsc::UnboundedSender<Input> {
    let (sender, inputs) = mpsc::unbounded_channel();
    let (jobs, jobs_received) = mpsc::unbounded_channel();
    let (answers_sent, answers) = mpsc::unbounded_channel();
    let patience = Patience {
        clock: shared.clock.clone(),
        timeout: bound.destination.timeout,
        shortest: config.shortest_timeout,
    };
    let asker = Asker::new(
        &bound.way,
        bound.destination.terms.canary.clone(),
        patience.clone(),
    );
    let link = Link {
        jobs: jobs_received,
        answers: answers_sent,
        clock: shared.clock.clone(),
        patience,
        reader: bound.reader.clone(),
    };
    let way = bound.way.clone();
    let bound = Arc::new(bound);
    let channels = Channels {
        inputs,
        answers,
        jobs,
    };
    let engine = Engine::new(bound.clone(), shared, channels, asker);
    tasks.spawn("courier lane", |stop| async move {
        // The link ends when the engine, which holds its jobs, has ended.
        let (worked, ()) = tokio::join!(engine.run(stop), link::run(way, &ways, link));
        worked
    });
    sender
}
