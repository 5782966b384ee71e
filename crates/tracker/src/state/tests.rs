use domain::{EventKind, Status, Status::*};
use proptest::prelude::*;

use super::*;
use crate::{
    body,
    deadline::{LegalClock, Standing},
    figures::{Live, Share, Totals},
    testing::*,
    view,
};

fn told(name: &str, at: i64, kind: OutcomeKind) -> News {
    News::Outcome(outcome(name, at, kind))
}

fn ended(name: &str, end: DossierEnd, at: i64) -> News {
    told(
        name,
        at,
        OutcomeKind::DossierEnded {
            end,
            ended_at: hour(at),
        },
    )
}

fn held(name: &str) -> News {
    let detail = "no route on that day".to_owned();
    told(
        name,
        1,
        OutcomeKind::DossierHeld {
            reason: HoldReason::NoRoute,
            detail,
        },
    )
}

fn only_step(state: &State) -> &Step {
    let [(_, step)] = state.steps.as_slice() else {
        panic!("there is one step");
    };
    step
}

#[track_caller]
fn check(news: Vec<News>, expected: DossierState) {
    assert_eq!(folded(news).standing(), expected);
}

#[test]
fn a_dossier_stands_as_the_router_says() {
    check(vec![status("e-1", 0, Accepted, None)], DossierState::Open);
    check(vec![held("h")], DossierState::Held);
    let released = || told("r", 2, OutcomeKind::DossierReleased);
    check(vec![held("h"), released()], DossierState::Open);
    check(vec![held("h"), released(), held("h2")], DossierState::Held);
    check(
        vec![held("h"), ended("x", DossierEnd::Partial, 3)],
        DossierState::Partial,
    );
    check(
        vec![
            status("e-1", 0, Filed, None),
            status("e-2", 1, Rejected, None),
        ],
        DossierState::Refused,
    );
    check(
        vec![
            status("e-1", 0, Accepted, None),
            status("e-2", 1, Withdrawn, None),
        ],
        DossierState::Withdrawn,
    );
    check(
        vec![
            ended("x", DossierEnd::Completed, 3),
            status("e-2", 9, Withdrawn, None),
        ],
        DossierState::Completed,
    );
}

#[test]
fn the_time_of_status_9_decides_before_that_of_10() {
    let news = [
        News::Delivery(delivery("residence", 0, 33)),
        status("e-1", 20, Processed, Some("residence")),
        status("e-2", 90, HandedOver, Some("residence")),
    ];
    let state = folded(news);
    let step = only_step(&state);
    assert_eq!(step.deadline.ended_at, Some(hour(20)));
    assert_eq!(step.deadline.clock, LegalClock::Met);
}

#[test]
fn pauses_lengthen_the_clock_they_belong_to_and_no_other() {
    let news = [
        News::Delivery(delivery("residence", 0, 33)),
        status("e-1", 24, SupplementRequested, Some("residence")),
        status("e-2", 32, InProcess, Some("residence")),
    ];
    let state = folded(news);
    let step = only_step(&state);
    assert!(step.deadline.due_at > Some(hour(33)));
    assert_eq!(state.deadline.due_at, Some(hour(105)));
    assert_eq!(state.deadline.clock, LegalClock::Running);
}

#[test]
fn an_open_step_ends_with_its_dossier() {
    let news = [
        News::Delivery(delivery("residence", 0, 33)),
        status("e-1", 0, Accepted, None),
        status("e-2", 40, Withdrawn, None),
    ];
    let state = folded(news);
    let step = only_step(&state);
    assert_eq!(step.deadline.ended_at, Some(hour(40)));
    assert_eq!(step.deadline.clock, LegalClock::Missed);
}

#[test]
fn a_redriven_dead_letter_waits_again_and_keeps_its_attempts() {
    let news = [
        told("1", 1, failed("residence", 1)),
        told("2", 2, dead("residence", 2)),
        told("3", 3, redriven("residence")),
    ];
    let state = folded(news);
    let (_, handover) = state.handovers().next().unwrap();
    assert_eq!(
        (handover.state, handover.attempts),
        (DeliveryState::Pending, 2)
    );
    assert_eq!(handover.opened_at, None);
}

#[test]
fn the_earliest_event_names_the_dossier_and_the_newest_code_counts() {
    let coded = |id: &str, at, code: &str| {
        let mut event = event(id, at, EventKind::CodeAssigned, None);
        event.code = Some(code.parse().unwrap());
        event
    };
    let mut elsewhere = coded("e-2", 5, "H56.14-260921-0042");
    elsewhere.unit.code = "00001".parse().unwrap();
    let state = folded([
        News::Event(elsewhere),
        News::Delivery(delivery("residence", 0, 33)),
        News::Event(coded("e-1", 2, "H56.14-260921-0041")),
    ]);
    assert_eq!(state.named.unwrap().unit.as_str(), "14797");
    assert_eq!(state.code.unwrap().1.as_str(), "H56.14-260921-0042");
}

#[test]
fn a_step_of_the_province_is_shown_under_its_code_and_the_dossier_under_its_unit() {
    let mut provincial = delivery("residence", 0, 33);
    provincial.province = Some("38".parse().unwrap());
    let state = folded([News::Delivery(provincial)]);
    let kept = body::decode(body::encode(&state)).unwrap();
    assert_eq!(kept, state);
    assert_eq!(view::steps(&kept, hour(1))[0].unit, "38");
    assert_eq!(state.named.unwrap().unit.as_str(), "14797");
}

#[test]
fn a_conflict_moves_no_state() {
    let conflict = News::Conflict {
        at: hour(1),
        who: "sample-desk".to_owned(),
        step: String::new(),
        id: "e-1".to_owned(),
        detail: String::new(),
    };
    assert_eq!(folded([conflict]), State::default());
}

const STEPS: [&str; 3] = ["civil-status", "residence", "health-card"];

/// Any records of one dossier, by topic: events, deliveries, outcomes.
fn topics() -> impl Strategy<Value = [Vec<News>; 3]> {
    let step = prop::option::of(0usize..3);
    let event = (0i64..120, 0usize..12, step, any::<bool>());
    let outcome = (0i64..120, 0usize..8, 0usize..3);
    (
        prop::collection::vec(event, 0..8),
        prop::collection::vec((0i64..60, 10i64..120), 0..=3),
        prop::collection::vec(outcome, 0..8),
    )
        .prop_map(|(events, deliveries, outcomes)| {
            let events = events
                .into_iter()
                .enumerate()
                .map(|(n, one)| any_event(n, one));
            let deliveries = deliveries.into_iter().zip(STEPS);
            let deliveries =
                deliveries.map(|((at, due), step)| News::Delivery(delivery(step, at, due)));
            let outcomes = outcomes.into_iter().enumerate();
            let outcomes = outcomes.map(|(n, (at, kind, step))| {
                told(&format!("o-{n}"), at, any_outcome(at, kind, STEPS[step]))
            });
            [events.collect(), deliveries.collect(), outcomes.collect()]
        })
}

fn any_event(n: usize, (at, kind, step, coded): (i64, usize, Option<usize>, bool)) -> News {
    let kind = match Status::ALL.get(kind) {
        Some(status) => EventKind::Status(*status),
        None => EventKind::Noted,
    };
    let mut event = event(&format!("e-{n}"), at, kind, step.map(|step| STEPS[step]));
    event.code = coded.then(|| format!("H56.14-260921-{n:04}").parse().unwrap());
    News::Event(event)
}

fn any_outcome(at: i64, kind: usize, step: &str) -> OutcomeKind {
    match kind {
        0 => OutcomeKind::DossierHeld {
            reason: HoldReason::NoUnit,
            detail: String::new(),
        },
        1 => OutcomeKind::DossierReleased,
        2 => OutcomeKind::DossierEnded {
            end: DossierEnd::Completed,
            ended_at: hour(at),
        },
        3 => delivered(step, at),
        4 => dead(step, at),
        5 => redriven(step),
        _ => failed(step, at),
    }
}

/// Interleaves the topics as `turns` say; the order within each stays.
fn interleaved(topics: &[Vec<News>; 3], turns: &[usize]) -> Vec<News> {
    let mut rest: Vec<_> = topics.iter().map(|topic| topic.iter().cloned()).collect();
    let mut all: Vec<News> = turns.iter().filter_map(|turn| rest[*turn].next()).collect();
    all.extend(rest.into_iter().flatten());
    all
}

proptest! {
    #[test]
    fn topics_may_race(
        topics in topics(),
        turns in prop::collection::vec(0usize..3, 0..24),
        others in prop::collection::vec(0usize..3, 0..24),
    ) {
        let one = folded(interleaved(&topics, &turns));
        let other = folded(interleaved(&topics, &others));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(body::decode(body::encode(&one)), Ok(one));
    }

    #[test]
    fn figures_are_the_sum_over_all_dossiers(
        first in topics(),
        second in topics(),
        turns in prop::collection::vec(0usize..3, 0..24),
    ) {
        let (mut totals, mut live) = (Totals::default(), Live::default());
        let mut ends = Vec::new();
        for topics in [first, second] {
            let mut state = State::default();
            let mut before = Share::default();
            for news in interleaved(&topics, &turns) {
                state.take(news);
                state.settle(clocks());
                let after = Share::of(&state);
                totals.change(&before, &after);
                live.change(&before, &after);
                before = after;
            }
            ends.push(before);
        }
        let (mut all, mut open) = (Totals::default(), Live::default());
        for end in &ends {
            all.change(&Share::default(), end);
            open.change(&Share::default(), end);
        }
        let sum = |totals: &Totals| {
            let mut totals = totals.clone();
            totals.all.states.retain(|_, count| *count > 0);
            totals.missed_steps.retain(|_, count| *count > 0);
            totals
        };
        prop_assert_eq!(sum(&totals), sum(&all));
        for standing in [Standing::OnTrack, Standing::AtRisk, Standing::Overdue] {
            for now in [0, 30, 105, 200] {
                let count = |live: &Live| -> u64 {
                    live.steps().map(|(_, steps)| steps.standing(standing, hour(now))).sum()
                };
                prop_assert_eq!(count(&live), count(&open));
                prop_assert_eq!(
                    live.overdue_dossiers(hour(now)),
                    open.overdue_dossiers(hour(now))
                );
            }
        }
    }
}

mod late;
