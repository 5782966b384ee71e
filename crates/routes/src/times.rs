//! Dates, times of day and durations as files write them.

use std::time::Duration;

use jiff::civil::{Date, Time};

pub(crate) const DATE: &str = "a date like `2026-09-01`";
pub(crate) const CLOCK: &str = "a time like `15:00`";
pub(crate) const DURATION: &str = "a duration like `500ms`, `10s`, `5m` or `1h`";

/// `YYYY-MM-DD` and nothing looser.
pub(crate) fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|_| text.len() == 10)
}

/// `HH:MM` and nothing looser.
pub(crate) fn clock(text: &str) -> Option<Time> {
    text.parse().ok().filter(|_| text.len() == 5)
}

/// A whole number and its unit; never zero.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(count)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    count.checked_mul(seconds).map(Duration::from_secs)
}
