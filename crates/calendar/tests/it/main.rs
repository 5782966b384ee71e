//! The calendar through its public interface: tables made by hand, files, and properties against a
//! minute-by-minute oracle.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod files;
mod hand_made;
mod limits;
mod office;
mod properties;

use calendar::{Calendar, Calendars};
use jiff::Timestamp;

/// One of the calendars of `deploy/calendars`.
fn built_in(id: &str) -> Calendar {
    Calendars::built_in().unwrap().get(id).unwrap().clone()
}

/// `2026-09-21 09:00`, with seconds if need be, on a clock in Vietnam.
#[track_caller]
fn at(text: &str) -> Timestamp {
    format!("{text}+07:00").parse().unwrap()
}
