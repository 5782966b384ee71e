//! What the pipeline does, told as it happens to a dossier. Every scenario runs on the embedded back
//! ends and on Kafka and PostgreSQL.

use std::{collections::BTreeSet, time::Duration};

use domain::Status;
use proto::v1::{DeliveryState, DossierState, ListDeadLettersRequest, RedriveRequest, Step};
use simulator::{Answer, Digest, Reaction, Script};

use crate::harness::{
    Backend, Found, House, PATIENCE, eventually, json, quick, scenarios, status_of_step,
};

/// Birth: civil status, then residence, health card and identity card side by side.
const BIRTH: &str = "3.000722";
/// One step at justice.
const MARRIAGE: &str = "1.000894";

scenarios![
    a_birth_forks_and_joins,
    a_dead_destination_holds_its_own_work_and_no_other,
    a_refused_step_leaves_the_dossier_partial,
    a_dead_letter_is_shown_and_sent_again_under_its_id,
    a_busy_agency_is_left_alone_as_long_as_it_asks,
    an_event_published_twice_has_one_effect,
    an_id_with_another_body_is_a_conflict_and_is_never_delivered,
    an_unknown_procedure_is_held_until_a_route_comes,
    a_unit_that_was_merged_is_served_by_its_successor,
    a_late_status_is_kept_as_a_fact,
    d14_a_later_event_settles_an_unknown_outcome,
    an_event_that_is_refused_leaves_no_trace,
];

// === helpers ===

fn step<'a>(found: &'a Found, id: &str) -> &'a Step {
    let steps = &found.dossier.steps;
    steps.iter().find(|step| step.id == id).unwrap()
}

fn is(state: DossierState) -> impl FnMut(&Found) -> bool {
    move |found| found.dossier.state() == state
}

fn whats(found: &Found) -> Vec<&str> {
    found
        .timeline
        .iter()
        .map(|entry| entry.what.as_str())
        .collect()
}

// === scenarios ===

async fn a_birth_forks_and_joins(backend: Backend) {
    let house = House::started(backend).await;

    house.accept("birth-1", BIRTH).await;
    let found = house
        .until("birth-1", "is completed", is(DossierState::Completed))
        .await;

    let steps: BTreeSet<&str> = found.dossier.steps.iter().map(|s| s.id.as_str()).collect();
    let expected = ["civil-status", "health-card", "identity-card", "residence"];
    assert_eq!(steps, BTreeSet::from(expected));
    let registered = step(&found, "civil-status").ended_at.unwrap();
    for later in ["residence", "health-card", "identity-card"] {
        let opened = step(&found, later).opened_at.unwrap();
        assert_eq!(
            opened, registered,
            "{later} opens when the birth is registered"
        );
    }
    let last = found.dossier.steps.iter().filter_map(|step| step.ended_at);
    let last = last.max_by_key(|at| (at.seconds, at.nanos));
    assert_eq!(
        found.dossier.ended_at, last,
        "the dossier ends with its last step"
    );
    assert!(found.dossier.due_at.is_some());
    assert_eq!(
        (
            house.world.agency("justice").taken(),
            house.world.agency("police").taken(),
            house.world.agency("social-insurance").taken()
        ),
        (1, 2, 1)
    );
    house.holds().await;
}

/// D8, P6
async fn a_dead_destination_holds_its_own_work_and_no_other(backend: Backend) {
    let house = House::started(backend).await;
    house.world.agency("police").set_away(true);
    let births = ["birth-1", "birth-2", "birth-3"];

    for birth in births {
        house.accept(birth, BIRTH).await;
    }
    house.accept("marriage-1", MARRIAGE).await;

    house
        .until("marriage-1", "is completed", is(DossierState::Completed))
        .await;
    for birth in births {
        house
            .until(
                birth,
                "has its health card and waits for the police",
                |found| {
                    let has = |id: &str, state| {
                        let mut steps = found.dossier.steps.iter();
                        steps.any(|step| step.id == id && step.delivery_state() == state)
                    };
                    has("health-card", DeliveryState::Delivered)
                        && has("residence", DeliveryState::Pending)
                        && has("identity-card", DeliveryState::Pending)
                },
            )
            .await;
    }
    let lane = eventually("the lane rests", async || {
        let lanes = house
            .courier()
            .list_lanes(proto::v1::ListLanesRequest {})
            .await;
        let lanes = lanes.unwrap().into_inner().lanes;
        lanes
            .into_iter()
            .find(|lane| lane.destination == "test-police" && !lane.resting.is_empty())
    })
    .await;
    assert_eq!(lane.dead, 0, "{lane:?}");
    assert_eq!(house.world.agency("police").taken(), 0);

    house.world.agency("police").set_away(false);

    for birth in births {
        house
            .until(birth, "is completed", is(DossierState::Completed))
            .await;
    }
    assert_eq!(house.world.agency("police").taken(), 6);
    house.holds().await;
}

async fn a_refused_step_leaves_the_dossier_partial(backend: Backend) {
    let mut house = House::with(backend, |role| Script {
        refusal_rate: if role == "police" { 1.0 } else { 0.0 },
        ..quick()
    })
    .await;
    house.start().await;

    house.accept("birth-1", BIRTH).await;

    let found = house
        .until("birth-1", "is partial", is(DossierState::Partial))
        .await;
    let stopped = u32::from(Status::Stopped.code());
    assert_eq!(step(&found, "residence").status, stopped);
    assert_ne!(step(&found, "health-card").status, stopped);
    house.holds().await;
}

/// D12
async fn a_dead_letter_is_shown_and_sent_again_under_its_id(backend: Backend) {
    let mut house = House::new(backend).await;
    house.site.attempts = 3;
    house.start().await;
    house.world.agency("justice").fail_next(3);

    house.accept("marriage-1", MARRIAGE).await;
    let letter = eventually("a dead letter is shown", async || {
        let request = ListDeadLettersRequest::default();
        let page = house.courier().list_dead_letters(request).await.unwrap();
        page.into_inner().dead_letters.pop()
    })
    .await;
    assert_eq!(
        (letter.dossier.as_str(), letter.attempts),
        ("marriage-1", 3)
    );
    house
        .until("marriage-1", "shows the dead letter", |found| {
            step(found, "marriage").delivery_state() == DeliveryState::Dead
        })
        .await;

    let request = RedriveRequest {
        deliveries: vec![letter.delivery.clone()],
        by: "Người Trực Thử".to_owned(),
        reason: "the agency is well again".to_owned(),
    };
    let redriven = house.courier().redrive(request).await.unwrap().into_inner();
    assert_eq!((redriven.redriven, redriven.not_dead.len()), (1, 0));

    let found = house
        .until("marriage-1", "is completed", is(DossierState::Completed))
        .await;
    assert!(whats(&found).contains(&"redriven"), "{:?}", whats(&found));
    let arrivals = house.world.arrivals("justice");
    assert_eq!(arrivals.len(), 4);
    assert!(
        arrivals
            .iter()
            .all(|arrival| arrival.delivery.to_string() == letter.delivery)
    );
    assert!(
        arrivals
            .iter()
            .all(|arrival| arrival.message == arrivals[0].message)
    );
    house.holds().await;
}

/// D3
async fn a_busy_agency_is_left_alone_as_long_as_it_asks(backend: Backend) {
    let asked = Duration::from_secs(1);
    let mut house = House::with(backend, |_| Script {
        busy_rate: 0.6,
        retry_after: Some(asked),
        ..quick()
    })
    .await;
    house.start().await;

    for number in 0..8 {
        house.accept(&format!("birth-{number}"), BIRTH).await;
    }
    for number in 0..8 {
        let dossier = format!("birth-{number}");
        house
            .until(&dossier, "is completed", is(DossierState::Completed))
            .await;
    }

    let mut waits = 0;
    for role in ["justice", "police", "social-insurance"] {
        let arrivals = house.world.arrivals(role);
        for (place, busy) in arrivals.iter().enumerate() {
            let next = arrivals[place + 1..]
                .iter()
                .find(|a| a.delivery == busy.delivery);
            if let (Reaction::Busy, Some(next)) = (busy.reaction, next) {
                let wait: Duration = next.at.duration_since(busy.at).unsigned_abs();
                assert!(
                    wait >= asked.mul_f64(0.99),
                    "{role} was asked again after {wait:?}"
                );
                waits += 1;
            }
        }
    }
    assert!(waits > 0, "no agency was busy: choose another seed");
    house.holds().await;
}

/// G3, B4
async fn an_event_published_twice_has_one_effect(backend: Backend) {
    let house = House::started(backend).await;
    let event = house.event("marriage-1", MARRIAGE);

    let first = house.submit(event.clone()).await;
    let second = house.submit(event).await;

    assert!(matches!(first, Answer::Accepted { .. }), "{first:?}");
    assert!(matches!(second, Answer::Accepted { .. }), "{second:?}");
    assert_ne!(first, second, "both stand in the log");
    house
        .until("marriage-1", "is completed", is(DossierState::Completed))
        .await;
    house.holds().await;
    assert_eq!(house.world.arrivals("justice").len(), 1);
}

/// G3
async fn an_id_with_another_body_is_a_conflict_and_is_never_delivered(backend: Backend) {
    let house = House::started(backend).await;
    let event = house.event("marriage-1", MARRIAGE);
    let mut other = event.clone();
    other.data = json("somebody else");

    house.submit(event.clone()).await;
    house.submit(other).await;

    house
        .until("marriage-1", "shows the conflict", |found| {
            let mut details = found.timeline.iter();
            details
                .any(|entry| entry.what.contains("conflict") || entry.detail.contains("conflict"))
        })
        .await;
    house
        .until("marriage-1", "is completed", is(DossierState::Completed))
        .await;
    house.holds().await;
    let arrivals = house.world.arrivals("justice");
    assert!(
        arrivals
            .iter()
            .all(|arrival| arrival.data == Digest::of(&event.data))
    );
}

/// D14: the agency takes the work and goes on with it, but its answer is lost, repeats harm, and it
/// cannot be asked.
async fn d14_a_later_event_settles_an_unknown_outcome(backend: Backend) {
    let mut house = House::with(backend, |role| Script {
        dropped_answer_rate: if role == "justice" { 1.0 } else { 0.0 },
        ..quick()
    })
    .await;
    house.site.harmed = Some("justice");
    house.site.queryable = false;
    house.start().await;

    house.accept("marriage-1", MARRIAGE).await;

    let found = house
        .until("marriage-1", "is completed and delivered", |found| {
            let is_delivered = |step: &Step| step.delivery_state() == DeliveryState::Delivered;
            found.dossier.state() == DossierState::Completed
                && found.dossier.steps.iter().all(is_delivered)
        })
        .await;
    let whats = whats(&found);
    assert!(whats.contains(&"outcome-unknown"), "{whats:?}");
    let mut timeline = found.timeline.iter();
    let settled = timeline.find(|entry| entry.what == "settled").unwrap();
    assert!(
        settled.detail.starts_with("arrived: event ")
            && settled.detail.ends_with(" of test-justice"),
        "{}",
        settled.detail
    );
    assert_eq!(house.world.arrivals("justice").len(), 1);
    house.holds().await;
}

async fn an_unknown_procedure_is_held_until_a_route_comes(backend: Backend) {
    let mut house = House::new(backend).await;
    house.site.take_route("civil-status.yaml");
    house.start().await;

    house.accept("marriage-1", MARRIAGE).await;
    let found = house
        .until("marriage-1", "is held", is(DossierState::Held))
        .await;
    assert!(
        found.dossier.hold_reason.contains("no-route"),
        "{}",
        found.dossier.hold_reason
    );
    assert!(found.dossier.steps.is_empty());

    house.stop().await;
    house.site.put_route("civil-status.yaml");
    house.start().await;

    let found = house
        .until("marriage-1", "is completed", is(DossierState::Completed))
        .await;
    let whats = whats(&found);
    let place = |what: &str| whats.iter().position(|known| *known == what);
    assert!(
        place("dossier-held") < place("dossier-released"),
        "{whats:?}"
    );
    house.holds().await;
}

/// Đông Thọ went into Hạc Thành on 1 July 2025; its code now means Hàm Rồng.
async fn a_unit_that_was_merged_is_served_by_its_successor(backend: Backend) {
    let house = House::started(backend).await;
    let code = "14758".parse().unwrap();
    for (dossier, day) in [("before", "2025-06-30"), ("after", "2026-09-21")] {
        let mut event = house.event(dossier, MARRIAGE);
        event.unit = domain::UnitRef {
            code,
            valid_on: day.parse().unwrap(),
        };
        house.submit(event).await;
    }

    let before = house
        .until("before", "is completed", is(DossierState::Completed))
        .await;
    let after = house
        .until("after", "is completed", is(DossierState::Completed))
        .await;

    assert_eq!(step(&before, "marriage").unit, "14797");
    assert_eq!(step(&after, "marriage").unit, "14758");
    house.holds().await;
}

/// D13
async fn a_late_status_is_kept_as_a_fact(backend: Backend) {
    let house = House::started(backend).await;
    let event = house.event("marriage-1", MARRIAGE);
    house.submit(event.clone()).await;
    let before = house
        .until("marriage-1", "is completed", is(DossierState::Completed))
        .await;

    let late = domain::Event {
        time: house.site.clock.now(),
        ..status_of_step(&event, "late-1", "marriage", Status::InProcess)
    };
    house.submit(late).await;

    let after = house
        .until("marriage-1", "shows the late status", |found| {
            found.timeline.iter().any(|entry| entry.id == "late-1")
                && whats(found).contains(&"fact-kept")
        })
        .await;
    assert_eq!(after.dossier.state(), DossierState::Completed);
    assert_eq!(after.dossier.ended_at, before.dossier.ended_at);
    house.holds().await;
}

/// G2, I5
async fn an_event_that_is_refused_leaves_no_trace(backend: Backend) {
    let house = House::started(backend).await;
    let mut event = house.event("marriage-1", MARRIAGE);
    event.time += jiff::SignedDuration::from_hours(1);

    let answer = house.submit(event).await;

    match answer {
        Answer::Refused { field, reason } => {
            assert_eq!(field, "event.time");
            assert!(reason.contains("future"), "{reason}");
        }
        Answer::Accepted { .. } => panic!("accepted"),
    }
    house.accept("marriage-2", MARRIAGE).await;
    house
        .until("marriage-2", "is completed", is(DossierState::Completed))
        .await;
    assert!(house.find("marriage-1").await.is_none());
    let violations = house.violations(PATIENCE).await;
    assert!(violations.is_empty(), "{violations:?}");
}
