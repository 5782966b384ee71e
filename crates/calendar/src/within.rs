//! Legal time limits, in the unit in which the law states them.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A time limit: `same day`, `4 working hours`, `2 working days`, `5 days`, `1 month`.
///
/// What each means for a date is said at [`Calendar::deadline`](crate::Calendar::deadline).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Within {
    /// The day of receipt.
    SameDay,
    /// Plain working time.
    WorkingHours(u32),
    /// Days on which the office opens.
    WorkingDays(u32),
    /// Days of the civil calendar.
    CalendarDays(u32),
    /// Months of the civil calendar.
    Months(u32),
}

/// The text is no time limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a time limit like `same day`, `4 working hours`, `2 working days`, `5 days` \
     or `1 month`"
)]
pub struct InvalidWithin(String);

// === impl Within ===

impl FromStr for Within {
    type Err = InvalidWithin;

    fn from_str(text: &str) -> Result<Self, InvalidWithin> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let count = |word: &str| word.parse::<NonZeroU32>().ok().map(NonZeroU32::get);
        let within = match words[..] {
            ["same", "day"] => Some(Self::SameDay),
            [n, "working", "hour" | "hours"] => count(n).map(Self::WorkingHours),
            [n, "working", "day" | "days"] => count(n).map(Self::WorkingDays),
            [n, "day" | "days"] => count(n).map(Self::CalendarDays),
            [n, "month" | "months"] => count(n).map(Self::Months),
            _ => None,
        };
        within.ok_or_else(|| InvalidWithin(text.to_owned()))
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match *self {
            Self::SameDay => return f.pad("same day"),
            Self::WorkingHours(n) => (n, "working hour"),
            Self::WorkingDays(n) => (n, "working day"),
            Self::CalendarDays(n) => (n, "day"),
            Self::Months(n) => (n, "month"),
        };
        let plural = if count == 1 { "" } else { "s" };
        f.pad(&format!("{count} {unit}{plural}"))
    }
}

impl TryFrom<String> for Within {
    type Error = InvalidWithin;

    fn try_from(text: String) -> Result<Self, InvalidWithin> {
        text.parse()
    }
}

impl From<Within> for String {
    fn from(within: Within) -> Self {
        within.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(within: Within, text: &str) {
        assert_eq!(text.parse(), Ok(within));
        assert_eq!(within.to_string(), text);
    }

    #[test]
    fn limits_are_read_as_they_are_shown() {
        check(Within::SameDay, "same day");
        check(Within::WorkingHours(4), "4 working hours");
        check(Within::WorkingHours(1), "1 working hour");
        check(Within::WorkingDays(2), "2 working days");
        check(Within::WorkingDays(1), "1 working day");
        check(Within::CalendarDays(5), "5 days");
        check(Within::Months(1), "1 month");
        check(Within::Months(3), "3 months");
        assert_eq!("1 working days".parse(), Ok(Within::WorkingDays(1)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "0 days",
            "-1 days",
            "two days",
            "2 weeks",
            "2.5 days",
            "2 Working Days",
        ] {
            assert_eq!(text.parse::<Within>(), Err(InvalidWithin(text.to_owned())));
        }
    }
}
