//! D15: no interleaving of pullers loses a delivery, lends it twice, or turns a dossier's order round.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use domain::{AttemptClass, DeliveryId};
use jiff::Timestamp;
use proptest::prelude::*;

use super::offers::{Bound, Leased, NotLeased, Offers, Wish};
use crate::answer::Answer;
use crate::link::{Answered, Job};

const TIMEOUT: Duration = Duration::from_secs(10);
const DOSSIERS: u8 = 4;
const STEPS: u8 = 3;

/// What pullers do, in any order; `which` chooses among all tokens that were ever given.
#[derive(Clone, Debug)]
enum Act {
    Take { max: usize, lease: u64 },
    Confirm { which: usize, is_taken: bool },
    Extend { which: usize, by: u64 },
    Release { which: usize },
    Wait { seconds: u64 },
    Expire,
}

/// A lane that gives the next delivery of a dossier when the one before has arrived, and gives one that
/// has not again.
struct World {
    offers: Offers,
    now: Timestamp,
    tokens: Vec<Leased>,
    /// The valid lease of each delivery, by what pullers were told.
    holders: BTreeMap<DeliveryId, (String, Timestamp)>,
    given: BTreeSet<DeliveryId>,
    arrived: Vec<DeliveryId>,
}

fn id(dossier: u8, step: u8) -> DeliveryId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&[dossier, step]);
    DeliveryId::from(bytes)
}

fn job(id: DeliveryId) -> Job {
    Job {
        id,
        body: Bytes::from_static(b"body"),
    }
}

fn offers() -> Offers {
    Offers::new(&"justice".parse().unwrap(), 7, TIMEOUT)
}

fn bound(deliveries: usize) -> Bound {
    let bytes = usize::MAX;
    Bound { deliveries, bytes }
}

fn taken() -> Answer {
    Answer::new(AttemptClass::Accepted, "taken")
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap()
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1usize..4, 1u64..30).prop_map(|(max, lease)| Act::Take { max, lease }),
        4 => (any::<usize>(), any::<bool>())
            .prop_map(|(which, is_taken)| Act::Confirm { which, is_taken }),
        2 => (any::<usize>(), 1u64..200).prop_map(|(which, by)| Act::Extend { which, by }),
        2 => any::<usize>().prop_map(|which| Act::Release { which }),
        2 => (0u64..20).prop_map(|seconds| Act::Wait { seconds }),
        2 => Just(Act::Expire),
    ]
}

// === impl Wish ===

impl From<Option<Duration>> for Wish {
    fn from(asked: Option<Duration>) -> Self {
        let least = Duration::ZERO;
        Self { asked, least }
    }
}

// === impl World ===

impl World {
    fn new() -> Self {
        let mut world = Self {
            offers: offers(),
            now: at(0),
            tokens: Vec::new(),
            holders: BTreeMap::new(),
            given: BTreeSet::new(),
            arrived: Vec::new(),
        };
        (0..DOSSIERS).for_each(|dossier| world.give(id(dossier, 0)));
        world
    }

    fn give(&mut self, id: DeliveryId) {
        assert!(
            self.given.insert(id),
            "the lane gives one attempt at a time"
        );
        self.offers.offer(job(id));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Take { max, lease } => self.take(max, lease),
            Act::Confirm { which, is_taken } => self.confirm(which, is_taken),
            Act::Extend { which, by } => self.extend(which, by),
            Act::Release { which } => self.release(which),
            Act::Wait { seconds } => self.now += Duration::from_secs(seconds),
            Act::Expire => self.expire(),
        }
    }

    fn take(&mut self, max: usize, lease: u64) {
        let wish = Some(Duration::from_secs(lease));
        for leased in self.offers.take(self.now, bound(max), wish) {
            let holder = (leased.token.clone(), leased.until);
            let other = self.holders.insert(leased.job.id, holder);
            assert!(other.is_none(), "held by another puller");
            assert!(self.tokens.iter().all(|one| one.token != leased.token));
            self.tokens.push(leased);
        }
    }

    fn token(&self, which: usize) -> Option<Leased> {
        let index = which.checked_rem(self.tokens.len())?;
        self.tokens.get(index).cloned()
    }

    /// Whether a puller that goes by what it was told still holds the lease.
    fn holds(&self, leased: &Leased) -> bool {
        let holder = self.holders.get(&leased.job.id);
        holder.is_some_and(|(token, until)| *token == leased.token && self.now < *until)
    }

    fn confirm(&mut self, which: usize, is_taken: bool) {
        let Some(leased) = self.token(which) else {
            return;
        };
        let holds = self.holds(&leased);
        let class = [AttemptClass::Retryable, AttemptClass::Accepted][usize::from(is_taken)];
        let answer = Answer::new(class, "scripted");
        let done = self.offers.confirm(&leased.token, answer, self.now);
        assert_eq!(done.is_ok(), holds);
        if let Ok(answered) = done {
            self.answered(answered);
        }
    }

    fn extend(&mut self, which: usize, by: u64) {
        let Some(leased) = self.token(which) else {
            return;
        };
        let holds = self.holds(&leased);
        let by = Some(Duration::from_secs(by));
        let done = self.offers.extend(&leased.token, self.now, by);
        assert_eq!(done.is_ok(), holds);
        if let Ok(until) = done {
            let holder = self.holders.get_mut(&leased.job.id).unwrap();
            assert!(until >= holder.1, "no lease becomes shorter");
            holder.1 = until;
        }
    }

    fn release(&mut self, which: usize) {
        let Some(leased) = self.token(which) else {
            return;
        };
        let holds = self.holds(&leased);
        let done = self.offers.release(&leased.token, self.now);
        assert_eq!(done.is_ok(), holds);
        if done.is_ok() {
            self.holders.remove(&leased.job.id);
        }
    }

    fn expire(&mut self) {
        for answered in self.offers.expire(self.now) {
            assert_eq!(answered.answer.class, AttemptClass::Timeout);
            assert!(self.holders[&answered.id].1 <= self.now);
            self.answered(answered);
        }
    }

    fn answered(&mut self, answered: Answered) {
        let id = answered.id;
        assert!(self.holders.remove(&id).is_some(), "only what is held ends");
        assert!(self.given.remove(&id), "one answer per attempt");
        if answered.answer.class.is_success() {
            self.arrived.push(id);
            let [dossier, step, ..] = *id.as_bytes();
            if step + 1 < STEPS {
                self.give(super::properties::id(dossier, step + 1));
            }
        } else {
            self.give(id);
        }
    }

    /// A patient puller takes and confirms until nothing comes any more.
    fn drain(&mut self) {
        self.now += TIMEOUT * 20;
        self.expire();
        loop {
            let first = self.tokens.len();
            self.take(100, 10);
            if self.tokens.len() == first {
                return;
            }
            (first..self.tokens.len()).for_each(|which| self.confirm(which, true));
        }
    }
}

proptest! {
    /// I1, I3, I4.
    #[test]
    fn d15_nothing_is_lost_lent_twice_or_turned_round(
        acts in proptest::collection::vec(act(), 0..120),
    ) {
        let mut world = World::new();
        acts.into_iter().for_each(|act| world.act(act));
        world.drain();

        let all: BTreeSet<_> = world.arrived.iter().copied().collect();
        prop_assert_eq!(all.len(), usize::from(DOSSIERS * STEPS), "nothing is lost");
        prop_assert_eq!(world.arrived.len(), all.len(), "nothing arrives twice");
        for dossier in 0..DOSSIERS {
            let own = world.arrived.iter().filter(|id| id.as_bytes()[0] == dossier);
            let steps: Vec<_> = own.map(|id| id.as_bytes()[1]).collect();
            prop_assert_eq!(steps, (0..STEPS).collect::<Vec<_>>());
        }
    }
}

#[test]
fn d15_a_lease_that_ran_out_is_an_attempt_without_an_answer() {
    let mut offers = offers();
    offers.offer(job(id(1, 0)));
    let leased = offers.take(at(100), bound(1), None).remove(0);
    assert_eq!(leased.until, at(110));
    assert_eq!(offers.next_expiry(), Some(at(110)));
    assert!(offers.expire(at(109)).is_empty());

    let expired = offers.expire(at(112)).remove(0);

    assert_eq!(
        expired.started_at,
        at(100),
        "the attempt began when it was taken"
    );
    assert_eq!(expired.took, Duration::from_secs(12));
    assert_eq!(expired.answer.class, AttemptClass::Timeout);
    assert_eq!(
        expired.answer.detail,
        "taken and not confirmed within 10000 ms"
    );
    assert!(
        offers.take(at(112), bound(1), None).is_empty(),
        "the lane offers it again"
    );
    offers.offer(job(id(1, 0)));
    let again = offers.take(at(113), bound(1), None).remove(0);
    let late = offers.confirm(&leased.token, taken(), at(114));
    assert_eq!(late.unwrap_err(), NotLeased::Expired);
    offers
        .confirm(&again.token, taken(), at(114))
        .expect("the later lease stands");
}

#[test]
fn d15_a_verdict_after_the_end_of_a_lease_comes_too_late_even_before_the_end_was_noticed() {
    let mut offers = offers();
    offers.offer(job(id(1, 0)));
    let leased = offers.take(at(0), bound(1), None).remove(0);
    let late = offers.confirm(&leased.token, taken(), at(10));
    assert_eq!(late.unwrap_err(), NotLeased::Expired);
    assert_eq!(offers.expire(at(10)).len(), 1);
}

#[test]
fn d15_a_second_confirm_is_a_fact() {
    let mut offers = offers();
    offers.offer(job(id(1, 0)));
    let leased = offers.take(at(0), bound(1), None).remove(0);
    let first = offers.confirm(&leased.token, taken(), at(1));
    assert_eq!(first.unwrap().took, Duration::from_secs(1));
    let second = offers.confirm(&leased.token, taken(), at(2));
    assert_eq!(second.unwrap_err(), NotLeased::Confirmed);
    assert!(offers.expire(at(100)).is_empty());
}

#[test]
fn a_token_is_good_at_its_destination_and_start_only() {
    let mut offers = offers();
    offers.offer(job(id(1, 0)));
    let leased = offers.take(at(0), bound(1), None).remove(0);
    assert_eq!(leased.token, "justice.7.0");
    for other in [
        "police.7.0",
        "justice.6.0",
        "justice.7.1",
        "justice.7.+0x",
        "",
    ] {
        let done = offers.release(other, at(1));
        assert_eq!(done, Err(NotLeased::Unknown), "{other}");
    }
    assert_eq!(offers.release(&leased.token, at(1)), Ok(()));
    assert_eq!(
        offers.release(&leased.token, at(1)),
        Err(NotLeased::Released)
    );
}

#[test]
fn what_is_released_is_offered_before_what_was_never_taken() {
    let mut offers = offers();
    (0..4).for_each(|n| offers.offer(job(id(n, 0))));
    let first = offers.take(at(0), bound(2), None);
    offers.release(&first[1].token, at(1)).unwrap();
    offers.release(&first[0].token, at(1)).unwrap();
    let again: Vec<_> = offers
        .take(at(2), bound(3), None)
        .into_iter()
        .map(|one| one.job.id)
        .collect();
    assert_eq!(again, [id(0, 0), id(1, 0), id(2, 0)]);
}

#[test]
fn leases_and_extensions_are_bounded() {
    let mut offers = offers();
    offers.offer(job(id(1, 0)));
    let ever = Some(Duration::MAX);
    let leased = offers.take(at(0), bound(1), ever).remove(0);
    assert_eq!(leased.until, at(100), "ten time-outs");
    let by = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(
        offers.extend(&leased.token, at(50), by(5)),
        Ok(at(100)),
        "never shorter"
    );
    assert_eq!(
        offers.extend(&leased.token, at(60), ever),
        Ok(at(100)),
        "ten in all"
    );
    assert_eq!(offers.expire(at(100)).len(), 1);

    offers.offer(job(id(1, 0)));
    let leased = offers.take(at(200), bound(1), None).remove(0);
    assert_eq!(offers.extend(&leased.token, at(205), None), Ok(at(215)));
    assert!(offers.expire(at(214)).is_empty());
}

/// A clock that runs fast leaves time enough for a real puller.
#[test]
fn no_lease_is_shorter_than_the_least() {
    let mut offers = offers();
    offers.offer(job(id(1, 0)));
    let (asked, least) = (Some(Duration::from_secs(1)), Duration::from_secs(500));
    let leased = offers
        .take(at(0), bound(1), Wish { asked, least })
        .remove(0);
    assert_eq!(leased.until, at(500));
    let longer = offers.extend(&leased.token, at(200), Wish { asked, least });
    assert_eq!(longer, Ok(at(500)), "not beyond what may last in all");
}

#[test]
fn a_puller_gets_at_least_one_and_no_more_bytes_than_it_can_take() {
    let mut offers = offers();
    (0..5).for_each(|n| offers.offer(job(id(n, 0))));
    let take = |offers: &mut Offers, bytes| {
        let deliveries = 10;
        offers.take(at(0), Bound { deliveries, bytes }, None).len()
    };
    assert_eq!(take(&mut offers, 1), 1);
    assert_eq!(take(&mut offers, 11), 2);
    assert_eq!(take(&mut offers, 100), 2);
}

#[test]
fn a_closed_shelf_forgets_what_the_lane_still_has() {
    let mut offers = offers();
    (0..2).for_each(|n| offers.offer(job(id(n, 0))));
    let leased = offers.take(at(0), bound(1), None).remove(0);
    offers.clear();
    assert_eq!(offers.next_expiry(), None);
    assert!(offers.take(at(1), bound(9), None).is_empty());
    assert_eq!(
        offers.release(&leased.token, at(1)),
        Err(NotLeased::Expired)
    );
}
