//! Figures worked out with a printed calendar. Reliability row T4.

use calendar::{
    Basis, Calendar, Exception, Hours, InvalidRules, NationalDayKind, Rules, Side, WorkingTime,
    national_days,
};
use jiff::civil::{Date, date, time};

use crate::{at, built_in};

/// The plain office without national days, over ten years with three leap days.
fn ten_years() -> Rules {
    let hours: Hours = "07:30-11:30, 13:00-17:00".parse().unwrap();
    Rules::new("ten-years", date(2024, 1, 1), date(2033, 12, 31)).open_weekdays(&hours)
}

/// Working minutes between two instants, forwards, backwards, and as a budget.
#[track_caller]
fn check(calendar: &Calendar, from: &str, to: &str, minutes: i64) {
    let (from, to) = (at(from), at(to));
    let time = WorkingTime::from_minutes(minutes);
    assert_eq!(calendar.between(from, to), Ok(time));
    assert_eq!(calendar.between(to, from), Ok(-time));
    assert_eq!(calendar.budget(from, to), time);
}

#[track_caller]
fn working_days(calendar: &Calendar, year: i16, expected: usize) {
    let days = date(year, 1, 1).series(jiff::Span::new().days(1));
    let worked = days
        .take_while(|day| day.year() == year)
        .filter(|d| calendar.is_working_day(*d));
    assert_eq!(worked.count(), expected, "working days of {year}");
}

#[test]
fn nights_lunches_and_weekends_do_not_count() {
    let office = built_in("national-office");
    check(&office, "2026-09-21 07:30", "2026-09-21 17:00", 480);
    check(&office, "2026-09-21 00:00", "2026-09-22 00:00", 480);
    check(&office, "2026-09-21 11:00", "2026-09-21 13:30", 60);
    check(&office, "2026-09-21 11:45", "2026-09-21 12:45", 0);
    check(&office, "2026-09-25 16:30", "2026-09-28 08:00", 60); // the example of the console
    check(&office, "2026-09-21 00:00", "2026-09-28 00:00", 5 * 480);
}

#[test]
fn each_office_keeps_its_own_hours() {
    let commune = built_in("thanh-hoa-commune");
    check(&commune, "2026-09-21 07:00", "2026-09-21 07:30", 30);
    check(&commune, "2026-09-21 13:00", "2026-09-21 13:30", 0);
    check(&commune, "2026-09-21 00:00", "2026-09-28 00:00", 5 * 480);
    let police = built_in("ward-police");
    check(&police, "2026-09-26 00:00", "2026-09-27 00:00", 450); // Saturday
    check(&police, "2026-09-21 00:00", "2026-09-28 00:00", 6 * 450);
    check(&police, "2025-02-01 00:00", "2025-02-02 00:00", 0); // Saturday of Tết
    check(&police, "2026-08-22 00:00", "2026-08-23 00:00", 450); // swapped for Monday, no change
    let insurance = built_in("social-insurance");
    check(&insurance, "2026-09-21 00:00", "2026-09-28 00:00", 5 * 480);
}

#[test]
fn holidays_are_closed() {
    let office = built_in("national-office");
    check(&office, "2025-01-24 17:00", "2025-02-03 07:30", 0); // Tết 2025
    check(&office, "2026-02-13 16:00", "2026-02-23 08:30", 120); // Tết 2026
    check(&office, "2027-02-03 17:00", "2027-02-11 07:30", 0); // Tết 2027, computed
    check(&office, "2026-04-24 17:00", "2026-04-28 07:30", 0); // a Sunday's holiday, given on Monday
    check(&office, "2026-04-29 17:00", "2026-05-04 07:30", 0);
    check(&office, "2026-11-23 16:59", "2026-11-25 07:31", 2); // Culture Day, a Tuesday
    check(&office, "2025-11-24 00:00", "2025-11-25 00:00", 480); // not yet in 2025
    check(&office, "2027-04-30 00:00", "2027-05-04 00:00", 0); // a Saturday's holiday, given on Monday
}

#[test]
fn a_swapped_day_is_free_and_its_saturday_worked() {
    let office = built_in("national-office");
    check(&office, "2025-04-26 00:00", "2025-04-27 00:00", 480);
    check(&office, "2025-05-02 00:00", "2025-05-03 00:00", 0);
    check(&office, "2025-12-31 16:00", "2026-01-05 08:30", 120); // 1 January and the swapped 2nd
    check(&office, "2026-01-09 16:30", "2026-01-10 08:00", 60); // Friday, then the worked Saturday
    check(&office, "2026-08-22 00:00", "2026-08-23 00:00", 480);
    check(&office, "2026-08-28 17:00", "2026-09-03 07:30", 0);
}

#[test]
fn a_worked_saturday_has_the_hours_of_the_day_it_replaces() {
    let mut rules = ten_years();
    (rules.valid_from, rules.valid_until) = (date(2026, 1, 1), date(2026, 12, 31));
    rules.weekly[0] = "08:00-10:00".parse().unwrap(); // Mondays are short
    let office = Calendar::new(rules.on_national_days(&national_days()).unwrap()).unwrap();
    assert_eq!(
        office.hours_on(date(2026, 8, 22)).to_string(),
        "08:00-10:00"
    ); // for a Monday
    assert_eq!(
        office.hours_on(date(2026, 1, 10)).to_string(),
        "07:30-11:30, 13:00-17:00"
    ); // a Friday
    assert_eq!(
        office.exception_on(date(2026, 2, 17)).unwrap().reason,
        "Tết Nguyên Đán"
    );
}

#[test]
fn half_days_and_days_off_of_one_office() {
    let mut rules = ten_years();
    let own = |hours: &str| Exception {
        hours: hours.parse().unwrap(),
        reason: "own".to_owned(),
    };
    rules
        .exceptions
        .insert(date(2026, 12, 24), own("07:30-11:30"));
    rules
        .exceptions
        .insert(date(2026, 12, 26), own("08:00-09:00"));
    rules.exceptions.insert(date(2026, 12, 28), own("off"));
    let office = Calendar::new(rules).unwrap();
    check(&office, "2026-12-24 10:00", "2026-12-25 08:00", 120);
    check(&office, "2026-12-25 17:00", "2026-12-29 07:30", 60); // the opened Saturday
    check(
        &office,
        "2026-12-21 00:00",
        "2026-12-28 00:00",
        4 * 480 + 240 + 60,
    );
}

#[test]
fn years_have_the_working_days_counted_by_hand() {
    let office = built_in("national-office");
    working_days(&office, 2025, 261 - 12 + 1);
    working_days(&office, 2026, 261 - 14 + 2);
    working_days(&office, 2027, 261 - 12);
    check(&office, "2026-01-01 00:00", "2027-01-01 00:00", 249 * 480);
}

#[test]
fn ten_years_with_three_leap_days() {
    let office = Calendar::new(ten_years()).unwrap();
    check(&office, "2024-01-01 00:00", "2034-01-01 00:00", 2610 * 480); // 521 weeks, Monday to Saturday
    check(&office, "2028-02-28 17:00", "2028-03-01 07:30", 480); // Tuesday 29 February 2028
    check(&office, "2027-02-26 17:00", "2027-03-01 07:30", 0); // there is no 29 February 2027
    check(&office, "2024-02-28 17:00", "2024-03-01 07:30", 480);
    check(&office, "2032-02-27 17:00", "2032-03-02 07:30", 480); // 29 February 2032 is a Sunday
}

/// From an instant so much working time on, and the instant of the same position on the way back.
#[track_caller]
fn walk(calendar: &Calendar, start: &str, minutes: i64, end: &str, back: &str) {
    let time = WorkingTime::from_minutes(minutes);
    assert_eq!(calendar.add(at(start), time), Ok(at(end)));
    assert_eq!(calendar.add(at(end), -time), Ok(at(back)));
}

#[test]
fn adding_ends_at_a_closing_and_walking_back_at_an_opening() {
    let office = built_in("national-office");
    walk(
        &office,
        "2026-09-21 08:00",
        60,
        "2026-09-21 09:00",
        "2026-09-21 08:00",
    );
    walk(
        &office,
        "2026-09-21 07:30",
        240,
        "2026-09-21 11:30",
        "2026-09-21 07:30",
    );
    walk(
        &office,
        "2026-09-21 07:30",
        241,
        "2026-09-21 13:01",
        "2026-09-21 07:30",
    );
    walk(
        &office,
        "2026-09-21 11:30",
        1,
        "2026-09-21 13:01",
        "2026-09-21 13:00",
    );
    walk(
        &office,
        "2026-09-25 17:00",
        480,
        "2026-09-28 17:00",
        "2026-09-28 07:30",
    );
    walk(
        &office,
        "2026-02-13 16:30",
        60,
        "2026-02-23 08:00",
        "2026-02-13 16:30",
    );
    assert_eq!(
        office.add(at("2026-09-26 12:00"), WorkingTime::ZERO),
        Ok(at("2026-09-26 12:00"))
    );
}

#[test]
fn open_closed_and_open_next() {
    let office = built_in("national-office");
    let open = |text| office.is_open(at(text));
    assert!(open("2026-09-21 07:30") && open("2026-09-21 11:29:59.9") && open("2026-08-22 09:00"));
    assert!(
        !open("2026-09-21 07:29:59.9") && !open("2026-09-21 11:30") && !open("2026-11-24 09:00")
    );
    let next = |text| office.next_open(at(text));
    assert_eq!(
        next("2026-09-21 09:12:13.5"),
        Ok(at("2026-09-21 09:12:13.5"))
    );
    assert_eq!(next("2026-09-21 11:30"), Ok(at("2026-09-21 13:00")));
    assert_eq!(next("2026-02-13 17:00"), Ok(at("2026-02-23 07:30")));
    assert_eq!(next("2027-12-31 17:00").unwrap_err().side, Side::After);
    assert_eq!(
        office.date_of("2026-09-20T17:00:00Z".parse().unwrap()),
        date(2026, 9, 21)
    );
    assert_eq!(
        office.date_of("2026-09-20T16:59:59Z".parse().unwrap()),
        date(2026, 9, 20)
    );
}

#[test]
fn outside_its_validity_a_calendar_does_not_guess() {
    let office = built_in("national-office");
    let leap_day = at("2028-02-29 09:00");
    let error = office
        .between(at("2027-12-31 09:00"), leap_day)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the time asked for lies after 2027-12-31, the limit of calendar `national-office`"
    );
    let hour = WorkingTime::from_hours(1);
    assert_eq!(office.add(leap_day, hour).unwrap_err().side, Side::After);
    assert_eq!(
        office.add(at("2027-12-31 16:30"), hour).unwrap_err().side,
        Side::After
    );
    assert_eq!(
        office.add(at("2024-12-31 16:30"), hour).unwrap_err().side,
        Side::Before
    );
    assert_eq!(
        office.add(at("2025-01-02 08:00"), -hour).unwrap_err().side,
        Side::Before
    );
    assert_eq!(
        office.between(leap_day, leap_day).unwrap_err().limit,
        date(2027, 12, 31)
    );
    // The midnights around it belong to it.
    check(&office, "2025-01-01 00:00", "2025-01-03 00:00", 480);
    check(&office, "2027-12-31 12:00", "2028-01-01 00:00", 240);
}

#[test]
fn a_budget_goes_on_with_the_plain_week() {
    let office = built_in("national-office");
    let budget = |from, to| office.budget(at(from), at(to)).as_minutes();
    assert_eq!(budget("2027-12-31 16:30", "2028-01-03 08:00"), 30 + 30); // Friday to Monday
    assert_eq!(budget("2028-02-28 00:00", "2028-03-06 00:00"), 5 * 480);
    assert_eq!(budget("2024-12-30 00:00", "2025-01-02 00:00"), 2 * 480); // 1 January is known
    assert_eq!(budget("2028-01-03 08:00", "2027-12-31 16:30"), -60);
    assert!(office.is_working_day(date(2028, 9, 4)) && !office.is_working_day(date(2028, 9, 3)));
    assert!(office.is_open(at("2024-12-31 09:00")) && !office.is_open(at("2028-01-01 09:00")));
}

#[test]
fn a_pause_moves_the_deadline_by_the_working_time_it_took() {
    let office = built_in("national-office");
    let due = at("2026-09-25 17:00");
    let resume = |from, to| office.resume(due, at(from), at(to));
    assert_eq!(
        resume("2026-09-22 09:00", "2026-09-22 11:00"),
        Ok(at("2026-09-28 09:30"))
    );
    assert_eq!(
        resume("2026-09-22 09:00", "2026-09-23 09:00"),
        Ok(at("2026-09-28 17:00"))
    );
    assert_eq!(resume("2026-09-22 17:00", "2026-09-23 07:30"), Ok(due)); // a night is no loss
    assert_eq!(resume("2026-09-23 09:00", "2026-09-22 09:00"), Ok(due));
    assert_eq!(resume("2026-02-13 17:00", "2026-02-23 07:30"), Ok(due)); // nor is Tết
}

#[test]
fn the_national_days_are_those_of_the_official_schedules() {
    let days = national_days();
    let of_year = |year: i16| days.iter().filter(move |day| day.date.year() == year);
    assert_eq!(
        [2025, 2026, 2027].map(|year| of_year(year).count()),
        [14, 17, 15]
    );
    let kind = |day: Date| {
        days.iter()
            .find(|known| known.date == day)
            .map(|known| known.kind)
    };
    let swaps = [
        (date(2025, 5, 2), date(2025, 4, 26)),
        (date(2026, 1, 2), date(2026, 1, 10)),
        (date(2026, 8, 31), date(2026, 8, 22)),
    ];
    for (off, worked_on) in swaps {
        assert_eq!(kind(off), Some(NationalDayKind::SwapOff { worked_on }));
        assert_eq!(
            kind(worked_on),
            Some(NationalDayKind::SwapWork { replaces: off })
        );
    }
    assert_eq!(
        days.iter().filter(|day| day.is_worked()).count(),
        swaps.len()
    );
    let in_lieu = |of| Some(NationalDayKind::InLieu { of });
    assert_eq!(kind(date(2026, 4, 27)), in_lieu(date(2026, 4, 26)));
    assert_eq!(kind(date(2027, 5, 3)), in_lieu(date(2027, 5, 1)));
    assert_eq!(kind(date(2026, 11, 24)), Some(NationalDayKind::Holiday));
    assert_eq!(kind(date(2025, 11, 24)), None);
    assert!(of_year(2027).all(|day| day.basis == Basis::Statutory));
    assert!(
        of_year(2026)
            .chain(of_year(2025))
            .all(|day| day.basis == Basis::Announced)
    );
}

#[test]
fn rules_that_make_no_calendar_are_refused() {
    let error = |change: fn(&mut Rules)| {
        let mut rules = ten_years();
        change(&mut rules);
        Calendar::new(rules).unwrap_err()
    };
    assert_eq!(
        error(|rules| rules.id = "Ward 7".to_owned()),
        InvalidRules::Id("Ward 7".to_owned())
    );
    assert_eq!(
        error(|rules| rules.weekly = Default::default()),
        InvalidRules::NeverOpen
    );
    assert_eq!(
        error(|rules| rules.valid_until = date(2023, 12, 31)),
        InvalidRules::Backwards {
            from: date(2024, 1, 1),
            until: date(2023, 12, 31)
        }
    );
    assert_eq!(
        error(|rules| rules.valid_until = date(9999, 12, 31)),
        InvalidRules::TooLong { days: 2_913_174 }
    );
    let outside = date(2034, 1, 1);
    let exception = || Exception {
        hours: Hours::closed(),
        reason: String::new(),
    };
    let mut rules = ten_years();
    rules.exceptions.insert(outside, exception());
    assert_eq!(
        Calendar::new(rules).unwrap_err(),
        InvalidRules::ExceptionOutside(outside)
    );
    assert_eq!(
        ten_years().on_national_days(&national_days()).unwrap_err(),
        InvalidRules::BeyondNationalDays {
            first: date(2025, 1, 1),
            last: date(2027, 12, 31)
        }
    );
}

#[test]
fn an_office_may_be_open_around_midnight() {
    let mut rules = ten_years();
    rules.weekly = Default::default();
    let (evening, midnight) = (time(22, 0, 0, 0), time(0, 0, 0, 0));
    rules.weekly[0] = Hours::new([(evening, midnight)]).unwrap();
    rules.weekly[1] = Hours::new([(midnight, time(2, 0, 0, 0))]).unwrap();
    let office = Calendar::new(rules).unwrap();
    check(&office, "2026-09-21 23:00", "2026-09-22 01:00", 120);
    walk(
        &office,
        "2026-09-21 22:00",
        120,
        "2026-09-22 00:00",
        "2026-09-21 22:00",
    );
    walk(
        &office,
        "2026-09-21 23:30",
        60,
        "2026-09-22 00:30",
        "2026-09-21 23:30",
    );
}

#[test]
fn fractions_of_a_second_are_dropped_before_1970_too() {
    let mut rules = ten_years();
    (rules.valid_from, rules.valid_until) = (date(1969, 1, 1), date(1970, 12, 31));
    let office = Calendar::new(rules).unwrap();
    for monday in ["1969-09-22", "1970-09-21"] {
        let at = |time: &str| at(&format!("{monday} {time}"));
        assert!(office.is_open(at("11:29:59.5")) && !office.is_open(at("07:29:59.5")));
        let second = WorkingTime::from_seconds(1);
        assert_eq!(office.between(at("11:29:59.5"), at("11:30")), Ok(second));
    }
}
