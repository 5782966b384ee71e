//! What cannot be routed waits with its reason, and goes on when a later start brings what was missing.

use domain::{HoldReason, Status::Processed};
use jiff::civil::date;

use crate::world::{ROUTE, World, accepted, at, built_in, custom, status, unit};

fn destinations(police_serves: &str) -> String {
    let one = |id: &str, serves: &str| {
        format!(
            "- id: {id}-one\n  agency: {id}\n  agency_id: {id}-one\n  serves: {serves}\n  \
             endpoint: grpc://127.0.0.1:7101\n  calendar: national-office\n  max_in_flight: 8\n  \
             timeout: 10s\n  retry: {{ steps: [1m], attempts: 3 }}\n  \
             valid: {{ from: 2026-01-01 }}\n"
        )
    };
    one("justice", "{ provinces: all }") + &one("police", police_serves)
}

/// A plan that does not know the code of the birth bundle.
pub(crate) fn other_plan() -> router::Plan {
    let other = ROUTE.replace("3.000722", "1.000001");
    custom(&other, &destinations("{ provinces: all }"))
}

#[test]
fn no_route_until_a_start_brings_one() {
    let other = ROUTE.replace("3.000722", "1.000001");
    let all = destinations("{ provinces: all }");
    let mut world = World::with(custom(&other, &all));
    assert!(world.tell(&accepted()).is_empty());
    assert_eq!(world.holds(), [Some(HoldReason::NoRoute)]);
    assert_eq!(
        world.dossier.receipt.as_ref().unwrap().data,
        accepted().data
    );

    assert!(world.restart(custom(&other, &all)).is_empty());
    assert_eq!(world.holds().len(), 1, "the same hold is told once");

    assert_eq!(world.restart(built_in()), ["civil-status"]);
    assert_eq!(world.holds(), [Some(HoldReason::NoRoute), None]);
    assert_eq!(world.delivery("civil-status").received_at, accepted().time);
}

#[test]
fn each_hold_and_each_release_has_its_own_id() {
    let nowhere = "{ provinces: [\"01\"] }";
    let other = ROUTE.replace("3.000722", "1.000001");
    let other = other.replace("route: birth", "route: other");
    let mut world = World::with(custom(&other, &destinations(nowhere)));
    world.tell(&accepted());
    world.restart(custom(ROUTE, &destinations(nowhere)));
    // Once more without an event in between: the second release has the same cause and time.
    world.restart(custom(&other, &destinations(nowhere)));
    world.restart(custom(ROUTE, &destinations(nowhere)));
    world.tell(&status(
        "civil-status",
        Processed,
        "2026-09-21T10:00:00+07:00",
    ));
    world.restart(custom(&other, &destinations(nowhere)));
    world.restart(custom(ROUTE, &destinations(nowhere)));
    let opened = world.restart(custom(ROUTE, &destinations("{ provinces: all }")));

    assert_eq!(opened, ["residence"]);
    let expected = [
        Some(HoldReason::NoRoute),
        None,
        Some(HoldReason::NoRoute),
        None,
        Some(HoldReason::NoDestination),
        Some(HoldReason::NoRoute),
        Some(HoldReason::NoDestination),
        None,
    ];
    assert_eq!(world.holds(), expected);
    let mut ids: Vec<_> = world.outcomes.iter().map(|outcome| outcome.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), world.outcomes.len());
    assert_eq!(
        world.delivery("residence").opened_at,
        at("2026-09-21T10:00:00+07:00")
    );
}

#[test]
fn a_dossier_whose_route_is_taken_away_waits_for_it() {
    let all = destinations("{ provinces: all }");
    let mut world = World::with(custom(ROUTE, &all));
    world.tell(&accepted());
    // Another version serves the same code on the same day: not for this dossier.
    world.restart(custom(&ROUTE.replace("2026-09-01", "2026-09-02"), &all));
    let done = status("civil-status", Processed, "2026-09-21T10:00:00+07:00");
    assert!(world.tell(&done).is_empty());
    assert_eq!(world.holds(), [Some(HoldReason::NoRoute)]);
    assert_eq!(world.restart(custom(ROUTE, &all)), ["residence"]);
}

#[test]
fn no_unit() {
    let mut event = accepted();
    event.unit = unit("99999", date(2026, 9, 21));
    let mut world = World::new();
    assert!(world.tell(&event).is_empty());
    assert_eq!(world.holds(), [Some(HoldReason::NoUnit)]);
    let held = world.dossier.held.as_ref().unwrap();
    assert!(held.detail.contains("99999"), "{}", held.detail);
}

#[test]
fn no_calendar_for_a_day_beyond_the_tables() {
    let mut event = accepted();
    event.time = at("2031-09-22T09:00:00+07:00");
    event.unit = unit("14797", date(2031, 9, 22));
    let mut world = World::new();
    assert!(world.tell(&event).is_empty());
    assert_eq!(world.holds(), [Some(HoldReason::NoCalendar)]);
}

#[test]
fn a_step_without_destination_holds_the_dossier_not_its_state() {
    let mut world = World::with(custom(ROUTE, &destinations("{ provinces: [\"01\"] }")));
    assert_eq!(world.tell(&accepted()), ["civil-status"]);
    let done = status("civil-status", Processed, "2026-09-21T10:00:00+07:00");
    assert!(world.tell(&done).is_empty());
    assert_eq!(world.holds(), [Some(HoldReason::NoDestination)]);
    assert_eq!(world.ends(), []);

    let all = custom(ROUTE, &destinations("{ provinces: all }"));
    assert_eq!(world.restart(all), ["residence"]);
    world.tell(&status("residence", Processed, "2026-09-22T10:00:00+07:00"));
    assert_eq!(world.ends(), [domain::DossierEnd::Completed]);
}
