//! Calendar files, good and bad.

use std::error::Error;

use calendar::{Calendars, WorkingTime};
use jiff::civil::date;

use crate::at;

const GOOD: &str = "\
id: clinic
offset: +08:00
valid: { from: 2026-01-01, until: 2026-12-31 }
hours:
  monday: &day 08:00-12:00, 13:00-17:00
  tuesday: *day
  sunday: 20:00-24:00
cut_off: 14:30
exceptions:
  - { date: 2026-09-22, hours: off, reason: inventory }
  - date: 2026-09-26
    hours: 08:00-09:00
    reason: open day
";

#[test]
fn a_file_says_all_that_a_calendar_knows() {
    let calendars = Calendars::from_yaml([("clinic.yaml", GOOD)]).unwrap();
    let clinic = calendars.get("clinic").unwrap();
    assert_eq!(clinic.id(), "clinic");
    assert_eq!(clinic.offset().seconds(), 8 * 3600);
    assert_eq!(clinic.cut_off().unwrap().to_string(), "14:30:00");
    assert_eq!(
        (clinic.valid_from(), clinic.valid_until()),
        (date(2026, 1, 1), date(2026, 12, 31))
    );
    let hours = |day| clinic.hours_on(date(2026, 9, day)).to_string();
    let week = [
        "off",
        "08:00-12:00, 13:00-17:00",
        "off",
        "off",
        "off",
        "off",
        "08:00-09:00",
    ];
    assert_eq!([20, 21, 22, 23, 24, 25, 26].map(hours)[1..], week[1..]);
    assert_eq!(hours(27), "20:00-24:00");
    assert_eq!(
        clinic.exception_on(date(2026, 9, 22)).unwrap().reason,
        "inventory"
    );
    assert!(clinic.is_open(at("2026-09-21 07:00")), "08:00 there");
    assert!(calendars.get("hospital").is_none());
}

#[test]
fn the_files_that_come_along_are_good() {
    let calendars = Calendars::built_in().unwrap();
    let ids: Vec<_> = calendars
        .iter()
        .map(|calendar| calendar.id().to_owned())
        .collect();
    assert_eq!(
        ids,
        [
            "national-office",
            "social-insurance",
            "thanh-hoa-commune",
            "ward-police"
        ]
    );
    for calendar in calendars.iter() {
        assert_eq!(calendar.cut_off().unwrap().to_string(), "15:00:00");
        assert!(!calendar.is_working_day(date(2026, 2, 17)));
        assert!(calendar.is_working_day(date(2026, 8, 22)));
    }
}

#[test]
fn the_files_own_exceptions_win_over_the_base() {
    let text = "\
id: desk
base: vietnam
valid: { from: 2026-01-01, until: 2026-12-31 }
hours: { tuesday: 08:00-12:00 }
exceptions: [{ date: 2026-11-24, hours: 09:00-10:00, reason: open on Culture Day }]
";
    let calendars = Calendars::from_yaml([("desk.yaml", text)]).unwrap();
    let desk = calendars.get("desk").unwrap();
    let culture_day = desk.between(at("2026-11-24 00:00"), at("2026-11-25 00:00"));
    assert_eq!(culture_day, Ok(WorkingTime::from_hours(1)));
    assert!(!desk.is_working_day(date(2026, 2, 17)));
}

/// Replaces a part of the good file and expects this error.
#[track_caller]
fn check(part: &str, with: &str, expected: &str) {
    assert!(GOOD.contains(part), "`{part}` is not in the file");
    let text = GOOD.replacen(part, with, 1);
    let error = Calendars::from_yaml([("clinic.yaml", text)]).unwrap_err();
    let source = error
        .source()
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    assert_eq!(format!("{error}{source}"), expected);
}

#[test]
fn a_bad_value_is_named_with_its_place_and_what_was_expected() {
    check(
        "+08:00",
        "eight",
        "clinic.yaml:2:9: field `offset`: expected an offset like `+07:00`, got `eight`",
    );
    check(
        "2026-12-31",
        "2026-13-31",
        "clinic.yaml:3:35: field `valid.until`: expected a date like `2026-12-31`, not before \
         `valid.from`, got `2026-13-31`",
    );
    check(
        "20:00-24:00",
        "20:00-19:00",
        "clinic.yaml:7:11: field `hours.sunday`: expected `off` or spans in order like \
         `07:30-11:30, 13:00-17:00`, got `20:00-19:00`",
    );
    check(
        "14:30",
        "2pm",
        "clinic.yaml:8:10: field `cut_off`: expected a time like `15:00`, got `2pm`",
    );
    check(
        "2026-09-26",
        "2026-09-22",
        "clinic.yaml:11:11: field `exceptions[1].date`: expected a date inside the validity that no \
         other exception has, got `2026-09-22`",
    );
    check(
        "2026-09-26",
        "2027-09-26",
        "clinic.yaml:11:11: field `exceptions[1].date`: expected a date inside the validity that no \
         other exception has, got `2027-09-26`",
    );
    check(
        "08:00-09:00",
        "morning",
        "clinic.yaml:12:12: field `exceptions[1].hours`: expected `off` or spans in order like \
         `07:30-11:30, 13:00-17:00`, got `morning`",
    );
    check(
        "offset: +08:00",
        "base: france",
        "clinic.yaml:2:7: field `base`: expected `vietnam` or no base, got `france`",
    );
}

#[test]
fn values_that_do_not_fit_together_are_named_too() {
    check(
        "id: clinic",
        "id: The Clinic",
        "clinic.yaml:1:5: field `id` does not fit the others: calendar id must be 1 to 63 lowercase \
         letters, digits or hyphens, got `The Clinic`",
    );
    check(
        "2026-12-31",
        "2025-12-31",
        "clinic.yaml:3:35: field `valid.until`: expected a date like `2026-12-31`, not before \
         `valid.from`, got `2025-12-31`",
    );
    check(
        "2026-12-31",
        "2226-12-31",
        "clinic.yaml:3:8: field `valid` does not fit the others: 73413 days of validity are more \
         than the 36600 allowed",
    );
    check(
        "until: 2026-12-31 }",
        "until: 2028-12-31 }\nbase: vietnam",
        "clinic.yaml:3:8: field `valid` does not fit the others: national days are known from \
         2025-01-01 to 2027-12-31 only",
    );
}

#[test]
fn the_shape_is_checked() {
    check(
        "cut_off",
        "cutoff",
        "clinic.yaml:8:1: unknown field `cutoff`, expected one of id, offset, base, valid, hours, \
         cut_off, exceptions",
    );
    check(
        "  monday",
        "  mondays",
        "clinic.yaml:5:3: unknown field `mondays`, expected one of monday, tuesday, wednesday, \
         thursday, friday, saturday, sunday",
    );
    check(
        "reason: inventory",
        "because: inventory",
        "clinic.yaml:10:37: unknown field `because`, expected one of date, hours, reason",
    );
    check("id: clinic\n", "", "clinic.yaml:8:1: missing field `id`");
    check(
        "hours:\n",
        "hours: [\n",
        "clinic.yaml:4:8: expected mapping start",
    );
    check(
        "offset: +08:00",
        "id: again",
        "clinic.yaml:2:1: duplicate mapping key `id` is not allowed here",
    );
}

#[test]
fn two_files_cannot_define_the_same_calendar() {
    let error = Calendars::from_yaml([("a.yaml", GOOD), ("b.yaml", GOOD)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "b.yaml:1:5: field `id`: expected an id of its own, but calendar `clinic` is defined twice"
    );
}
