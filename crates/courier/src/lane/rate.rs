//! The rate that a destination's owner agreed to, per second and per hour of its working time.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use calendar::{Calendar, WorkingTime};
use domain::Rate;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::entry::Millis;

/// Counts the deliveries that begin.
///
/// By the second there are two limits. What a lane missed while it slept is made up for, as far as it is a
/// tenth of a second's worth: the contract's rate is reached on a machine that stalls. But it is made up
/// for at a pace little above that rate, not at once: the destination sees no spike, neither after a stall
/// nor in the first moment after an outage.
#[derive(Debug)]
pub(crate) struct ContractRate {
    rate: Rate,
    per_working_hour: Option<Limiter>,
    pace: Option<Limiter>,
    per_second: Option<Limiter>,
}

#[derive(Debug)]
struct Limiter {
    shown: Shown,
    limiter: RateLimiter<NotKeyed, InMemoryState, Shown, NoOpMiddleware<Duration>>,
    /// It has let one begin that another limit refused: the next one that may.
    has_let: bool,
}

/// The time as the lane says it: a limiter reads no clock of its own.
#[derive(Clone, Debug, Default)]
struct Shown(Arc<AtomicU64>);

/// This part of a second's or an hour's worth is made up for.
const MADE_UP: u32 = 10;
/// This part of a second's worth may begin at once: as much as a lane misses between two looks at it, also where
/// it waits for a processor.
const AT_ONCE: u32 = 32;
/// A lane is always a little late: if it missed that even at low rates, it would lose it each time.
const FEWEST_AT_ONCE: u32 = 2;
/// The pace by the rate. With [`AT_ONCE`], no second sees more than 1.1 times the contract, and no tenth of a
/// second more than 1.4 times its even share.
const PACE: (u32, u32) = (16, 15);
/// What becomes free within so long begins together, which costs a lane one look instead of ten at 1,000 a second.
/// Less than what [`AT_ONCE`] allows.
const SLOT: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

// === impl ContractRate ===

impl ContractRate {
    pub(crate) fn new(rate: Rate) -> Self {
        let Rate {
            per_second,
            per_working_hour,
        } = rate;
        let (more, than) = PACE;
        let at_once = |n: NonZeroU32| (n.get() / AT_ONCE).max(FEWEST_AT_ONCE);
        Self {
            rate,
            per_working_hour: per_working_hour
                .and_then(|n| Limiter::new(n, HOUR, n.get() / MADE_UP)),
            pace: per_second.and_then(|n| Limiter::new(n, SECOND * than / more, at_once(n))),
            per_second: per_second.and_then(|n| Limiter::new(n, SECOND, n.get() / MADE_UP)),
        }
    }

    /// Lets one begin, or says when the next may. Outside working hours the hourly rate is used up.
    pub(crate) fn admit(&mut self, now: Millis, calendar: &Calendar) -> Result<(), Millis> {
        if let Some(hourly) = &mut self.per_working_hour {
            let worked = calendar.budget(jiff::Timestamp::UNIX_EPOCH, now.timestamp());
            if let Err(wait) = hourly.admit(worked.to_duration()) {
                let wait =
                    WorkingTime::from_seconds(i64::try_from(wait.as_secs() + 1).unwrap_or(1));
                let next = calendar.add(now.timestamp(), wait);
                return Err(next.map_or_else(|_| now.plus(HOUR), Millis::from));
            }
        }
        let since = Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
        for limiter in self.pace.iter_mut().chain(&mut self.per_second) {
            if let Err(wait) = limiter.admit(since) {
                return Err(now.plus(wait.max(SLOT)));
            }
        }
        let all = self.per_working_hour.iter_mut().chain(&mut self.pace);
        all.chain(&mut self.per_second)
            .for_each(|limiter| limiter.has_let = false);
        Ok(())
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let Rate {
            per_second,
            per_working_hour,
        } = self.rate;
        let second = per_second.map(|n| format!("{n} per second"));
        let hour = per_working_hour.map(|n| format!("{n} per working hour"));
        [second, hour]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
    }
}

// === impl Limiter ===

impl Limiter {
    /// So many in a period; of these, so many may begin at once.
    fn new(number: NonZeroU32, period: Duration, at_once: u32) -> Option<Self> {
        let quota = Quota::with_period(period / number.get())?;
        let burst = NonZeroU32::new(at_once).unwrap_or(NonZeroU32::MIN);
        let shown = Shown::default();
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(burst), shown.clone());
        Some(Self {
            shown,
            limiter,
            has_let: false,
        })
    }

    fn admit(&mut self, now: Duration) -> Result<(), Duration> {
        if !self.has_let {
            let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
            self.shown.0.store(nanos, Ordering::Relaxed);
            let let_one = self.limiter.check();
            let_one.map_err(|not_until| not_until.wait_time_from(now))?;
            self.has_let = true;
        }
        Ok(())
    }
}

// === impl Shown ===

impl Clock for Shown {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use calendar::Calendars;
    use proptest::prelude::*;

    use super::*;

    fn calendar() -> Calendar {
        let calendars = Calendars::built_in().unwrap();
        calendars.get("national-office").unwrap().clone()
    }

    fn rate(per_second: u32, per_working_hour: u32) -> ContractRate {
        ContractRate::new(Rate {
            per_second: NonZeroU32::new(per_second),
            per_working_hour: NonZeroU32::new(per_working_hour),
        })
    }

    fn monday() -> Millis {
        at("2026-09-21T02:00:00Z")
    }

    fn at(text: &str) -> Millis {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    /// Takes all it can from an instant on, as a lane does that is held up so long after each time; tells
    /// when each began, in milliseconds.
    fn begun(
        rate: &mut ContractRate,
        from: Millis,
        seconds: i64,
        mut held_up: impl FnMut() -> i64,
    ) -> Vec<i64> {
        let calendar = calendar();
        let (mut begun, mut now) = (Vec::new(), from);
        while now.0 < from.0 + seconds * 1_000 {
            match rate.admit(now, &calendar) {
                Ok(()) => begun.push(now.0 - from.0),
                Err(next) => now = Millis(next.0 + held_up()),
            }
        }
        begun
    }

    /// The most that begin within any such span.
    fn most_within(millis: i64, begun: &[i64]) -> usize {
        let until = |from: &i64| begun.partition_point(|at| *at < from + millis);
        let numbers = begun.iter().enumerate().map(|(n, from)| until(from) - n);
        numbers.max().unwrap_or(0)
    }

    /// Mostly the little that any lane is late, now and then a stall.
    fn hold_ups() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(prop_oneof![9 => 0..4_i64, 1 => 0..400_i64], 1..50)
    }

    /// When each began of a backlog that is let go on a lane that is held up so each time.
    fn released(per_second: u32, held_up: Vec<i64>) -> Vec<i64> {
        let mut held_up = held_up.into_iter().cycle();
        let mut rate = rate(per_second, 0);
        begun(&mut rate, monday(), 5, || held_up.next().unwrap())
    }

    proptest! {
        /// D10: from the first moment of a release on, and whatever holds the lane up.
        #[test]
        fn d10_no_second_sees_more_than_the_contract_and_a_tenth(
            per_second in 10..10_000_u32,
            held_up in hold_ups(),
        ) {
            let begun = released(per_second, held_up);
            let most = most_within(1_000, &begun) as f64;
            prop_assert!(most <= f64::from(per_second).mul_add(1.1, 1.0), "{most}");
        }

        #[test]
        fn d10_no_tenth_of_a_second_sees_more_than_1_4_times_its_share(
            per_second in 10..10_000_u32,
            held_up in hold_ups(),
        ) {
            let begun = released(per_second, held_up);
            let (most, share) = (most_within(100, &begun) as f64, f64::from(per_second) / 10.0);
            prop_assert!(most <= share.mul_add(1.4, 2.0), "{most} where {share} are even");
        }
    }

    #[test]
    fn d10_a_lane_that_is_held_up_keeps_the_rate() {
        // Five milliseconds each time, and now and then as long as can be made up for.
        for per_second in [50, 5_000] {
            let mut times = 0;
            let held_up = || {
                times += 1;
                if times % 500 == 0 { 90 } else { 5 }
            };
            let begun = begun(&mut rate(per_second, 0), monday(), 20, held_up);
            let share = begun.len() as f64 / (20.0 * f64::from(per_second));
            assert!((0.99..1.01).contains(&share), "{share}");
        }
    }

    #[test]
    fn a_lane_is_not_asked_to_look_for_each_one() {
        let mut looks = 0;
        let mut busy = rate(1_000, 0);
        let begun = begun(&mut busy, monday(), 1, || {
            looks += 1;
            0
        });
        assert!(begun.len() > 900 && looks <= 101, "{looks}");
    }

    #[test]
    fn what_the_second_refuses_does_not_count_against_the_hour() {
        let mut both = rate(1, 600);
        let begun = begun(&mut both, monday(), 60, || 0);
        assert!((59..=60).contains(&begun.len()), "{}", begun.len());
    }

    #[test]
    fn the_hourly_rate_counts_working_time_only() {
        // Friday 16:30 in Vietnam: half an hour of work is left, then the weekend.
        let mut hourly = rate(0, 600);
        let friday = begun(&mut hourly, at("2026-09-18T09:30:00Z"), 1_800, || 0).len();
        assert!((300..=361).contains(&friday), "{friday}");
        let calendar = calendar();
        let night = at("2026-09-18T12:00:00Z");
        while hourly.admit(night, &calendar).is_ok() {}
        let next = hourly.admit(night, &calendar).unwrap_err();
        assert!(next >= at("2026-09-21T00:30:00Z"), "{}", next.timestamp());
    }

    #[test]
    fn without_a_contract_nothing_waits() {
        let mut free = rate(0, 0);
        let calendar = calendar();
        assert!((0..10_000).all(|_| free.admit(Millis(0), &calendar).is_ok()));
    }
}
