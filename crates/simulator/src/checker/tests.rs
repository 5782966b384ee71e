use domain::{Delivery, Event, EventKind, Status};
use jiff::SignedDuration;
use proto::v1::{
    DeadlineState, DeliveryState, DestinationSummary, Dossier, DossierState, StateCount, Step,
};

use super::*;
use crate::{
    Answer, Arrival, Digest, Fate, History, Reaction,
    test_support::{delivery, event},
};

/// One dossier that went all the way, a second one whose first step is done, and one that was refused.
struct World {
    record: Record,
    view: TrackerView,
}

const ACCEPTED: Answer = Answer::Accepted {
    partition: 0,
    offset: 0,
};

fn arrival(delivery: &Delivery, reaction: Reaction) -> Arrival {
    Arrival {
        receiver: "justice".parse().unwrap(),
        delivery: delivery.id,
        dossier: delivery.dossier.clone(),
        step: delivery.step.clone(),
        sequence: None,
        cause: Some(delivery.cause.clone()),
        opened_at: delivery.opened_at,
        message: Digest::of(delivery.id.as_bytes()),
        data: Digest::of(&delivery.data),
        at: delivery.opened_at,
        reaction,
        answer: "",
    }
}

fn answer_of(delivery: &Delivery) -> Event {
    Event {
        id: format!("done-{}", delivery.id).parse().unwrap(),
        source: "justice".parse().unwrap(),
        kind: EventKind::Status(Status::Processed),
        step: Some(delivery.step.clone()),
        time: delivery.opened_at + SignedDuration::from_mins(5),
        dossier: delivery.dossier.clone(),
        ..event("unused")
    }
}

fn step(delivery: &Delivery) -> Step {
    Step {
        id: delivery.step.to_string(),
        destination: "justice".to_owned(),
        delivery: delivery.id.to_string(),
        delivery_state: DeliveryState::Delivered.into(),
        ..Step::default()
    }
}

fn two_steps(id: &str) -> (Event, Delivery, Delivery) {
    let accepting = event(id);
    let first = delivery(&accepting, "registration");
    let mut second = delivery(&accepting, "extract");
    second.opened_at = first.opened_at + SignedDuration::from_mins(5);
    second.cause = ("justice".parse().unwrap(), answer_of(&first).id);
    (accepting, first, second)
}

impl World {
    fn new() -> Self {
        let history = History::default();
        let mut view = TrackerView::default();
        for id in ["e-1", "e-2"] {
            let (accepting, first, second) = two_steps(id);
            for event in [&accepting, &answer_of(&first), &answer_of(&second)] {
                history.sent(event);
                history.answered(&event.source, &event.id, &ACCEPTED);
            }
            history.arrived(arrival(&first, Reaction::Failed));
            history.arrived(arrival(&first, Reaction::Taken));
            history.arrived(arrival(&first, Reaction::AlreadyTaken));
            history.arrived(arrival(&second, Reaction::Taken));
            let dossier = Dossier {
                key: accepting.dossier.to_string(),
                state: DossierState::Completed.into(),
                deadline: DeadlineState::Met.into(),
                steps: vec![step(&first), step(&second)],
                ..Dossier::default()
            };
            view.dossiers.insert(accepting.dossier, dossier);
        }
        let refused = event("e-3");
        history.sent(&refused);
        let refusal = Answer::Refused {
            field: "event.unit".to_owned(),
            reason: "no such unit".to_owned(),
        };
        history.answered(&refused.source, &refused.id, &refusal);
        view.missing.insert((refused.source, refused.id));
        let record = history.record();
        view.summary.events = 6;
        view.summary.on_time = 2;
        view.summary.states = vec![StateCount {
            state: DossierState::Completed.into(),
            count: 2,
        }];
        view.summary.destinations = vec![DestinationSummary {
            destination: "justice".to_owned(),
            delivered: 4,
            ..DestinationSummary::default()
        }];
        Self { record, view }
    }

    fn dossier(&mut self) -> &mut Dossier {
        let key = event("e-1").dossier;
        self.view.dossiers.get_mut(&key).unwrap()
    }

    /// The invariants that a planted fault breaks.
    #[track_caller]
    fn breaks(fault: impl FnOnce(&mut World), expected: &[Invariant]) {
        let mut world = World::new();
        fault(&mut world);
        let violations = check(&world.record, &world.view);
        let broken: BTreeSet<_> = violations.iter().map(|v| v.invariant).collect();
        let expected: BTreeSet<_> = expected.iter().copied().collect();
        assert_eq!(broken, expected, "{violations:#?}");
    }
}

#[test]
fn a_true_history_has_no_violation() {
    World::breaks(|_| {}, &[]);
}

#[test]
fn i1_an_accepted_event_on_no_timeline() {
    let lose = |world: &mut World| {
        let (source, id) = (event("e-1").source, event("e-1").id);
        world.view.missing.insert((source, id));
        world.view.summary.events -= 1;
    };
    World::breaks(lose, &[Invariant::NoLoss]);
}

#[test]
fn i1_an_accepted_dossier_that_nobody_knows() {
    let forget = |world: &mut World| {
        world
            .record
            .arrivals
            .retain(|arrival| arrival.dossier != event("e-1").dossier);
        world.view.dossiers.remove(&event("e-1").dossier);
        world.view.summary.on_time = 1;
        world.view.summary.states[0].count = 1;
        world.view.summary.destinations[0].delivered = 2;
    };
    World::breaks(forget, &[Invariant::NoLoss]);
}

#[test]
fn i1_work_that_stopped_half_way() {
    let open = StateCount {
        state: DossierState::Open.into(),
        count: 1,
    };
    let stop = |world: &mut World| {
        let dossier = world.dossier();
        dossier.state = DossierState::Open.into();
        dossier.deadline = DeadlineState::OnTrack.into();
        world.view.summary.on_time = 1;
        world.view.summary.states[0].count = 1;
        world.view.summary.states.push(open);
    };
    World::breaks(stop, &[Invariant::NoLoss]);
}

#[test]
fn i1_a_delivery_claimed_but_never_taken() {
    let unseen = |world: &mut World| {
        let (_, _, second) = two_steps("e-1");
        world
            .record
            .arrivals
            .retain(|arrival| arrival.delivery != second.id);
    };
    World::breaks(unseen, &[Invariant::NoLoss]);
}

#[test]
fn i1_a_delivery_taken_but_unknown_or_in_no_state() {
    let unknown = |world: &mut World| {
        world.dossier().steps.pop();
        world.view.summary.destinations[0].delivered = 3;
    };
    World::breaks(unknown, &[Invariant::NoLoss]);
    let stateless = |world: &mut World| {
        world.dossier().steps[1].delivery_state = DeliveryState::Unspecified.into();
        world.view.summary.destinations[0].delivered = 3;
    };
    World::breaks(stateless, &[Invariant::NoLoss]);
}

#[test]
fn i2_a_delivery_without_a_cause() {
    let invent = |world: &mut World| {
        let phantom = delivery(&event("e-9"), "registration");
        world
            .record
            .arrivals
            .push(arrival(&phantom, Reaction::Busy));
    };
    World::breaks(invent, &[Invariant::NothingInvented]);
}

#[test]
fn i2_an_altered_message_or_payload() {
    let message = |world: &mut World| world.record.arrivals[2].message = Digest::of(b"other");
    World::breaks(message, &[Invariant::NothingInvented]);
    let payload = |world: &mut World| world.record.arrivals[3].data = Digest::of(b"other");
    World::breaks(payload, &[Invariant::NothingInvented]);
}

#[test]
fn i3_a_delivery_taken_twice() {
    let twice = |world: &mut World| world.record.arrivals[2].reaction = Reaction::Taken;
    World::breaks(twice, &[Invariant::OneEffect]);
}

/// T8: an id from the clock gives the same work a second id.
#[test]
fn i3_the_same_work_under_two_ids() {
    let two_ids = |world: &mut World| {
        let mut again = delivery(&event("e-1"), "registration");
        again.id = [7; 16].into();
        world.record.arrivals.push(arrival(&again, Reaction::Taken));
        let step = step(&again);
        world.dossier().steps.push(step);
        world.view.summary.destinations[0].delivered = 5;
    };
    World::breaks(two_ids, &[Invariant::OneEffect, Invariant::Order]);
}

#[test]
fn i4_a_later_step_that_overtook() {
    let overtake = |world: &mut World| world.record.arrivals.swap(1, 3);
    World::breaks(overtake, &[Invariant::Order]);
}

#[test]
fn i5_a_refused_event_on_a_timeline() {
    let show = |world: &mut World| {
        world.view.missing.clear();
        world.view.summary.events += 1;
    };
    World::breaks(show, &[Invariant::NothingRefused]);
}

#[test]
fn i5_a_delivery_caused_by_a_refused_event() {
    let act = |world: &mut World| {
        let refused = event("e-3");
        let cause = (refused.source, refused.id);
        world.record.arrivals[0].cause = Some(cause);
    };
    World::breaks(act, &[Invariant::NothingRefused]);
}

#[test]
fn i6_a_delivery_still_pending() {
    let wait = |world: &mut World| {
        world.dossier().steps[1].delivery_state = DeliveryState::Pending.into();
        let justice = &mut world.view.summary.destinations[0];
        (justice.pending, justice.delivered) = (1, 3);
    };
    World::breaks(wait, &[Invariant::Drained]);
}

#[test]
fn i7_totals_that_differ_from_the_history() {
    let faults: [fn(&mut TrackerView); 6] = [
        |view| view.summary.events += 1,
        |view| view.summary.on_time -= 1,
        |view| view.summary.late += 1,
        |view| view.summary.states[0].count += 1,
        |view| view.summary.destinations[0].delivered -= 1,
        |view| view.summary.destinations.clear(),
    ];
    for fault in faults {
        World::breaks(|world| fault(&mut world.view), &[Invariant::Totals]);
    }
}

#[test]
fn an_unknown_event_may_or_may_not_be_there() {
    let unsure = |world: &mut World| {
        for sent in world
            .record
            .sent
            .values_mut()
            .filter(|sent| sent.fate == Fate::Accepted)
        {
            sent.fate = Fate::Unknown;
        }
    };
    World::breaks(unsure, &[]);
}
