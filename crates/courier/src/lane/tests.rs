use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use domain::{AttemptClass::*, RecordId};
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

#[derive(Clone, Debug)]
enum Act {
    Add {
        dossier: u64,
        due_at: i64,
    },
    Take,
    Answer {
        which: prop::sample::Index,
        class: AttemptClass,
    },
    PutBack(prop::sample::Index),
    Redrive(prop::sample::Index),
    Pass {
        seconds: u64,
    },
}

fn acts() -> impl Strategy<Value = Act> {
    let index = any::<prop::sample::Index>;
    let class = prop::sample::select(AttemptClass::ALL.to_vec());
    prop_oneof![
        3 => (0_u64..6, 0_i64..5).prop_map(|(dossier, due_at)| Act::Add { dossier, due_at }),
        3 => Just(Act::Take),
        5 => (index(), class).prop_map(|(which, class)| Act::Answer { which, class }),
        1 => index().prop_map(Act::PutBack),
        1 => index().prop_map(Act::Redrive),
        2 => (0_u64..2_000).prop_map(|seconds| Act::Pass { seconds }),
    ]
}

/// What a reader of the history would expect of the lane.
#[derive(Default)]
struct Model {
    open: BTreeMap<u64, Entry>,
    flying: BTreeSet<u64>,
    dead: BTreeMap<u64, Entry>,
    delivered: usize,
    added: u64,
    now: i64,
}

impl Model {
    fn number(&self, id: DeliveryId) -> u64 {
        let found = self.open.iter().find(|(_, entry)| entry.id == id);
        *found.expect("only open ones are taken").0
    }

    fn launched(&mut self, lane: &Lane, id: DeliveryId) {
        let n = self.number(id);
        let entry = self.open[&n];
        assert!(self.flying.insert(n), "taken twice");
        let (resting, due) = (is_open(lane), entry.next_at.0 <= self.now);
        assert!(resting || due, "taken before its time");
        let earlier = self
            .open
            .iter()
            .find(|(m, e)| **m < n && e.dossier == entry.dossier);
        if let Some((m, _)) = earlier {
            // Only one that came back from the dead may find itself behind.
            panic!("{n} was taken before {m} of its dossier");
        }
    }

    fn act(&mut self, lane: &mut Lane, act: &Act) {
        let now = Millis(self.now);
        match act {
            Act::Add { dossier, due_at } => {
                self.added += 1;
                let new = entry(self.added, *dossier, *due_at);
                self.open.insert(self.added, new);
                lane.add(new, now);
            }
            Act::Take => {
                for id in lane.take(now) {
                    self.launched(lane, id);
                }
            }
            Act::Answer { which, class } if !self.flying.is_empty() => {
                let n = *which.get(&self.flying.iter().copied().collect::<Vec<_>>());
                self.flying.remove(&n);
                let settled = settle(lane, id(n), *class, now);
                match settled.ruling {
                    Ruling::Again { .. } => {
                        self.open.insert(n, settled.entry);
                    }
                    Ruling::Delivered => {
                        self.open.remove(&n);
                        self.delivered += 1;
                    }
                    Ruling::Unknown => panic!("repeats are harmless here"),
                    Ruling::Dead => {
                        self.open.remove(&n);
                        self.dead.insert(n, settled.entry);
                    }
                }
            }
            Act::PutBack(which) if !self.flying.is_empty() => {
                let n = *which.get(&self.flying.iter().copied().collect::<Vec<_>>());
                self.flying.remove(&n);
                lane.put_back(id(n), now);
            }
            Act::Redrive(which) if !self.dead.is_empty() => {
                let n = *which.get(&self.dead.keys().copied().collect::<Vec<_>>());
                let dossier = self.dead[&n].dossier;
                if self.flying.iter().any(|m| self.open[m].dossier == dossier) {
                    return; // has its own test
                }
                let entry = Entry {
                    charged: 0,
                    next_at: Millis(0),
                    ..self.dead[&n]
                };
                self.dead.remove(&n);
                self.open.insert(n, entry);
                lane.add(entry, now);
            }
            Act::Pass { seconds } => self.now += i64::try_from(*seconds).unwrap() * 1_000,
            Act::Answer { .. } | Act::PutBack(_) | Act::Redrive(_) => {}
        }
    }

    fn check(&self, lane: &Lane) {
        let counts = lane.line().counts();
        let open = counts.queued + counts.delayed + counts.behind + counts.in_flight;
        assert_eq!((open, counts.dead), (self.open.len(), self.dead.len()));
        assert_eq!(counts.in_flight, self.flying.len());
        assert_eq!(
            usize::try_from(self.added).unwrap(),
            open + counts.dead + self.delivered
        );
        for entry in self.open.values() {
            assert_eq!(lane.line().entry(entry.id), Some(entry));
        }
    }
}

proptest! {
    /// P5: order per dossier under any answers; P2: every delivery is in exactly one state.
    #[test]
    fn order_holds_and_nothing_is_lost(
        acts in prop::collection::vec(acts(), 1..200), room in 1_usize..6,
    ) {
        let mut lane = lane(room);
        let mut model = Model { now: 1_000, ..Model::default() };
        for act in &acts {
            model.act(&mut lane, act);
            model.check(&lane);
        }
    }

    /// D9: whatever happened, a destination that works again gets everything.
    #[test]
    fn a_lane_drains_once_its_destination_works(
        acts in prop::collection::vec(acts(), 1..200), room in 1_usize..6,
    ) {
        let mut lane = lane(room);
        let mut model = Model { now: 1_000, ..Model::default() };
        for act in &acts {
            model.act(&mut lane, act);
        }
        let flying: Vec<_> = model.flying.iter().copied().collect();
        for n in flying {
            settle(&mut lane, id(n), Accepted, Millis(model.now));
        }
        let mut now = Millis(model.now);
        while let Some(wake) = lane.next_wake(NOW) {
            now = now.max(wake);
            for id in lane.take(now) {
                settle(&mut lane, id, Accepted, now);
            }
        }
        let counts = lane.line().counts();
        prop_assert_eq!(Counts { dead: counts.dead, ..Counts::default() }, counts);
    }

    /// D9: after health a resting lane opens with its next probe.
    #[test]
    fn a_resting_lane_opens_with_the_first_success(failed_probes in 0_u32..40) {
        let mut lane = resting();
        let mut now = NOW;
        for _ in 0..failed_probes {
            now = lane.next_wake(NOW).expect("a probe is planned").max(now);
            let probe = lane.take(now)[0];
            settle(&mut lane, probe, Unreachable, now);
        }
        let wake = lane.next_wake(NOW).expect("a probe is planned");
        prop_assert!(wake <= now.plus(Duration::from_secs(60)));
        let probe = lane.take(wake)[0];
        prop_assert_eq!(settle(&mut lane, probe, Duplicate, wake).change, Some(Change::Closed));
    }
}

mod controller;
mod failing;
mod planted;
