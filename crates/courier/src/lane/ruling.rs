//! What an answer means: for the delivery, and for the destination as a whole.

use std::num::NonZeroU32;
use std::time::Duration;

use calendar::{Calendar, WorkingTime};
use domain::AttemptClass;

use super::Setup;
use super::breaker::Sign;
use crate::answer::Answer;
use crate::entry::{Entry, Millis};

/// What becomes of a delivery after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// It has arrived.
    Delivered,
    /// It is tried again.
    Again {
        /// Not before.
        at: Millis,
    },
    /// Nobody knows whether it has arrived, and it must not be sent again for that.
    Unknown,
    /// It needs a person.
    Dead,
}

/// What an answer says of the destination as a whole.
pub(super) fn sign(answer: &Answer) -> Sign {
    match answer.class {
        AttemptClass::Retryable if answer.is_overload => Sign::Overloaded,
        AttemptClass::Retryable => Sign::Failed,
        AttemptClass::Timeout => Sign::Silent,
        AttemptClass::Unreachable | AttemptClass::Blocked => Sign::Away,
        AttemptClass::Accepted
        | AttemptClass::Duplicate
        | AttemptClass::Permanent
        | AttemptClass::OutOfOrder
        | AttemptClass::NeedsPerson
        | AttemptClass::Unclear => Sign::Works,
    }
}

/// Whether an attempt counts against the retry plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charging {
    /// It reached the destination and failed there.
    Charged,
    /// The breaker holds the lane while nobody answers; the delivery need not be slowed as well.
    Held,
    /// It does not count.
    Free,
}

// === impl Charging ===

impl Charging {
    pub(super) fn of(class: AttemptClass, is_open: bool) -> Self {
        match class {
            _ if is_open => Self::Held,
            AttemptClass::Unreachable => Self::Held,
            AttemptClass::Retryable
            | AttemptClass::Timeout
            | AttemptClass::OutOfOrder
            | AttemptClass::Unclear => Self::Charged,
            AttemptClass::Blocked
            | AttemptClass::Accepted
            | AttemptClass::Duplicate
            | AttemptClass::Permanent
            | AttemptClass::NeedsPerson => Self::Free,
        }
    }
}

/// Four times as long as it takes until a quarter of the delivery's working time is used. The plan waits
/// no longer than a quarter of it: as long as the office is open that is a quarter of the budget, and a
/// night, in which no budget is used, hurries nothing.
pub(super) fn budget(calendar: &Calendar, entry: &Entry, now: Millis) -> Duration {
    let left = calendar.budget(now.timestamp(), entry.due_at.timestamp());
    let quarter = WorkingTime::from_seconds(left.as_seconds().max(0) / 4);
    let Ok(quarter_at) = calendar.add(now.timestamp(), quarter) else {
        return left.to_duration();
    };
    let wait = quarter_at.duration_since(now.timestamp());
    Duration::try_from(wait).map_or(Duration::ZERO, |wait| wait.saturating_mul(4))
}

pub(super) fn first_query(setup: &Setup, now: Millis) -> Millis {
    if setup.queryable {
        now.plus(setup.timeout)
    } else {
        Millis::MAX
    }
}

pub(super) fn rule(
    setup: &Setup,
    entry: &Entry,
    answer: &Answer,
    charging: Charging,
    now: Millis,
) -> Ruling {
    if answer.class.is_success() {
        return Ruling::Delivered;
    }
    if matches!(
        answer.class,
        AttemptClass::Permanent | AttemptClass::NeedsPerson
    ) {
        return Ruling::Dead;
    }
    if answer.may_have_arrived && !setup.idempotent {
        return Ruling::Unknown;
    }
    let plan = &setup.plan;
    let budget = budget(&setup.calendar, entry, now);
    let number = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    let wait = match charging {
        Charging::Charged => plan.wait_after(number(entry.charged), budget, answer.asked),
        Charging::Held => {
            let first = plan.wait(NonZeroU32::MIN, budget, None);
            let probe = setup
                .breaker
                .as_ref()
                .map_or(first, |rules| rules.first_probe);
            Some(first.min(probe))
        }
        Charging::Free => Some(plan.wait(number(entry.tries), budget, answer.asked)),
    };
    let Some(wait) = wait else {
        return Ruling::Dead;
    };
    let seed = backoff::seed(entry.id.as_bytes(), entry.tries);
    let wait = backoff::jittered(wait, seed).max(plan.granted(answer.asked));
    Ruling::Again { at: now.plus(wait) }
}

pub(super) fn is_too_late(setup: &Setup, entry: &Entry, ruling: Ruling, now: Millis) -> bool {
    match ruling {
        Ruling::Again { at } => now < entry.due_at && at.plus(setup.timeout) > entry.due_at,
        Ruling::Delivered | Ruling::Unknown | Ruling::Dead => false,
    }
}
