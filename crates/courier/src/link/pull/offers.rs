//! What one destination may take, and who holds what. No clock, no I/O: instants are arguments.
//!
//! A delivery is offered or leased, never both, and has at most one lease. Its attempt begins when it is
//! taken; while it is only offered, none runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use domain::{AttemptClass, DestinationId};
use jiff::Timestamp;

use crate::answer::Answer;
use crate::link::{Answered, Job};

/// The deliveries of one destination that wait for a puller or are held by one.
#[derive(Debug)]
pub(crate) struct Offers {
    /// Before the number in each token: the destination and the start of the process.
    prefix: String,
    timeout: Duration,
    next_place: u64,
    next_lease: u64,
    /// In the lane's order.
    offered: BTreeMap<u64, Job>,
    leases: BTreeMap<u64, Lease>,
    expiries: BTreeSet<(Timestamp, u64)>,
    /// How the latest leases ended.
    ends: BTreeMap<u64, NotLeased>,
    ended: VecDeque<u64>,
}

/// A delivery that one puller holds.
#[derive(Clone, Debug)]
pub(crate) struct Leased {
    /// `destination.start.number`: unique, but no secret.
    pub(crate) token: String,
    pub(crate) job: Job,
    pub(crate) until: Timestamp,
}

/// Why nothing is done for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotLeased {
    /// It had its verdict.
    Confirmed,
    /// It was given back.
    Released,
    /// It ran out.
    Expired,
    /// Never given by this process to this destination, or too long ago to tell.
    Unknown,
}

/// How much a puller takes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) deliveries: usize,
    /// The first delivery is given whatever its size.
    pub(crate) bytes: usize,
}

/// How long a puller would like to hold what it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// Absent: the destination's time-out.
    pub(crate) asked: Option<Duration>,
    /// No lease is shorter, whatever was asked for and however short the time-out is.
    pub(crate) least: Duration,
}

#[derive(Debug)]
struct Lease {
    place: u64,
    job: Job,
    started_at: Timestamp,
    until: Timestamp,
}

/// No lease lasts longer in all than so many times the destination's time-out.
const MOST_TIMEOUTS: u32 = 10;
/// The ends of so many leases are remembered.
const MOST_ENDS: usize = 4096;

// === impl Offers ===

impl Offers {
    /// Nothing offered yet. `start` differs between any two processes that ever serve the destination.
    pub(crate) fn new(destination: &DestinationId, start: i64, timeout: Duration) -> Self {
        Self {
            prefix: format!("{destination}.{start:x}."),
            timeout,
            next_place: 0,
            next_lease: 0,
            offered: BTreeMap::new(),
            leases: BTreeMap::new(),
            expiries: BTreeSet::new(),
            ends: BTreeMap::new(),
            ended: VecDeque::new(),
        }
    }

    /// Offers a delivery behind the others.
    pub(crate) fn offer(&mut self, job: Job) {
        self.offered.insert(self.next_place, job);
        self.next_place += 1;
    }

    /// Leases the first offers.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        bound: Bound,
        wish: impl Into<Wish>,
    ) -> Vec<Leased> {
        let (asked, longest) = self.bounds(wish.into());
        let until = later(now, asked.min(longest));
        let mut bytes = 0;
        let mut taken = Vec::new();
        while taken.len() < bound.deliveries
            && let Some(first) = self.offered.first_entry()
        {
            bytes += first.get().body.len();
            if bytes > bound.bytes && !taken.is_empty() {
                break;
            }
            let (place, job) = first.remove_entry();
            taken.push(self.lease(place, job, now, until));
        }
        taken
    }

    /// Ends a lease with the puller's answer.
    pub(crate) fn confirm(
        &mut self,
        token: &str,
        answer: Answer,
        now: Timestamp,
    ) -> Result<Answered, NotLeased> {
        let number = self.held(token, now)?;
        let lease = self.end(number, NotLeased::Confirmed);
        Ok(lease.answered(answer, now))
    }

    /// Lets a lease last so long from now, within its bound; it never becomes shorter.
    pub(crate) fn extend(
        &mut self,
        token: &str,
        now: Timestamp,
        wish: impl Into<Wish>,
    ) -> Result<Timestamp, NotLeased> {
        let number = self.held(token, now)?;
        let (asked, longest) = self.bounds(wish.into());
        let lease = self.leases.get_mut(&number).ok_or(NotLeased::Unknown)?;
        let until = later(now, asked).min(later(lease.started_at, longest));
        self.expiries.remove(&(lease.until, number));
        lease.until = lease.until.max(until);
        self.expiries.insert((lease.until, number));
        Ok(lease.until)
    }

    /// Takes a delivery back without an attempt: it is offered at once in its old place, which is before
    /// all that were never taken.
    pub(crate) fn release(&mut self, token: &str, now: Timestamp) -> Result<(), NotLeased> {
        let number = self.held(token, now)?;
        let lease = self.end(number, NotLeased::Released);
        self.offered.insert(lease.place, lease.job);
        Ok(())
    }

    /// Ends the leases that have run out: their attempts had no answer.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<Answered> {
        let mut expired = Vec::new();
        while let Some((until, number)) = self.expiries.first().copied()
            && until <= now
        {
            let lease = self.end(number, NotLeased::Expired);
            let held = between(lease.started_at, until);
            let detail = format!("taken and not confirmed within {} ms", held.as_millis());
            expired.push(lease.answered(Answer::new(AttemptClass::Timeout, detail), now));
        }
        expired
    }

    /// When the next lease runs out.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(until, _)| *until)
    }

    /// Forgets everything that waits or is held: the lane has it, and offers it again where it goes on.
    pub(crate) fn clear(&mut self) {
        self.offered.clear();
        while let Some((_, number)) = self.expiries.first().copied() {
            self.end(number, NotLeased::Expired);
        }
    }

    /// Whether somebody holds the lease.
    pub(crate) fn holds(&self, token: &str, now: Timestamp) -> bool {
        self.held(token, now).is_ok()
    }

    /// How long from now, and how long in all.
    fn bounds(&self, wish: Wish) -> (Duration, Duration) {
        let asked = wish.asked.unwrap_or(self.timeout);
        let longest = self.timeout.saturating_mul(MOST_TIMEOUTS);
        (asked.max(wish.least), longest.max(wish.least))
    }

    fn lease(&mut self, place: u64, job: Job, now: Timestamp, until: Timestamp) -> Leased {
        let number = self.next_lease;
        self.next_lease += 1;
        let lease = Lease {
            place,
            job: job.clone(),
            started_at: now,
            until,
        };
        self.leases.insert(number, lease);
        self.expiries.insert((until, number));
        Leased {
            token: format!("{}{number:x}", self.prefix),
            job,
            until,
        }
    }

    /// The number of a lease that has not ended and not run out.
    fn held(&self, token: &str, now: Timestamp) -> Result<u64, NotLeased> {
        let number = token.strip_prefix(&self.prefix);
        let number = number.and_then(|number| u64::from_str_radix(number, 16).ok());
        let number = number.ok_or(NotLeased::Unknown)?;
        match self.leases.get(&number) {
            Some(lease) if now < lease.until => Ok(number),
            Some(_) => Err(NotLeased::Expired),
            None => Err(self
                .ends
                .get(&number)
                .copied()
                .unwrap_or(NotLeased::Unknown)),
        }
    }

    fn end(&mut self, number: u64, how: NotLeased) -> Lease {
        let lease = self.leases.remove(&number).expect("only leases are ended");
        self.expiries.remove(&(lease.until, number));
        self.ends.insert(number, how);
        self.ended.push_back(number);
        if self.ended.len() > MOST_ENDS
            && let Some(oldest) = self.ended.pop_front()
        {
            self.ends.remove(&oldest);
        }
        lease
    }
}

// === impl Lease ===

impl Lease {
    fn answered(self, answer: Answer, now: Timestamp) -> Answered {
        Answered {
            id: self.job.id,
            started_at: self.started_at,
            took: between(self.started_at, now),
            answer,
        }
    }
}

fn later(from: Timestamp, span: Duration) -> Timestamp {
    from.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}
