//! Drives one lane: takes what is due, hands it to the link, settles what comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Attempt, DeliveryId};
use runtime::Clock;
use store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::config::Bound;
use crate::controls::Controls;
use crate::entry::{Entry, Millis, Place};
use crate::lane::{Change, Lane, Ruling};
use crate::link::{Answered, Job};
use crate::payload::{Budget, Payload};
use crate::sidelines::Sidelines;
use crate::stored::Stored;
use crate::telemetry::{self, LaneMeter};
use crate::verdicts::{self, Verdict};
use crate::view::LaneView;

/// What reaches a lane from outside.
pub(crate) enum Input {
    /// Undelivered deliveries.
    Arrived(Vec<Arrival>),
    /// Dead letters from before.
    Dead(Vec<(DeliveryId, Millis)>),
    /// Dead letters that a person gave up.
    Discarded(Vec<(DeliveryId, Millis)>),
    /// Unknown outcomes that a person settled, and whether the destination has the delivery.
    Settled(Vec<(Entry, bool)>),
    /// What operators ordered of the lane, whole.
    Controls(Controls),
    /// What stands aside, whole.
    Sidelines(Arc<Sidelines>),
    /// Asks how the lane stands.
    Show(oneshot::Sender<LaneView>),
}

/// A delivery for a lane.
pub(crate) struct Arrival {
    pub(crate) entry: Entry,
    /// Left out when the budget is used up: it is read again from the store.
    pub(crate) payload: Option<Payload>,
}

/// What all lanes share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) budget: Budget,
    pub(crate) verdicts: verdicts::Sender,
    pub(crate) last_answers: Duration,
}

/// The channels of one lane.
pub(crate) struct Channels {
    pub(crate) inputs: mpsc::UnboundedReceiver<Input>,
    pub(crate) answers: mpsc::UnboundedReceiver<Vec<Answered>>,
    pub(crate) jobs: mpsc::UnboundedSender<Vec<Job>>,
}

/// One lane at work.
pub(crate) struct Engine {
    lane: Lane,
    bound: Arc<Bound>,
    shared: Shared,
    channels: Channels,
    /// Of those in flight, and of as many others as the budget allows.
    payloads: HashMap<DeliveryId, Payload>,
    meter: LaneMeter,
    /// Nothing is taken before: the store could not be read.
    quiet_until: Option<Instant>,
}

const AT_ONCE: usize = 64;
const READ_AHEAD: usize = 256;
const PAUSE: Duration = Duration::from_millis(200);

// === impl Engine ===

impl Engine {
    pub(crate) fn new(bound: Arc<Bound>, shared: Shared, channels: Channels) -> Self {
        Self {
            lane: Lane::new(bound.limits.clone()),
            meter: LaneMeter::new(&bound.destination.id),
            bound,
            shared,
            channels,
            payloads: HashMap::new(),
            quiet_until: None,
        }
    }

    /// Works until the stop; then attempts in flight may still be answered for a while.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let (mut inputs, mut answers) = (Vec::new(), Vec::new());
        loop {
            self.dispatch().await?;
            let clock = self.shared.clock.clone();
            let wake = wake(&clock, self.quiet_until, self.lane.next_wake());
            tokio::select! {
                () = stop.cancelled() => break,
                received = self.channels.answers.recv_many(&mut answers, AT_ONCE) => {
                    if received == 0 {
                        break;
                    }
                    self.settle(answers.drain(..).flatten()).await;
                }
                received = self.channels.inputs.recv_many(&mut inputs, AT_ONCE) => {
                    if received == 0 {
                        break;
                    }
                    inputs.drain(..).for_each(|input| self.take_in(input));
                }
                () = wake => {}
            }
        }
        let _ = timeout(self.shared.last_answers, self.finish()).await;
        Ok(())
    }

    async fn finish(&mut self) {
        while self.lane.counts().in_flight > 0 {
            let Some(answers) = self.channels.answers.recv().await else {
                return;
            };
            self.settle(answers.into_iter()).await;
        }
    }

    fn now(&self) -> Millis {
        self.shared.clock.now().into()
    }

    fn take_in(&mut self, input: Input) {
        match input {
            Input::Arrived(arrivals) => {
                let now = self.now();
                let rests = self.lane.resting().is_some();
                for Arrival { entry, payload } in arrivals {
                    self.lane.add(entry, now);
                    if let Some(payload) = payload.filter(|_| !rests) {
                        self.payloads.insert(entry.id, payload);
                    }
                }
            }
            Input::Dead(dead) => {
                dead.into_iter()
                    .for_each(|(id, at)| self.lane.add_dead(id, at));
            }
            Input::Discarded(discarded) => {
                discarded
                    .into_iter()
                    .for_each(|(id, at)| self.lane.forget_dead(id, at));
            }
            Input::Settled(settled) => {
                let now = self.now();
                for (entry, arrived) in settled {
                    self.lane.forget_dead(entry.id, entry.opened_at);
                    if !arrived {
                        self.lane.add(entry, now);
                    }
                }
            }
            Input::Controls(controls) => drop(controls),
            Input::Sidelines(sidelines) => drop(sidelines),
            Input::Show(reply) => {
                let id = &self.bound.destination.id;
                let calendar = Some(&self.bound.calendar);
                let _ = reply.send(LaneView::of(&self.lane, id, calendar, self.now()));
            }
        }
    }

    /// Hands over as many as there is room for.
    async fn dispatch(&mut self) -> Result<(), Error> {
        if self.quiet_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        self.quiet_until = None;
        let now = self.now();
        let taken = self.lane.take(now);
        if taken.is_empty() {
            return Ok(());
        }
        self.load(&taken).await?;
        let mut jobs = Vec::with_capacity(taken.len());
        for id in taken {
            let Some(payload) = self.payloads.get(&id) else {
                self.lane.put_back(id, now);
                continue;
            };
            if self.lane.entry(id).is_some_and(|entry| entry.tries == 0) {
                let waited = now.0.saturating_sub(payload.appended_at.0);
                let waited = Duration::from_millis(u64::try_from(waited).unwrap_or(0));
                self.meter.first_tried(waited);
            }
            let body = payload.body.clone();
            jobs.push(Job { id, body });
        }
        let _ = self.channels.jobs.send(jobs);
        Ok(())
    }

    /// Reads the payloads that are not in memory, and some of those whose turn comes next.
    async fn load(&mut self, taken: &[DeliveryId]) -> Result<(), Error> {
        let lacks = |id: &DeliveryId| !self.payloads.contains_key(id);
        let place = |id: &DeliveryId| self.lane.entry(*id).map(|entry| entry.place);
        let mut places: Vec<Place> = taken
            .iter()
            .filter(|id| lacks(id))
            .filter_map(place)
            .collect();
        if places.is_empty() {
            return Ok(());
        }
        if self.shared.budget.has_room() {
            let ahead = self.lane.upcoming().filter(|entry| lacks(&entry.id));
            places.extend(ahead.take(READ_AHEAD).map(|entry| entry.place));
        }
        match Stored::at(&self.shared.store, &places).await {
            Ok(rows) => {
                rows.into_iter().for_each(|row| self.keep(taken, row));
                self.abandon_lost(taken);
                Ok(())
            }
            Err(error) if error.is_transient() => {
                telemetry::read_again(&self.bound.destination.id, &error);
                self.quiet_until = Some(Instant::now() + PAUSE);
                Ok(())
            }
            Err(error) => Err(Error::Payloads(error)),
        }
    }

    fn keep(&mut self, taken: &[DeliveryId], row: Stored) {
        let id = row.entry.id;
        let Some(body) = row.payload else {
            return;
        };
        let Ok(delivery) = proto::decode_delivery(body.clone()) else {
            return;
        };
        let payload = if taken.contains(&id) {
            Some(Payload::new(body, &delivery, row.appended_at))
        } else {
            Payload::cached(&self.shared.budget, &body, &delivery, row.appended_at)
        };
        if let Some(payload) = payload {
            self.payloads.insert(id, payload);
        }
    }

    /// The store answered and has no readable payload: the lane goes on without the delivery, whose
    /// row stays as it is for a person.
    fn abandon_lost(&mut self, taken: &[DeliveryId]) {
        let now = self.now();
        for id in taken {
            if !self.payloads.contains_key(id) {
                telemetry::payload_lost(&self.bound.destination.id, *id);
                self.lane.abandon(*id, now);
            }
        }
    }

    async fn settle(&mut self, answered: impl Iterator<Item = Answered>) {
        let now = self.now();
        let verdicts: Vec<Verdict> = answered
            .filter_map(|answered| self.settle_one(answered, now))
            .collect();
        if !verdicts.is_empty() {
            // Without a writer the process is about to end, and the next one sends again.
            let _ = self.shared.verdicts.send(verdicts).await;
        }
    }

    fn settle_one(&mut self, answered: Answered, now: Millis) -> Option<Verdict> {
        let Answered {
            id,
            started_at,
            took,
            answer,
        } = answered;
        let due_at = self.lane.entry(id)?.due_at.timestamp();
        let budget = self
            .bound
            .calendar
            .budget(now.timestamp(), due_at)
            .to_duration();
        let settled = self
            .lane
            .answered(id, &answer, now, budget, &self.bound.plan)?;
        self.meter.attempted(answer.class, took);
        let payload = self
            .payloads
            .remove(&id)
            .expect("those in flight have their payload");
        let verdict = Verdict {
            entry: settled.entry,
            dossier: payload.dossier.clone(),
            step: payload.step.clone(),
            destination: self.bound.destination.id.clone(),
            attempt: Attempt {
                number: settled.entry.tries,
                started_at,
                took,
                class: answer.class,
                detail: answer.detail,
            },
            ruling: settled.ruling,
        };
        if matches!(settled.ruling, Ruling::Again { .. }) && payload.may_wait() {
            self.payloads.insert(id, payload);
        }
        if let Some(change) = settled.change {
            self.changed(change);
        }
        Some(verdict)
    }

    fn changed(&mut self, change: Change) {
        let reason = self.lane.resting().map(|rest| rest.reason.to_owned());
        self.meter.changed(change, &reason.unwrap_or_default());
        if change == Change::Rests {
            // The others need the memory more.
            let lane = &self.lane;
            self.payloads.retain(|id, _| lane.is_in_flight(*id));
            self.payloads.shrink_to_fit();
        }
    }
}

async fn wake(clock: &Clock, quiet_until: Option<Instant>, at: Option<Millis>) {
    match (quiet_until, at) {
        (Some(until), Some(_)) => sleep_until(until).await,
        (None, Some(at)) => clock.sleep_until(at.timestamp()).await,
        (_, None) => std::future::pending().await,
    }
}
