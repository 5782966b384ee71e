//! A calendar counted through: one row per day, with the working time before it.
//!
//! The *position* of an instant is the working time between the first day's midnight and it. It
//! grows while the office is open and stands still while it is closed, so working time between two
//! instants is the difference of two positions, found without a search.
//!
//! Instants are *local seconds* here: seconds since 1970-01-01 00:00 on the office's own clock.

use std::ops::RangeInclusive;

use jiff::Span;
use jiff::civil::Date;

use crate::hours::{DAY, Hours};
use crate::rules::Rules;

const EPOCH: Date = Date::constant(1970, 1, 1);
/// 1970-01-01 was a Thursday; weeks begin on Monday.
const EPOCH_WEEKDAY: i64 = 3;
const SECONDS: i64 = DAY as i64;

pub(crate) struct Table {
    /// Days since 1970-01-01 of the first row.
    first: i64,
    /// One row per day of validity and one more, closed, for the midnight after the last.
    rows: Box<[Row]>,
    /// What rows refer to: the seven weekdays from Monday, the closed day, then exceptions.
    hours: Box<[Hours]>,
    /// Working time of the plain week before each weekday, and of all of it.
    week: [i64; 8],
}

struct Row {
    /// Working time of the rows above.
    before: i64,
    /// Index into `hours`; at most one per day beside the first eight, see `Rules::check`.
    hours: u16,
}

/// Index of the closed day in `Table::hours`.
const CLOSED: u16 = 7;

// === impl Table ===

impl Table {
    /// Counts through checked rules.
    pub(crate) fn new(rules: &Rules) -> Self {
        let (first, last) = (epoch_day(rules.valid_from), epoch_day(rules.valid_until));
        let mut hours: Vec<Hours> = rules.weekly.to_vec();
        hours.push(Hours::closed());
        let mut exceptions = rules
            .exceptions
            .iter()
            .map(|(date, e)| (epoch_day(*date), &e.hours));
        let mut exception = exceptions.next();

        let mut rows = Vec::with_capacity((last - first + 2).unsigned_abs() as usize);
        let mut before = 0;
        for day in first..=last {
            let index = match exception.filter(|(on, _)| *on == day) {
                None => weekday(day),
                Some((_, own)) => {
                    exception = exceptions.next();
                    hours
                        .iter()
                        .position(|known| known == own)
                        .unwrap_or_else(|| {
                            hours.push(own.clone());
                            hours.len() - 1
                        })
                }
            };
            rows.push(Row {
                before,
                hours: index as u16,
            });
            before += hours[index].total();
        }
        rows.push(Row {
            before,
            hours: CLOSED,
        });

        let mut week = [0; 8];
        for day in 0..7 {
            week[day + 1] = week[day] + hours[day].total();
        }
        Self {
            first,
            rows: rows.into(),
            hours: hours.into(),
            week,
        }
    }

    /// The instants of the validity, both midnights included.
    pub(crate) fn range(&self) -> RangeInclusive<i64> {
        self.first * SECONDS..=self.end() * SECONDS
    }

    /// Working time before an instant; outside the validity by the plain week.
    pub(crate) fn position(&self, local: i64) -> i64 {
        let (day, second) = split(local);
        let last = &self.rows[self.rows.len() - 1];
        match usize::try_from(day - self.first) {
            Ok(row) if row < self.rows.len() - 1 => {
                let row = &self.rows[row];
                row.before + self.hours[usize::from(row.hours)].before(second)
            }
            Ok(_) => last.before + self.plain(day, second) - self.plain(self.end(), 0),
            Err(_) => self.plain(day, second) - self.plain(self.first, 0),
        }
    }

    /// The first instant at this position, the end of a span where there is a choice.
    pub(crate) fn earliest(&self, position: i64) -> Option<i64> {
        let row = self
            .rows
            .partition_point(|row| row.before < position)
            .checked_sub(1)?;
        let worked = position - self.rows[row].before;
        let second = self.hours[usize::from(self.rows[row].hours)].earliest(worked)?;
        Some(self.midnight(row) + i64::from(second))
    }

    /// The last instant at this position, the beginning of a span where there is a choice.
    pub(crate) fn latest(&self, position: i64) -> Option<i64> {
        let row = self
            .rows
            .partition_point(|row| row.before <= position)
            .checked_sub(1)?;
        let worked = position - self.rows[row].before;
        let second = self.hours[usize::from(self.rows[row].hours)].latest(worked)?;
        Some(self.midnight(row) + i64::from(second))
    }

    /// The hours of a day; outside the validity those of the plain week.
    pub(crate) fn hours(&self, day: i64) -> &Hours {
        let row = usize::try_from(day - self.first).ok();
        match row.filter(|row| *row < self.rows.len() - 1) {
            Some(row) => &self.hours[usize::from(self.rows[row].hours)],
            None => &self.hours[weekday(day)],
        }
    }

    /// The first day from this one on, within the validity, on which the office opens.
    pub(crate) fn working_day_from(&self, day: i64) -> Option<i64> {
        (day.max(self.first)..self.end()).find(|day| !self.hours(*day).is_closed())
    }

    /// The day after the last.
    fn end(&self) -> i64 {
        self.first + self.rows.len() as i64 - 1
    }

    fn midnight(&self, row: usize) -> i64 {
        (self.first + row as i64) * SECONDS
    }

    /// Working time of the plain week since the Monday before 1970-01-01.
    fn plain(&self, day: i64, second: u32) -> i64 {
        let weeks = (day + EPOCH_WEEKDAY).div_euclid(7);
        let weekday = weekday(day);
        weeks * self.week[7] + self.week[weekday] + self.hours[weekday].before(second)
    }
}

/// (day since 1970-01-01, second of that day).
pub(crate) fn split(local: i64) -> (i64, u32) {
    (local.div_euclid(SECONDS), local.rem_euclid(SECONDS) as u32)
}

/// The local second at which a second of a day falls.
pub(crate) fn join(day: i64, second: u32) -> i64 {
    day * SECONDS + i64::from(second)
}

/// Days since 1970-01-01.
pub(crate) fn epoch_day(date: Date) -> i64 {
    date.duration_since(EPOCH).as_hours() / 24
}

/// The date so many days after 1970-01-01, if there is such a date.
pub(crate) fn date(day: i64) -> Option<Date> {
    EPOCH.checked_add(Span::new().try_days(day).ok()?).ok()
}

fn weekday(day: i64) -> usize {
    (day + EPOCH_WEEKDAY).rem_euclid(7) as usize
}
