//! Which destination serves a unit on a day.

use std::time::Duration;

use jiff::civil::date;

use crate::good::{DESTINATIONS, ROUTE, read, with};

/// `(id, serves, valid)` of a destination of agency `justice`.
type Bound<'a> = (&'a str, &'a str, &'a str);

fn destinations(bound: &[Bound<'_>]) -> String {
    let mut text = with(DESTINATIONS, "agency: justice", "agency: other");
    let justice = &DESTINATIONS[..DESTINATIONS.find("- id: police").unwrap()];
    for (id, serves, valid) in bound {
        let one = with(justice, "justice-all", id);
        let one = with(&one, "provinces: all", serves);
        text += &with(&one, "from: 2026-01-01", valid);
    }
    text
}

#[test]
fn the_most_specific_binding_wins_on_its_days() {
    let text = destinations(&[
        ("all", "provinces: all", "from: 2026-01-01"),
        ("thanh-hoa", "provinces: [\"38\"]", "from: 2026-03-01"),
        (
            "hac-thanh",
            "units: [\"14797\"]",
            "from: 2026-05-01, until: 2026-05-31",
        ),
    ]);
    let set = read(ROUTE, &text).unwrap();
    let check = |unit: &str, province: &str, month, expected: &str| {
        let role = "justice".parse().unwrap();
        let unit = (!unit.is_empty()).then(|| unit.parse().unwrap());
        let province = province.parse().unwrap();
        let found = set.destination(&role, unit, province, date(2026, month, 31));
        assert_eq!(found.unwrap().destination.id.as_str(), expected);
    };
    check("14797", "38", 1, "all");
    check("14797", "38", 3, "thanh-hoa");
    check("14797", "38", 5, "hac-thanh");
    check("14797", "38", 7, "thanh-hoa");
    check("14758", "38", 5, "thanh-hoa");
    check("00004", "01", 5, "all");
    // The province itself is no unit of it.
    check("", "38", 1, "all");
    check("", "38", 5, "thanh-hoa");
    check("", "01", 5, "all");
}

#[test]
fn an_endpoint_moves_at_midnight() {
    let text = destinations(&[
        (
            "old",
            "provinces: all",
            "from: 2026-01-01, until: 2026-08-31",
        ),
        ("new", "provinces: all", "from: 2026-09-01"),
    ]);
    let set = read(ROUTE, &text).unwrap();
    let (unit, province) = ("14797".parse().ok(), "38".parse().unwrap());
    let on = |day| {
        let found = set.destination(&"justice".parse().unwrap(), unit, province, day);
        found.unwrap().destination.id.to_string()
    };
    assert_eq!(
        [on(date(2026, 8, 31)), on(date(2026, 9, 1))],
        ["old", "new"]
    );
}

#[test]
fn without_a_binding_the_answer_says_what_was_asked() {
    let set = read(ROUTE, DESTINATIONS).unwrap();
    let police = "police".parse().unwrap();
    let unit = "14797".parse().unwrap();
    let missing = |unit, province: &str, on| {
        let found = set.destination(&police, unit, province.parse().unwrap(), on);
        found.map(|found| found.destination.id.to_string())
    };
    assert_eq!(
        missing(Some(unit), "38", date(2026, 12, 31)).as_deref(),
        Ok("police-38")
    );
    let words = |unit| {
        let error = missing(unit, "38", date(2027, 1, 1)).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        words(Some(unit)),
        "no destination serves agency `police` for unit 14797 of province 38 on 2027-01-01"
    );
    assert_eq!(
        words(None),
        "no destination serves agency `police` for province 38 on 2027-01-01"
    );
}

#[test]
fn limits_are_read() {
    let set = read(ROUTE, DESTINATIONS).unwrap();
    let police = set.destinations().nth(1).unwrap();
    assert_eq!(police.timeout, Duration::from_millis(500));
    assert_eq!(police.retry.steps, [60, 300].map(Duration::from_secs));
    assert_eq!((police.retry.max_attempts, police.max_in_flight), (12, 8));
    assert_eq!(police.agency.as_str(), "police-of-thanh-hoa");
}
