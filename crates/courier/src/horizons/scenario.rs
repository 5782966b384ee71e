use std::time::Duration;

use calendar::{Calendar, OutOfRange, Within, WorkingTime};
use jiff::Timestamp;

use crate::entry::Millis;

/// One delivery of the load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) opened_at: Millis,
    pub(super) due_at: Millis,
}

/// How many the destination works at once, whoever sends them.
pub(super) const DESKS: usize = 4;
/// How long it works at each.
pub(super) const SERVICE: Duration = Duration::from_secs(20);
/// Friday, 18 September 2026, 16:00 in Vietnam.
pub(super) const LEFT: Millis = Millis(1_789_722_000_000);
/// Monday, 21 September 2026, 09:00 in Vietnam.
pub(super) const BACK: Millis = Millis(1_789_956_000_000);
/// Monday, 14 September 2026, 00:00 in Vietnam.
const FIRST: Millis = Millis(1_789_318_800_000);
/// Wednesday, 23 September 2026, 00:00 in Vietnam.
const LAST: Millis = Millis(1_790_096_400_000);

/// While offices are open, 480 an hour: two thirds of what the destination can do.
const IN_OFFICE_HOURS: Duration = Duration::from_millis(7_500);
/// Else 40 an hour: citizens file at night and at weekends too.
const OUTSIDE: Duration = Duration::from_secs(90);
/// One in so many has four working hours, the others have two working days.
const HURRIED: usize = 4;
/// One in so many was held up by its sender, so that much of its time had passed when it was opened.
const HELD_UP: usize = 19;
const HELD_FOR: WorkingTime = WorkingTime::from_hours(3);

/// Whether the destination is away.
pub(super) fn is_away(at: Millis) -> bool {
    LEFT <= at && at < BACK
}

/// What is opened from the week before the weekend until two days after it, oldest first.
pub(super) fn load(calendar: &Calendar) -> Result<Vec<Job>, OutOfRange> {
    let mut jobs = Vec::new();
    let mut at = FIRST;
    while at < LAST {
        let number = jobs.len();
        let begun = if number % HELD_UP == 0 {
            calendar.add(at.timestamp(), -HELD_FOR)?
        } else {
            at.timestamp()
        };
        jobs.push(Job {
            opened_at: at,
            due_at: due_at(calendar, begun, number % HURRIED == 0)?,
        });
        let is_open = calendar.is_open(at.timestamp());
        at = at.plus(if is_open { IN_OFFICE_HOURS } else { OUTSIDE });
    }
    Ok(jobs)
}

fn due_at(calendar: &Calendar, begun: Timestamp, is_hurried: bool) -> Result<Millis, OutOfRange> {
    let within = if is_hurried {
        Within::WorkingHours(4)
    } else {
        Within::WorkingDays(2)
    };
    calendar.deadline(begun, &within, None).map(Millis::from)
}

#[cfg(test)]
mod tests {
    use calendar::Calendars;

    use super::*;

    #[test]
    fn the_weekend_is_the_one_that_the_names_say() {
        let at = |text: &str| Millis::from(text.parse::<Timestamp>().unwrap());
        assert_eq!(FIRST, at("2026-09-14T00:00:00+07:00"));
        assert_eq!(LEFT, at("2026-09-18T16:00:00+07:00"));
        assert_eq!(BACK, at("2026-09-21T09:00:00+07:00"));
        assert_eq!(LAST, at("2026-09-23T00:00:00+07:00"));
    }

    #[test]
    fn after_the_cut_off_of_a_friday_there_is_time_until_monday_morning_or_wednesday_evening() {
        let calendars = Calendars::built_in().unwrap();
        let calendar = calendars.get("national-office").unwrap();
        let due = |is_hurried| due_at(calendar, LEFT.timestamp(), is_hurried).unwrap();
        assert_eq!(due(true).timestamp().to_string(), "2026-09-21T03:30:00Z");
        assert_eq!(due(false).timestamp().to_string(), "2026-09-23T10:00:00Z");
    }
}
