//! Which lanes an instance claims, keeps and gives up: decided from what stands in the tables alone,
//! so that all instances come to the same division without talking to one another.
//!
//! Every instance may have its share of the lanes, and the odd ones go to those that hold most
//! already: a division that is fair stays as it is. Only lanes above a share are given up, so that few
//! move when an instance comes or goes. Who takes which free lane is settled by rendezvous hashing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use domain::DestinationId;

use crate::entry::Millis;
use crate::leases::tables::LaneRow;

/// What an instance does with one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// Nobody holds it, and it falls to this instance.
    Claim(DestinationId),
    /// It is this instance's, and stays so until it was given up.
    Renew(DestinationId),
    /// It is above this instance's share, and another one waits.
    GiveUp(DestinationId),
}

/// The moves of `me`, lane by lane. `instances` are those that are alive; `me` counts as one of them.
pub(crate) fn plan(
    now: Millis,
    me: &str,
    instances: &[String],
    rows: &BTreeMap<String, LaneRow>,
    destinations: &[DestinationId],
) -> Vec<Move> {
    let alive: BTreeSet<&str> = instances.iter().map(String::as_str).chain([me]).collect();
    let mut held: BTreeMap<&str, Vec<&DestinationId>> = alive
        .iter()
        .map(|&instance| (instance, Vec::new()))
        .collect();
    let mut free = Vec::new();
    for lane in destinations {
        match rows.get(lane.as_str()).filter(|row| row.is_held(now)) {
            None => free.push(lane),
            // Of one that is not alive, it waits for the end of its lease.
            Some(row) => held
                .get_mut(row.owner.as_str())
                .into_iter()
                .for_each(|lanes| lanes.push(lane)),
        }
    }
    let shares = shares(&held, destinations.len());
    let mut moves = keep_or_give_up(me, &held[me], shares[me]);
    let mut rooms: BTreeMap<&str, usize> = held
        .iter()
        .map(|(&instance, lanes)| (instance, shares[instance].saturating_sub(lanes.len())))
        .collect();
    for lane in free {
        let taker = rooms
            .iter_mut()
            .filter(|(_, room)| **room > 0)
            .max_by_key(|(instance, _)| score(lane, instance));
        if let Some((&taker, room)) = taker {
            *room -= 1;
            if taker == me {
                moves.push(Move::Claim(lane.clone()));
            }
        }
    }
    moves
}

fn shares<'a>(
    held: &BTreeMap<&'a str, Vec<&DestinationId>>,
    lanes: usize,
) -> BTreeMap<&'a str, usize> {
    let mut order: Vec<_> = held
        .iter()
        .map(|(&instance, held)| (Reverse(held.len()), instance))
        .collect();
    order.sort_unstable();
    let (each, odd) = (lanes / held.len(), lanes % held.len());
    let share = |(place, (_, instance))| (instance, each + usize::from(place < odd));
    order.into_iter().enumerate().map(share).collect()
}

fn keep_or_give_up(me: &str, held: &[&DestinationId], share: usize) -> Vec<Move> {
    let mut held = held.to_vec();
    held.sort_unstable_by_key(|lane| Reverse(score(lane, me)));
    let surplus = held
        .iter()
        .skip(share)
        .map(|&lane| Move::GiveUp(lane.clone()));
    let renewed = held.iter().map(|&lane| Move::Renew(lane.clone()));
    renewed.chain(surplus).collect()
}

/// How well a lane fits an instance. FNV-1a, mixed: the same in every build, because instances of two
/// versions must agree.
fn score(lane: &DestinationId, instance: &str) -> u64 {
    let bytes = lane.as_str().bytes().chain([0]).chain(instance.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const LENGTH: i64 = 9;
    const ROUND: i64 = 3;

    /// Tables and time, with the conditions of the real statements.
    #[derive(Default)]
    struct World {
        now: i64,
        rows: BTreeMap<String, LaneRow>,
        alive: Vec<String>,
        moved: usize,
    }

    impl World {
        /// Every live instance plans from the same look, a stale one for all but the first, and acts.
        fn round(&mut self, lanes: &[DestinationId], first: usize) {
            let (now, seen) = (Millis(self.now), self.rows.clone());
            let mut order = self.alive.clone();
            let turn = first % order.len().max(1);
            order.rotate_left(turn);
            for me in order {
                for one in plan(now, &me, &self.alive, &seen, lanes) {
                    self.act(&me, &one);
                }
            }
            self.now += ROUND;
        }

        fn act(&mut self, me: &str, one: &Move) {
            let now = Millis(self.now);
            let expires_at = Millis(self.now + LENGTH);
            match one {
                Move::Claim(lane) => {
                    let row = self.rows.get(lane.as_str());
                    assert!(row.is_none_or(|row| !seen_held(row, me, now)), "{lane:?}");
                    let token = row.map_or(1, |row| row.token + 1);
                    let owner = me.to_owned();
                    let claimed = LaneRow {
                        owner,
                        token,
                        expires_at,
                    };
                    self.rows.insert(lane.as_str().to_owned(), claimed);
                    self.moved += 1;
                }
                Move::Renew(lane) => {
                    let row = self.rows.get_mut(lane.as_str()).unwrap();
                    assert_eq!(row.owner, me);
                    row.expires_at = expires_at;
                }
                Move::GiveUp(lane) => {
                    let row = self.rows.get_mut(lane.as_str()).unwrap();
                    assert_eq!(row.owner, me);
                    row.owner = String::new();
                    row.expires_at = Millis(0);
                }
            }
        }

        fn settle(&mut self, lanes: &[DestinationId]) {
            (0..ROUNDS).for_each(|first| self.round(lanes, first));
        }

        fn counts(&self) -> BTreeMap<&str, usize> {
            let mut counts: BTreeMap<&str, usize> =
                self.alive.iter().map(|id| (id.as_str(), 0)).collect();
            for row in self
                .rows
                .values()
                .filter(|row| row.is_held(Millis(self.now)))
            {
                *counts
                    .get_mut(row.owner.as_str())
                    .expect("held by a live one") += 1;
            }
            counts
        }
    }

    /// Rounds after which everything is in place: a lease must run out, then be claimed.
    const ROUNDS: usize = (LENGTH / ROUND) as usize + 3;

    fn seen_held(row: &LaneRow, me: &str, now: Millis) -> bool {
        row.is_held(now) && row.owner != me
    }

    fn lanes(count: usize) -> Vec<DestinationId> {
        let lane = |n| format!("lane-{n}").parse().unwrap();
        (0..count).map(lane).collect()
    }

    #[derive(Clone, Debug)]
    enum Membership {
        Comes(u8),
        Dies(u8),
    }

    fn membership() -> impl Strategy<Value = Membership> {
        prop_oneof![
            (0..8_u8).prop_map(Membership::Comes),
            (0..8_u8).prop_map(Membership::Dies),
        ]
    }

    proptest! {
        #[test]
        fn o5_every_lane_has_one_live_owner_and_few_move(
            count in 0..120_usize,
            changes in vec(membership(), 1..12),
        ) {
            let lanes = lanes(count);
            let mut world = World::default();
            for change in changes {
                let before = world.alive.len();
                match change {
                    Membership::Comes(n) => {
                        let id = format!("courier-{n}");
                        if !world.alive.contains(&id) {
                            world.alive.push(id);
                        }
                    }
                    Membership::Dies(n) => world.alive.retain(|id| *id != format!("courier-{n}")),
                }
                if world.alive.is_empty() {
                    world.now += LENGTH;
                    continue;
                }
                world.moved = 0;
                world.settle(&lanes);
                if before > 0 {
                    let least = before.min(world.alive.len() + usize::from(before > world.alive.len()));
                    prop_assert!(world.moved <= count / least + 1, "{} of {count}", world.moved);
                }
                let counts = world.counts();
                prop_assert_eq!(counts.values().sum::<usize>(), count);
                let (least, most) = (counts.values().min(), counts.values().max());
                prop_assert!(most.unwrap() - least.unwrap() <= 1, "{:?}", counts);

                world.moved = 0;
                let then = world.rows.clone();
                world.settle(&lanes);
                prop_assert_eq!(world.moved, 0);
                let owners = |rows: &BTreeMap<String, LaneRow>| -> Vec<_> {
                    rows.values().map(|row| (row.owner.clone(), row.token)).collect()
                };
                prop_assert_eq!(owners(&then), owners(&world.rows));
            }
        }
    }

    #[test]
    fn a_live_lease_is_never_claimed_and_a_dead_ones_lane_waits_for_its_end() {
        let lanes = lanes(1);
        let owner = "gone".to_owned();
        let row = LaneRow {
            owner,
            token: 4,
            expires_at: Millis(100),
        };
        let rows = BTreeMap::from([("lane-0".to_owned(), row)]);
        let claim = Move::Claim(lanes[0].clone());
        assert_eq!(plan(Millis(99), "me", &[], &rows, &lanes), []);
        assert_eq!(plan(Millis(100), "me", &[], &rows, &lanes), [claim]);
    }

    #[test]
    fn scores_are_the_same_in_every_build() {
        let lane: DestinationId = "tax".parse().unwrap();
        assert_eq!(score(&lane, "courier-1"), 7_408_659_203_819_865_444);
    }
}
