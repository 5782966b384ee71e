//! A lane beside a model of it, under any sequence of what can happen.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

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
