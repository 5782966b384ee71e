//! What holds on every calendar. Reliability row T4.

use calendar::{Within, WorkingTime};
use jiff::ToSpan;
use proptest::prelude::*;

use crate::office::{MINUTES, minutes, office};

const SECONDS: i64 = 60 * MINUTES as i64;

fn seconds(count: i64) -> WorkingTime {
    WorkingTime::from_seconds(count)
}

fn day_limit() -> impl Strategy<Value = Within> {
    prop_oneof![
        Just(Within::SameDay),
        (1..10_u32).prop_map(Within::WorkingDays),
        (1..20_u32).prop_map(Within::CalendarDays),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn between_counts_the_open_minutes(office in office(), a in 0..=MINUTES, b in 0..=MINUTES) {
        let calendar = office.calendar();
        let (from, to) = (a.min(b), a.max(b));
        let open = office.minutes()[from..to].iter().filter(|open| **open).count();
        let found = calendar.between(office.minute(from), office.minute(to)).unwrap();
        prop_assert_eq!(found, minutes(open));
        prop_assert_eq!(calendar.budget(office.minute(from), office.minute(to)), found);
    }

    #[test]
    fn adding_ends_with_the_minute_that_completes_it(
        office in office(), start in 0..=MINUTES, count in 1..4000_usize,
    ) {
        let open = office.minutes();
        let walked = (start..MINUTES).filter(|minute| open[*minute]).nth(count - 1);
        let found = office.calendar().add(office.minute(start), minutes(count));
        prop_assert_eq!(found.ok(), walked.map(|minute| office.minute(minute + 1)));
    }

    #[test]
    fn walking_back_ends_with_the_minute_that_completes_it(
        office in office(), start in 0..=MINUTES, count in 1..4000_usize,
    ) {
        let open = office.minutes();
        let walked = (0..start).rev().filter(|minute| open[*minute]).nth(count - 1);
        let found = office.calendar().add(office.minute(start), -minutes(count));
        prop_assert_eq!(found.ok(), walked.map(|minute| office.minute(minute)));
    }

    #[test]
    fn the_next_opening_is_the_first_open_minute(office in office(), start in 0..=MINUTES) {
        let (calendar, open) = (office.calendar(), office.minutes());
        let first = (start..MINUTES).find(|minute| open[*minute]);
        let found = calendar.next_open(office.minute(start));
        prop_assert_eq!(found.ok(), first.map(|minute| office.minute(minute)));
        if start < MINUTES {
            prop_assert_eq!(calendar.is_open(office.minute(start)), open[start]);
        }
    }

    #[test]
    fn limits_in_days_are_those_of_the_oracle(
        office in office(), filed in 0..=MINUTES, within in day_limit(),
    ) {
        let found = office.calendar().deadline(office.minute(filed), &within, None);
        prop_assert_eq!(found.ok(), office.deadline(filed, within));
    }

    #[test]
    fn adding_and_between_are_inverse(
        office in office(), start in 0..=SECONDS, time in -400_000..400_000_i64,
    ) {
        let (calendar, start) = (office.calendar(), office.second(start));
        match calendar.add(start, seconds(time)) {
            Ok(end) => prop_assert_eq!(calendar.between(start, end), Ok(seconds(time))),
            Err(_) => {
                let limit = office.second(if time < 0 { 0 } else { SECONDS });
                let left = calendar.between(start, limit).unwrap();
                let too_little = if time < 0 { left > seconds(time) } else { left < seconds(time) };
                prop_assert!(too_little);
            }
        }
    }

    #[test]
    fn adding_what_lies_between_comes_no_later_and_misses_nothing(
        office in office(), a in 0..=SECONDS, b in 0..=SECONDS,
    ) {
        let calendar = office.calendar();
        let (from, to) = (office.second(a.min(b)), office.second(a.max(b)));
        let end = calendar.add(from, calendar.between(from, to).unwrap()).unwrap();
        prop_assert!(from <= end && end <= to);
        prop_assert_eq!(calendar.between(end, to), Ok(WorkingTime::ZERO));
    }

    #[test]
    fn adding_is_monotone_in_start_and_in_time(
        office in office(), starts in [0..=SECONDS, 0..=SECONDS], times in [0..200_000_i64, 0..200_000],
    ) {
        let calendar = office.calendar();
        let [early, late] = [starts[0].min(starts[1]), starts[0].max(starts[1])];
        let [short, long] = [times[0].min(times[1]), times[0].max(times[1])];
        let add = |start, time| calendar.add(office.second(start), seconds(time));
        if let Ok(most) = add(late, long) {
            prop_assert!(add(early, long).unwrap() <= most);
            prop_assert!(add(late, short).unwrap() <= most);
        }
    }

    #[test]
    fn between_adds_up_and_never_shrinks(office in office(), at in [0..=SECONDS, 0..=SECONDS, 0..=SECONDS]) {
        let calendar = office.calendar();
        let [a, b, c] = at.map(|second| office.second(second));
        let between = |from, to| calendar.between(from, to).unwrap();
        prop_assert_eq!(between(a, b) + between(b, c), between(a, c));
        prop_assert!(between(a.min(b), a.max(b)) >= WorkingTime::ZERO);
    }

    #[test]
    fn fractions_of_a_second_do_not_count(
        office in office(), start in 0..SECONDS, end in 0..SECONDS, nanoseconds in 0..1_000_000_000_i64,
    ) {
        let calendar = office.calendar();
        let (from, to) = (office.second(start), office.second(end));
        let (later_from, later_to) = (from + nanoseconds.nanoseconds(), to + nanoseconds.nanoseconds());
        prop_assert_eq!(calendar.between(later_from, later_to), calendar.between(from, to));
        prop_assert_eq!(calendar.is_open(later_from), calendar.is_open(from));
    }

    #[test]
    fn a_pause_leaves_as_much_time_as_there_was(
        office in office(), at in [0..=SECONDS, 0..=SECONDS, 0..=SECONDS],
    ) {
        let calendar = office.calendar();
        let [from, to, due] = at.map(|second| office.second(second));
        let (from, to) = (from.min(to), from.max(to));
        if let Ok(moved) = calendar.resume(due, from, to) {
            prop_assert!(moved >= due);
            prop_assert_eq!(calendar.between(to, moved), calendar.between(from, due));
            prop_assert_eq!(calendar.resume(due, to, from), Ok(due));
        }
    }

    #[test]
    fn a_limit_ends_at_the_closing_of_a_working_day_after_filing(
        office in office(), filed in 0..SECONDS, within in day_limit(),
    ) {
        let (calendar, filed) = (office.calendar(), office.second(filed));
        if let Ok(due) = calendar.deadline(filed, &within, None) {
            prop_assert!(filed < due);
            prop_assert!(calendar.is_open(due - 1.second()));
            let day = calendar.date_of(due - 1.second());
            prop_assert!(calendar.is_working_day(day));
            prop_assert!(calendar.received_on(filed, None).unwrap() <= day);
        }
    }

    #[test]
    fn beyond_the_validity_a_budget_follows_the_plain_week(
        office in office(), before in 0..10_000_000_i64, weeks in 1..9_i64,
    ) {
        let calendar = office.calendar();
        let week: WorkingTime = (0..7).map(|day| calendar.budget(
            office.second(SECONDS + day * 86_400),
            office.second(SECONDS + (day + 1) * 86_400),
        )).sum();
        let week_after = seconds(week.as_seconds() * weeks);
        let later = |from: i64| calendar.budget(office.second(from), office.second(from + weeks * 604_800));
        prop_assert_eq!(later(SECONDS + before), week_after);
        prop_assert_eq!(later(-before - weeks * 604_800), week_after);
        let across = calendar.budget(office.second(-before), office.second(SECONDS + before));
        let whole = calendar.between(office.second(0), office.second(SECONDS)).unwrap();
        let ends = calendar.budget(office.second(-before), office.second(0))
            + calendar.budget(office.second(SECONDS), office.second(SECONDS + before));
        prop_assert_eq!(across, whole + ends);
    }
}
