//! Dated things: units, procedure codes, route versions.

use jiff::civil::{Date, date};

use crate::world::{World, accepted, at, status, unit};

#[track_caller]
fn competent(code: &str, valid_on: Date, expected: &str) {
    let mut event = accepted();
    event.unit = unit(code, valid_on);
    let mut world = World::new();
    world.tell(&event);
    let found = world.delivery("civil-status").unit;
    assert_eq!(found.code.as_str(), expected, "{code} on {valid_on}");
    let again = world.plan.territory.resolve(&found.code, found.valid_on);
    assert_eq!(again.unwrap().unit, found.code, "it means itself");
}

#[test]
fn an_old_code_goes_to_its_successor_and_the_same_code_today_to_itself() {
    competent("14758", date(2025, 6, 30), "14797"); // Đông Thọ, which became Hạc Thành
    competent("14758", date(2026, 9, 21), "14758"); // Hàm Rồng today
    competent("14797", date(2026, 9, 21), "14797");
}

#[track_caller]
fn routed(procedure: &str, received: &str, expected: Option<&str>) {
    let mut event = accepted();
    event.procedure = procedure.parse().unwrap();
    event.time = at(received);
    let mut world = World::new();
    world.tell(&event);
    let route = world.dossier.route.as_ref().map(|route| route.as_str());
    assert_eq!(route, expected, "{procedure} received {received}");
    assert_eq!(world.deliveries.len(), usize::from(expected.is_some()));
}

#[test]
fn the_code_of_the_day_of_receipt_chooses_the_version() {
    routed(
        "2.002621",
        "2026-08-31T23:59:59+07:00",
        Some("birth@2025-07-01"),
    );
    routed(
        "2.002621",
        "2026-09-01T00:00:00+07:00",
        Some("birth@2026-09-01"),
    );
    routed(
        "2.002621",
        "2026-12-31T09:00:00+07:00",
        Some("birth@2026-09-01"),
    );
    routed("2.002621", "2027-01-04T09:00:00+07:00", None);
    routed(
        "3.000722",
        "2027-01-04T09:00:00+07:00",
        Some("birth@2026-09-01"),
    );
    routed("3.000722", "2026-08-31T09:00:00+07:00", None);
    routed("9.999999", "2026-09-21T09:00:00+07:00", None);
}

#[test]
fn a_dossier_keeps_the_version_of_its_receipt() {
    let mut event = accepted();
    event.procedure = "2.002621".parse().unwrap();
    event.time = at("2026-08-31T09:00:00+07:00");
    let mut world = World::new();
    world.tell(&event);
    let opened = world.tell(&status(
        "civil-status",
        domain::Status::Processed,
        "2026-09-03T09:00:00+07:00",
    ));
    assert_eq!(opened, ["residence", "health-card"]);
}
