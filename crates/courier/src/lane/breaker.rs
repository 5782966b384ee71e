//! Opens when a destination is to blame, holds everything while open, and finds out by probes when it
//! may close again.
//!
//! ```text
//!          failures in a row, or too large a share of a window         probe is due
//!  closed ───────────────────────────────────────────────────▶ open ───────────────▶ probing
//!    ▲                                                          ▲  failed: twice the wait │
//!    │                                                          └─────────────────────────┤
//!    └────────────────────────────────────────────────────────────── the destination answered
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::entry::Millis;

/// When a breaker opens, and how it probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BreakerRules {
    /// Open after so many attempts in a row that blame the destination.
    pub(crate) in_a_row: u32,
    /// Open after so many failures of any kind in a row, so that a destination with little to do is
    /// noticed too.
    pub(crate) failed_in_a_row: u32,
    /// How far back shares are counted.
    pub(crate) window: Duration,
    /// No share counts of fewer attempts than these.
    pub(crate) minimum: u32,
    /// Open when so many of a hundred attempts failed.
    pub(crate) failed_percent: u32,
    /// Open when so many of a hundred attempts got no answer.
    pub(crate) silent_percent: u32,
    /// The wait before the first probe; it doubles with each failed one.
    pub(crate) first_probe: Duration,
    /// The longest wait between two probes.
    pub(crate) longest_probe: Duration,
}

/// What an attempt says of the destination as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It works, whatever it thinks of this delivery.
    Works,
    /// It works, and has too much to do.
    Overloaded,
    /// It failed at this delivery, and perhaps at all.
    Failed,
    /// It could not be reached, or refuses everything.
    Away,
    /// It did not answer.
    Silent,
}

/// A destination's breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    rules: BreakerRules,
    recent: Recent,
    in_a_row: u32,
    failed_in_a_row: u32,
    open: Option<Open>,
    probing: bool,
}

/// An open breaker, as it is shown and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    /// Since when.
    pub(crate) since: Millis,
    /// Why, in words.
    pub(crate) reason: String,
    /// When the next probe is due.
    pub(crate) next_probe: Millis,
    /// The wait before it, in milliseconds.
    span: u64,
}

/// A breaker opened or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It holds everything from now on and probes.
    Opened,
    /// It lets everything pass again.
    Closed,
}

/// Counts of a sliding window, in slices of a sixth of it.
#[derive(Debug, Default)]
struct Recent {
    slices: [Slice; 6],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Which sixth since the epoch it counts.
    number: i64,
    attempts: u32,
    failed: u32,
    silent: u32,
}

// === impl BreakerRules ===

impl BreakerRules {
    /// Those of a breaker that never opens.
    pub(crate) fn never() -> Self {
        Self {
            in_a_row: u32::MAX,
            failed_in_a_row: u32::MAX,
            window: Duration::from_secs(60),
            minimum: u32::MAX,
            failed_percent: 100,
            silent_percent: 100,
            first_probe: Duration::MAX,
            longest_probe: Duration::MAX,
        }
    }
}

// === impl Breaker ===

impl Breaker {
    pub(crate) fn new(rules: BreakerRules) -> Self {
        Self {
            rules,
            recent: Recent::default(),
            in_a_row: 0,
            failed_in_a_row: 0,
            open: None,
            probing: false,
        }
    }

    /// As an earlier run left it.
    pub(crate) fn restore(&mut self, open: Option<Open>) {
        self.open = open;
        self.probing = false;
    }

    /// Whether and why it is open.
    pub(crate) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// Whether it is open and a probe may begin.
    pub(crate) fn is_probe_due(&self, now: Millis) -> bool {
        !self.probing
            && self
                .open
                .as_ref()
                .is_some_and(|open| open.next_probe <= now)
    }

    /// When a probe may begin; `None` while one is on its way, or while it is closed.
    pub(crate) fn next_probe(&self) -> Option<Millis> {
        let open = self.open.as_ref().filter(|_| !self.probing)?;
        Some(open.next_probe)
    }

    /// A probe has begun.
    pub(crate) fn probe(&mut self) {
        self.probing = true;
    }

    /// The probe was never sent.
    pub(crate) fn forget_probe(&mut self) {
        self.probing = false;
    }

    /// An operator wants to know now.
    pub(crate) fn probe_at_once(&mut self, now: Millis) {
        if let Some(open) = &mut self.open {
            open.next_probe = open.next_probe.min(now);
        }
    }

    /// Counts an attempt. `is_probe`: it was the probe, or the canary.
    pub(crate) fn attempted(
        &mut self,
        sign: Sign,
        is_probe: bool,
        answer: &Answer,
        now: Millis,
    ) -> Option<Change> {
        if self.open.is_some() {
            return self.attempted_while_open(sign, is_probe, answer, now);
        }
        self.recent.count(sign, self.rules.window, now);
        self.in_a_row = match sign {
            Sign::Away | Sign::Silent => self.in_a_row.saturating_add(1),
            Sign::Works | Sign::Overloaded | Sign::Failed => 0,
        };
        self.failed_in_a_row = match sign {
            Sign::Away | Sign::Silent | Sign::Failed => self.failed_in_a_row.saturating_add(1),
            Sign::Works | Sign::Overloaded => 0,
        };
        let reason = self.reason_to_open(answer, now)?;
        let span = millis(self.rules.first_probe);
        self.open = Some(Open {
            since: now,
            reason,
            next_probe: now.plus(self.rules.first_probe),
            span,
        });
        self.probing = false;
        Some(Change::Opened)
    }

    fn attempted_while_open(
        &mut self,
        sign: Sign,
        is_probe: bool,
        answer: &Answer,
        now: Millis,
    ) -> Option<Change> {
        self.probing &= !is_probe;
        let answered = match sign {
            Sign::Works => true,
            Sign::Overloaded => is_probe,
            Sign::Failed | Sign::Away | Sign::Silent => false,
        };
        if answered {
            self.open = None;
            self.probing = false;
            self.in_a_row = 0;
            self.failed_in_a_row = 0;
            self.recent = Recent::default();
            return Some(Change::Closed);
        }
        if let Some(open) = self.open.as_mut().filter(|_| is_probe) {
            open.span = open
                .span
                .saturating_mul(2)
                .min(millis(self.rules.longest_probe));
            open.next_probe = now.plus(Duration::from_millis(open.span));
            open.reason = format!("the last probe failed: {}: {}", answer.class, answer.detail);
        }
        None
    }

    fn reason_to_open(&self, answer: &Answer, now: Millis) -> Option<String> {
        let last = || format!("the last one: {}: {}", answer.class, answer.detail);
        let enough = self.in_a_row >= self.rules.in_a_row;
        if enough || self.failed_in_a_row >= self.rules.failed_in_a_row {
            let number = self.in_a_row.max(self.failed_in_a_row);
            return Some(format!("{number} attempts in a row failed, {}", last()));
        }
        let Slice {
            attempts,
            failed,
            silent,
            ..
        } = self.recent.sum(self.rules.window, now);
        if attempts < self.rules.minimum {
            return None;
        }
        let reaches = |part: u32, percent: u32| {
            u64::from(part) * 100 >= u64::from(attempts) * u64::from(percent)
        };
        if reaches(failed, self.rules.failed_percent) {
            return Some(format!(
                "{failed} of {attempts} attempts failed, {}",
                last()
            ));
        }
        reaches(silent, self.rules.silent_percent)
            .then(|| format!("{silent} of {attempts} attempts got no answer, {}", last()))
    }
}

// === impl Recent ===

impl Recent {
    fn number(window: Duration, now: Millis) -> i64 {
        let sixth = i64::try_from(window.as_millis() / 6)
            .unwrap_or(i64::MAX)
            .max(1);
        now.0.div_euclid(sixth)
    }

    fn count(&mut self, sign: Sign, window: Duration, now: Millis) {
        let number = Self::number(window, now);
        let index = usize::try_from(number.rem_euclid(6)).unwrap_or(0);
        let slice = &mut self.slices[index];
        if slice.number != number {
            *slice = Slice {
                number,
                ..Slice::default()
            };
        }
        let failed = matches!(sign, Sign::Failed | Sign::Away | Sign::Silent);
        slice.attempts += 1;
        slice.failed += u32::from(failed);
        slice.silent += u32::from(sign == Sign::Silent);
    }

    fn sum(&self, window: Duration, now: Millis) -> Slice {
        let number = Self::number(window, now);
        let fresh = |slice: &&Slice| (number - 5..=number).contains(&slice.number);
        let mut sum = Slice::default();
        for slice in self.slices.iter().filter(fresh) {
            sum.attempts += slice.attempts;
            sum.failed += slice.failed;
            sum.silent += slice.silent;
        }
        sum
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use domain::AttemptClass;
    use proptest::prelude::*;

    use super::*;

    fn rules() -> BreakerRules {
        BreakerRules {
            in_a_row: 5,
            failed_in_a_row: 10,
            window: Duration::from_secs(60),
            minimum: 20,
            failed_percent: 50,
            silent_percent: 30,
            first_probe: Duration::from_secs(1),
            longest_probe: Duration::from_secs(60),
        }
    }

    fn said() -> Answer {
        Answer::new(AttemptClass::Retryable, "said so")
    }

    fn at(second: i64) -> Millis {
        Millis(second * 1_000)
    }

    fn feed(breaker: &mut Breaker, signs: &[Sign], second: i64) -> Option<Change> {
        let answer = said();
        let changes = signs
            .iter()
            .map(|sign| breaker.attempted(*sign, false, &answer, at(second)));
        changes.fold(None, Option::or)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_names_them() {
        let mut breaker = Breaker::new(rules());
        assert_eq!(feed(&mut breaker, &[Sign::Away; 4], 0), None);
        assert_eq!(feed(&mut breaker, &[Sign::Works], 0), None);
        assert_eq!(feed(&mut breaker, &[Sign::Silent; 4], 0), None);
        assert_eq!(feed(&mut breaker, &[Sign::Away], 0), Some(Change::Opened));
        let open = breaker.open().unwrap();
        assert_eq!((open.since, open.next_probe), (at(0), at(1)));
        assert!(open.reason.starts_with("5 attempts in a row failed"));
    }

    #[test]
    fn it_opens_on_a_share_of_a_window_only_when_there_is_enough_of_it() {
        let mut breaker = Breaker::new(rules());
        let half = [Sign::Failed, Sign::Works];
        assert_eq!(feed(&mut breaker, &half.repeat(9), 0), None);
        // A minute later the nine failures are forgotten.
        assert_eq!(feed(&mut breaker, &half.repeat(9), 61), None);
        assert_eq!(feed(&mut breaker, &half, 62), Some(Change::Opened));
    }

    #[test]
    fn silence_weighs_more_than_an_error() {
        let mut breaker = Breaker::new(rules());
        let third = [Sign::Silent, Sign::Works, Sign::Works];
        assert_eq!(
            feed(&mut breaker, &third.repeat(7), 0),
            Some(Change::Opened)
        );
        let mut breaker = Breaker::new(rules());
        let third = [Sign::Failed, Sign::Works, Sign::Works];
        assert_eq!(feed(&mut breaker, &third.repeat(100), 0), None);
    }

    #[test]
    fn a_busy_destination_is_no_broken_one() {
        let mut breaker = Breaker::new(rules());
        assert_eq!(feed(&mut breaker, &[Sign::Overloaded; 500], 0), None);
    }

    #[test]
    fn d9_an_open_breaker_probes_one_at_a_time_and_ever_less_often() {
        let mut breaker = Breaker::new(rules());
        feed(&mut breaker, &[Sign::Away; 5], 0);
        let mut waits = Vec::new();
        let mut now = at(0);
        for _ in 0..9 {
            let due = breaker.next_probe().unwrap();
            waits.push((due.0 - now.0) / 1_000);
            now = due;
            assert!(breaker.is_probe_due(now));
            breaker.probe();
            assert!(!breaker.is_probe_due(now) && breaker.next_probe().is_none());
            // Answers to attempts from before the opening change nothing.
            assert_eq!(breaker.attempted(Sign::Away, false, &said(), now), None);
            assert_eq!(breaker.attempted(Sign::Away, true, &said(), now), None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn an_open_breaker_survives_a_restart() {
        let mut breaker = Breaker::new(rules());
        feed(&mut breaker, &[Sign::Away; 5], 7);
        let kept = serde_json::to_string(&breaker.open()).unwrap();
        let mut next = Breaker::new(rules());
        next.restore(serde_json::from_str(&kept).unwrap());
        assert_eq!(next.open(), breaker.open());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// The destination is broken until some instant and healthy from then on; whatever happened
        /// before, the breaker closes within two probe periods, an answer's time included.
        #[test]
        fn d9_it_always_closes_again_soon_after_health(
            before in prop::collection::vec((0..4_usize, 1_i64..40_000), 5..80),
            health in 0_i64..2_000_000,
            took in 0_i64..1_000,
        ) {
            let rules = rules();
            let longest = i64::try_from(rules.longest_probe.as_millis()).unwrap();
            let mut breaker = Breaker::new(rules);
            let signs = [Sign::Away, Sign::Silent, Sign::Failed, Sign::Away];
            let mut now = Millis(0);
            for (which, gap) in before {
                now = Millis(now.0 + gap);
                let is_probe = breaker.is_probe_due(now);
                if is_probe {
                    breaker.probe();
                }
                breaker.attempted(signs[which], is_probe, &said(), now);
            }
            let health = Millis(now.0 + health);
            while let Some(due) = breaker.next_probe() {
                let sent = now.max(due);
                breaker.probe();
                now = Millis(sent.0 + took);
                let sign = if sent >= health { Sign::Works } else { Sign::Away };
                let period = breaker.open().map_or(0, |open| open.span as i64).max(1_000);
                breaker.attempted(sign, true, &said(), now);
                if sign == Sign::Works {
                    prop_assert!(now.0 - health.0.max(0) <= 2 * period.min(longest) + took);
                }
            }
            prop_assert!(breaker.open().is_none());
        }
    }
}
