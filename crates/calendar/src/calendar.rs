//! One office's calendar: what is open when, and the arithmetic of working time.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::hours::Hours;
use crate::rules::{Exception, InvalidRules, Rules};
use crate::table::{Table, epoch_day, split};
use crate::working_time::WorkingTime;

/// The working time of one office. Cheap to clone.
///
/// Positions in working time are whole seconds: fractions of a second of an instant are dropped.
#[derive(Clone)]
pub struct Calendar {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) rules: Rules,
    pub(crate) table: Table,
}

/// The question or its answer lies outside the days for which the calendar was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time asked for lies {side} {limit}, the limit of calendar `{calendar}`")]
pub struct OutOfRange {
    /// The calendar that was asked.
    pub calendar: String,
    /// On which side of it.
    pub side: Side,
    /// The calendar's first or last day.
    pub limit: Date,
}

/// A side of a calendar's validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the first day.
    Before,
    /// After the last day.
    After,
}

// === impl Calendar ===

impl Calendar {
    /// Checks the rules and counts them through.
    pub fn new(rules: Rules) -> Result<Self, InvalidRules> {
        rules.check()?;
        let table = Table::new(&rules);
        Ok(Self {
            inner: Arc::new(Inner { rules, table }),
        })
    }

    /// The name under which routes and destinations refer to it.
    pub fn id(&self) -> &str {
        &self.rules().id
    }

    /// What it was made of.
    pub fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// The office's clock.
    pub fn offset(&self) -> Offset {
        self.rules().offset
    }

    /// The time of day after which a dossier counts as received on the next working day.
    pub fn cut_off(&self) -> Option<Time> {
        self.rules().cut_off
    }

    /// The first day for which it answers.
    pub fn valid_from(&self) -> Date {
        self.rules().valid_from
    }

    /// The last day for which it answers.
    pub fn valid_until(&self) -> Date {
        self.rules().valid_until
    }

    /// The date on the office's clock.
    pub fn date_of(&self, t: Timestamp) -> Date {
        self.offset().to_datetime(t).date()
    }

    /// Whether the office is open. Outside the validity the plain week answers.
    pub fn is_open(&self, t: Timestamp) -> bool {
        let (day, second) = split(self.local(t));
        self.table().hours(day).contains(second)
    }

    /// Whether the office opens on that day. Outside the validity the plain week answers.
    pub fn is_working_day(&self, d: Date) -> bool {
        !self.hours_on(d).is_closed()
    }

    /// That day's hours. Outside the validity the plain week answers.
    pub fn hours_on(&self, d: Date) -> &Hours {
        self.table().hours(epoch_day(d))
    }

    /// Why that day differs from the plain week, if it does.
    pub fn exception_on(&self, d: Date) -> Option<&Exception> {
        self.rules().exceptions.get(&d)
    }

    /// The instant itself if the office is open then, otherwise when it opens next.
    pub fn next_open(&self, t: Timestamp) -> Result<Timestamp, OutOfRange> {
        let local = self.inside(t)?;
        if self.is_open(t) {
            return Ok(t);
        }
        let opening = self.table().latest(self.table().position(local));
        self.timestamp(opening.ok_or_else(|| self.beyond(Side::After))?)
    }

    /// The instant at which so much working time has passed since `start`.
    ///
    /// Forward, it is the first such instant: a span that is used up exactly ends at its closing,
    /// not at the next opening. A negative amount walks backwards, to the last such instant. No
    /// time at all leaves `start` as it is.
    pub fn add(&self, start: Timestamp, time: WorkingTime) -> Result<Timestamp, OutOfRange> {
        let local = self.inside(start)?;
        if time == WorkingTime::ZERO {
            return Ok(start);
        }
        let position = self
            .table()
            .position(local)
            .saturating_add(time.as_seconds());
        let (found, side) = if time.is_negative() {
            (self.table().latest(position), Side::Before)
        } else {
            (self.table().earliest(position), Side::After)
        };
        self.timestamp(found.ok_or_else(|| self.beyond(side))?)
    }

    /// The working time from one instant to another; negative if `to` comes first.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> Result<WorkingTime, OutOfRange> {
        let (from, to) = (self.inside(from)?, self.inside(to)?);
        let seconds = self.table().position(to) - self.table().position(from);
        Ok(WorkingTime::from_seconds(seconds))
    }

    /// The working time left until `due`; negative once it has passed.
    ///
    /// Like [`between`](Self::between), but it never fails: outside the validity the plain week
    /// goes on, without holidays. An approximate order of urgency is better there than none.
    pub fn budget(&self, now: Timestamp, due: Timestamp) -> WorkingTime {
        let position = |t| self.table().position(self.local(t));
        WorkingTime::from_seconds(position(due) - position(now))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.inner.table
    }

    /// Seconds on the office's clock, fractions dropped.
    pub(crate) fn local(&self, t: Timestamp) -> i64 {
        let floor = t.as_second() - i64::from(t.subsec_nanosecond() < 0);
        floor + i64::from(self.offset().seconds())
    }

    /// As `local`, within the validity or at the midnight that ends it.
    pub(crate) fn inside(&self, t: Timestamp) -> Result<i64, OutOfRange> {
        let local = self.local(t);
        let range = self.table().range();
        if local < *range.start() {
            Err(self.beyond(Side::Before))
        } else if local > *range.end() {
            Err(self.beyond(Side::After))
        } else {
            Ok(local)
        }
    }

    /// The instant of a local second.
    pub(crate) fn timestamp(&self, local: i64) -> Result<Timestamp, OutOfRange> {
        let second = local - i64::from(self.offset().seconds());
        let side = if local < 0 { Side::Before } else { Side::After };
        Timestamp::from_second(second).map_err(|_| self.beyond(side))
    }

    pub(crate) fn beyond(&self, side: Side) -> OutOfRange {
        let limit = match side {
            Side::Before => self.valid_from(),
            Side::After => self.valid_until(),
        };
        OutOfRange {
            calendar: self.id().to_owned(),
            side,
            limit,
        }
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calendar")
            .field("id", &self.id())
            .field("valid_from", &self.valid_from())
            .field("valid_until", &self.valid_until())
            .finish_non_exhaustive()
    }
}

/// Equal rules make equal calendars.
impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        self.rules() == other.rules()
    }
}

impl Eq for Calendar {}

// === impl Side ===

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}
