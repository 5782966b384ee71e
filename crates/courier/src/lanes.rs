//! All lanes: which are at work here, how far they have been told, and how to reach them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{DeliveryId, DestinationId};
use runtime::{Clock, Tasks};
use store::{ReadError, Store};
use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::{Arrival, Input};
use crate::holding::hold;
use crate::lane::Forecast;
use crate::leases::Owners;
use crate::telemetry;
use crate::view::{self, LaneView};

/// The lanes by destination. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lanes(Arc<Inner>);

struct Inner {
    tasks: Tasks,
    clock: Clock,
    /// Of the configuration.
    known: BTreeSet<DestinationId>,
    owners: watch::Receiver<Owners>,
    here: Mutex<Here>,
}

/// The lanes that are at work in this process.
#[derive(Default)]
struct Here {
    inputs: BTreeMap<DestinationId, mpsc::UnboundedSender<Input>>,
    told: Told,
    /// Whether this process reads the deliveries topic: then it holds what goes to nobody.
    is_intake: bool,
}

/// How far the lanes here have been told what there is. A lane that begins is told what was there before
/// by whoever begins it, and everything behind it by whoever goes on telling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The last place of each partition.
    pub(crate) places: BTreeMap<i32, i64>,
    /// The number of the last news.
    pub(crate) news: i64,
}

// === impl Lanes ===

impl Lanes {
    pub(crate) fn new(
        known: BTreeSet<DestinationId>,
        owners: watch::Receiver<Owners>,
        clock: Clock,
        tasks: Tasks,
    ) -> Self {
        Self(Arc::new(Inner {
            tasks,
            clock,
            known,
            owners,
            here: Mutex::default(),
        }))
    }

    /// Whether the configuration has that destination.
    pub(crate) fn knows(&self, destination: &DestinationId) -> bool {
        self.0.known.contains(destination)
    }

    /// From now on these are told what comes; answers how far the others have been told.
    pub(crate) fn begin<'a>(
        &self,
        lanes: impl Iterator<Item = &'a DestinationId>,
    ) -> (
        BTreeMap<DestinationId, mpsc::UnboundedReceiver<Input>>,
        Told,
    ) {
        let mut here = self.here();
        let mut receivers = BTreeMap::new();
        for lane in lanes {
            let (sender, receiver) = mpsc::unbounded_channel();
            here.inputs.insert(lane.clone(), sender);
            receivers.insert(lane.clone(), receiver);
        }
        (receivers, here.told.clone())
    }

    /// The lane is not at work here any more.
    pub(crate) fn end(&self, lane: &DestinationId) {
        self.here().inputs.remove(lane);
        telemetry::lane(&LaneView::gone(lane));
    }

    /// Whether any lane is at work here.
    pub(crate) fn is_any_here(&self) -> bool {
        !self.here().inputs.is_empty()
    }

    /// Whether this process reads the deliveries topic. What was held for nobody is the next reader's.
    pub(crate) fn set_intake(&self, is_intake: bool) {
        let mut here = self.here();
        here.is_intake = is_intake;
        if !is_intake {
            here.inputs.retain(|lane, _| self.knows(lane));
        }
    }

    pub(crate) fn told(&self) -> Told {
        self.here().told.clone()
    }

    /// Gives a lane its input, if it is at work here. A destination that the configuration does not have
    /// gets a lane that holds everything, in the process that reads the deliveries topic.
    pub(crate) fn give(&self, destination: &DestinationId, input: Input) {
        self.give_one(&mut self.here(), destination, input);
    }

    /// Tells the lanes of new deliveries that this process read from the topic.
    pub(crate) fn arrived(&self, arriving: BTreeMap<DestinationId, Vec<Arrival>>) {
        let mut here = self.here();
        for (destination, arrivals) in arriving {
            for Arrival { entry, .. } in &arrivals {
                let last = here.told.places.entry(entry.place.partition).or_insert(-1);
                *last = (*last).max(entry.place.offset);
            }
            self.give_one(&mut here, &destination, Input::Arrived(arrivals));
        }
    }

    /// Tells the lanes what another process read, up to there.
    pub(crate) fn tell(&self, told: Told, inputs: Vec<(DestinationId, Input)>) {
        let mut here = self.here();
        here.told = told;
        for (destination, input) in inputs {
            self.give_one(&mut here, &destination, input);
        }
    }

    /// News up to that number need not be read: this process wrote them.
    pub(crate) fn news_told(&self, number: i64) {
        self.here().told.news = number;
    }

    /// How every lane stands that is at work here, by destination.
    pub(crate) async fn views(&self) -> Vec<LaneView> {
        let replies: Vec<_> = {
            let here = self.here();
            let asked = here.inputs.values().map(|sender| {
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

    /// How every lane stands: those at work elsewhere as the store tells.
    pub(crate) async fn all_views(&self, store: &Store) -> Result<Vec<LaneView>, ReadError> {
        let mut views = self.views().await;
        let seen: BTreeSet<_> = views.iter().map(|view| view.destination.clone()).collect();
        let others: Vec<_> = self.0.known.difference(&seen).collect();
        if !others.is_empty() {
            let mut waiting = view::waiting(store).await?;
            let owners = self.0.owners.borrow().clone().unwrap_or_default();
            views.extend(others.into_iter().map(|lane| {
                let owner = owners.get(lane.as_str()).map(String::as_str);
                let (counts, oldest) = waiting.remove(lane.as_str()).unwrap_or_default();
                LaneView::elsewhere(lane, owner, counts, oldest)
            }));
            views.sort_by(|one, other| one.destination.cmp(&other.destination));
        }
        Ok(views)
    }

    /// The attempts to come of a delivery, as long as nothing changes.
    pub(crate) async fn forecast(
        &self,
        destination: &DestinationId,
        id: DeliveryId,
    ) -> Option<Forecast> {
        let reply = {
            let here = self.here();
            let (ask, reply) = oneshot::channel();
            let _ = here.inputs.get(destination)?.send(Input::Forecast(id, ask));
            reply
        };
        reply.await.ok()?
    }

    fn give_one(&self, here: &mut Here, destination: &DestinationId, input: Input) {
        if let Some(sender) = here.inputs.get(destination) {
            // A lane that has ended has its work in the store.
            let _ = sender.send(input);
        } else if here.is_intake && !self.knows(destination) {
            let sender = self.hold(destination.clone());
            let _ = sender.send(input);
            here.inputs.insert(destination.clone(), sender);
        }
    }

    fn hold(&self, destination: DestinationId) -> mpsc::UnboundedSender<Input> {
        let (sender, inputs) = mpsc::unbounded_channel();
        let (clock, stop) = (self.0.clock.clone(), self.0.tasks.stop_token());
        let tasks = &self.0.tasks;
        tasks.spawn_brief(hold(destination, clock, inputs, stop));
        sender
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.0.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
