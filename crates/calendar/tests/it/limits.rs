//! Legal limits, worked out by hand. Reliability row T4.

use calendar::{Calendar, Exception, Rules, Side};
use jiff::civil::{Time, date, time};

use crate::{at, built_in};

#[track_caller]
fn check(calendar: &Calendar, filed: &str, within: &str, due: &str) {
    check_with(calendar, filed, within, None, due);
}

#[track_caller]
fn check_with(calendar: &Calendar, filed: &str, within: &str, cut_off: Option<Time>, due: &str) {
    let found = calendar.deadline(at(filed), &within.parse().unwrap(), cut_off);
    assert_eq!(found, Ok(at(due)), "{within} from {filed}");
}

#[test]
fn working_days_are_counted_after_the_day_of_receipt() {
    let office = built_in("national-office");
    // The appointment of a real four-step birth bundle.
    check(
        &office,
        "2026-09-21 09:00",
        "4 working days",
        "2026-09-25 17:00",
    );
    check(
        &office,
        "2026-09-21 09:00",
        "1 working day",
        "2026-09-22 17:00",
    );
    check(
        &office,
        "2026-09-21 06:00",
        "1 working day",
        "2026-09-22 17:00",
    );
    check(
        &office,
        "2026-09-25 09:00",
        "1 working day",
        "2026-09-28 17:00",
    );
    check(
        &office,
        "2026-01-09 09:00",
        "1 working day",
        "2026-01-10 17:00",
    ); // worked Saturday
    check(
        &office,
        "2026-08-28 09:00",
        "1 working day",
        "2026-09-03 17:00",
    );
    check(
        &office,
        "2026-11-23 09:00",
        "1 working day",
        "2026-11-25 17:00",
    );
    check(
        &office,
        "2026-02-12 09:00",
        "2 working days",
        "2026-02-23 17:00",
    );
    check(
        &office,
        "2025-12-31 09:00",
        "7 working days",
        "2026-01-12 17:00",
    );
}

#[test]
fn what_is_filed_after_the_cut_off_is_received_on_the_next_working_day() {
    let office = built_in("national-office");
    check(
        &office,
        "2026-09-21 14:59:59",
        "same day",
        "2026-09-21 17:00",
    );
    check(
        &office,
        "2026-09-21 15:00:00",
        "same day",
        "2026-09-21 17:00",
    );
    check(
        &office,
        "2026-09-21 15:00:00.001",
        "same day",
        "2026-09-22 17:00",
    );
    check(
        &office,
        "2026-09-21 15:00:01",
        "same day",
        "2026-09-22 17:00",
    );
    check(
        &office,
        "2026-09-21 15:00:01",
        "2 working days",
        "2026-09-24 17:00",
    );
    check(&office, "2026-09-25 16:00", "same day", "2026-09-28 17:00");
    check(
        &office,
        "2026-09-25 16:00",
        "1 working day",
        "2026-09-29 17:00",
    );
    check(&office, "2026-02-13 15:01", "same day", "2026-02-23 17:00");
    check(&office, "2026-09-21 15:00:01", "5 days", "2026-09-28 17:00"); // 22 + 5 = Sunday 27
    check(&office, "2026-09-30 16:00", "1 month", "2026-11-02 17:00"); // Sunday 1 November
}

#[test]
fn what_is_filed_on_a_closed_day_is_received_on_the_next_working_day() {
    let office = built_in("national-office");
    check(&office, "2026-09-19 10:00", "same day", "2026-09-21 17:00");
    check(
        &office,
        "2026-09-19 10:00",
        "2 working days",
        "2026-09-23 17:00",
    );
    check(&office, "2026-02-17 10:00", "same day", "2026-02-23 17:00");
    check(
        &office,
        "2026-08-31 10:00",
        "1 working day",
        "2026-09-04 17:00",
    );
    assert_eq!(
        office.received_on(at("2026-09-19 10:00"), None),
        Ok(date(2026, 9, 21))
    );
    assert_eq!(
        office.received_on(at("2026-09-21 15:00"), None),
        Ok(date(2026, 9, 21))
    );
}

#[test]
fn the_closing_time_is_each_offices_own() {
    let police = built_in("ward-police");
    check(&police, "2026-09-21 09:00", "same day", "2026-09-21 16:30");
    check(
        &police,
        "2026-09-25 09:00",
        "2 working days",
        "2026-09-28 16:30",
    ); // Saturday counts
    check(&police, "2026-09-26 16:00", "same day", "2026-09-28 16:30");
}

#[test]
fn a_route_may_set_its_own_cut_off() {
    let office = built_in("national-office");
    let noon = Some(time(12, 0, 0, 0));
    check_with(
        &office,
        "2026-09-21 12:00",
        "same day",
        noon,
        "2026-09-21 17:00",
    );
    check_with(
        &office,
        "2026-09-21 12:01",
        "same day",
        noon,
        "2026-09-22 17:00",
    );
    let late = Some(time(16, 30, 0, 0));
    check_with(
        &office,
        "2026-09-21 16:00",
        "same day",
        late,
        "2026-09-21 17:00",
    );
}

#[test]
fn working_hours_are_plain_working_time() {
    let office = built_in("national-office");
    // Decree 63/2024/NĐ-CP, Art. 25(1): notice data of a birth or death.
    check(
        &office,
        "2026-09-21 07:30",
        "4 working hours",
        "2026-09-21 11:30",
    );
    check(
        &office,
        "2026-09-21 09:00",
        "4 working hours",
        "2026-09-21 14:30",
    );
    check(
        &office,
        "2026-09-25 15:30",
        "4 working hours",
        "2026-09-28 10:00",
    ); // no cut-off
    check(
        &office,
        "2026-09-21 02:00",
        "4 working hours",
        "2026-09-21 11:30",
    );
    check(
        &office,
        "2026-02-14 20:00",
        "4 working hours",
        "2026-02-23 11:30",
    );
    check(
        &office,
        "2026-09-21 13:00",
        "1 working hour",
        "2026-09-21 14:00",
    );
}

#[test]
fn civil_days_that_end_on_a_closed_day_end_on_the_next_working_day() {
    let office = built_in("national-office");
    check(&office, "2026-09-23 09:00", "5 days", "2026-09-28 17:00");
    check(&office, "2026-09-21 09:00", "5 days", "2026-09-28 17:00"); // Saturday
    check(&office, "2026-09-21 09:00", "1 day", "2026-09-22 17:00");
    check(&office, "2026-01-20 09:00", "30 days", "2026-02-23 17:00"); // 19 February, Tết
    check(&office, "2026-01-08 09:00", "2 days", "2026-01-10 17:00"); // worked Saturday
}

#[test]
fn months_end_on_the_same_number_or_the_last_day() {
    let office = built_in("national-office");
    check(&office, "2026-09-21 09:00", "1 month", "2026-10-21 17:00");
    check(&office, "2026-01-30 09:00", "1 month", "2026-03-02 17:00"); // Saturday 28 February
    check(&office, "2026-03-31 09:00", "1 month", "2026-05-04 17:00"); // 30 April and 1 May
    check(&office, "2026-07-31 09:00", "2 months", "2026-09-30 17:00"); // no 31 September
    check(&office, "2025-11-28 09:00", "3 months", "2026-03-02 17:00");
}

#[test]
fn months_know_leap_years() {
    let hours = "07:30-11:30, 13:00-17:00".parse().unwrap();
    let rules = Rules::new("plain", date(2024, 1, 1), date(2033, 12, 31)).open_weekdays(&hours);
    let office = Calendar::new(rules).unwrap();
    check(&office, "2028-01-31 09:00", "1 month", "2028-02-29 17:00");
    check(&office, "2027-01-29 09:00", "1 month", "2027-03-01 17:00"); // Sunday 28 February
    check(&office, "2028-02-29 09:00", "12 months", "2029-02-28 17:00");
    check(
        &office,
        "2028-02-28 09:00",
        "1 working day",
        "2028-02-29 17:00",
    );
    check(&office, "2028-02-28 09:00", "2 days", "2028-03-01 17:00");
}

#[test]
fn a_half_day_closes_early_whatever_the_cut_off() {
    let mut rules = built_in("national-office").rules().clone();
    let half = Exception {
        hours: "07:30-11:30".parse().unwrap(),
        reason: "half".to_owned(),
    };
    rules.exceptions.insert(date(2026, 12, 24), half);
    let office = Calendar::new(rules).unwrap();
    check(&office, "2026-12-24 10:00", "same day", "2026-12-24 11:30");
    check(&office, "2026-12-24 11:30", "same day", "2026-12-25 17:00"); // closed already
    check(
        &office,
        "2026-12-24 12:00",
        "1 working day",
        "2026-12-28 17:00",
    );
    check(
        &office,
        "2026-12-23 10:00",
        "1 working day",
        "2026-12-24 11:30",
    );
}

#[test]
fn without_a_cut_off_the_closing_is_one() {
    let mut rules = built_in("national-office").rules().clone();
    rules.cut_off = None;
    let office = Calendar::new(rules).unwrap();
    check(
        &office,
        "2026-09-21 16:59:59",
        "same day",
        "2026-09-21 17:00",
    );
    check(&office, "2026-09-21 17:00", "same day", "2026-09-22 17:00");
    check(&office, "2026-09-21 23:00", "same day", "2026-09-22 17:00");
    check(&office, "2026-09-21 12:00", "same day", "2026-09-21 17:00"); // lunch is no closing
}

#[test]
fn a_limit_that_leaves_the_validity_has_no_answer() {
    let office = built_in("national-office");
    check(&office, "2027-12-31 09:00", "same day", "2027-12-31 17:00");
    let side = |filed: &str, within: &str| {
        office
            .deadline(at(filed), &within.parse().unwrap(), None)
            .unwrap_err()
            .side
    };
    assert_eq!(side("2027-12-31 09:00", "1 working day"), Side::After);
    assert_eq!(side("2027-12-31 15:01", "same day"), Side::After);
    assert_eq!(side("2027-12-31 09:00", "9 working hours"), Side::After);
    assert_eq!(
        side("2027-12-31 09:00", "4294967295 working days"),
        Side::After
    );
    assert_eq!(
        side("2027-12-31 09:00", "4294967295 working hours"),
        Side::After
    );
    assert_eq!(side("2027-12-31 09:00", "4294967295 days"), Side::After);
    assert_eq!(side("2027-12-31 09:00", "4294967295 months"), Side::After);
    assert_eq!(side("2028-02-29 09:00", "same day"), Side::After);
    assert_eq!(side("2024-12-31 09:00", "2 working days"), Side::Before);
}
