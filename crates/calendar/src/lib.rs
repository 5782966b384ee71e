//! Working time: office hours, holidays, swapped days, cut-offs, and the deadlines that follow.
//!
//! ```text
//!  national_days.csv ─┐
//!                     ├─▶ Rules ─▶ Calendar ─▶ add · between · deadline · resume · budget
//!  <calendar>.yaml ───┘            (one row per day, with the working time before it)
//! ```
//!
//! A [`Calendar`] answers two kinds of question. *Working time* ([`Calendar::add`],
//! [`Calendar::between`], [`Calendar::budget`]) is counted in whole seconds while the office is
//! open; *legal limits* ([`Calendar::deadline`]) are counted in the unit in which the law states
//! them ([`Within`]).
//!
//! Everything is a pure function of its arguments: no clock, no files, no globals, no time zone
//! database. An offset is fixed, because Vietnam has no daylight saving time. Outside the dates
//! for which a calendar was made, the answer is [`OutOfRange`] and never a guess; only
//! [`Calendar::budget`], which must not fail, continues with the plain week.
//!
//! ```
//! use calendar::{Calendars, Within, WorkingTime};
//!
//! let calendars = Calendars::built_in()?;
//! let office = calendars.get("national-office").expect("the file is there");
//! let filed = "2026-09-21T09:00:00+07:00".parse()?;
//! let due = office.deadline(filed, &Within::WorkingDays(4), None)?;
//! assert_eq!(due, "2026-09-25T17:00:00+07:00".parse()?);
//! assert_eq!(office.between(filed, due)?, WorkingTime::from_minutes(4 * 480 + 390));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calendar;
mod calendars;
mod deadline;
mod file;
mod hours;
mod national;
mod rules;
mod table;
mod within;
mod working_time;

pub use calendar::{Calendar, OutOfRange, Side};
pub use calendars::Calendars;
pub use file::{FileError, Position};
pub use hours::{Hours, InvalidHours};
pub use national::{Basis, NationalDay, NationalDayKind, national_days};
pub use rules::{Exception, InvalidRules, Rules};
pub use within::{InvalidWithin, Within};
pub use working_time::WorkingTime;
