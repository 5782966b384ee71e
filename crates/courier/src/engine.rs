//! Drives one lane: takes what is due, hands it to the link, settles what comes back.

mod reports;

use std::collections::HashMap;
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
use crate::payload::{Budget, Payload};
use crate::sidelines::Sidelines;
use crate::stored::Stored;
use crate::telemetry::{self, LaneMeter};
use crate::verdicts::{self, Backlog, Report, Verdict};
use crate::view::LaneView;

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
    /// What operators ordered of the lane, whole.
    Controls(Controls),
    /// What stands aside, whole.
    Sidelines(Arc<Sidelines>),
    /// Asks how the lane stands.
    Show(oneshot::Sender<LaneView>),
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
    asker: Arc<Asker>,
    lease: Arc<Lease>,
    backlog: Arc<Backlog>,
    /// Nothing is taken before some verdict is written.
    is_full: bool,
    canary: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    queries: FuturesUnordered<Query>,
    /// Attempts of an earlier process without a verdict, to be told as of unknown outcome.
    interrupted: Vec<Entry>,
    /// Of those in flight, and of as many others as the budget allows.
    payloads: HashMap<DeliveryId, Payload>,
    kept: Kept,
    meter: LaneMeter,
    /// Nothing is taken before: the store could not be read.
    quiet_until: Option<Instant>,
}

type Query = Pin<Box<dyn Future<Output = (DeliveryId, Known)> + Send>>;

const AT_ONCE: usize = 64;
const READ_AHEAD: usize = 256;
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
            payloads: HashMap::new(),
            kept: Kept::default(),
            quiet_until: None,
        }
    }

    /// Works on what it found, then on what comes, until it is to leave the lane; then attempts in flight
    /// may still be answered for a while.
    pub(crate) async fn run(
        mut self,
        found: Vec<Input>,
        leave: CancellationToken,
    ) -> Result<(), Error> {
        let (mut inputs, mut answers) = (Vec::new(), Vec::new());
        found.into_iter().for_each(|input| self.take_in(input));
        // Before anything is sent: what was found may be told once more.
        while let Ok(input) = self.channels.inputs.try_recv() {
            self.take_in(input);
        }
        loop {
            self.dispatch().await?;
            let clock = self.shared.clock.clone();
            let next = self.lane.next_wake(self.now()).filter(|_| !self.is_full);
            let wake = wake(&clock, self.quiet_until, next);
            let backlog = self.backlog.clone();
            tokio::select! {
                () = leave.cancelled() => break,
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
                () = wake => {}
            }
        }
        let _ = timeout(self.shared.last_answers, self.finish()).await;
        if self.lease.is_shared() {
            self.settle_reports().await;
        }
        Ok(())
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
                for Arrival { entry, payload } in arrivals {
                    self.lane.add(entry, now);
                    if let Some(payload) = payload.filter(|_| !rests) {
                        self.payloads.insert(entry.id, payload);
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
            Input::Controls(controls) => self.lane.control(&controls, self.now()),
            Input::Sidelines(sidelines) => self.lane.set_sidelines(sidelines, self.now()),
            Input::Show(reply) => {
                let id = &self.bound.destination.id;
                let _ = reply.send(LaneView::of(&self.lane, id, self.now()));
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

    /// Sends the canary and the questions that are due.
    fn ask(&mut self, now: Millis) {
        if self.canary.is_none() && self.lane.take_canary(now) {
            let asker = self.asker.clone();
            self.canary = Some(Box::pin(async move { asker.canary().await }));
        }
        for id in self.lane.take_queries(now) {
            let asker = self.asker.clone();
            let query: Query = Box::pin(async move { (id, asker.query(id).await) });
            self.queries.push(query);
        }
    }

    async fn canary_answered(&mut self, answer: &Answer) {
        self.canary = None;
        let now = self.now();
        if let Some(change) = self.lane.canary_answered(answer, now) {
            self.changed(change);
        }
        self.keep(now).await;
    }

    /// The destination was asked what became of a delivery in doubt.
    async fn learned(&mut self, id: DeliveryId, known: Known) {
        let now = self.now();
        let arrived = match known {
            Known::Arrived => true,
            Known::NotArrived => false,
            Known::Nothing(detail) => {
                telemetry::still_unknown(&self.bound.destination.id, id, &detail);
                return self.lane.ask_again(id, now);
            }
        };
        if let Some(entry) = self.lane.resolve(id, arrived, now) {
            let about = self.about(&[entry]).await.into_iter().next();
            let reports = about.map(|about| Report::Resolved {
                about,
                arrived,
                at: now,
                reason: "the destination was asked".to_owned(),
            });
            self.report(reports.into_iter().collect()).await;
        }
    }

    /// Reads the payloads that are not in memory, and some of those whose turn comes next.
    async fn load(&mut self, taken: &[DeliveryId]) -> Result<(), Error> {
        let lacks = |id: &DeliveryId| !self.payloads.contains_key(id);
        let line = self.lane.line();
        let place = |id: &DeliveryId| line.entry(*id).map(|entry| entry.place);
        let mut places: Vec<Place> = taken
            .iter()
            .filter(|id| lacks(id))
            .filter_map(place)
            .collect();
        if places.is_empty() {
            return Ok(());
        }
        if self.shared.budget.has_room() {
            let ahead = line.upcoming().filter(|entry| lacks(&entry.id));
            places.extend(ahead.take(READ_AHEAD).map(|entry| entry.place));
        }
        match Stored::at(&self.shared.store, &places).await {
            Ok(rows) => {
                rows.into_iter()
                    .for_each(|row| self.keep_payload(taken, row));
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

    fn keep_payload(&mut self, taken: &[DeliveryId], row: Stored) {
        let id = row.entry.id;
        let payload = if taken.contains(&id) {
            unbudgeted(row)
        } else {
            budgeted(&self.shared.budget, row)
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
        let reports: Vec<Report> = answered
            .filter_map(|answered| self.settle_one(answered, now))
            .collect();
        if !reports.is_empty() {
            // Without a writer the process is about to end, and the next one sends again.
            self.report(reports).await;
        }
        self.keep(now).await;
    }

    fn settle_one(&mut self, answered: Answered, now: Millis) -> Option<Report> {
        let Answered {
            id,
            started_at,
            took,
            answer,
        } = answered;
        let real = self.shared.clock.real(took);
        let settled = self.lane.answered(id, &answer, real, now)?;
        self.meter.attempted(answer.class, took);
        let payload = self
            .payloads
            .remove(&id)
            .expect("those in flight have their payload");
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
        Some(Report::Verdict(verdict))
    }

    fn changed(&mut self, change: Change) {
        let now = self.now();
        let hold = self.lane.hold(now);
        let calendar = Some(&self.bound.setup.calendar);
        let reason = hold.map(|hold| hold.words(calendar).to_string());
        self.meter.changed(change, &reason.unwrap_or_default());
        if change == Change::Opened {
            // The others need the memory more.
            let line = self.lane.line();
            self.payloads
                .retain(|id, _| line.standing(*id) == Some(crate::lane::Standing::InFlight));
            self.payloads.shrink_to_fit();
        }
    }
}

fn unbudgeted(row: Stored) -> Option<Payload> {
    let body = row.payload?;
    let delivery = proto::decode_delivery(body.clone()).ok()?;
    Some(Payload::new(body, &delivery, row.appended_at))
}

fn budgeted(budget: &Budget, row: Stored) -> Option<Payload> {
    let body = row.payload?;
    let delivery = proto::decode_delivery(body.clone()).ok()?;
    Payload::cached(budget, &body, &delivery, row.appended_at)
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
