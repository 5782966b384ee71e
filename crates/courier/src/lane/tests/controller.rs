//! What holds a lane, in which order, and what it does when nobody knows.

use domain::{Outage, OutageTime};

use super::*;
use crate::controls::Window;

fn at(text: &str) -> Millis {
    text.parse::<jiff::Timestamp>().unwrap().into()
}

/// Monday 09:00 in Vietnam.
fn monday() -> Millis {
    at("2026-09-21T02:00:00Z")
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn due(n: u64, due_at: Millis) -> Entry {
    Entry {
        due_at,
        opened_at: monday(),
        announced: 0,
        ..entry(n, n, 0)
    }
}

fn filled(setup: Setup, number: u64) -> Lane {
    let mut lane = settled_in(setup);
    for n in 1..=number {
        lane.add(due(n, monday().plus(DAY)), monday());
    }
    lane
}

fn word(lane: &Lane, now: Millis) -> Option<&'static str> {
    lane.hold(now).map(|hold| hold.word())
}

/// Everything holds the lane at once; each hold that goes shows the next in the written order.
#[test]
fn holds_have_a_precedence_and_each_says_why() {
    let now = monday();
    let outage = Outage {
        when: OutageTime::Once {
            from: now.timestamp(),
            to: now.plus(minutes(10)).timestamp(),
        },
        reason: "database upgrade".to_owned(),
    };
    let mut lane = filled(
        Setup {
            outages: vec![outage],
            rate: Rate {
                per_second: NonZeroU32::new(1),
                per_working_hour: None,
            },
            ..setup(5)
        },
        20,
    );
    lane.paused = Some("paused by duty officer: phone call".to_owned());
    let failing = answer(Unreachable);
    for _ in 0..5 {
        lane.breaker.attempted(Sign::Away, false, &failing, now);
    }
    lane.refused_until = now.plus(minutes(40));
    lane.asked_until = now.plus(minutes(50));
    lane.limit.set_cap(1);
    assert_eq!(word(&lane, now), Some("announced-outage"));
    assert_eq!(lane.take(now), []);
    let open = now.plus(minutes(10));
    assert_eq!(word(&lane, open), Some("paused"));
    assert_eq!(
        (lane.take(open), lane.next_wake(open)),
        (vec![], lane.line.next_alarm())
    );
    lane.paused = None;
    assert_eq!(word(&lane, open), Some("breaker"));
    let probe = lane.take(open);
    assert_eq!(probe.len(), 1, "the probe passes the holds below it");
    settle(&mut lane, probe[0], Accepted, open);
    assert_eq!(word(&lane, open), Some("contract-rate"));
    assert_eq!(
        (lane.take(open), lane.next_wake(open)),
        (vec![], Some(now.plus(minutes(50))))
    );
    let free = now.plus(minutes(40));
    assert_eq!(word(&lane, free), Some("retry-after"));
    assert_eq!(lane.take(free), []);
    let heard = now.plus(minutes(50));
    assert_eq!(lane.take(heard).len(), 1);
    assert_eq!(word(&lane, heard), Some("limit"));
}

#[test]
fn p6_an_announced_outage_charges_nothing_and_ends_by_itself() {
    let now = monday();
    let mut lane = filled(setup(5), 3);
    let window = Window {
        from: now,
        to: now.plus(minutes(30)),
        reason: "announced by phone".parse().unwrap(),
    };
    let controls = Controls {
        windows: vec![window],
        ..Controls::default()
    };
    lane.control(&controls, now);
    assert_eq!(lane.take(now.plus(minutes(29))), []);
    let hold = lane.hold(now).unwrap();
    assert_eq!(
        hold.words(Some(lane.calendar())).to_string(),
        "announced outage: announced by phone, until 2026-09-21 09:30:00"
    );
    assert_eq!(lane.next_wake(now), Some(now.plus(minutes(30))));
    assert_eq!(lane.take(now.plus(minutes(30))).len(), 3);
}

#[test]
fn d3_a_busy_destination_is_left_alone_as_a_whole_but_not_for_longer_than_the_plan() {
    let now = monday();
    for (asked, granted) in [(77, 77), (10 * 365 * 24 * 3_600, 1_000)] {
        let mut lane = filled(setup(1), 3);
        let taken = lane.take(now);
        let busy = answer(Retryable)
            .overloaded(true)
            .asking(Some(Duration::from_secs(asked)));
        lane.answered(taken[0], &busy, Duration::ZERO, now);
        let free = now.plus(Duration::from_secs(granted));
        assert_eq!(lane.take(Millis(free.0 - 1)), []);
        assert_eq!(word(&lane, now), Some("retry-after"));
        assert_eq!(lane.take(free).len(), 1);
    }
}

#[test]
fn d9_a_canary_finds_health_without_a_delivery() {
    let now = monday();
    let mut lane = filled(
        Setup {
            canary: true,
            ..setup(5)
        },
        5,
    );
    for id in lane.take(now) {
        settle(&mut lane, id, Unreachable, now);
    }
    assert!(is_open(&lane) && !lane.take_canary(now));
    let due = lane.next_wake(now).unwrap();
    assert!(
        lane.take_canary(due) && !lane.take_canary(due),
        "one at a time"
    );
    assert_eq!(lane.take(due), [], "no delivery probes");
    assert_eq!(lane.canary_answered(&answer(Timeout), due), None);
    let due = lane.next_wake(due).unwrap();
    assert!(lane.take_canary(due));
    let change = lane.canary_answered(&answer(Accepted), due);
    assert_eq!(change, Some(Change::Closed));
    assert_eq!(lane.take(due.plus(minutes(1))).len(), 1, "slowly at first");
}

/// After an outage with a backlog the rate rises by doubling, never at once.
#[test]
fn d10_a_backlog_is_let_go_in_a_ramp_smallest_budget_first() {
    let now = monday();
    let mut lane = settled_in(setup(64));
    for n in 0..1_000_u64 {
        let due_at = now.plus(minutes(1 + (n * 7_919) % 1_000));
        lane.add(due(n + 1, due_at), now);
    }
    let failing = answer(Unreachable);
    for _ in 0..5 {
        lane.breaker.attempted(Sign::Away, false, &failing, now);
    }
    let now = lane.next_wake(now).unwrap();
    let probe = lane.take(now);
    settle(&mut lane, probe[0], Accepted, now);
    let (mut rounds, mut last_due) = (Vec::new(), Millis::default());
    while rounds.iter().sum::<usize>() < 999 {
        let taken = lane.take(now);
        rounds.push(taken.len());
        for id in &taken {
            let due_at = lane.line.entry(*id).unwrap().due_at;
            assert!(due_at >= last_due, "the smallest budget first");
            last_due = due_at;
        }
        for id in taken {
            settle(&mut lane, id, Accepted, now);
        }
    }
    assert_eq!(rounds[..7], [1, 2, 4, 8, 16, 32, 64]);
    assert!(rounds.iter().all(|taken| *taken <= 64), "{rounds:?}");
}

proptest! {
    /// Before a delivery go at most those that are due no later: nobody starves, however many come.
    #[test]
    fn nobody_starves(coming in prop::collection::vec(0_i64..2_000, 1..400), due_at in 0_i64..1_000) {
        let mut lane = settled_in(setup(1));
        let patient = Entry { due_at: Millis(due_at), ..entry(0, 0, 0) };
        lane.add(patient, Millis(0));
        let mut before = 0;
        let mut urgent = 0;
        for (n, due_at) in coming.into_iter().enumerate() {
            let n = n as u64 + 1;
            urgent += usize::from(Millis(due_at) <= patient.due_at);
            lane.add(entry(n, n, due_at), Millis(0));
            let taken = lane.take(Millis(0))[0];
            settle(&mut lane, taken, Accepted, Millis(0));
            if taken == patient.id {
                break;
            }
            before += 1;
        }
        prop_assert!(before <= urgent, "{before} went before it, {urgent} were as urgent");
    }
}

fn doubtful(queryable: bool) -> Setup {
    Setup {
        idempotent: false,
        queryable,
        ..setup(5)
    }
}

#[test]
fn d14_a_time_out_where_repeats_harm_leaves_the_outcome_unknown() {
    let now = monday();
    let mut lane = filled(doubtful(false), 1);
    lane.add(
        Entry {
            dossier: DossierMark(1),
            ..due(2, monday())
        },
        now,
    );
    let taken = lane.take(now);
    assert_eq!(taken, [id(1)]);
    assert_eq!(
        settle(&mut lane, id(1), Timeout, now).ruling,
        Ruling::Unknown
    );
    assert_eq!(
        lane.take(now.plus(DAY * 365)),
        [],
        "neither it nor its dossier's next one goes"
    );
    let counts = lane.line().counts();
    assert_eq!((counts.unknown, counts.behind), (1, 1));
    assert_eq!(lane.resolve(id(9), true, now), None);
    // A person says that it had arrived.
    assert!(lane.resolve(id(1), true, now).is_some());
    assert_eq!(lane.resolve(id(1), false, now), None, "once");
    assert_eq!(lane.take(now), [id(2)]);
}

#[test]
fn d14_one_that_had_not_arrived_is_sent_again_after_the_destination_said_so() {
    let now = monday();
    let mut lane = filled(doubtful(true), 1);
    lane.take(now);
    settle(&mut lane, id(1), Timeout, now);
    assert_eq!(lane.take_queries(now), [], "it gets a moment to finish");
    let first = lane.next_wake(now).unwrap();
    assert_eq!(lane.take_queries(first), [id(1)]);
    assert_eq!(lane.take_queries(first), [], "one question at a time");
    lane.ask_again(id(1), first);
    let second = lane.next_wake(first).unwrap();
    assert!(second > first);
    assert_eq!(lane.take_queries(second), [id(1)]);
    assert!(lane.resolve(id(1), false, second).is_some());
    assert_eq!(lane.take(second), [id(1)]);
    assert_eq!(
        settle(&mut lane, id(1), Accepted, second).ruling,
        Ruling::Delivered
    );
}

#[test]
fn d14_what_surely_did_not_arrive_is_tried_again_where_repeats_harm_too() {
    let now = monday();
    for class in [Unreachable, Blocked, OutOfOrder] {
        let mut lane = filled(doubtful(false), 1);
        lane.take(now);
        let ruling = settle(&mut lane, id(1), class, now).ruling;
        assert!(
            matches!(ruling, Ruling::Again { .. }),
            "{class}: {ruling:?}"
        );
    }
    let mut lane = filled(doubtful(false), 1);
    lane.take(now);
    let busy = answer(Retryable).overloaded(true);
    let settled = lane.answered(id(1), &busy, Duration::ZERO, now).unwrap();
    assert!(matches!(settled.ruling, Ruling::Again { .. }));
}

#[test]
fn one_that_was_in_doubt_when_the_process_ended_is_in_doubt_after_it() {
    let mut lane = settled_in(doubtful(true));
    let entry = Entry {
        doubtful: true,
        ..due(1, monday().plus(DAY))
    };
    lane.add(entry, monday());
    assert_eq!(lane.take(monday()), []);
    assert_eq!(lane.take_queries(monday()), [id(1)]);
}

/// Opened on Monday 09:00, due on Tuesday 17:00: 14 working hours and a half.
#[test]
fn each_level_of_a_used_budget_is_told_once() {
    let mut lane = settled_in(setup(1));
    lane.paused = Some("held for the test".to_owned());
    let due_at = at("2026-09-22T10:00:00Z");
    lane.add(due(1, due_at), monday());
    let mut told = Vec::new();
    while let Some(wake) = lane.next_wake(monday()) {
        for alarm in lane.take_alarms(wake) {
            told.push((alarm.percent, alarm.at.timestamp().to_string()));
        }
    }
    let told: Vec<(u8, &str)> = told.iter().map(|(p, at)| (*p, at.as_str())).collect();
    assert_eq!(
        told,
        [
            (50, "2026-09-22T01:15:00Z"),
            (80, "2026-09-22T07:06:00Z"),
            (100, "2026-09-22T10:00:00Z"),
        ]
    );
    assert_eq!(lane.line.entry(id(1)).unwrap().announced, 100);
}

#[test]
fn after_a_long_absence_only_the_highest_level_is_told_and_nothing_that_was() {
    let due_at = at("2026-09-22T10:00:00Z");
    let tuesday = at("2026-09-22T08:00:00Z");
    let waiting = Entry {
        tries: 1,
        ..due(1, due_at)
    };
    let mut lane = settled_in(setup(1));
    lane.add(waiting, tuesday);
    let told = |lane: &mut Lane| -> Vec<u8> {
        let alarms = lane.take_alarms(tuesday).into_iter();
        alarms.map(|alarm| alarm.percent).collect()
    };
    assert_eq!(told(&mut lane), [80]);
    let mut lane = settled_in(setup(1));
    lane.add(
        Entry {
            announced: 80,
            ..waiting
        },
        tuesday,
    );
    assert!(told(&mut lane).is_empty());
    // One that comes here late has not waited here.
    lane.add(due(2, due_at), tuesday);
    assert!(told(&mut lane).is_empty());
}

#[test]
fn the_attempts_to_come_are_told_in_advance_with_the_last_chance() {
    let mut lane = settled_in(setup(1));
    let due_at = monday().plus(minutes(30));
    lane.add(due(1, due_at), monday());
    lane.take(monday());
    settle(&mut lane, id(1), Retryable, monday());
    let next = lane.line.entry(id(1)).unwrap().next_at;
    let forecast = lane.forecast(id(1), monday()).unwrap();
    // Three attempts are left of four; the third wait is a quarter of what is left, not 1,000 s.
    let waits: Vec<i64> = forecast
        .attempts
        .windows(2)
        .map(|pair| pair[1].0 - pair[0].0)
        .collect();
    assert_eq!((forecast.attempts[0], forecast.attempts.len()), (next, 3));
    assert_eq!(waits[0], 100_000);
    assert!((350_000..450_000).contains(&waits[1]), "{waits:?}");
    assert_eq!(forecast.last_chance, Some(Millis(due_at.0 - 10_000)));
    assert_eq!(lane.forecast(id(1), due_at).unwrap().last_chance, None);
}

#[test]
fn it_is_an_alarm_when_no_attempt_fits_before_the_deadline() {
    let mut lane = settled_in(setup(1));
    lane.add(due(1, monday().plus(Duration::from_secs(11))), monday());
    lane.take(monday());
    let asked = answer(Retryable).asking(Some(Duration::from_secs(5)));
    let settled = lane
        .answered(id(1), &asked, Duration::ZERO, monday())
        .unwrap();
    assert!(settled.is_too_late);
}

#[test]
fn a_restart_finds_the_lane_as_it_was_left() {
    let mut lane = resting();
    let kept: Kept = serde_json::from_str(&lane.kept().to_json()).unwrap();
    let mut next = Lane::new(setup(5));
    next.restore(kept);
    next.add(entry(1, 1, 1), NOW);
    assert_eq!(next.hold(NOW), lane.hold(NOW));
    assert_eq!(next.take(NOW), []);
    let due = lane.next_wake(NOW);
    assert_eq!(
        (next.next_wake(NOW), lane.take(due.unwrap()).len()),
        (due, 1)
    );
}
