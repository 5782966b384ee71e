use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{self, Instant};

/// The time of day as an argument: the system's, or a scaled one in which days pass in minutes.
///
/// Cheap to clone; clones show the same time. Sleeping follows tokio's timer, so paused time works.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    System,
    Scaled(Mutex<Scale>),
}

/// Scaled time since the last change of speed.
#[derive(Clone, Copy, Debug)]
struct Scale {
    origin: Timestamp,
    since: Instant,
    speed: f64,
}

// === impl Clock ===

impl Clock {
    const LONGEST_NAP: Duration = Duration::from_millis(100);

    /// The system's clock.
    pub fn system() -> Self {
        Self(Arc::new(Kind::System))
    }

    /// A clock that shows `start` now and runs `speed` times as fast as life; `speed` must be above zero.
    pub fn scaled(start: Timestamp, speed: f64) -> Self {
        let scale = Scale {
            origin: start,
            since: Instant::now(),
            speed,
        };
        Self(Arc::new(Kind::Scaled(Mutex::new(scale))))
    }

    /// The time it shows.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system"
    )]
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Kind::System => Timestamp::now(),
            Kind::Scaled(scale) => lock(scale).now(),
        }
    }

    /// How many times as fast as life it runs.
    pub fn speed(&self) -> f64 {
        match &*self.0 {
            Kind::System => 1.0,
            Kind::Scaled(scale) => lock(scale).speed,
        }
    }

    /// Changes the speed of a scaled clock from now on; the system's clock keeps its own.
    pub fn set_speed(&self, speed: f64) {
        if let Kind::Scaled(scale) = &*self.0 {
            let mut scale = lock(scale);
            *scale = Scale {
                origin: scale.now(),
                since: Instant::now(),
                speed,
            };
        }
    }

    /// How long a span of this clock's time takes in life.
    pub fn real(&self, span: Duration) -> Duration {
        Duration::try_from_secs_f64(span.as_secs_f64() / self.speed()).unwrap_or(Duration::MAX)
    }

    /// Waits for a span of this clock's time.
    pub async fn sleep(&self, span: Duration) {
        match SignedDuration::try_from(span) {
            Ok(span) => {
                self.sleep_until(self.now().saturating_add(span).unwrap_or(Timestamp::MAX))
                    .await
            }
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until this clock shows `time`; follows changes of speed.
    pub async fn sleep_until(&self, time: Timestamp) {
        while let Ok(left @ Duration { .. }) = Duration::try_from(time.duration_since(self.now())) {
            if left.is_zero() {
                return;
            }
            let nap = self.real(left).max(Duration::from_millis(1));
            time::sleep(if self.is_scaled() {
                nap.min(Self::LONGEST_NAP)
            } else {
                nap.min(Duration::from_secs(3600))
            })
            .await;
        }
    }

    fn is_scaled(&self) -> bool {
        matches!(*self.0, Kind::Scaled(_))
    }
}

// === impl Scale ===

impl Scale {
    fn now(&self) -> Timestamp {
        let passed = self.since.elapsed().as_secs_f64() * self.speed;
        SignedDuration::try_from_secs_f64(passed)
            .ok()
            .and_then(|passed| self.origin.checked_add(passed).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

fn lock(scale: &Mutex<Scale>) -> MutexGuard<'_, Scale> {
    scale.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_runs_faster_and_changes_speed_without_a_jump() {
        let clock = Clock::scaled(START, 60.0);
        time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now().as_second(), 120);
        clock.set_speed(1.0);
        time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.now().as_second(), 125);
    }

    #[tokio::test(start_paused = true)]
    async fn sleeping_follows_a_change_of_speed() {
        let clock = Clock::scaled(START, 1.0);
        let begun = Instant::now();
        let fast = clock.clone();
        tokio::join!(clock.sleep(Duration::from_secs(3600)), async {
            time::sleep(Duration::from_secs(1)).await;
            fast.set_speed(3600.0);
        });
        assert!(clock.now().as_second() >= 3600);
        assert!(begun.elapsed() < Duration::from_secs(4));
    }
}
