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
/// This part of a second's worth may begin at once: more than a lane sleeps unless the machine stalls.
const AT_ONCE: u32 = 50;
/// A sixth of the pace is for making up. With [`AT_ONCE`], no tenth of a second sees more than 1.4 times its even
/// share.
const PACE: (u32, u32) = (6, 5);
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
        Self {
            rate,
            per_working_hour: per_working_hour.and_then(|n| Limiter::new(n, HOUR, MADE_UP)),
            pace: per_second.and_then(|n| Limiter::new(n, SECOND * than / more, AT_ONCE)),
            per_second: per_second.and_then(|n| Limiter::new(n, SECOND, MADE_UP)),
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
                return Err(now.plus(wait.max(Duration::from_millis(1))));
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
    /// So many in a period; that part of them may begin at once.
    fn new(number: NonZeroU32, period: Duration, part: u32) -> Option<Self> {
        let quota = Quota::with_period(period / number.get())?;
        let burst = NonZeroU32::new(number.get() / part).unwrap_or(NonZeroU32::MIN);
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

    fn at(text: &str) -> Millis {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    /// Takes all it can from an instant on; answers how many began in each second.
    fn begun(rate: &ContractRate, from: Millis, seconds: i64) -> Vec<u32> {
        let calendar = calendar();
        let mut counts = vec![0; usize::try_from(seconds).unwrap()];
        let mut now = from;
        while now.0 < from.0 + seconds * 1_000 {
            match rate.admit(now, &calendar) {
                Ok(()) => counts[usize::try_from((now.0 - from.0) / 1_000).unwrap()] += 1,
                Err(next) => now = next,
            }
        }
        counts
    }

    #[test]
    fn d10_no_second_sees_more_than_the_contract_and_a_tenth() {
        let counts = begun(&rate(50, 0), at("2026-09-21T02:00:00Z"), 20);
        assert!(counts.iter().all(|count| *count <= 55), "{counts:?}");
        assert!(counts.iter().sum::<u32>() >= 950, "{counts:?}");
    }

    #[test]
    fn the_hourly_rate_counts_working_time_only() {
        // Friday 16:30 in Vietnam: half an hour of work is left, then the weekend.
        let hourly = rate(0, 600);
        let friday = begun(&hourly, at("2026-09-18T09:30:00Z"), 1_800)
            .iter()
            .sum::<u32>();
        assert!((300..=361).contains(&friday), "{friday}");
        let calendar = calendar();
        let night = at("2026-09-18T12:00:00Z");
        while hourly.admit(night, &calendar).is_ok() {}
        let next = hourly.admit(night, &calendar).unwrap_err();
        assert!(next >= at("2026-09-21T00:30:00Z"), "{}", next.timestamp());
    }

    #[test]
    fn without_a_contract_nothing_waits() {
        let free = rate(0, 0);
        let calendar = calendar();
        assert!((0..10_000).all(|_| free.admit(Millis(0), &calendar).is_ok()));
    }
}
