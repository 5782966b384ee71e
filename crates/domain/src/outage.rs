use jiff::civil::{Date, Time, Weekday};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

/// A span in which a destination is away by announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When.
    pub when: OutageTime,
    /// Why, for people.
    pub reason: String,
}

/// When a destination is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutageTime {
    /// Once.
    Once {
        /// From then on.
        from: Timestamp,
        /// Until then, which is outside.
        to: Timestamp,
    },
    /// Every week, on the clock of the destination's calendar.
    Weekly {
        /// On these days; never empty.
        days: Vec<Weekday>,
        /// From then on.
        from: Time,
        /// Until then, which is outside. Not after `from`: until that time of the next day.
        to: Time,
    },
}

// === impl OutageTime ===

impl OutageTime {
    /// When the window in which `at` lies ends; `None` when it lies in none. Windows of two days may
    /// touch: the answer is then the end of the first. `offset` is that of the destination's calendar.
    pub fn closes(&self, at: Timestamp, offset: Offset) -> Option<Timestamp> {
        match self {
            Self::Once { from, to } => (*from <= at && at < *to).then_some(*to),
            Self::Weekly { days, from, to } => {
                let today = offset.to_datetime(at).date();
                let near = [today.yesterday().ok(), Some(today)];
                near.into_iter().flatten().find_map(|day| {
                    let (start, end) = weekly_on(day, days, *from, *to, offset)?;
                    (start <= at && at < end).then_some(end)
                })
            }
        }
    }

    /// When the next window begins, later than `at`; `None` when none does.
    pub fn next_start(&self, at: Timestamp, offset: Offset) -> Option<Timestamp> {
        match self {
            Self::Once { from, .. } => (at < *from).then_some(*from),
            Self::Weekly { days, from, to } => {
                let today = offset.to_datetime(at).date();
                // Today's may have begun, so that of the same day next week is looked at too.
                today.series(1.day()).take(8).find_map(|day| {
                    let (start, _) = weekly_on(day, days, *from, *to, offset)?;
                    (at < start).then_some(start)
                })
            }
        }
    }
}

/// The window that begins on a day, if one does.
fn weekly_on(
    day: Date,
    days: &[Weekday],
    from: Time,
    to: Time,
    offset: Offset,
) -> Option<(Timestamp, Timestamp)> {
    if !days.contains(&day.weekday()) {
        return None;
    }
    let last_day = if from < to { day } else { day.tomorrow().ok()? };
    let start = offset.to_timestamp(day.to_datetime(from)).ok()?;
    let end = offset.to_timestamp(last_day.to_datetime(to)).ok()?;
    Some((start, end))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use jiff::civil::{date, time};
    use proptest::prelude::*;

    use super::*;

    const HANOI: Offset = Offset::constant(7);
    const WEEK_IN_MINUTES: i64 = 7 * 24 * 60;

    /// A moment of the week whose Monday is 2026-09-07.
    fn at(day: i8, hour: i8, minute: i8) -> Timestamp {
        let local = date(2026, 9, day).at(hour, minute, 0, 0);
        HANOI.to_timestamp(local).unwrap()
    }

    fn weekly(days: &[Weekday], from: (i8, i8), to: (i8, i8)) -> OutageTime {
        OutageTime::Weekly {
            days: days.to_vec(),
            from: time(from.0, from.1, 0, 0),
            to: time(to.0, to.1, 0, 0),
        }
    }

    #[test]
    fn a_window_that_is_once_ends_at_its_end() {
        let once = OutageTime::Once {
            from: at(8, 18, 0),
            to: at(9, 6, 0),
        };
        let closes = |at| once.closes(at, HANOI);
        assert_eq!(closes(at(8, 17, 59)), None);
        assert_eq!(closes(at(8, 18, 0)), Some(at(9, 6, 0)));
        assert_eq!(closes(at(9, 6, 0)), None);
        let next = |at| once.next_start(at, HANOI);
        assert_eq!(next(at(8, 17, 59)), Some(at(8, 18, 0)));
        assert_eq!(next(at(8, 18, 0)), None);
    }

    #[test]
    fn a_weekly_window_crosses_midnight_and_the_end_of_the_week() {
        let window = weekly(&[Weekday::Sunday], (22, 0), (4, 0));
        let closes = |at| window.closes(at, HANOI);
        assert_eq!(closes(at(13, 21, 59)), None);
        assert_eq!(closes(at(13, 22, 0)), Some(at(14, 4, 0)));
        assert_eq!(closes(at(14, 3, 59)), Some(at(14, 4, 0)));
        assert_eq!(closes(at(14, 4, 0)), None);
        let next = |at| window.next_start(at, HANOI);
        assert_eq!(next(at(13, 22, 0)), Some(at(20, 22, 0)));
        assert_eq!(next(at(14, 3, 0)), Some(at(20, 22, 0)));
    }

    #[test]
    fn a_window_from_a_time_to_the_same_lasts_a_day() {
        let weekend = weekly(&[Weekday::Saturday, Weekday::Sunday], (0, 0), (0, 0));
        let closes = |at| weekend.closes(at, HANOI);
        assert_eq!(closes(at(12, 0, 0)), Some(at(13, 0, 0)));
        assert_eq!(closes(at(13, 0, 0)), Some(at(14, 0, 0)));
        assert_eq!(closes(at(14, 0, 0)), None);
    }

    /// Walks through the week minute by minute, keeping no dates: whether each minute of a week lies
    /// inside, and whether a window begins at it.
    fn naive(days: &[Weekday], from: i64, to: i64) -> Vec<(bool, bool)> {
        let mut minutes = vec![(false, false); WEEK_IN_MINUTES as usize];
        for day in days {
            let start = i64::from(day.to_monday_zero_offset()) * 1440 + from;
            let mut minute = start;
            minutes[start as usize].1 = true;
            loop {
                minutes[(minute % WEEK_IN_MINUTES) as usize].0 = true;
                minute += 1;
                if minute % 1440 == to {
                    break;
                }
            }
        }
        minutes
    }

    proptest! {
        #[test]
        fn a_weekly_window_is_what_counting_minutes_says(
            days in proptest::sample::subsequence(
                Weekday::Monday.cycle_forward().take(7).collect::<Vec<_>>(),
                1..=7,
            ),
            from in 0..1440_i64,
            to in prop_oneof![Just(None), (0..1440_i64).prop_map(Some)],
            minute in 0..WEEK_IN_MINUTES,
            hours in -12..=14_i8,
        ) {
            let to = to.unwrap_or(from);
            let clock = |minute: i64| time((minute / 60) as i8, (minute % 60) as i8, 0, 0);
            let window = OutageTime::Weekly { days: days.clone(), from: clock(from), to: clock(to) };
            let offset = Offset::constant(hours);
            let monday = offset.to_timestamp(date(2026, 12, 28).at(0, 0, 0, 0)).unwrap();
            let at = |minute: i64| monday + SignedDuration::from_mins(minute);
            let naive = naive(&days, from, to);
            let state = |minute: i64| naive[(minute % WEEK_IN_MINUTES) as usize];

            let ends = |after: &i64| after % 1440 == to && after - minute <= 1440;
            let end = (minute + 1..).find(ends).map(at);
            prop_assert_eq!(window.closes(at(minute), offset), end.filter(|_| state(minute).0));
            let start = (minute + 1..).find(|later| state(*later).1).map(at);
            prop_assert_eq!(window.next_start(at(minute), offset), start);
        }
    }
}
