//! Bugs planted around the lane, and whether they are caught (T8).

use std::collections::BTreeSet;

use super::*;

/// A way in which a lane could break a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// A failed probe of an open breaker makes a dead letter.
    OpenBreakerDeadLetters,
    /// What may have arrived is sent again without asking.
    BlindResend,
}

/// What a reader of the history sees.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// P6: dead letters, although the destination was only away.
    dead_for_nothing: usize,
    /// P3: sent again although they may have arrived, where repeats harm.
    sent_blindly: usize,
    delivered: usize,
}

const SEEDS: u64 = 200;
const DELIVERIES: u64 = 20;

/// A destination for which repeats harm: for half an hour, from instant to instant by the seed, it is
/// away, silent, or at work; then it is healthy.
fn history(seed: u64, bug: Bug) -> Seen {
    let mut lane = settled_in(Setup {
        idempotent: false,
        ..setup(4)
    });
    for n in 0..DELIVERIES {
        lane.add(entry(n, n, NOW.plus(DAY).0), NOW);
    }
    let healthy_from = NOW.plus(Duration::from_secs(1_800));
    let mut seen = Seen::default();
    let mut in_doubt = BTreeSet::new();
    let mut now = NOW;
    while let Some(wake) = lane.next_wake(now) {
        now = now.max(wake);
        lane.take_alarms(now);
        for id in lane.take(now) {
            seen.sent_blindly += usize::from(in_doubt.contains(id.as_bytes()));
            let chance = backoff::seed(id.as_bytes(), seed as u32 ^ now.0 as u32) % 8;
            let class = match chance {
                _ if now >= healthy_from => Accepted,
                0 => Timeout,
                1 => Accepted,
                _ => Unreachable,
            };
            let buries = bug == Bug::OpenBreakerDeadLetters && is_open(&lane);
            let read = if buries && !class.is_success() {
                Permanent
            } else {
                class
            };
            match settle(&mut lane, id, read, now).ruling {
                Ruling::Delivered => seen.delivered += 1,
                Ruling::Dead => seen.dead_for_nothing += 1,
                Ruling::Again { .. } => {}
                Ruling::Unknown => {
                    in_doubt.insert(*id.as_bytes());
                    if bug == Bug::BlindResend {
                        lane.resolve(id, false, now);
                    }
                }
            }
        }
    }
    let unknown = lane.line().counts().unknown;
    let all = seen.delivered + seen.dead_for_nothing + unknown;
    assert_eq!(all as u64, DELIVERIES, "seed {seed}: each has one state");
    seen
}

fn sum(bug: Bug) -> Seen {
    let all = (0..SEEDS).map(|seed| history(seed, bug));
    all.fold(Seen::default(), |sum, one| Seen {
        dead_for_nothing: sum.dead_for_nothing + one.dead_for_nothing,
        sent_blindly: sum.sent_blindly + one.sent_blindly,
        delivered: sum.delivered + one.delivered,
    })
}

#[test]
fn t8_without_a_bug_nothing_is_found() {
    let seen = sum(Bug::None);
    assert_eq!((seen.dead_for_nothing, seen.sent_blindly), (0, 0));
    assert!(seen.delivered > 1_000, "{seen:?}");
}

#[test]
fn t8_an_open_breaker_that_dead_letters_is_caught() {
    let seen = sum(Bug::OpenBreakerDeadLetters);
    assert!(seen.dead_for_nothing > 0, "{seen:?}");
}

#[test]
fn t8_a_lane_that_resends_blindly_is_caught() {
    let seen = sum(Bug::BlindResend);
    assert!(seen.sent_blindly > 0, "{seen:?}");
}
