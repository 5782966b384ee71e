use std::num::NonZeroU32;
use std::time::Duration;

/// When to try again after a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPlan {
    steps: Vec<Duration>,
    max_attempts: NonZeroU32,
}

/// The numbers make no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlan {
    /// There is no step.
    #[error("a retry plan needs at least one step")]
    NoStep,
    /// A step would not wait at all.
    #[error("step {step} of a retry plan is zero")]
    ZeroStep {
        /// Counted from one.
        step: usize,
    },
    /// A step is shorter than the one before it.
    #[error("step {step} of a retry plan is shorter than the one before it")]
    Falling {
        /// Counted from one.
        step: usize,
    },
    /// Nothing would ever be tried.
    #[error("a retry plan needs at least one attempt")]
    NoAttempt,
}

// === impl RetryPlan ===

impl RetryPlan {
    /// No wait between attempts is longer than the budget divided by this.
    const PART_OF_BUDGET: u32 = 4;

    /// A plan whose last step repeats until `max_attempts` have been made.
    pub fn new(steps: Vec<Duration>, max_attempts: u32) -> Result<Self, InvalidPlan> {
        let max_attempts = NonZeroU32::new(max_attempts).ok_or(InvalidPlan::NoAttempt)?;
        if steps.is_empty() {
            return Err(InvalidPlan::NoStep);
        }
        if let Some(index) = steps.iter().position(Duration::is_zero) {
            return Err(InvalidPlan::ZeroStep { step: index + 1 });
        }
        if let Some(index) = steps.windows(2).position(|pair| pair[1] < pair[0]) {
            return Err(InvalidPlan::Falling { step: index + 2 });
        }
        Ok(Self {
            steps,
            max_attempts,
        })
    }

    /// The wait after a failed attempt, counted from one. `budget` is the working time left until
    /// the deadline, `asked` the destination's Retry-After.
    ///
    /// `None`: the attempts are used up. A deadline that has passed is no reason to give up.
    pub fn wait_after(
        &self,
        attempt: NonZeroU32,
        budget: Duration,
        asked: Option<Duration>,
    ) -> Option<Duration> {
        (attempt < self.max_attempts).then(|| self.wait(attempt, budget, asked))
    }

    /// As [`wait_after`](Self::wait_after), for an attempt that is not charged: it never gives up.
    pub fn wait(&self, attempt: NonZeroU32, budget: Duration, asked: Option<Duration>) -> Duration {
        let last = self.steps.len() - 1;
        let index = usize::try_from(attempt.get() - 1).unwrap_or(usize::MAX);
        let step = self.steps[last.min(index)];
        let hurried = (budget / Self::PART_OF_BUDGET).max(self.steps[0]);
        let planned = if budget.is_zero() {
            step
        } else {
            step.min(hurried)
        };
        planned.max(self.granted(asked))
    }

    /// As much of a Retry-After as the plan grants: at most its last step.
    pub fn granted(&self, asked: Option<Duration>) -> Duration {
        let longest = self.steps[self.steps.len() - 1];
        asked.unwrap_or_default().min(longest)
    }

    /// After this many attempts the plan ends.
    pub fn max_attempts(&self) -> NonZeroU32 {
        self.max_attempts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nz(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    /// Steps of 1, 5 and 60 minutes, five attempts; all figures in minutes.
    #[track_caller]
    fn check(attempt: u32, budget: u64, asked: Option<u64>, expected: Option<u64>) {
        let plan = RetryPlan::new([1, 5, 60].map(minutes).to_vec(), 5).unwrap();
        let wait = plan.wait_after(nz(attempt), minutes(budget), asked.map(minutes));
        assert_eq!(wait, expected.map(minutes));
    }

    #[test]
    fn the_deadline_hurries_the_plan_but_never_ends_it() {
        check(1, 480, None, Some(1)); // the plan's own step
        check(3, 480, None, Some(60));
        check(3, 40, None, Some(10)); // a quarter of the budget
        check(3, 2, None, Some(1)); // but never below the first step
        check(4, 0, None, Some(60)); // late: the plan again, and an alert elsewhere
        check(5, 480, None, None); // attempts used up: dead letter
    }

    #[test]
    fn a_destination_may_lengthen_a_wait_up_to_the_last_step() {
        check(1, 480, Some(20), Some(20));
        check(1, 480, Some(600), Some(60));
        check(3, 480, Some(20), Some(60)); // never shorten it
        check(3, 40, Some(20), Some(20)); // nor is it hurried by the deadline
    }

    #[test]
    fn an_uncharged_attempt_never_ends_the_plan() {
        let plan = RetryPlan::new(vec![minutes(1), minutes(5)], 2).unwrap();
        assert_eq!(plan.wait(nz(9), minutes(480), None), minutes(5));
        assert_eq!(plan.wait(nz(u32::MAX), minutes(480), None), minutes(5));
    }

    #[test]
    fn a_plan_needs_steps_that_rise_and_an_attempt() {
        let plan = |steps: &[u64], attempts| {
            RetryPlan::new(steps.iter().map(|n| minutes(*n)).collect(), attempts).map(|_| ())
        };
        assert_eq!(plan(&[], 5), Err(InvalidPlan::NoStep));
        assert_eq!(plan(&[1, 0], 5), Err(InvalidPlan::ZeroStep { step: 2 }));
        assert_eq!(plan(&[5, 1], 5), Err(InvalidPlan::Falling { step: 2 }));
        assert_eq!(plan(&[1], 0), Err(InvalidPlan::NoAttempt));
        assert_eq!(plan(&[1, 1, 5], 1), Ok(()));
    }

    fn plans() -> impl Strategy<Value = RetryPlan> {
        (prop::collection::vec(1_u64..10_000, 1..6), 1_u32..20).prop_map(|(mut steps, attempts)| {
            steps.sort_unstable();
            let steps = steps.into_iter().map(Duration::from_secs).collect();
            RetryPlan::new(steps, attempts).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_the_first_and_the_last_step(
            plan in plans(), attempt in 1_u32..30, budget: u32, asked: Option<u32>,
        ) {
            let seconds = |n: u32| Duration::from_secs(n.into());
            let wait = plan.wait(nz(attempt), seconds(budget), asked.map(seconds));
            prop_assert!(wait >= plan.steps[0]);
            prop_assert!(wait <= *plan.steps.last().unwrap());
            prop_assert!(wait >= plan.granted(asked.map(seconds)));
        }

        #[test]
        fn no_wait_uses_more_than_a_quarter_of_the_budget(
            plan in plans(), attempt in 1_u32..30, budget in 1_u64..1_000_000,
        ) {
            let wait = plan.wait(nz(attempt), Duration::from_secs(budget), None);
            prop_assert!(wait <= Duration::from_secs(budget) / 4 || wait == plan.steps[0]);
        }

        #[test]
        fn less_budget_never_means_a_longer_wait(
            plan in plans(), attempt in 1_u32..30, less in 1_u64..100_000, more in 0_u64..100_000,
        ) {
            let wait = |budget| plan.wait(nz(attempt), Duration::from_secs(budget), None);
            prop_assert!(wait(less) <= wait(less + more));
        }

        #[test]
        fn exactly_the_allowed_attempts_are_made(plan in plans(), budget: u32) {
            let budget = Duration::from_secs(budget.into());
            let waits = (1..).take_while(|n| plan.wait_after(nz(*n), budget, None).is_some());
            prop_assert_eq!(waits.count() as u32 + 1, plan.max_attempts().get());
        }
    }
}
