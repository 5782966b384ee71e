//! What is wrong in a destination file is told with its place, what is there and what was expected.

use crate::good::{DESTINATIONS, ROUTE, read, with};

const ENDPOINT: &str = "`grpc://host:port`, `grpc+unary://host:port` or `http://host:port/path` (with TLS `grpcs`, \
                        `grpcs+unary`, `https`), `\"pull:\"` or `kafka:TOPIC`";

/// Changes one part of the valid destinations; the problems that this makes, one a line.
#[track_caller]
fn check(part: &str, replacement: &str, expected: &str) {
    let problems = read(ROUTE, &with(DESTINATIONS, part, replacement)).unwrap_err();
    assert_eq!(problems, expected);
}

/// As `check`, for one problem of the destination `police-38` itself.
#[track_caller]
fn check_police(part: &str, replacement: &str, at: &str, found: &str, expected: &str) {
    let line = format!("d.yaml:{at}: destination `police-38`: {found}; expected {expected}");
    check(part, replacement, &line);
}

#[test]
fn the_files_that_are_changed_here_are_valid() {
    let set = read(ROUTE, DESTINATIONS).unwrap();
    assert_eq!((set.routes().count(), set.destinations().count()), (1, 2));
}

#[test]
fn shapes() {
    check(
        "provinces: [\"38\"]",
        "provinces: every",
        "d.yaml:14:13: string \"every\" stands here; expected `all` or a list of province codes of two digits in quotes",
    );
    check(
        "max_in_flight: 8\n  timeout: 10s",
        "max_in_flight: many\n  timeout: 10s",
        "d.yaml:7:18: no whole number stands here; expected a whole number",
    );
    check(
        "id: police-38",
        "name: police-38",
        "d.yaml:11:3: `name` is no field here; expected one of `id`, `agency`, `agency_id`, `serves`, `endpoint`, \
         `calendar`, `max_in_flight`, `timeout`, `retry`, `valid`, `idempotent`, `queryable`, `rate`, `outages`, \
         `office_hours_only`, `canary`, `replies`, `allow`, `envelope`",
    );
}

#[test]
fn units() {
    let provinces = "one of the 34 province codes";
    check_police(
        "\"38\"",
        "\"39\"",
        "14:25",
        "`serves.provinces` is `39`",
        provinces,
    );
    // Without quotes the zeros are kept: the message shows them.
    check_police(
        "\"14797\"",
        "00000",
        "14:40",
        "`serves.units` is `00000`",
        "the code of a unit in force since 2025-07-01",
    );
    check_police(
        "provinces: [\"38\"], units: [\"14797\"]",
        "",
        "14:11",
        "`serves` names nothing",
        "`provinces: all`, a list of provinces, or a list of units",
    );
}

#[test]
fn limits() {
    let duration = "a duration like `500ms`, `10s`, `5m` or `1h`";
    for wrong in ["500", "0s", "10 s", "1d", "-1s"] {
        let found = format!("`timeout` is `{wrong}`");
        check_police("500ms", wrong, "18:12", &found, duration);
    }
    check(
        "10s\n  retry: { steps: [1m, 5m], attempts: 12 }",
        "10s\n  retry: { steps: [1m, 5 minutes], attempts: 0 }",
        "d.yaml:9:24: destination `justice-all`: `retry.steps` is `5 minutes`; expected a duration like `500ms`, \
         `10s`, `5m` or `1h`\n\
         d.yaml:9:46: destination `justice-all`: `retry.attempts` is 0; expected a whole number from 1 on",
    );
    let at_least_one = "a whole number from 1 on";
    let limit = "ward-police\n  max_in_flight: ";
    let (eight, none) = (format!("{limit}8"), format!("{limit}0"));
    check_police(&eight, &none, "17:18", "`max_in_flight` is 0", at_least_one);
    check_police(
        "calendar: ward-police",
        "calendar: ward",
        "16:13",
        "`calendar` is `ward`",
        "one of the calendars `national-office`, `social-insurance`, `thanh-hoa-commune`, `ward-police`",
    );
}

#[test]
fn endpoints() {
    check_police(
        "grpc+unary://127.0.0.1:7102",
        "https://127.0.0.1",
        "15:13",
        "`endpoint` is `https://127.0.0.1`",
        ENDPOINT,
    );
    let line = "  endpoint: grpc+unary://127.0.0.1:7102\n";
    check_police(line, "", "11:3", "`endpoint` is missing", ENDPOINT);
}

#[test]
fn an_id_is_used_once() {
    check(
        "id: police-38",
        "id: justice-all",
        "d.yaml:11:7: destination `justice-all` is defined a second time; expected an id other than that of d.yaml:1:7",
    );
}

#[test]
fn a_unit_is_served_once_a_day() {
    let police = &DESTINATIONS[DESTINATIONS.find("- id: police").unwrap()..];
    let new = with(police, "police-38", "police-new");
    let problem = |at: &str, units: &str, first: &str| {
        format!(
            "d.yaml:{at}: destination `police-new`: `police-38` also serves agency `police` for {units}; expected \
             days other than those of d.yaml:{first}, from 2026-01-01 until 2026-12-31"
        )
    };
    let both = [
        problem("24:25", "province 38", "14:25"),
        problem("24:40", "unit 14797", "14:40"),
    ];
    assert_eq!(
        read(ROUTE, &format!("{DESTINATIONS}{new}")).unwrap_err(),
        both.join("\n")
    );
    let later = with(
        &new,
        "from: 2026-01-01, until: 2026-12-31",
        "from: 2027-01-01",
    );
    assert!(read(ROUTE, &format!("{DESTINATIONS}{later}")).is_ok());
}

#[test]
fn all_problems_are_told_at_once() {
    let route = with(ROUTE, "en: Birth", "en: \"\"");
    let route = with(&route, "after: [civil-status]", "after: [no-step]");
    let route = with(&route, "2 working days", "soon");
    let destinations = with(DESTINATIONS, "500ms", "now");
    let destinations = with(&destinations, "calendar: ward-police", "calendar: none");
    let problems = read(&route, &destinations).unwrap_err();
    let places: Vec<_> = problems
        .lines()
        .filter_map(|line| line.split(": ").next())
        .collect();
    let expected = [
        "d.yaml:16:13",
        "d.yaml:18:12",
        "r.yaml:2:29",
        "r.yaml:22:13",
        "r.yaml:26:13",
    ];
    assert_eq!(places, expected);
}
