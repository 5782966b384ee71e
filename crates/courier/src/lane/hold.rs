use std::fmt;

use calendar::Calendar;

use super::closing::Closed;
use crate::entry::Millis;

/// Why a lane gives nothing although deliveries wait. In the order of precedence: the first that
/// applies is the one that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The destination is away by announcement.
    Closed(Closed),
    /// An operator paused the lane, or it has no destination.
    Paused {
        /// Who and why.
        reason: String,
    },
    /// The breaker is open.
    Breaker {
        /// Since when.
        since: Millis,
        /// Why.
        reason: String,
        /// `None`: a probe is on its way.
        next_probe: Option<Millis>,
    },
    /// The contract lets none begin.
    Rate {
        /// When the next may begin.
        until: Millis,
        /// The contract in words.
        contract: String,
    },
    /// As many are in flight as the destination seems to be able to take.
    Full {
        /// How many.
        limit: usize,
    },
    /// The destination asked to be left alone for a while.
    Asked {
        /// Until then.
        until: Millis,
    },
    /// All wait for their next attempt.
    Waiting {
        /// The first of them.
        until: Millis,
    },
}

// === impl Hold ===

impl Hold {
    /// Every short word.
    pub(crate) const WORDS: [&'static str; 7] = [
        "announced-outage",
        "paused",
        "breaker",
        "contract-rate",
        "limit",
        "retry-after",
        "retry-plan",
    ];

    /// The short word; a metric label.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Closed(_) => "announced-outage",
            Self::Paused { .. } => "paused",
            Self::Breaker { .. } => "breaker",
            Self::Rate { .. } => "contract-rate",
            Self::Full { .. } => "limit",
            Self::Asked { .. } => "retry-after",
            Self::Waiting { .. } => "retry-plan",
        }
    }

    /// Whether the lane rests as a whole, rather than being busy.
    pub(crate) fn is_rest(&self) -> bool {
        match self {
            Self::Closed(_) | Self::Paused { .. } | Self::Breaker { .. } => true,
            Self::Rate { .. } | Self::Full { .. } | Self::Asked { .. } | Self::Waiting { .. } => {
                false
            }
        }
    }

    /// When it ends or is looked at again, as far as that is known.
    pub(crate) fn until(&self) -> Option<Millis> {
        match self {
            Self::Closed(Closed { until, .. })
            | Self::Rate { until, .. }
            | Self::Asked { until }
            | Self::Waiting { until } => Some(*until),
            Self::Breaker { next_probe, .. } => *next_probe,
            Self::Paused { .. } | Self::Full { .. } => None,
        }
    }

    /// In words, with times on the clock of the destination's calendar.
    pub(crate) fn words<'a>(&'a self, calendar: Option<&'a Calendar>) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            let at = |at: &Millis| Shown(*at, calendar.cloned());
            match self {
                Self::Closed(Closed { until, reason }) => {
                    write!(f, "{reason}, until {}", at(until))
                }
                Self::Paused { reason } => f.write_str(reason),
                Self::Breaker {
                    since,
                    reason,
                    next_probe: Some(next),
                } => write!(
                    f,
                    "breaker open since {}, next probe {}: {reason}",
                    at(since),
                    at(next)
                ),
                Self::Breaker { since, reason, .. } => {
                    write!(f, "breaker open since {}, probing now: {reason}", at(since))
                }
                Self::Rate { until, contract } => {
                    write!(f, "contract of {contract}, next at {}", at(until))
                }
                Self::Full { limit } => write!(f, "{limit} in flight, the limit now"),
                Self::Asked { until } => {
                    write!(f, "the destination asked to wait until {}", at(until))
                }
                Self::Waiting { until } => write!(f, "next attempt at {}", at(until)),
            }
        })
    }
}

/// An instant for people: day and minute, with the second where it matters.
struct Shown(Millis, Option<Calendar>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at, calendar) = self;
        match calendar {
            Some(calendar) => {
                let local = calendar.offset().to_datetime(at.timestamp());
                write!(f, "{}", local.strftime("%Y-%m-%d %H:%M:%S"))
            }
            None => write!(f, "{}", at.timestamp()),
        }
    }
}

#[cfg(test)]
mod tests {
    use calendar::Calendars;

    use super::*;

    #[test]
    fn a_hold_says_why_and_until_when_on_the_destinations_clock() {
        let calendars = Calendars::built_in().unwrap();
        let calendar = calendars.get("national-office");
        let at = |text: &str| Millis::from(text.parse::<jiff::Timestamp>().unwrap());
        let hold = Hold::Breaker {
            since: at("2026-09-21T02:12:00Z"),
            reason: "5 attempts in a row failed".to_owned(),
            next_probe: Some(at("2026-09-21T02:17:00Z")),
        };
        assert_eq!(
            hold.words(calendar).to_string(),
            "breaker open since 2026-09-21 09:12:00, next probe 2026-09-21 09:17:00: 5 attempts \
             in a row failed"
        );
    }
}
