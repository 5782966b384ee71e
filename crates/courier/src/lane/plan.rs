//! The attempts to come, told in advance.

use std::num::NonZeroU32;

use super::{Setup, budget};
use crate::entry::{Entry, Millis};

/// When a delivery will be tried if every attempt fails, before its deadline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forecast {
    /// The next ones; jitter may bring each one forward.
    pub(crate) attempts: Vec<Millis>,
    /// After this instant an attempt may take too long to be in time; `None` once it has passed.
    pub(crate) last_chance: Option<Millis>,
}

const SHOWN: usize = 8;

// === impl Forecast ===

impl Forecast {
    pub(super) fn of(entry: &Entry, setup: &Setup, now: Millis) -> Self {
        let span = i64::try_from(setup.timeout.as_millis()).unwrap_or(i64::MAX);
        let last_chance = Millis(entry.due_at.0.saturating_sub(span));
        let mut attempts = Vec::new();
        let mut charged = entry.charged;
        let mut at = entry.next_at.max(now);
        while attempts.len() < SHOWN && charged < setup.plan.max_attempts().get() {
            attempts.push(at);
            charged += 1;
            let number = NonZeroU32::new(charged).unwrap_or(NonZeroU32::MIN);
            let left = budget(&setup.calendar, entry, at);
            at = at.plus(setup.plan.wait(number, left, None));
        }
        Self {
            attempts,
            last_chance: (last_chance >= now).then_some(last_chance),
        }
    }
}
