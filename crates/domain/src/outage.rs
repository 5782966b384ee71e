use jiff::Timestamp;
use jiff::civil::{Time, Weekday};

/// A span in which a destination is away by announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When.
    pub when: OutageTime,
    /// Why, for people.
    pub reason: String,
}

/// When a destination is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutageTime {
    /// Once.
    Once {
        /// From then on.
        from: Timestamp,
        /// Until then, which is outside.
        to: Timestamp,
    },
    /// Every week, on the clock of the destination's calendar.
    Weekly {
        /// On these days; never empty.
        days: Vec<Weekday>,
        /// From then on.
        from: Time,
        /// Until then, which is outside. Not after `from`: until that time of the next day.
        to: Time,
    },
}
