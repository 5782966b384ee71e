//! What a calendar is made of, before it is counted through.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use crate::hours::Hours;
use crate::national::{NationalDay, NationalDayKind};

/// The longest validity of a calendar, in days; bounds the memory that a file can ask for.
const MAX_DAYS: i64 = 100 * 366;

/// Everything that defines a [`Calendar`](crate::Calendar), as plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// 1 to 63 lowercase letters, digits or hyphens.
    pub id: String,
    /// The office's clock, fixed through the year.
    pub offset: Offset,
    /// The plain week, Monday first.
    pub weekly: [Hours; 7],
    /// Days that differ from the plain week.
    pub exceptions: BTreeMap<Date, Exception>,
    /// What is filed later than this counts as received on the next working day. `None`: whatever
    /// arrives before the office closes counts for the day.
    pub cut_off: Option<Time>,
    /// The first day of which these rules are known to be true.
    pub valid_from: Date,
    /// The last such day.
    pub valid_until: Date,
}

/// A day that differs from the plain week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its hours; closed, shortened or moved.
    pub hours: Hours,
    /// Why, for people.
    pub reason: String,
}

/// Why rules make no calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// The id has the wrong form.
    #[error("calendar id must be 1 to 63 lowercase letters, digits or hyphens, got `{0}`")]
    Id(String),
    /// The validity ends before it begins.
    #[error("the last day, {until}, lies before the first, {from}")]
    Backwards {
        /// First day.
        from: Date,
        /// Last day.
        until: Date,
    },
    /// The validity is implausibly long.
    #[error("{days} days of validity are more than the {MAX_DAYS} allowed")]
    TooLong {
        /// How long it is.
        days: i64,
    },
    /// The plain week has no opening hours.
    #[error("the office never opens: the week needs at least one day with hours")]
    NeverOpen,
    /// An exception can never apply.
    #[error("the exception on {0} lies outside the validity")]
    ExceptionOutside(Date),
    /// The national days of a part of the validity are not known, so its answers would be wrong.
    #[error("national days are known from {first} to {last} only")]
    BeyondNationalDays {
        /// First day of the table.
        first: Date,
        /// Last day of the table.
        last: Date,
    },
}

// === impl Rules ===

impl Rules {
    /// Rules of an office in Vietnam (UTC+7) whose week is still closed and that has no cut-off.
    pub fn new(id: impl Into<String>, valid_from: Date, valid_until: Date) -> Self {
        Self {
            id: id.into(),
            offset: Offset::constant(7),
            weekly: Default::default(),
            exceptions: BTreeMap::new(),
            cut_off: None,
            valid_from,
            valid_until,
        }
    }

    /// Opens Monday to Friday.
    pub fn open_weekdays(mut self, hours: &Hours) -> Self {
        self.weekly[..5].fill(hours.clone());
        self
    }

    /// Adds the national days as exceptions where none is set: days off are closed, a Saturday that
    /// is worked gets the weekly hours of the day it replaces. Set the week first.
    pub fn on_national_days(mut self, days: &[NationalDay]) -> Result<Self, InvalidRules> {
        let (first, last) = known(days);
        if self.valid_from < first || last < self.valid_until {
            return Err(InvalidRules::BeyondNationalDays { first, last });
        }
        let (from, until) = (self.valid_from, self.valid_until);
        for day in days.iter().filter(|day| (from..=until).contains(&day.date)) {
            let hours = match day.kind {
                NationalDayKind::SwapWork { replaces } => self.weekly[weekday(replaces)].clone(),
                NationalDayKind::Holiday
                | NationalDayKind::InLieu { .. }
                | NationalDayKind::SwapOff { .. } => Hours::closed(),
            };
            let exception = Exception {
                hours,
                reason: day.name_vi.clone(),
            };
            self.exceptions.entry(day.date).or_insert(exception);
        }
        Ok(self)
    }

    /// Whether the date lies in the validity.
    pub fn covers(&self, date: Date) -> bool {
        (self.valid_from..=self.valid_until).contains(&date)
    }

    pub(crate) fn check(&self) -> Result<(), InvalidRules> {
        let days = self.valid_until.duration_since(self.valid_from).as_hours() / 24 + 1;
        if !is_id(&self.id) {
            return Err(InvalidRules::Id(self.id.clone()));
        }
        if self.valid_until < self.valid_from {
            let (from, until) = (self.valid_from, self.valid_until);
            return Err(InvalidRules::Backwards { from, until });
        }
        if days > MAX_DAYS {
            return Err(InvalidRules::TooLong { days });
        }
        if self.weekly.iter().all(Hours::is_closed) {
            return Err(InvalidRules::NeverOpen);
        }
        match self.exceptions.keys().find(|date| !self.covers(**date)) {
            Some(date) => Err(InvalidRules::ExceptionOutside(*date)),
            None => Ok(()),
        }
    }
}

/// The whole years that the table spans.
fn known(days: &[NationalDay]) -> (Date, Date) {
    let years = |pick: fn(&NationalDay) -> i16| days.iter().map(pick);
    let first = years(|day| day.date.year()).min().unwrap_or_default();
    let last = years(|day| day.date.year()).max().unwrap_or_default();
    (Date::constant(first, 1, 1), Date::constant(last, 12, 31))
}

/// The weekday as an index, Monday first.
pub(crate) fn weekday(date: Date) -> usize {
    usize::from(date.weekday().to_monday_zero_offset().unsigned_abs())
}

fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed)
}
