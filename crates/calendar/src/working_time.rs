//! The amount of working time between two instants.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// Signed working time in whole seconds: time during which an office is open.
///
/// It is no [`Duration`], which is elapsed time: an hour of working time from Friday 16:30 may take
/// three days. Sums saturate.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WorkingTime(i64);

// === impl WorkingTime ===

impl WorkingTime {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// One working day where a limit in days is converted to hours or back: 8 hours, whatever the
    /// office's own day. Deadlines in working days do not use it: they are counted day by day.
    pub const DAY: Self = Self(8 * HOUR);

    /// So many seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// So many minutes.
    pub const fn from_minutes(minutes: i64) -> Self {
        Self(minutes.saturating_mul(MINUTE))
    }

    /// So many hours.
    pub const fn from_hours(hours: i64) -> Self {
        Self(hours.saturating_mul(HOUR))
    }

    /// The whole in seconds.
    pub const fn as_seconds(self) -> i64 {
        self.0
    }

    /// The whole in minutes; a started minute is dropped, toward zero.
    pub const fn as_minutes(self) -> i64 {
        self.0 / MINUTE
    }

    /// Whether it is less than nothing, as a budget is once its deadline has passed.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The same number of seconds as elapsed time; a negative amount becomes zero.
    ///
    /// For thresholds and ratios only: adding the result to an instant ignores the calendar.
    pub const fn to_duration(self) -> Duration {
        if self.0 < 0 {
            Duration::ZERO
        } else {
            Duration::from_secs(self.0.unsigned_abs())
        }
    }
}

impl Add for WorkingTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for WorkingTime {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for WorkingTime {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for WorkingTime {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for WorkingTime {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for WorkingTime {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Add::add)
    }
}

/// `2h 15m`, `45m`, `3h`, `30s`, `-1h 5m`; nothing is `0m`.
impl fmt::Display for WorkingTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0m");
        }
        let seconds = self.0.unsigned_abs();
        let parts = [
            (seconds / 3600, 'h'),
            (seconds / 60 % 60, 'm'),
            (seconds % 60, 's'),
        ];
        let shown: Vec<String> = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, unit)| format!("{n}{unit}"))
            .collect();
        let sign = if self.is_negative() { "-" } else { "" };
        f.pad(&format!("{sign}{}", shown.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        assert_eq!(WorkingTime::from_seconds(seconds).to_string(), expected);
    }

    #[test]
    fn shown_in_hours_minutes_and_odd_seconds() {
        check(0, "0m");
        check(135 * 60, "2h 15m");
        check(45 * 60, "45m");
        check(3 * 3600, "3h");
        check(30, "30s");
        check(40 * 3600 + 5, "40h 5s");
        check(-65 * 60, "-1h 5m");
        check(i64::MIN, "-2562047788015215h 30m 8s");
    }

    #[test]
    fn sums_saturate_and_a_negative_amount_is_no_duration() {
        let most = WorkingTime::from_seconds(i64::MAX);
        assert_eq!(most + WorkingTime::from_hours(1), most);
        assert_eq!(WorkingTime::from_hours(i64::MAX), most);
        assert_eq!(-WorkingTime::from_seconds(i64::MIN), most);
        assert_eq!(
            (WorkingTime::ZERO - WorkingTime::DAY).to_duration(),
            Duration::ZERO
        );
        assert_eq!(WorkingTime::DAY.to_duration(), Duration::from_secs(28_800));
    }
}
