//! Random offices and the oracle: every minute of the validity, one by one.

use std::collections::BTreeMap;

use calendar::{Calendar, Exception, Hours, Rules, Within, WorkingTime};
use jiff::civil::{Date, Time, date};
use jiff::tz::Offset;
use jiff::{Span, Timestamp};
use proptest::prelude::*;

/// Days of validity; small, because the oracle is slow.
pub(crate) const DAYS: usize = 24;
pub(crate) const MINUTES: usize = DAYS * 1440;

/// Opening and closing minutes of a day.
type Spans = Vec<(usize, usize)>;

/// An office as plain as can be.
#[derive(Clone, Debug)]
pub(crate) struct Office {
    first: Date,
    offset: i32,
    weekly: Vec<Spans>,
    exceptions: BTreeMap<usize, Spans>,
    cut_off: Option<usize>,
}

fn spans(count: impl Strategy<Value = usize>) -> impl Strategy<Value = Spans> {
    let minutes = count.prop_flat_map(|n| prop::collection::btree_set(0..=1440_usize, 2 * n));
    minutes.prop_map(|minutes| {
        let minutes: Vec<usize> = minutes.into_iter().collect();
        minutes
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect()
    })
}

/// Mondays are always open, all else is random.
pub(crate) fn office() -> impl Strategy<Value = Office> {
    let other = prop::collection::vec(spans(0..4_usize), 6);
    let exceptions = prop::collection::btree_map(0..DAYS, spans(0..3_usize), 0..6);
    let cut_off = prop::option::of(0..1440_usize);
    (
        0..1500_i64,
        -47..=56_i32,
        spans(1..4_usize),
        other,
        exceptions,
        cut_off,
    )
        .prop_map(
            |(day, quarters, monday, other, exceptions, cut_off)| Office {
                first: date(2024, 1, 1).checked_add(Span::new().days(day)).unwrap(),
                offset: quarters * 900,
                weekly: [vec![monday], other].concat(),
                exceptions,
                cut_off,
            },
        )
}

// === impl Office ===

impl Office {
    pub(crate) fn calendar(&self) -> Calendar {
        let last = self
            .first
            .checked_add(Span::new().days(DAYS as i64 - 1))
            .unwrap();
        let mut rules = Rules::new("random", self.first, last);
        rules.offset = Offset::from_seconds(self.offset).unwrap();
        rules.cut_off = self.cut_off.map(clock);
        rules.weekly = std::array::from_fn(|weekday| hours(&self.weekly[weekday]));
        for (day, spans) in &self.exceptions {
            let date = self
                .first
                .checked_add(Span::new().days(*day as i64))
                .unwrap();
            let exception = Exception {
                hours: hours(spans),
                reason: String::new(),
            };
            rules.exceptions.insert(date, exception);
        }
        Calendar::new(rules).unwrap()
    }

    /// A second after the first midnight.
    pub(crate) fn second(&self, second: i64) -> Timestamp {
        let midnight = Offset::from_seconds(self.offset)
            .unwrap()
            .to_timestamp(self.first.at(0, 0, 0, 0))
            .unwrap();
        Timestamp::from_second(midnight.as_second() + second).unwrap()
    }

    /// A minute after the first midnight.
    pub(crate) fn minute(&self, minute: usize) -> Timestamp {
        self.second(60 * minute as i64)
    }

    fn spans(&self, day: usize) -> &Spans {
        let monday = usize::from(self.first.weekday().to_monday_zero_offset().unsigned_abs());
        self.exceptions
            .get(&day)
            .unwrap_or(&self.weekly[(monday + day) % 7])
    }

    /// Whether each minute of the validity is open.
    pub(crate) fn minutes(&self) -> Vec<bool> {
        let mut open = vec![false; MINUTES];
        for day in 0..DAYS {
            for (from, to) in self.spans(day) {
                open[day * 1440 + from..day * 1440 + to].fill(true);
            }
        }
        open
    }

    /// The deadline of something filed in a minute, day by day; `None` beyond the validity.
    pub(crate) fn deadline(&self, filed: usize, within: Within) -> Option<Timestamp> {
        let opens = |day: &usize| !self.spans(*day).is_empty();
        let closing = |day: usize| Some(self.spans(day).last()?.1);
        let (day, minute) = (filed / 1440, filed % 1440);
        let late = self.cut_off.is_some_and(|cut_off| minute > cut_off);
        let shut = day >= DAYS || closing(day).is_none_or(|closing| minute >= closing);
        let received = (day + usize::from(late || shut)..DAYS).find(opens)?;
        let last = match within {
            Within::SameDay => received,
            Within::WorkingDays(n) => (received + 1..DAYS)
                .filter(opens)
                .nth((n as usize).checked_sub(1)?)?,
            Within::CalendarDays(n) => (received + n as usize..DAYS).find(opens)?,
            Within::WorkingHours(_) | Within::Months(_) => unreachable!("not asked of the oracle"),
        };
        Some(self.minute(last * 1440 + closing(last)?))
    }
}

pub(crate) fn minutes(count: usize) -> WorkingTime {
    WorkingTime::from_minutes(count as i64)
}

fn clock(minute: usize) -> Time {
    Time::new((minute / 60 % 24) as i8, (minute % 60) as i8, 0, 0).unwrap()
}

fn hours(spans: &Spans) -> Hours {
    Hours::new(spans.iter().map(|(from, to)| (clock(*from), clock(*to)))).unwrap()
}
