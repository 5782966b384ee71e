use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Destination, DestinationId, Endpoint};
use jiff::Timestamp;
use prost::Message;
use proto::v1;
use runtime::Clock;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};

use super::offers::{Bound, NotLeased, Offers, Wish};
use super::telemetry;
use crate::answer::Answer;
use crate::link::calls::impossible;
use crate::link::{Answered, Job};

/// The shelves of all destinations that pull. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shelves(Arc<BTreeMap<DestinationId, Arc<Shelf>>>);

/// Where a lane puts what a destination may take, and where pullers take it.
pub(crate) struct Shelf {
    destination: DestinationId,
    clock: Clock,
    /// In real time.
    shortest: Duration,
    state: Mutex<State>,
    /// There is something to take, or the shelf was closed.
    arrived: Notify,
    /// A lease began or ended.
    leases: Notify,
}

struct State {
    offers: Offers,
    /// Of the lane at work; `None`: the lane is not at work in this process.
    answers: Option<mpsc::UnboundedSender<Vec<Answered>>>,
}

/// The destination's lane is not at work in this process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// What a token was good for.
pub(crate) type Held<T> = Result<Result<T, NotLeased>, Closed>;

/// Closes a shelf when its lane has ended.
pub(super) struct Opened<'a>(&'a Shelf);

// === impl Shelves ===

impl Shelves {
    /// A closed shelf per destination that pulls. `start` differs between any two processes.
    pub(crate) fn new(
        destinations: &[Destination],
        start: i64,
        clock: &Clock,
        shortest: Duration,
    ) -> Self {
        let pulls = destinations
            .iter()
            .filter(|destination| destination.endpoint == Endpoint::Pull);
        let shelves = pulls.map(|destination| {
            let shelf = Shelf::new(destination, start, clock.clone(), shortest);
            (destination.id.clone(), Arc::new(shelf))
        });
        Self(Arc::new(shelves.collect()))
    }

    /// The shelf of a destination that pulls.
    pub(crate) fn get(&self, destination: &str) -> Option<&Arc<Shelf>> {
        self.0.get(&destination.parse::<DestinationId>().ok()?)
    }
}

// === impl Shelf ===

impl Shelf {
    fn new(destination: &Destination, start: i64, clock: Clock, shortest: Duration) -> Self {
        let state = State {
            offers: Offers::new(&destination.id, start, destination.timeout),
            answers: None,
        };
        Self {
            destination: destination.id.clone(),
            clock,
            shortest,
            state: Mutex::new(state),
            arrived: Notify::new(),
            leases: Notify::new(),
        }
    }

    /// Takes up to so many offers. One that cannot be read is answered for and left out.
    pub(crate) fn take(
        &self,
        bound: Bound,
        wish: Option<Duration>,
    ) -> Result<Vec<v1::Lease>, Closed> {
        let wish = self.wish(wish);
        let now = self.clock.now();
        let leases = {
            let mut state = self.open_state()?;
            let taken = state.offers.take(now, bound, wish);
            let mut leases = Vec::with_capacity(taken.len());
            let mut unreadable = Vec::new();
            for leased in taken {
                match v1::Delivery::decode(leased.job.body) {
                    Ok(delivery) => leases.push(v1::Lease {
                        token: leased.token,
                        delivery: Some(delivery),
                        until: Some(proto::timestamp_to_wire(leased.until)),
                    }),
                    Err(error) => {
                        let reason = format!("the stored delivery cannot be read: {error}");
                        let answer = impossible(reason);
                        unreadable.extend(state.offers.confirm(&leased.token, answer, now));
                    }
                }
            }
            if !unreadable.is_empty() {
                // There may be others behind it.
                self.arrived.notify_waiters();
            }
            state.report(unreadable);
            leases
        };
        if !leases.is_empty() {
            telemetry::leases(&self.destination, "taken", leases.len());
            self.leases.notify_one();
        }
        Ok(leases)
    }

    /// Ends a lease with a verdict.
    pub(crate) fn confirm(&self, token: &str, answer: Answer) -> Held<()> {
        let said = answer.detail.clone();
        let mut state = self.open_state()?;
        let answered = state.offers.confirm(token, answer, self.clock.now());
        let done = answered.map(|answered| state.report(vec![answered]));
        drop(state);
        Ok(self.told("confirmed", token, &said, done))
    }

    /// Lets a lease last longer.
    pub(crate) fn extend(&self, token: &str, by: Option<Duration>) -> Held<Timestamp> {
        let by = self.wish(by);
        let mut state = self.open_state()?;
        let until = state.offers.extend(token, self.clock.now(), by);
        drop(state);
        Ok(self.told("extended", token, "", until))
    }

    /// Takes a delivery back.
    pub(crate) fn release(&self, token: &str) -> Held<()> {
        let mut state = self.open_state()?;
        let done = state.offers.release(token, self.clock.now());
        drop(state);
        if done.is_ok() {
            self.arrived.notify_waiters();
        }
        Ok(self.told("released", token, "", done))
    }

    /// Whether somebody holds the lease.
    pub(crate) fn holds(&self, token: &str) -> bool {
        self.state().offers.holds(token, self.clock.now())
    }

    /// Whether the lane is at work in this process.
    pub(crate) fn is_open(&self) -> bool {
        self.state().answers.is_some()
    }

    /// Resolves with the next arrival after this call.
    pub(crate) fn arrived(&self) -> Notified<'_> {
        self.arrived.notified()
    }

    /// Lets pullers in, as long as the returned value lives.
    pub(super) fn open(&self, answers: mpsc::UnboundedSender<Vec<Answered>>) -> Opened<'_> {
        self.state().answers = Some(answers);
        Opened(self)
    }

    pub(super) fn offer(&self, jobs: impl Iterator<Item = Job>) {
        let mut state = self.state();
        jobs.for_each(|job| state.offers.offer(job));
        drop(state);
        self.arrived.notify_waiters();
    }

    pub(super) fn expire(&self) {
        let mut state = self.state();
        let expired = state.offers.expire(self.clock.now());
        let number = expired.len();
        state.report(expired);
        drop(state);
        if number > 0 {
            telemetry::expired(&self.destination, number);
        }
    }

    /// When the next lease runs out; `None`: nobody holds any.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.state().offers.next_expiry()
    }

    /// Waits until a lease may have run out, or one began or ended.
    pub(super) async fn leases_changed(&self) {
        let changed = self.leases.notified();
        match self.next_expiry() {
            Some(at) => tokio::select! {
                () = changed => {}
                () = self.clock.sleep_until(at) => {}
            },
            None => changed.await,
        }
    }

    fn wish(&self, asked: Option<Duration>) -> Wish {
        let least = self.shortest.mul_f64(self.clock.speed());
        Wish { asked, least }
    }

    fn told<T>(
        &self,
        what: &'static str,
        token: &str,
        said: &str,
        done: Result<T, NotLeased>,
    ) -> Result<T, NotLeased> {
        match &done {
            Ok(_) => {
                self.leases.notify_one();
                telemetry::leases(&self.destination, what, 1);
            }
            Err(why) => telemetry::not_leased(&self.destination, what, token, *why, said),
        }
        done
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, Closed> {
        let state = self.state();
        if state.answers.is_some() {
            Ok(state)
        } else {
            Err(Closed)
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// In the order of what happened, for the lock is held.
    fn report(&self, answered: Vec<Answered>) {
        if let Some(answers) = self.answers.as_ref().filter(|_| !answered.is_empty()) {
            // Nobody listens any more only when the lane has ended.
            let _ = answers.send(answered);
        }
    }
}

// === impl Opened ===

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.answers = None;
        state.offers.clear();
        drop(state);
        self.0.arrived.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use domain::{DeliveryId, RetrySteps, Terms};

    use super::*;

    fn destination(id: &str, endpoint: &str) -> Destination {
        Destination {
            id: id.parse().unwrap(),
            agency: "justice".parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
            calendar: "national-office".parse().unwrap(),
            max_in_flight: 8,
            timeout: Duration::from_secs(10),
            retry: RetrySteps {
                steps: vec![Duration::from_secs(60)],
                max_attempts: 5,
            },
            terms: Terms::default(),
        }
    }

    const ONE: Bound = Bound {
        deliveries: 1,
        bytes: 1,
    };

    fn job(body: &'static [u8]) -> Job {
        Job {
            id: DeliveryId::from([7; 16]),
            body: body.into(),
        }
    }

    #[test]
    fn a_shelf_is_there_while_its_lane_is_at_work() {
        let all = [destination("a", "pull:"), destination("b", "grpc://b:1")];
        let shelves = Shelves::new(&all, 1, &Clock::system(), Duration::ZERO);
        assert!(shelves.get("b").is_none() && shelves.get("moon").is_none());
        let shelf = shelves.get("a").unwrap();
        assert_eq!(shelf.take(ONE, None), Err(Closed));

        let (answers, _received) = mpsc::unbounded_channel();
        let open = shelf.open(answers);
        shelf.offer([job(b"")].into_iter());
        let lease = shelf.take(ONE, None).unwrap().remove(0);
        assert!(shelf.holds(&lease.token));
        drop(open);
        assert_eq!(shelf.release(&lease.token), Err(Closed));

        let (answers, _received) = mpsc::unbounded_channel();
        let _open = shelf.open(answers);
        assert_eq!(
            shelf.take(ONE, None),
            Ok(vec![]),
            "the lane offers it again"
        );
        assert_eq!(shelf.release(&lease.token), Ok(Err(NotLeased::Expired)));
    }

    #[test]
    fn what_cannot_be_read_is_answered_for_and_holds_nobody_up() {
        let all = [destination("a", "pull:")];
        let shelves = Shelves::new(&all, 1, &Clock::system(), Duration::ZERO);
        let shelf = shelves.get("a").unwrap();
        let (answers, mut received) = mpsc::unbounded_channel();
        let _open = shelf.open(answers);
        shelf.offer([job(b"\xff"), job(b"")].into_iter());

        assert_eq!(shelf.take(ONE, None), Ok(vec![]));

        let answered = received.try_recv().unwrap().remove(0);
        assert_eq!(answered.answer.class, domain::AttemptClass::Permanent);
        assert_eq!(shelf.take(ONE, None).unwrap().len(), 1);
    }
}
