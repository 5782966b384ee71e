//! Drives one lane: takes what is due, hands it to the link, settles what comes back.

mod payloads;
mod telling;

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use domain::{Attempt, DeliveryId};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use runtime::Clock;
use store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::answer::Answer;
use crate::config::Bound;
use crate::controls::Controls;
use crate::entry::{Entry, Millis, Place};
use crate::lane::{Change, Forecast, Kept, Lane, Ruling};
use crate::leases::Lease;
use crate::link::{Answered, Asker, Job, Known};
use crate::payload::{Budget, Payload, Resting};
use crate::sidelines::Sidelines;
use crate::telemetry::{self, LaneMeter};
use crate::verdicts::{self, Backlog, Batch, Report, Verdict};
use crate::view::LaneView;

use payloads::Leaving;

/// What reaches a lane from outside.
pub(crate) enum Input {
    /// Undelivered deliveries.
    Arrived(Vec<Arrival>),
    /// An earlier process ended between its claim and its verdict.
    Interrupted(Entry),
    /// Dead letters from before.
    Dead(Vec<(DeliveryId, Millis)>),
    /// How an earlier process left the lane.
    Kept(Kept),
    /// Dead letters that a person gave up.
    Discarded(Vec<(DeliveryId, Millis)>),
    /// Unknown outcomes that a person settled, and whether the destination has the delivery.
    Settled(Vec<(Entry, bool)>),
    /// What events prove to have arrived, and by which.
    Proved(Vec<(DeliveryId, String)>),
    /// What operators ordered of the lane, whole.
    Controls(Controls),
    /// What stands aside, whole.
    Sidelines(Arc<Sidelines>),
    /// Asks how the lane stands.
    Show(oneshot::Sender<LaneView>),
    /// Asks for the one who asks the destination.
    Asker(oneshot::Sender<Arc<Asker>>),
    /// Asks for the attempts to come of one delivery.
    Forecast(DeliveryId, oneshot::Sender<Option<Forecast>>),
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
    pub(crate) resting: Resting,
    pub(crate) verdicts: verdicts::Sender,
    pub(crate) stored_after: Duration,
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
    asker: Arc<Asker>,
    lease: Arc<Lease>,
    backlog: Arc<Backlog>,
    /// Nothing is taken before some verdict is written.
    is_full: bool,
    canary: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    queries: FuturesUnordered<Query>,
    /// Attempts of an earlier process without a verdict, to be told as of unknown outcome.
    interrupted: Vec<Entry>,
    /// By which event those in flight and in doubt are proved to have arrived.
    proofs: BTreeMap<DeliveryId, String>,
    /// Of those in flight, and of as many others as the budget allows.
    payloads: HashMap<DeliveryId, Payload>,
    leaving: Leaving,
    kept: Kept,
    meter: LaneMeter,
    /// Nothing is taken before: the store could not be read.
    quiet_until: Option<Instant>,
}

type Query = Pin<Box<dyn Future<Output = (DeliveryId, Known)> + Send>>;

const AT_ONCE: usize = 64;
/// Payloads that one read brings: a longer one keeps a processor from whoever publishes.
const READ_AHEAD: usize = 32;
const PAUSE: Duration = Duration::from_millis(200);

// === impl Engine ===

impl Engine {
    pub(crate) fn new(
        bound: Arc<Bound>,
        lease: Lease,
        shared: Shared,
        channels: Channels,
        asker: Asker,
    ) -> Self {
        Self {
            lane: Lane::new(bound.setup.clone()),
            meter: LaneMeter::new(&bound.destination.id),
            bound,
            shared,
            channels,
            asker: Arc::new(asker),
            lease: Arc::new(lease),
            backlog: Arc::default(),
            is_full: false,
            canary: None,
            queries: FuturesUnordered::new(),
            interrupted: Vec::new(),
            proofs: BTreeMap::new(),
            payloads: HashMap::new(),
            leaving: Leaving::default(),
            kept: Kept::default(),
            quiet_until: None,
        }
    }

    /// Works on what it found, then on what comes, until it is to leave the lane or has lost it; then
    /// attempts in flight may still be answered for a while.
    pub(crate) async fn run(
        mut self,
        found: Vec<Input>,
        leave: CancellationToken,
        lost: CancellationToken,
    ) -> Result<(), Error> {
        let (mut inputs, mut answers) = (Vec::new(), Vec::new());
        found.into_iter().for_each(|input| self.take_in(input));
        // Before anything is sent: what was found may be told once more.
        while let Ok(input) = self.channels.inputs.try_recv() {
            self.take_in(input);
        }
        loop {
            self.store_leaving().await;
            self.dispatch().await?;
            let clock = self.shared.clock.clone();
            let next = self.lane.next_wake(self.now()).filter(|_| !self.is_full);
            let wake = wake(&clock, self.quiet_until, next);
            let backlog = self.backlog.clone();
            tokio::select! {
                () = leave.cancelled() => break,
                () = lost.cancelled() => break,
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
                answer = answer_of(&mut self.canary) => self.canary_answered(&answer).await,
                Some((id, known)) = self.queries.next(), if !self.queries.is_empty() => {
                    self.learned(id, known).await;
                }
                () = backlog.written(), if self.is_full => {}
                () = at(self.leaving.look_at) => self.look_for_waiting(),
                () = wake => {}
            }
        }
        let _ = timeout(self.shared.last_answers, self.finish()).await;
        self.put_all_away().await;
        if self.lease.is_shared() {
            self.settle_reports().await;
        }
        Ok(())
    }

    /// Waits until all that was reported is written: whoever reads the store next finds it.
    async fn settle_reports(&mut self) {
        let (done, settled) = oneshot::channel();
        self.report(vec![Report::Settled { done }]).await;
        let _ = settled.await;
    }

    /// `false`: there is no writer any more, for the process is about to end.
    async fn report(&mut self, reports: Vec<Report>) -> bool {
        let lease = self.lease.clone();
        let batch = Batch::new(lease, reports, &self.backlog);
        self.shared.verdicts.send(batch).await.is_ok()
    }

    /// How many more may be under way. Where another courier may take the lane over, an attempt is under
    /// way until its verdict is durable, so that no more than the cap can be sent again.
    fn room(&self) -> usize {
        if !self.lease.is_shared() {
            return usize::MAX;
        }
        let under_way = self.lane.line().in_flight() + self.backlog.verdicts();
        self.bound.setup.max_in_flight.saturating_sub(under_way)
    }

    fn is_held(&self) -> bool {
        self.lease.is_valid(Instant::now())
    }

    async fn finish(&mut self) {
        while self.lane.line().in_flight() > 0 {
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
                let rests = self.lane.hold(now).is_some_and(|hold| hold.is_rest());
                if rests != std::mem::replace(&mut self.leaving.rests, rests) {
                    self.shared.resting.set(&self.bound.destination.id, rests);
                }
                for Arrival { entry, payload } in arrivals {
                    self.lane.add(entry, now);
                    match payload {
                        Some(payload) if rests => self.put_away(entry.place, payload),
                        Some(payload) => self.take_payload(entry.id, payload),
                        None => {}
                    }
                }
            }
            Input::Interrupted(mut entry) => {
                entry.tries = entry.tries.saturating_add(1);
                entry.next_at = self.lane.first_query(self.now());
                self.lane.add(entry, self.now());
                self.interrupted.push(entry);
            }
            Input::Dead(dead) => {
                dead.into_iter()
                    .for_each(|(id, at)| self.lane.add_dead(id, at));
            }
            Input::Kept(kept) => {
                self.kept = kept.clone();
                self.lane.restore(kept);
            }
            Input::Discarded(discarded) => {
                discarded
                    .into_iter()
                    .for_each(|(id, at)| self.lane.discard(id, at));
            }
            Input::Settled(settled) => {
                let now = self.now();
                for (entry, arrived) in settled {
                    self.lane.settled(entry, arrived, now);
                }
            }
            Input::Proved(proved) => self.proofs.extend(proved),
            Input::Controls(controls) => self.lane.control(&controls, self.now()),
            Input::Sidelines(sidelines) => self.lane.set_sidelines(sidelines, self.now()),
            Input::Show(reply) => {
                let id = &self.bound.destination.id;
                let _ = reply.send(LaneView::of(&self.lane, id, self.now()));
            }
            Input::Asker(reply) => {
                let _ = reply.send(self.asker.clone());
            }
            Input::Forecast(id, reply) => {
                let _ = reply.send(self.lane.forecast(id, self.now()));
            }
        }
    }

    /// Hands over as many as there is room for, and asks and tells what is due.
    async fn dispatch(&mut self) -> Result<(), Error> {
        if self.quiet_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        self.quiet_until = None;
        if !self.is_held() {
            self.quiet_until = Some(Instant::now() + PAUSE);
            return Ok(());
        }
        let now = self.now();
        self.tell_interrupted().await;
        self.settle_proved().await;
        self.ask(now);
        self.tell_alarms(now).await?;
        let room = self.room();
        self.is_full = room == 0;
        if self.is_full {
            return Ok(());
        }
        let taken = self.lane.take_at_most(room, now);
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
            if self
                .lane
                .line()
                .entry(id)
                .is_some_and(|entry| entry.tries == 0)
            {
                let waited = now.0.saturating_sub(payload.appended_at.0);
                let waited = Duration::from_millis(u64::try_from(waited).unwrap_or(0));
                self.meter.first_tried(waited);
            }
            let body = payload.body.clone();
            jobs.push(Job { id, body });
        }
        if !self.bound.setup.idempotent && !self.claim(&jobs).await {
            return Ok(());
        }
        if self.is_held() {
            let _ = self.channels.jobs.send(jobs);
        } else {
            jobs.iter().for_each(|job| self.lane.put_back(job.id, now));
        }
        Ok(())
    }

    /// Makes durable that these are about to be sent to a destination for which a repeat is not
    /// harmless. `false`: the lane or the process is about to end, and they are not sent.
    async fn claim(&mut self, jobs: &[Job]) -> bool {
        let place = |job: &Job| self.lane.line().entry(job.id).map(|entry| entry.place);
        let places: Vec<Place> = jobs.iter().filter_map(place).collect();
        let (done, claimed) = oneshot::channel();
        let claim = vec![Report::Claimed { places, done }];
        self.report(claim).await && claimed.await.is_ok()
    }

    async fn settle(&mut self, answered: impl Iterator<Item = Answered>) {
        let now = self.now();
        let mut reports = Vec::new();
        answered.for_each(|answered| self.settle_one(answered, now, &mut reports));
        if !reports.is_empty() {
            // Without a writer the process is about to end, and the next one sends again.
            self.report(reports).await;
        }
        self.keep().await;
    }

    fn settle_one(&mut self, answered: Answered, now: Millis, reports: &mut Vec<Report>) {
        let Answered {
            id,
            started_at,
            took,
            answer,
        } = answered;
        let real = self.shared.clock.real(took);
        let Some(settled) = self.lane.answered(id, &answer, real, now) else {
            return;
        };
        self.meter.attempted(answer.class, took);
        let mut payload = self
            .payloads
            .remove(&id)
            .expect("those in flight have their payload");
        if settled.ruling != Ruling::Delivered {
            let stores = payload.store_at(settled.entry.place);
            self.leaving.are_on_their_way |= stores.is_some();
            reports.extend(stores);
        }
        let verdict = Verdict {
            about: self.about_one(settled.entry, &payload),
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
        if settled.is_too_late {
            telemetry::no_attempt_fits(&verdict);
        }
        if let Some(change) = settled.change {
            self.changed(change);
        }
        reports.push(Report::Verdict(verdict));
    }

    fn changed(&mut self, change: Change) {
        let now = self.now();
        let hold = self.lane.hold(now);
        let calendar = Some(&self.bound.setup.calendar);
        let reason = hold.map(|hold| hold.words(calendar).to_string());
        self.meter.changed(change, &reason.unwrap_or_default());
        if change == Change::Opened {
            // The others need the memory more.
            self.put_waiting_away();
        }
    }

    /// Makes durable what the next process should know of the lane, when it has changed enough.
    async fn keep(&mut self) {
        let kept = self.lane.kept();
        if kept.is_near(&self.kept) {
            return;
        }
        self.kept = kept.clone();
        let destination = self.bound.destination.id.clone();
        let report = vec![Report::Kept { destination, kept }];
        self.report(report).await;
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

async fn answer_of(canary: &mut Option<Pin<Box<dyn Future<Output = Answer> + Send>>>) -> Answer {
    match canary {
        Some(canary) => canary.await,
        None => pending().await,
    }
}

async fn wake(clock: &Clock, quiet_until: Option<Instant>, at: Option<Millis>) {
    match (quiet_until, at) {
        (Some(until), Some(_)) => sleep_until(until).await,
        (None, Some(at)) => clock.sleep_until(at.timestamp()).await,
        (_, None) => pending().await,
    }
}
