//! What is wrong in a route file is told with its place, what is there and what was expected.

use crate::good::{DESTINATIONS, ROUTE, read, with};

/// Changes one part of the valid route; the problems that this makes, one a line.
#[track_caller]
fn check(part: &str, replacement: &str, expected: &str) {
    let problems = read(&with(ROUTE, part, replacement), DESTINATIONS).unwrap_err();
    assert_eq!(problems, expected);
}

/// As `check`, for one problem of the route `birth` itself.
#[track_caller]
fn check_birth(part: &str, replacement: &str, at: &str, found: &str, expected: &str) {
    let line = format!("r.yaml:{at}: route `birth`: {found}; expected {expected}");
    check(part, replacement, &line);
}

#[test]
fn shapes() {
    check(
        "title:",
        "titel:",
        "r.yaml:2:1: `titel` is no field here; expected one of `route`, `title`, `procedures`, `aliases`, `valid`, \
         `boundary`, `calendar`, `within`, `cut_off`, `legal_basis`, `steps`",
    );
    check(
        "id: residence",
        "id: residence\n    when: always",
        "r.yaml:22:5: `when` is no field here; expected one of `id`, `after`, `agency`, `unit`, `task`, `within`, \
         `cut_off`, `product`, `responsible`, `legal_basis`",
    );
    check(
        "title: { vi: Khai sinh, en: Birth }",
        "title: Birth",
        "r.yaml:2:8: something else stands here; expected fields like `{name: value}`",
    );
    check(
        "after: [civil-status]",
        "after: civil-status",
        "r.yaml:22:12: something else stands here; expected a list like `[one, two]`",
    );
    check(
        "agency: police",
        "agency: police\n    agency: tax",
        "r.yaml:24:5: `agency` is here twice; expected each field once",
    );
    check(
        "after: [civil-status]",
        "after: [civil-status",
        "r.yaml:23:11: illegal placement of ':' indicator; expected YAML of the published schema",
    );
    assert_eq!(
        read("# nothing yet\n", DESTINATIONS).unwrap_err(),
        "r.yaml: the file is empty; expected at least one version of a route"
    );
}

#[test]
fn names_and_codes() {
    check(
        "route: birth",
        "route: Birth",
        "r.yaml:1:8: route `Birth`: `route` is `Birth`; expected 1 to 63 lowercase letters, digits or hyphens",
    );
    check(
        "route: birth\n",
        "",
        "r.yaml:1:1: route: `route` is missing; expected 1 to 63 lowercase letters, digits or hyphens",
    );
    let asked = "what the citizen asks for";
    check_birth(", en: Birth", "", "2:8", "`title.en` is missing", asked);
    let code = "a base code like `3.000722`";
    check_birth("\"3.000722\"", "", "3:13", "`procedures` is empty", code);
    check_birth(
        "procedures: [\"3.000722\"]\n",
        "",
        "1:1",
        "`procedures` is missing",
        code,
    );
    check_birth(
        "3.000722",
        "3.000722.H56",
        "3:14",
        "`procedures` is `3.000722.H56`",
        code,
    );
}

#[test]
fn settings() {
    check_birth(
        "policy: province",
        "policy: land",
        "7:21",
        "`boundary.policy` is `land`",
        "one of `strict`, `province`, `national`",
    );
    check_birth(
        ", legal_basis: Decree 118/2025",
        "",
        "7:11",
        "`boundary.legal_basis` is missing",
        "the law that says how far work may go",
    );
    check_birth(
        "calendar: national-office",
        "calendar: office",
        "8:11",
        "`calendar` is `office`",
        "one of the calendars `national-office`, `social-insurance`, `thanh-hoa-commune`, `ward-police`",
    );
    check_birth(
        "cut_off: \"15:00\"",
        "cut_off: 15h",
        "10:10",
        "`cut_off` is `15h`",
        "a time like `15:00`",
    );
    let steps = &ROUTE[ROUTE.find("steps:").unwrap()..];
    check_birth(steps, "", "1:1", "`steps` is missing", "at least one step");
}

#[test]
fn days() {
    check_birth(
        "2026-09-01",
        "2026-9-1",
        "6:16",
        "`valid.from` is `2026-9-1`",
        "a date like `2026-09-01`",
    );
    check_birth(
        "valid: { from: 2026-09-01 }\n",
        "",
        "1:1",
        "`valid` is missing",
        "the first day, like `{from: 2026-09-01}`",
    );
    check_birth(
        "from: 2026-09-01",
        "from: 2026-09-01, until: 2026-08-31",
        "6:35",
        "`until` is 2026-08-31",
        "2026-09-01 or later, the first day being 2026-09-01",
    );
    check_birth(
        "until: 2026-12-31",
        "from: 2026-12-31, until: 2026-10-31",
        "5:50",
        "`until` is 2026-10-31",
        "2026-12-31 or later, the first day being 2026-12-31",
    );
    check_birth(
        "until: 2026-12-31",
        "until: 2026-08-31",
        "5:5",
        "alias `2.002621` has no day in common with its version",
        "days from 2026-09-01",
    );
}

#[test]
fn versions_of_one_route_do_not_share_a_day() {
    let next = with(ROUTE, "from: 2026-09-01", "from: 2026-10-01");
    assert_eq!(
        read(&format!("{ROUTE}---\n{next}"), DESTINATIONS).unwrap_err(),
        "r.yaml:31:8: versions `birth@2026-09-01` and `birth@2026-10-01` overlap; expected days other than those of \
         r.yaml:1:8, from 2026-09-01"
    );
}

#[test]
fn a_code_is_served_once_a_day() {
    let other = with(ROUTE, "route: birth", "route: other");
    assert_eq!(
        read(&format!("{ROUTE}---\n{other}"), DESTINATIONS).unwrap_err(),
        "r.yaml:33:14: procedure `3.000722` is also served by `birth@2026-09-01`; expected days other than those of \
         r.yaml:3:14, from 2026-09-01\n\
         r.yaml:35:13: procedure `2.002621` is also served by `birth@2026-09-01`; expected days other than those of \
         r.yaml:5:13, from 2026-09-01 until 2026-12-31"
    );
    check(
        "[\"3.000722\"]",
        "[\"3.000722\", \"2.002621\"]",
        "r.yaml:5:13: procedure `2.002621` is also served by `birth@2026-09-01`; expected days other than those of \
         r.yaml:3:26, from 2026-09-01",
    );
}
