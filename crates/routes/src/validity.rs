use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The days on which something holds; both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Validity {
    /// The first day.
    pub from: Date,
    /// The last day; `None`: no end is known.
    pub until: Option<Date>,
}

// === impl Validity ===

impl Validity {
    /// Whether the day is one of them.
    pub fn contains(&self, day: Date) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }

    /// The days that both have, if there are any.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let from = self.from.max(other.from);
        let until = match (self.until, other.until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, None) | (None, one) => one,
        };
        until
            .is_none_or(|until| from <= until)
            .then_some(Self { from, until })
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "from {} until {until}", self.from),
            None => write!(f, "from {}", self.from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(from: i8, until: Option<i8>) -> Validity {
        let day = |n| jiff::civil::date(2026, 9, n);
        Validity {
            from: day(from),
            until: until.map(day),
        }
    }

    #[test]
    fn both_ends_are_included() {
        let days = [2, 3, 4, 5].map(|n| jiff::civil::date(2026, 9, n));
        assert_eq!(
            days.map(|d| valid(3, Some(4)).contains(d)),
            [false, true, true, false]
        );
        assert!(valid(3, None).contains(jiff::civil::Date::MAX));
    }

    #[test]
    fn an_intersection_is_what_both_have() {
        let check = |a: Validity, b: Validity, expected| {
            assert_eq!(a.intersection(&b), expected);
            assert_eq!(b.intersection(&a), expected);
        };
        check(valid(1, Some(5)), valid(5, None), Some(valid(5, Some(5))));
        check(valid(1, Some(4)), valid(5, None), None);
        check(valid(1, None), valid(3, None), Some(valid(3, None)));
        check(
            valid(1, Some(9)),
            valid(3, Some(4)),
            Some(valid(3, Some(4))),
        );
    }
}
