//! The birth bundle of Decree 301/2026/NĐ-CP: civil status, then three steps in parallel.

use domain::{
    DossierEnd::{self, Completed, Partial, Refused},
    FactReason,
    Status::{self, *},
};

use crate::world::{FILED, World, accepted, at, status};

const MONDAY_10: &str = "2026-09-21T10:00:00+07:00";
const TUESDAY: &str = "2026-09-22T10:00:00+07:00";
const WEDNESDAY: &str = "2026-09-23T10:00:00+07:00";
const THURSDAY: &str = "2026-09-24T10:00:00+07:00";
const FORK: [&str; 3] = ["residence", "health-card", "identity-card"];

fn forked() -> World {
    let mut world = World::new();
    world.tell(&accepted());
    assert_eq!(
        world.tell(&status("civil-status", Processed, MONDAY_10)),
        FORK
    );
    world
}

#[test]
fn civil_status_comes_first_then_three_in_parallel_then_the_end() {
    let mut world = World::new();
    assert_eq!(world.tell(&accepted()), ["civil-status"]);
    assert!(
        world
            .tell(&status("civil-status", InProcess, FILED))
            .is_empty()
    );
    assert_eq!(
        world.tell(&status("civil-status", Processed, MONDAY_10)),
        FORK
    );
    for (step, time) in FORK.into_iter().zip([WEDNESDAY, TUESDAY, THURSDAY]) {
        assert_eq!(world.ends(), []);
        assert!(world.tell(&status(step, Processed, time)).is_empty());
    }
    assert_eq!(world.ends(), [Completed]);
    let domain::OutcomeKind::DossierEnded { ended_at, .. } = world.outcomes[0].kind else {
        panic!("expected the end, got {:?}", world.outcomes);
    };
    assert_eq!(ended_at, at(THURSDAY));
    assert_eq!(world.facts(), []);
}

#[test]
fn the_deadlines_of_the_real_appointment() {
    let world = forked();
    let due = |step| world.delivery(step).due_at;
    for step in FORK {
        assert_eq!(
            world.delivery(step).dossier_due_at,
            at("2026-09-25T17:00:00+07:00")
        );
    }
    assert_eq!(due("civil-status"), at("2026-09-21T17:00:00+07:00"));
    assert_eq!(due("health-card").strftime("%F").to_string(), "2026-09-23");
    assert_eq!(due("residence").strftime("%F").to_string(), "2026-09-23");
    assert_eq!(
        due("identity-card").strftime("%F").to_string(),
        "2026-09-24"
    );
}

#[test]
fn a_delivery_says_who_what_when_and_by_which_authority() {
    let world = forked();
    let delivery = world.delivery("residence");
    assert_eq!(delivery.route.as_str(), "birth@2026-09-01");
    assert_eq!(delivery.destination.as_str(), "demo-police");
    assert_eq!(delivery.unit.code.as_str(), "14797");
    assert_eq!(delivery.received_at, at(FILED));
    assert_eq!(delivery.opened_at, at(MONDAY_10));
    assert_eq!(delivery.cause.0.as_str(), "justice");
    assert_eq!(delivery.data, accepted().data);
    assert_eq!(delivery.content_type, "application/json");
    let texts = [&delivery.task, &delivery.product, &delivery.legal_basis];
    assert!(texts.iter().all(|text| !text.is_empty()));
}

#[test]
fn filed_after_the_cut_off_counts_from_the_next_working_day() {
    let mut late = accepted();
    late.time = at("2026-09-21T15:00:01+07:00");
    let mut world = World::new();
    world.tell(&late);
    let delivery = world.delivery("civil-status");
    assert_eq!(delivery.due_at, at("2026-09-22T17:00:00+07:00"));
    assert_eq!(delivery.dossier_due_at, at("2026-09-28T17:00:00+07:00"));
}

#[test]
fn the_payload_is_kept_until_every_step_is_open() {
    let mut world = World::new();
    world.tell(&accepted());
    let kept = |world: &World| world.dossier.receipt.as_ref().unwrap().data.len();
    assert_eq!(kept(&world), accepted().data.len());
    world.tell(&status("civil-status", Processed, MONDAY_10));
    assert_eq!(kept(&world), 0);
}

#[test]
fn an_end_forgets_the_payload_too() {
    let mut world = World::new();
    world.tell(&accepted());
    world.tell(&status("civil-status", Rejected, MONDAY_10));
    assert_eq!(world.ends(), [Refused]);
    assert!(world.dossier.receipt.unwrap().data.is_empty());
}

#[test]
fn one_refused_step_leaves_the_bundle_partial() {
    let mut world = forked();
    world.tell(&status("residence", Stopped, TUESDAY));
    world.tell(&status("health-card", Processed, TUESDAY));
    world.tell(&status("identity-card", HandedOver, TUESDAY));
    assert_eq!(world.ends(), [Partial]);
}

#[test]
fn a_withdrawal_ends_it_and_a_later_product_is_a_fact() {
    let mut world = forked();
    world.tell(&status("", Withdrawn, TUESDAY));
    assert_eq!(world.ends(), [DossierEnd::Withdrawn]);
    assert!(
        world
            .tell(&status("residence", Processed, WEDNESDAY))
            .is_empty()
    );
    assert_eq!(world.ends(), [DossierEnd::Withdrawn]);
    assert_eq!(world.facts(), [FactReason::AfterEnd]);
}

#[test]
fn a_withdrawal_before_the_fork_opens_nothing_more() {
    let mut world = World::new();
    world.tell(&accepted());
    world.tell(&status("", Withdrawn, MONDAY_10));
    assert!(
        world
            .tell(&status("civil-status", Processed, TUESDAY))
            .is_empty()
    );
}

#[test]
fn handing_over_what_was_processed_is_the_usual_end_and_no_late_fact() {
    let mut world = forked();
    for step in FORK {
        world.tell(&status(step, Processed, TUESDAY));
    }
    world.tell(&status("residence", HandedOver, WEDNESDAY));
    world.tell(&status("", Processed, WEDNESDAY));
    world.tell(&status("", HandedOver, THURSDAY));
    assert_eq!((world.ends(), world.facts()), (vec![Completed], vec![]));
    let mut second = forked();
    for step in FORK {
        second.tell(&status(step, Processed, TUESDAY));
    }
    second.tell(&status("", Withdrawn, WEDNESDAY));
    assert_eq!(second.facts(), [FactReason::AfterEnd]);
    assert_eq!(second.ends(), [Completed]);
}

#[track_caller]
fn noted(step: &str, next: Status, time: &str, expected: &[FactReason]) {
    let mut world = forked();
    world.tell(&status("residence", InProcess, TUESDAY));
    world.tell(&status("health-card", Rejected, TUESDAY));
    world.tell(&status(step, next, time));
    assert_eq!(world.facts(), expected, "{step} {next}");
}

#[test]
fn late_and_contradicting_statuses_are_facts() {
    noted("residence", Accepted, WEDNESDAY, &[FactReason::Contradicts]);
    noted("residence", Rejected, WEDNESDAY, &[FactReason::Contradicts]);
    noted("residence", Accepted, FILED, &[FactReason::Contradicts]);
    noted("health-card", Processed, WEDNESDAY, &[FactReason::AfterEnd]);
    noted("passport", Processed, TUESDAY, &[FactReason::UnknownStep]);
    noted("residence", SupplementRequested, WEDNESDAY, &[]);
    noted("residence", InProcess, TUESDAY, &[]);
}

#[test]
fn the_same_id_with_another_body_changes_nothing_but_the_facts() {
    let mut world = World::new();
    world.tell(&accepted());
    let before = world.dossier.clone();
    let mut other = status("", Withdrawn, TUESDAY);
    other.id = accepted().id;
    assert!(world.tell_conflict(&other).is_empty());
    assert_eq!(world.dossier, before);
    assert_eq!(world.facts(), [FactReason::Conflict]);
}

#[test]
fn two_other_bodies_of_one_id_are_two_facts() {
    let mut world = World::new();
    for time in [TUESDAY, WEDNESDAY, TUESDAY] {
        let mut other = status("", Withdrawn, time);
        other.id = accepted().id;
        world.tell_conflict(&other);
    }
    let ids: Vec<_> = world.outcomes.iter().map(|outcome| outcome.id).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0], ids[2]);
}

#[test]
fn results_before_the_acceptance_are_held_and_count_once_it_comes() {
    let mut world = World::new();
    assert!(
        world
            .tell(&status("civil-status", Processed, MONDAY_10))
            .is_empty()
    );
    assert_eq!(world.holds(), [Some(domain::HoldReason::NotAccepted)]);
    assert_eq!(world.facts(), [FactReason::StepNotOpen]);

    let opened = world.tell(&accepted());

    assert_eq!(opened[0], "civil-status");
    assert_eq!(opened[1..], FORK);
    assert_eq!(world.ends(), []);
    assert_eq!(world.holds().last(), Some(&None));
    assert_eq!(world.delivery("residence").opened_at, at(MONDAY_10));
    for step in FORK {
        world.tell(&status(step, Processed, TUESDAY));
    }
    assert_eq!(world.ends(), [Completed]);
}

#[test]
fn made_up_steps_before_the_acceptance_are_bounded() {
    let mut world = World::new();
    for number in 0..1_000 {
        world.tell(&status(&format!("step-{number}"), Processed, MONDAY_10));
    }
    assert!(
        world.dossier.steps.len() < 100,
        "{}",
        world.dossier.steps.len()
    );
    let unknown = world.facts();
    assert_eq!(unknown.len(), 1_000);
    assert_eq!(unknown.last(), Some(&FactReason::UnknownStep));
}
