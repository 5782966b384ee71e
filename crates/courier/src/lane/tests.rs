use std::collections::{BTreeMap, BTreeSet};

use domain::{AttemptClass::*, RecordId};
use proptest::prelude::*;

use super::*;
use crate::entry::Place;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn id(n: u64) -> DeliveryId {
    DeliveryId::from(*RecordId::of("test", &[&n.to_string()]).as_bytes())
}

fn limits(max_in_flight: usize) -> Limits {
    Limits {
        max_in_flight,
        rest_after: 5,
        first_rest: Duration::from_secs(1),
        longest_rest: Duration::from_secs(60),
    }
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
    }
}

fn answer(class: AttemptClass) -> Answer {
    Answer::new(class, "said so")
}

#[track_caller]
fn settle(lane: &mut Lane, id: DeliveryId, class: AttemptClass, now: Millis) -> Settled {
    lane.answered(id, &answer(class), now, DAY, &plan())
        .expect("it is in flight")
}

const NOW: Millis = Millis(1_000_000);

#[test]
fn the_least_remaining_legal_time_goes_first() {
    let mut lane = Lane::new(limits(2));
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
    let mut lane = Lane::new(limits(10));
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
    let mut lane = Lane::new(limits(10));
    lane.add(entry(1, 7, 1), NOW);
    lane.add(entry(2, 7, 2), NOW);
    lane.take(NOW);
    assert_eq!(
        settle(&mut lane, id(1), Permanent, NOW).ruling,
        Ruling::Dead
    );
    assert_eq!(lane.counts().dead, 1);
    assert_eq!(lane.take(NOW), [id(2)]);
    // Redriven while the second one is in flight: it waits for that one.
    lane.add(entry(1, 7, 1), NOW);
    assert_eq!((lane.take(NOW).len(), lane.counts().dead), (0, 0));
    settle(&mut lane, id(2), Accepted, NOW);
    assert_eq!(lane.take(NOW), [id(1)]);
}

#[test]
fn a_redriven_one_goes_before_the_waiting_ones_of_its_dossier() {
    let mut lane = Lane::new(limits(10));
    lane.add(entry(2, 7, 2), NOW);
    lane.add(entry(1, 7, 9), NOW);
    assert_eq!(lane.take(NOW), [id(1)]);
    assert_eq!(lane.counts().behind, 1);
}

#[test]
fn attempts_are_used_up_by_failures_at_the_destination_only() {
    let mut lane = Lane::new(limits(1));
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
    let mut lane = Lane::new(limits(1));
    lane.add(entry(1, 1, 0), NOW);
    lane.take(NOW);
    let settled = lane.answered(id(1), &answer(Retryable), NOW, Duration::ZERO, &plan());
    assert!(matches!(settled.unwrap().ruling, Ruling::Again { .. }));
}

#[test]
fn the_wait_is_at_least_what_the_destination_asked_for() {
    let mut lane = Lane::new(limits(1));
    lane.add(entry(1, 1, 0), NOW);
    lane.take(NOW);
    let asked = answer(Retryable).asking(Some(Duration::from_secs(77)));
    let settled = lane.answered(id(1), &asked, NOW, DAY, &plan()).unwrap();
    let Ruling::Again { at } = settled.ruling else {
        panic!("{settled:?}");
    };
    assert_eq!(at, NOW.plus(Duration::from_secs(77)));
    assert_eq!(lane.next_wake(), Some(at));
}

/// Five of ten, all unreachable; the lane rests.
fn resting() -> Lane {
    let mut lane = Lane::new(limits(5));
    for n in 1..=10 {
        lane.add(entry(n, n, i64::try_from(n).unwrap()), NOW);
    }
    let taken = lane.take(NOW);
    let changes: Vec<_> = taken
        .iter()
        .map(|id| settle(&mut lane, *id, Unreachable, NOW).change)
        .collect();
    assert_eq!(changes, [None, None, None, None, Some(Change::Rests)]);
    lane
}

#[test]
fn a_lane_rests_when_the_destination_is_to_blame_and_charges_nothing() {
    let mut lane = resting();
    assert!(
        lane.resting()
            .unwrap()
            .reason
            .contains("5 attempts in a row failed")
    );
    assert_eq!(lane.take(NOW), []);
    let mut now = NOW;
    for span in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let due = lane.next_wake().expect("a probe is planned");
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
    let probe = lane.take(lane.next_wake().unwrap());
    assert_eq!(
        settle(&mut lane, probe[0], Accepted, now).change,
        Some(Change::Opens)
    );
    assert!(lane.resting().is_none());
    assert_eq!(lane.take(now.plus(DAY)).len(), 5);
}

#[test]
fn a_busy_answer_neither_opens_nor_blames() {
    let mut lane = resting();
    let now = lane.next_wake().unwrap();
    let probe = lane.take(now);
    let settled = settle(&mut lane, probe[0], Retryable, now);
    assert_eq!((settled.change, settled.entry.charged), (None, 0));
    assert!(lane.resting().is_some());

    let mut lane = Lane::new(limits(10));
    for n in 1..=10 {
        lane.add(entry(n, n, 1), NOW);
    }
    for (n, id) in lane.take(NOW).into_iter().enumerate() {
        let class = if n % 4 == 3 { Retryable } else { Unreachable };
        assert_eq!(settle(&mut lane, id, class, NOW).change, None);
    }
}

#[test]
fn one_delivery_that_never_succeeds_does_not_keep_the_lane_shut() {
    let mut lane = resting();
    let now = lane.next_wake().unwrap();
    let poison = lane.take(now)[0];
    settle(&mut lane, poison, Timeout, now);
    let now = lane.next_wake().unwrap();
    let probe = lane.take(now)[0];
    assert_ne!(probe, poison, "the next probe is another delivery");
    assert_eq!(
        settle(&mut lane, probe, Accepted, now).change,
        Some(Change::Opens)
    );
}

#[test]
fn a_closed_lane_takes_everything_in_and_gives_nothing() {
    let mut lane = Lane::closed("no such destination".to_owned());
    lane.add(entry(1, 1, 1), NOW);
    assert_eq!(lane.take(Millis::MAX), []);
    assert_eq!((lane.next_wake(), lane.counts().queued), (None, 1));
    assert_eq!(lane.resting().unwrap().next_probe, None);
}

#[test]
fn one_that_could_not_be_sent_goes_back_unchanged() {
    let mut lane = resting();
    let now = lane.next_wake().unwrap();
    let probe = lane.take(now)[0];
    let entry = *lane.entry(probe).unwrap();
    lane.put_back(probe, now);
    assert_eq!(lane.entry(probe), Some(&entry));
    assert_eq!(lane.counts().in_flight, 0);
    assert_eq!(lane.take(now).len(), 1);
}

#[test]
fn the_oldest_counts_dead_letters_too() {
    let mut lane = Lane::new(limits(1));
    assert_eq!(lane.oldest(), None);
    lane.add(
        Entry {
            opened_at: Millis(50),
            ..entry(1, 1, 1)
        },
        NOW,
    );
    lane.add_dead(id(9), Millis(20));
    assert_eq!(lane.oldest(), Some(Millis(20)));
    lane.add(
        Entry {
            opened_at: Millis(20),
            ..entry(9, 9, 1)
        },
        NOW,
    );
    assert_eq!((lane.oldest(), lane.counts().dead), (Some(Millis(20)), 0));
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
        let (resting, due) = (lane.resting().is_some(), entry.next_at.0 <= self.now);
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
        let counts = lane.counts();
        let open = counts.queued + counts.delayed + counts.behind + counts.in_flight;
        assert_eq!((open, counts.dead), (self.open.len(), self.dead.len()));
        assert_eq!(counts.in_flight, self.flying.len());
        assert_eq!(
            usize::try_from(self.added).unwrap(),
            open + counts.dead + self.delivered
        );
        for entry in self.open.values() {
            assert_eq!(lane.entry(entry.id), Some(entry));
        }
    }
}

proptest! {
    /// P5: order per dossier under any answers; P2: every delivery is in exactly one state.
    #[test]
    fn order_holds_and_nothing_is_lost(
        acts in prop::collection::vec(acts(), 1..200), room in 1_usize..6,
    ) {
        let mut lane = Lane::new(limits(room));
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
        let mut lane = Lane::new(limits(room));
        let mut model = Model { now: 1_000, ..Model::default() };
        for act in &acts {
            model.act(&mut lane, act);
        }
        let flying: Vec<_> = model.flying.iter().copied().collect();
        for n in flying {
            settle(&mut lane, id(n), Accepted, Millis(model.now));
        }
        let mut now = Millis(model.now);
        while let Some(wake) = lane.next_wake() {
            now = now.max(wake);
            for id in lane.take(now) {
                settle(&mut lane, id, Accepted, now);
            }
        }
        let counts = lane.counts();
        prop_assert_eq!(Counts { dead: counts.dead, ..Counts::default() }, counts);
    }

    /// D9: after health a resting lane opens with its next probe.
    #[test]
    fn a_resting_lane_opens_with_the_first_success(failed_probes in 0_u32..40) {
        let mut lane = resting();
        let mut now = NOW;
        for _ in 0..failed_probes {
            now = lane.next_wake().expect("a probe is planned").max(now);
            let probe = lane.take(now)[0];
            settle(&mut lane, probe, Unreachable, now);
        }
        let wake = lane.next_wake().expect("a probe is planned");
        prop_assert!(wake <= now.plus(Duration::from_secs(60)));
        let probe = lane.take(wake)[0];
        prop_assert_eq!(settle(&mut lane, probe, Duplicate, wake).change, Some(Change::Opens));
    }
}
