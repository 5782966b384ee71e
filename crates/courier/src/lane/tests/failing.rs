//! A destination that fails for ten minutes and is healthy then (D1).

use std::collections::BTreeMap;

use super::*;

const HEALTHY_FROM: Millis = Millis(NOW.0 + 600_000);
const SEEDS: u64 = 1_000;
const DELIVERIES: u64 = 5;

/// Waits of 10, 100 and 1,000 seconds, and attempts enough for ten minutes of the shortest: those that are
/// due at opening keep it while the office is closed.
fn patient() -> RetryPlan {
    RetryPlan::new([10, 100, 1_000].map(Duration::from_secs).to_vec(), 1_000).unwrap()
}

/// Deliveries of one seed: other ids, and deadlines from soon to far away.
fn load(seed: u64) -> Vec<Entry> {
    (0..DELIVERIES)
        .map(|n| {
            let number = seed * DELIVERIES + n;
            let due_at = NOW.plus(Duration::from_secs(1 + (number * 7_919) % 200_000));
            entry(number, number, due_at.0)
        })
        .collect()
}

/// When each was tried, until nothing is left; answers with HTTP 500 until the destination is healthy.
fn worked_off(lane: &mut Lane, load: &[Entry]) -> BTreeMap<i64, Vec<(Millis, Settled)>> {
    let mut tries: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for entry in load {
        lane.add(*entry, NOW);
    }
    let mut now = NOW;
    while let Some(wake) = lane.next_wake(now) {
        now = now.max(wake);
        lane.take_alarms(now);
        for id in lane.take(now) {
            let answer = Answer::of_http(if now < HEALTHY_FROM { 500 } else { 200 }, None, false);
            let settled = lane.answered(id, &answer, Duration::ZERO, now).unwrap();
            let place = settled.entry.place.offset;
            tries.entry(place).or_default().push((now, settled));
        }
    }
    tries
}

/// Every wait is at most the planned one and shorter by the jitter of its attempt only; with the first
/// attempt after health everything has arrived.
#[test]
fn d1_after_ten_minutes_of_500_all_is_delivered_at_the_times_of_the_plan() {
    let (mut waits, mut delivered) = (0, 0);
    for seed in 0..SEEDS {
        let without_breaker = Setup {
            breaker: None,
            plan: patient(),
            ..setup(8)
        };
        let mut lane = settled_in(without_breaker);
        let load = load(seed);
        let tries = worked_off(&mut lane, &load);
        for (entry, tries) in load.iter().zip(tries.values()) {
            assert_eq!(tries[0].0, NOW, "at once");
            for ((number, (at, _)), (next, _)) in (1..).zip(tries).zip(&tries[1..]) {
                let left = budget(&CALENDAR, entry, *at);
                let planned = patient().wait(NonZeroU32::new(number).unwrap(), left, None);
                let jittered =
                    backoff::jittered(planned, backoff::seed(entry.id.as_bytes(), number));
                assert!(*next <= at.plus(planned), "seed {seed}, attempt {number}");
                assert_eq!(*next, at.plus(jittered), "seed {seed}, attempt {number}");
                waits += 1;
            }
            let (failed, last) = tries.split_at(tries.len() - 1);
            assert!(failed.iter().all(|(at, _)| *at < HEALTHY_FROM));
            assert_eq!(last[0].1.ruling, Ruling::Delivered, "seed {seed}");
            delivered += 1;
        }
        assert_eq!(lane.line().counts(), Counts::default(), "seed {seed}");
    }
    assert_eq!(delivered, SEEDS * DELIVERIES);
    assert!(waits > 2 * delivered, "{waits} waits");
}

/// The same with the breaker: it spends at most the attempts that open it, and a minute after health at
/// the latest the lane works again.
#[test]
fn d1_with_the_breaker_no_attempt_is_charged_once_it_is_open() {
    let mut delivered = 0;
    for seed in 0..SEEDS {
        let mut lane = settled_in(Setup {
            plan: patient(),
            ..setup(8)
        });
        let load = load(seed);
        let tries = worked_off(&mut lane, &load);
        let all: Vec<_> = tries.values().flatten().collect();
        let charged: u32 = tries
            .values()
            .map(|tries| tries.last().unwrap().1.entry.charged)
            .sum();
        assert!(
            charged <= breaker().failed_in_a_row,
            "seed {seed}: {charged}"
        );
        let first = all
            .iter()
            .filter(|(at, _)| *at >= HEALTHY_FROM)
            .map(|(at, _)| *at)
            .min();
        assert!(
            first <= Some(HEALTHY_FROM.plus(breaker().longest_probe)),
            "seed {seed}"
        );
        delivered += all
            .iter()
            .filter(|(_, s)| s.ruling == Ruling::Delivered)
            .count() as u64;
        assert!(
            all.iter()
                .all(|(_, settled)| settled.ruling != Ruling::Dead)
        );
    }
    assert_eq!(delivered, SEEDS * DELIVERIES);
}
