use std::sync::LazyLock;

use domain::{AttemptClass, AttemptClass::*, RecordId};
use proptest::prelude::*;

use super::*;
use crate::entry::{DossierMark, Place};
use crate::sidelines::Marks;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn id(n: u64) -> DeliveryId {
    DeliveryId::from(*RecordId::of("test", &[&n.to_string()]).as_bytes())
}

fn breaker() -> BreakerRules {
    BreakerRules {
        in_a_row: 5,
        failed_in_a_row: 10,
        window: Duration::from_secs(60),
        minimum: 20,
        failed_percent: 50,
        silent_percent: 30,
        first_probe: Duration::from_secs(1),
        longest_probe: Duration::from_secs(60),
    }
}

/// Made once: it is counted through, and properties need thousands.
static CALENDAR: LazyLock<Calendar> = LazyLock::new(|| {
    let calendars = calendar::Calendars::built_in().unwrap();
    calendars.get("national-office").unwrap().clone()
});

fn setup(max_in_flight: usize) -> Setup {
    Setup {
        calendar: CALENDAR.clone(),
        plan: plan(),
        timeout: Duration::from_secs(10),
        max_in_flight,
        breaker: Some(breaker()),
        rate: Rate::default(),
        outages: Vec::new(),
        office_hours_only: false,
        idempotent: true,
        queryable: false,
        canary: false,
    }
}

/// A lane whose limit has found its cap.
fn lane(max_in_flight: usize) -> Lane {
    settled_in(setup(max_in_flight))
}

impl Lane {
    fn take(&mut self, now: Millis) -> Vec<DeliveryId> {
        self.take_at_most(usize::MAX, now)
    }
}

fn is_open(lane: &Lane) -> bool {
    lane.breaker.open().is_some()
}

fn settled_in(setup: Setup) -> Lane {
    let limit = setup.max_in_flight;
    let mut lane = Lane::new(setup);
    lane.restore(Kept {
        limit,
        ..Kept::default()
    });
    lane
}

/// Waits of 10, 100 and 1,000 seconds, four attempts.
fn plan() -> RetryPlan {
    RetryPlan::new([10, 100, 1_000].map(Duration::from_secs).to_vec(), 4).unwrap()
}

fn entry(n: u64, dossier: u64, due_at: i64) -> Entry {
    Entry {
        id: id(n),
        place: Place {
            partition: 0,
            offset: i64::try_from(n).unwrap(),
        },
        dossier: DossierMark(dossier),
        due_at: Millis(due_at),
        opened_at: Millis(0),
        next_at: Millis(0),
        tries: 0,
        charged: 0,
        doubtful: false,
        announced: 100,
        marks: Marks::default(),
    }
}

fn answer(class: AttemptClass) -> Answer {
    Answer::new(class, "said so")
}

#[track_caller]
fn settle(lane: &mut Lane, id: DeliveryId, class: AttemptClass, now: Millis) -> Settled {
    lane.answered(id, &answer(class), Duration::from_millis(5), now)
        .expect("it is in flight")
}

const NOW: Millis = Millis(1_000_000);

#[test]
fn the_least_remaining_legal_time_goes_first() {
    let mut lane = lane(2);
    for (n, due_at) in [(1, 300), (2, 100), (3, 200), (4, 100)] {
        lane.add(entry(n, n, due_at), NOW);
    }
    assert_eq!(lane.take(NOW), [id(2), id(4)]);
    assert_eq!(lane.take(NOW), []);
    settle(&mut lane, id(2), Accepted, NOW);
    assert_eq!(lane.take(NOW), [id(3)]);
}

#[test]
fn a_dossier_is_handed_over_in_its_own_order_and_holds_back_nobody_else() {
    let mut lane = lane(10);
    lane.add(entry(1, 7, 900), NOW);
    lane.add(entry(2, 7, 100), NOW); // more urgent, and still behind
    lane.add(entry(3, 8, 500), NOW);
    assert_eq!(lane.take(NOW), [id(3), id(1)]);
    settle(&mut lane, id(1), Retryable, NOW);
    assert_eq!(lane.take(NOW.plus(Duration::from_secs(11))), [id(1)]);
    settle(&mut lane, id(1), Accepted, NOW);
    assert_eq!(lane.take(NOW), [id(2)]);
}

#[test]
fn a_dead_letter_lets_the_next_one_of_its_dossier_pass() {
    let mut lane = lane(10);
    lane.add(entry(1, 7, 1), NOW);
    lane.add(entry(2, 7, 2), NOW);
    lane.take(NOW);
    assert_eq!(
        settle(&mut lane, id(1), Permanent, NOW).ruling,
        Ruling::Dead
    );
    assert_eq!(lane.line().counts().dead, 1);
    assert_eq!(lane.take(NOW), [id(2)]);
    // Redriven while the second one is in flight: it waits for that one.
    lane.add(entry(1, 7, 1), NOW);
    assert_eq!((lane.take(NOW).len(), lane.line().counts().dead), (0, 0));
    settle(&mut lane, id(2), Accepted, NOW);
    assert_eq!(lane.take(NOW), [id(1)]);
}

#[test]
fn a_redriven_one_goes_before_the_waiting_ones_of_its_dossier() {
    let mut lane = lane(10);
    lane.add(entry(2, 7, 2), NOW);
    lane.add(entry(1, 7, 9), NOW);
    assert_eq!(lane.take(NOW), [id(1)]);
    assert_eq!(lane.line().counts().behind, 1);
}

#[test]
fn attempts_are_used_up_by_failures_at_the_destination_only() {
    let mut lane = lane(1);
    lane.add(entry(1, 1, 1), NOW);
    let mut at = NOW;
    for class in [
        Unreachable,
        Retryable,
        Blocked,
        Unreachable,
        Timeout,
        Retryable,
    ] {
        assert_eq!(lane.take(at), [id(1)]);
        let settled = settle(&mut lane, id(1), class, at);
        let Ruling::Again { at: next } = settled.ruling else {
            panic!("{class} ended it: {settled:?}");
        };
        at = next;
    }
    lane.take(at);
    let settled = settle(&mut lane, id(1), Retryable, at);
    assert_eq!(settled.ruling, Ruling::Dead);
    assert_eq!((settled.entry.tries, settled.entry.charged), (7, 4));
}

#[test]
fn a_passed_deadline_ends_nothing() {
    let mut lane = lane(1);
    lane.add(entry(1, 1, 0), NOW);
    lane.take(NOW);
    let settled = lane.answered(id(1), &answer(Retryable), Duration::ZERO, NOW);
    assert!(matches!(settled.unwrap().ruling, Ruling::Again { .. }));
}

#[test]
fn the_wait_is_at_least_what_the_destination_asked_for() {
    let mut lane = lane(1);
    lane.add(entry(1, 1, 0), NOW);
    lane.take(NOW);
    let asked = answer(Retryable).asking(Some(Duration::from_secs(77)));
    let settled = lane.answered(id(1), &asked, Duration::ZERO, NOW).unwrap();
    let Ruling::Again { at } = settled.ruling else {
        panic!("{settled:?}");
    };
    assert_eq!(at, NOW.plus(Duration::from_secs(77)));
    assert_eq!(lane.next_wake(NOW), Some(at));
}

/// Five of ten, all unreachable; the lane rests.
fn resting() -> Lane {
    let mut lane = lane(5);
    for n in 1..=10 {
        lane.add(entry(n, n, i64::try_from(n).unwrap()), NOW);
    }
    let taken = lane.take(NOW);
    let changes: Vec<_> = taken
        .iter()
        .map(|id| settle(&mut lane, *id, Unreachable, NOW).change)
        .collect();
    assert_eq!(changes, [None, None, None, None, Some(Change::Opened)]);
    lane
}

#[test]
fn a_lane_rests_when_the_destination_is_to_blame_and_charges_nothing() {
    let mut lane = resting();
    let hold = lane.hold(NOW).unwrap();
    assert_eq!(hold.word(), "breaker");
    let words = hold.words(None).to_string();
    assert!(words.contains("5 attempts in a row failed"), "{words}");
    assert_eq!(lane.take(NOW), []);
    let mut now = NOW;
    for span in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let due = lane.next_wake(NOW).expect("a probe is planned");
        assert_eq!(due, now.plus(Duration::from_secs(span)));
        assert_eq!(lane.take(Millis(due.0 - 1)), []);
        now = due;
        let probe = lane.take(now);
        assert_eq!(
            (probe.len(), lane.take(now).len()),
            (1, 0),
            "one probe at a time"
        );
        let settled = settle(&mut lane, probe[0], Timeout, now);
        assert!(matches!(settled.ruling, Ruling::Again { .. }));
        assert_eq!(settled.entry.charged, 0);
    }
    let probe = lane.take(lane.next_wake(NOW).unwrap());
    assert_eq!(
        settle(&mut lane, probe[0], Accepted, now).change,
        Some(Change::Closed)
    );
    assert!(!is_open(&lane));
    assert_eq!(lane.take(now.plus(DAY)).len(), 1, "slowly at first");
}

#[test]
fn a_busy_answer_neither_opens_nor_blames() {
    let busy = answer(Retryable).overloaded(true);
    let mut ten = lane(10);
    for n in 1..=10 {
        ten.add(entry(n, n, 1), NOW);
    }
    for (n, id) in ten.take(NOW).into_iter().enumerate() {
        let answer = if n % 4 == 3 {
            busy.clone()
        } else {
            answer(Unreachable)
        };
        let settled = ten.answered(id, &answer, Duration::ZERO, NOW);
        assert_eq!(settled.unwrap().change, None);
    }
    assert!(!is_open(&ten));
}

#[test]
fn a_probe_that_finds_the_destination_busy_finds_it_at_work() {
    let mut lane = resting();
    let now = lane.next_wake(NOW).unwrap();
    let probe = lane.take(now);
    let failed = settle(&mut lane, probe[0], Retryable, now);
    assert_eq!((failed.change, failed.entry.charged), (None, 0));
    let now = lane.next_wake(now).unwrap();
    let probe = lane.take(now);
    let busy = answer(Retryable).overloaded(true);
    let settled = lane.answered(probe[0], &busy, Duration::ZERO, now);
    assert_eq!(settled.unwrap().change, Some(Change::Closed));
}

#[test]
fn one_delivery_that_never_succeeds_does_not_keep_the_lane_shut() {
    let mut lane = resting();
    let now = lane.next_wake(NOW).unwrap();
    let poison = lane.take(now)[0];
    settle(&mut lane, poison, Timeout, now);
    let now = lane.next_wake(NOW).unwrap();
    let probe = lane.take(now)[0];
    assert_ne!(probe, poison, "the next probe is another delivery");
    assert_eq!(
        settle(&mut lane, probe, Accepted, now).change,
        Some(Change::Closed)
    );
}

#[test]
fn one_that_could_not_be_sent_goes_back_unchanged() {
    let mut lane = resting();
    let now = lane.next_wake(NOW).unwrap();
    let probe = lane.take(now)[0];
    let entry = *lane.line().entry(probe).unwrap();
    lane.put_back(probe, now);
    assert_eq!(lane.line().entry(probe), Some(&entry));
    assert_eq!(lane.line().counts().in_flight, 0);
    assert_eq!(lane.take(now).len(), 1);
}

#[test]
fn the_oldest_counts_dead_letters_too() {
    let mut lane = lane(1);
    assert_eq!(lane.line().oldest(), None);
    lane.add(
        Entry {
            opened_at: Millis(50),
            ..entry(1, 1, 1)
        },
        NOW,
    );
    lane.add_dead(id(9), Millis(20));
    assert_eq!(lane.line().oldest(), Some(Millis(20)));
    lane.add(
        Entry {
            opened_at: Millis(20),
            ..entry(9, 9, 1)
        },
        NOW,
    );
    assert_eq!(
        (lane.line().oldest(), lane.line().counts().dead),
        (Some(Millis(20)), 0)
    );
}

mod controller;
mod failing;
mod model;
mod planted;
