//! What is valid and yet deserves a look.

use crate::good::{DESTINATIONS, ROUTE, read, with};

/// Step `civil-status` of the valid route, with another limit, at a destination with these lines.
fn warnings(within: &str, lines: &str) -> String {
    warnings_of(&with(ROUTE, "same day", within), lines)
}

fn warnings_of(route: &str, lines: &str) -> String {
    let valid = "12 }\n  valid: { from: 2026-01-01 }\n";
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    let destinations = with(DESTINATIONS, valid, &format!("{valid}{lines}"));
    let set = read(route, &destinations).unwrap();
    let words: Vec<_> = set.warnings().iter().map(ToString::to_string).collect();
    words.join("\n")
}

fn once(from: &str, to: &str) -> String {
    format!("outages: [{{ from: 2026-{from}, to: 2026-{to}, reason: x }}]")
}

#[track_caller]
fn check(within: &str, lines: &str, at: &str, window: &str, takes: &str, ends: &str) {
    let expected = format!(
        "d.yaml:{at}: the window {window} of destination `justice-all` takes {takes} of working time; step \
         `civil-status` of route `birth@2026-09-01` has a limit of `{within}`, which ends at {ends} when it begins with \
         the window"
    );
    assert_eq!(warnings(within, lines), expected);
}

#[track_caller]
fn check_none(within: &str, lines: &str) {
    assert_eq!(warnings(within, lines), "");
}

#[test]
fn a_window_that_outlasts_a_limit_is_told() {
    let lines = once("12-01T18:00", "12-03T09:30");
    let window = "2026-12-01 18:00 to 2026-12-03 09:30";
    check(
        "8 working hours",
        &lines,
        "11:13",
        window,
        "10h",
        "2026-12-02 17:00",
    );
    check_none("10 working hours", &lines);
    check(
        "same day",
        &lines,
        "11:13",
        window,
        "10h",
        "2026-12-02 17:00",
    );
    check_none("1 working day", &lines);
    // Received after the cut-off of 15:00, it is of the next day.
    check_none("same day", &once("12-01T15:30", "12-02T17:00"));
    let window = "2026-12-01 15:00 to 2026-12-02 09:00";
    let lines = once("12-01T15:00", "12-02T09:00");
    check(
        "same day",
        &lines,
        "11:13",
        window,
        "3h 30m",
        "2026-12-01 17:00",
    );
}

#[test]
fn a_limit_counts_in_its_own_kind() {
    // Tuesday to Tuesday: 5 days end on a Sunday and so on the Monday, 5 working days on the Tuesday.
    let lines = once("12-01T07:30", "12-08T12:00");
    let window = "2026-12-01 07:30 to 2026-12-08 12:00";
    check("5 days", &lines, "11:13", window, "44h", "2026-12-07 17:00");
    check_none("5 working days", &lines);
}

#[test]
fn a_window_outside_working_time_never_conflicts() {
    let night = r#"outages: [{ weekly: [mon, tue, wed, thu, fri], from: "17:00", to: "07:30", reason: x }]"#;
    check_none("1 working hour", night);
    check_none("1 working hour", &once("12-04T17:00", "12-07T07:30"));
    check_none(
        "1 working hour",
        &format!("{night}\noffice_hours_only: true"),
    );
}

#[test]
fn a_weekly_window_conflicts_where_a_saturday_is_worked() {
    let lines = r#"outages: [{ weekly: [sat, sun], from: "00:00", to: "00:00", reason: x }]"#;
    // Saturday 2026-08-22 is worked for Monday 2026-08-31.
    let route = with(ROUTE, "{ from: 2026-09-01 }", "{ from: 2026-08-01 }");
    let words = warnings_of(&route, lines);
    assert!(
        words.starts_with(
            "d.yaml:11:13: the window 2026-08-22 00:00 to 2026-08-24 00:00 of destination"
        ),
        "{words}"
    );
    // Not so before the route's first day.
    check_none("same day", lines);
}

#[test]
fn a_weekly_window_over_a_week_with_a_holiday() {
    // Tuesday 2026-09-01 is a holiday, on which nothing is taken.
    let lines = r#"outages: [{ weekly: [tue], from: "07:30", to: "07:30", reason: x }]"#;
    let words = warnings("4 working hours", lines);
    assert!(
        words.contains("the window 2026-09-08 07:30 to 2026-09-09 07:30 (the first of "),
        "{words}"
    );
}

#[test]
fn windows_that_meet_are_one() {
    let one = |from: &str, to: &str| {
        format!("- {{ from: 2026-12-{from}, to: 2026-12-{to}, reason: x }}\n")
    };
    let halves = one("01T13:00", "01T17:00") + &one("02T07:30", "02T09:30");
    check_none("5 working hours", &format!("outages:\n{halves}"));
    let lines = format!("outages:\n{halves}office_hours_only: true");
    let window = "2026-12-01 13:00 to 2026-12-02 09:30";
    check(
        "5 working hours",
        &lines,
        "12:5",
        window,
        "6h",
        "2026-12-02 08:30",
    );
    let touching = one("01T13:00", "01T17:00") + &one("01T17:00", "02T09:30");
    check(
        "5 working hours",
        &format!("outages:\n{touching}"),
        "12:5",
        window,
        "6h",
        "2026-12-02 08:30",
    );
}

#[test]
fn office_hours_only_make_a_window_last_until_the_office_opens() {
    let afternoon = once("12-04T13:00", "12-04T17:00");
    check_none("same day", &afternoon);
    let window = "2026-12-04 13:00 to 2026-12-07 07:30";
    let lines = format!("{afternoon}\noffice_hours_only: true");
    check(
        "same day",
        &lines,
        "11:13",
        window,
        "4h",
        "2026-12-04 17:00",
    );
}

#[test]
fn only_the_steps_that_go_there_count() {
    let police = |lines: &str| {
        let destinations = DESTINATIONS.to_owned() + "  " + lines + "\n";
        let set = read(ROUTE, &destinations).unwrap();
        set.warnings().len()
    };
    // `residence` has two working days; the one of a single day goes elsewhere.
    assert_eq!(police(&once("12-01T07:00", "12-03T16:00")), 0);
    assert_eq!(police(&once("12-01T07:00", "12-04T07:00")), 1);
    // Beyond the days on which the destination serves.
    assert_eq!(
        police(&once("12-31T17:00", "12-31T18:00").replace("to: 2026-12-31", "to: 2027-01-31")),
        1
    );
    assert_eq!(
        police("outages: [{ from: 2027-01-01T07:00, to: 2027-02-01T07:00, reason: x }]"),
        0
    );
}

#[test]
fn an_outcome_that_nobody_can_tell_is_warned_of() {
    let words = "d.yaml:11:15: destination `justice-all` is neither idempotent nor queryable: after an attempt without \
                 an answer, only a later event or a person can tell what became of the delivery";
    assert_eq!(warnings("same day", "idempotent: false"), words);
    check_none("same day", "idempotent: false\nqueryable: true");
    check_none("same day", "idempotent: true");
}
