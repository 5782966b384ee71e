//! What is wrong in the steps of a route.

use crate::good::{DESTINATIONS, ROUTE, read, with};

/// Changes one part of the valid route; the problems that this makes, one a line.
#[track_caller]
fn check(part: &str, replacement: &str, expected: &str) {
    let problems = read(&with(ROUTE, part, replacement), DESTINATIONS).unwrap_err();
    assert_eq!(problems, expected);
}

/// Takes a line of the second step away.
#[track_caller]
fn check_without(field: &str, expected: &str) {
    let second = ROUTE.find("  - id: residence").unwrap();
    let start = second + ROUTE[second..].find(&format!("    {field}:")).unwrap();
    let end = start + ROUTE[start..].find('\n').unwrap() + 1;
    let text = format!("{}{}", &ROUTE[..start], &ROUTE[end..]);
    let line = format!("r.yaml:21:5: step `residence`: `{field}` is missing; expected {expected}");
    assert_eq!(read(&text, DESTINATIONS).unwrap_err(), line);
}

#[test]
fn each_of_the_six_clarities_is_asked_for() {
    check_without(
        "agency",
        "the agency's role, one of the six clarities (who)",
    );
    check_without(
        "task",
        "what is to be done, one of the six clarities (work)",
    );
    check_without(
        "within",
        "a time limit like `same day`, `4 working hours`, `2 working days`, `5 days` or `1 month`, one of the six \
         clarities (time)",
    );
    check_without(
        "responsible",
        "who answers for it, one of the six clarities (responsibility)",
    );
    check_without(
        "product",
        "what the step ends with, one of the six clarities (product)",
    );
    check_without(
        "legal_basis",
        "decree and article, one of the six clarities (authority)",
    );
    check(
        "vi: Thông báo",
        "vi: \" \"",
        "r.yaml:27:20: step `residence`: `product.vi` is ` `; expected what the step ends with, one of the six \
         clarities (product)",
    );
}

#[test]
fn values() {
    check(
        "  - id: residence\n    after",
        "  - after",
        "r.yaml:21:5: step: `id` is missing; expected 1 to 63 lowercase letters, digits or hyphens",
    );
    check_without("unit", "one of `competent`, `receiving`, `province`");
    check(
        "police\n    unit: competent",
        "police\n    unit: local",
        "r.yaml:24:11: step `residence`: `unit` is `local`; expected one of `competent`, `receiving`, `province`",
    );
    check(
        "2 working days",
        "two working days",
        "r.yaml:26:13: step `residence`: `within` is `two working days`; expected a time limit like `same day`, \
         `4 working hours`, `2 working days`, `5 days` or `1 month`",
    );
    check(
        "agency: police",
        "agency: tax",
        "r.yaml:23:13: step `residence`: no destination serves agency `tax`; expected one of the agencies `justice`, \
         `police`",
    );
}

#[test]
fn work_that_stays_in_the_unit_does_not_go_to_the_province() {
    let strict = with(ROUTE, "policy: province", "policy: strict");
    let route = with(
        &strict,
        "police\n    unit: competent",
        "police\n    unit: province",
    );
    assert_eq!(
        read(&route, DESTINATIONS).unwrap_err(),
        "r.yaml:24:11: step `residence`: `unit` is `province`, but the boundary is `strict`, so that work may not leave \
         the competent unit; expected `competent`, or a `boundary.policy` of `province` or `national`"
    );
    assert!(read(&strict, DESTINATIONS).is_ok());
}

#[test]
fn names() {
    check(
        "after: [civil-status]",
        "after: [civil-statuz]",
        "r.yaml:22:13: step `residence`: `after` names `civil-statuz`, which is no step of this route; expected one of \
         `civil-status`",
    );
    check(
        "id: residence\n    after: [civil-status]",
        "id: civil-status",
        "r.yaml:21:9: route `birth`: step `civil-status` is defined a second time; expected an id other than that of \
         line 13",
    );
}

#[test]
fn circles() {
    check(
        "after: [civil-status]",
        "after: [civil-status, residence]",
        "r.yaml:22:27: route `birth`: steps wait for each other: residence → residence; expected an order in which \
         each step can open",
    );
    check(
        "    agency: justice",
        "    after: [residence]\n    agency: justice",
        "r.yaml:14:13: route `birth`: steps wait for each other: civil-status → residence → civil-status; expected an \
         order in which each step can open",
    );
}
