//! Which unit does a step: the competent one, the receiving one, or the province.

use domain::{Delivery, Event, HoldReason, Status::Processed};
use jiff::civil::{Date, date};

use crate::world::{World, accepted, custom, status, unit};

const RULES: [&str; 3] = ["competent", "receiving", "province"];

/// One step of justice, done by the unit of that rule.
fn route(rule: &str) -> String {
    format!(
        "route: birth\n\
         title: {{ vi: Khai sinh, en: Birth }}\n\
         procedures: [\"3.000722\"]\n\
         valid: {{ from: 2025-07-01 }}\n\
         boundary: {{ policy: province, legal_basis: Decree 118/2025 }}\n\
         calendar: national-office\n\
         within: 4 working days\n\
         legal_basis: Decree 301/2026\n\
         steps:\n  \
         - id: civil-status\n    \
         agency: justice\n    \
         unit: {rule}\n    \
         task: {{ vi: Đăng ký, en: Register }}\n    \
         within: same day\n    \
         product: {{ vi: Giấy khai sinh, en: Certificate }}\n    \
         responsible: {{ vi: Công chức, en: Officer }}\n    \
         legal_basis: Decree 63/2024\n"
    )
}

/// Destinations of justice, each with what it serves.
fn destinations(bound: &[(&str, &str)]) -> String {
    let one = |(id, serves): &(&str, &str)| {
        format!(
            "- id: {id}\n  agency: justice\n  agency_id: {id}\n  serves: {{ {serves} }}\n  \
             endpoint: grpc://127.0.0.1:7101\n  calendar: national-office\n  max_in_flight: 8\n  \
             timeout: 10s\n  retry: {{ steps: [1m], attempts: 3 }}\n  \
             valid: {{ from: 2025-07-01 }}\n"
        )
    };
    bound.iter().map(one).collect()
}

const ALL: (&str, &str) = ("all", "provinces: all");
const THANH_HOA: (&str, &str) = ("thanh-hoa", "provinces: [\"38\"]");
const HAC_THANH: (&str, &str) = ("hac-thanh", "units: [\"14797\"]");

fn filed_at(code: &str, valid_on: Date) -> Event {
    let mut event = accepted();
    event.unit = unit(code, valid_on);
    event
}

fn opened(rule: &str, bound: &[(&str, &str)], event: &Event) -> Delivery {
    let mut world = World::with(custom(&route(rule), &destinations(bound)));
    world.tell(event);
    world.delivery("civil-status").clone()
}

#[track_caller]
fn acts(code: &str, valid_on: Date, expected: [&str; 3]) {
    let event = filed_at(code, valid_on);
    let deliveries = RULES.map(|rule| opened(rule, &[ALL], &event));
    let acting = deliveries.each_ref().map(Delivery::acting_unit);
    assert_eq!(acting, expected, "{code} on {valid_on}");
    for delivery in &deliveries {
        assert_eq!(delivery.unit, deliveries[0].unit, "the unit it belongs to");
        assert_eq!(delivery.id, deliveries[0].id);
    }
}

#[test]
fn each_rule_names_its_unit_and_the_province_has_two_digits() {
    acts("14797", date(2026, 9, 21), ["14797", "14797", "38"]);
    acts("14758", date(2026, 9, 21), ["14758", "14758", "38"]); // Hàm Rồng
    acts("00004", date(2026, 9, 21), ["00004", "00004", "01"]);
}

#[test]
fn a_unit_that_was_merged_since_has_its_successor_and_the_province_above_that() {
    // Đông Thọ of Thanh Hóa, which became Hạc Thành.
    acts("14758", date(2025, 6, 30), ["14797", "14797", "38"]);
    // Châu Cầu of Hà Nam (35), which became Phủ Lý as its province went into Ninh Bình.
    acts("13294", date(2025, 6, 30), ["13285", "13285", "37"]);
}

#[track_caller]
fn goes(rule: &str, code: &str, bound: &[(&str, &str)], expected: &str) {
    let delivery = opened(rule, bound, &filed_at(code, date(2026, 9, 21)));
    assert_eq!(delivery.destination.as_str(), expected, "{rule} {code}");
}

#[test]
fn a_province_step_goes_where_its_province_is_served_and_not_where_a_unit_is() {
    let bound = [ALL, THANH_HOA, HAC_THANH];
    goes("competent", "14797", &bound, "hac-thanh");
    goes("receiving", "14797", &bound, "hac-thanh");
    goes("province", "14797", &bound, "thanh-hoa");
    goes("province", "14758", &bound, "thanh-hoa");
    goes("province", "00004", &bound, "all");
    goes("province", "14797", &[ALL, HAC_THANH], "all");
}

#[test]
fn a_province_step_waits_where_single_units_are_served_alone() {
    let plan = |bound: &[_]| custom(&route("province"), &destinations(bound));
    let mut world = World::with(plan(&[HAC_THANH]));
    assert!(world.tell(&accepted()).is_empty());
    assert_eq!(world.holds(), [Some(HoldReason::NoDestination)]);
    let held = world.dossier.held.as_ref().unwrap();
    assert!(held.detail.contains("for province 38"), "{}", held.detail);

    let opened = world.restart(plan(&[HAC_THANH, THANH_HOA]));
    assert_eq!(opened, ["civil-status"]);
    assert_eq!(world.delivery("civil-status").acting_unit(), "38");
}

#[test]
fn the_funeral_allowance_of_a_death_goes_to_the_province_and_says_so_on_the_wire() {
    let mut world = World::new();
    let mut death = filed_at("14758", date(2025, 6, 30));
    death.procedure = "2.002913".parse().unwrap();
    assert_eq!(world.tell(&death), ["registration"]);
    let registered = status("registration", Processed, "2026-09-21T10:00:00+07:00");
    let expected = ["deregistration", "funeral-allowance", "survivor-benefit"];
    assert_eq!(world.tell(&registered), expected);

    let says = |step: &str| {
        let (_, data) = proto::encode_delivery(world.delivery(step).clone());
        let wire = proto::v1::Delivery::from(proto::decode_delivery(data).unwrap());
        [wire.destination, wire.unit, wire.province]
    };
    assert_eq!(says("registration"), ["demo-justice", "14797", ""]);
    assert_eq!(says("deregistration"), ["demo-police", "14797", ""]);
    assert_eq!(says("funeral-allowance"), ["demo-province", "14797", "38"]);
    let insurance = ["demo-social-insurance", "14797", ""];
    assert_eq!(says("survivor-benefit"), insurance);
}

#[test]
fn single_steps_of_the_province_go_to_it() {
    let check = |procedure: &str, step: &str, destination: &str| {
        let mut event = accepted();
        event.procedure = procedure.parse().unwrap();
        let mut world = World::new();
        assert_eq!(world.tell(&event), [step]);
        let delivery = world.delivery(step);
        assert_eq!(delivery.acting_unit(), "38", "{step}");
        assert_eq!(delivery.destination.as_str(), destination);
    };
    check("2.000488", "criminal-record", "demo-justice");
    check("1.001731", "funeral-support", "demo-province");
}
