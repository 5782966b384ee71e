mod file;
mod manners;

use std::time::Duration;

use calendar::Calendar;
use jiff::{SignedDuration, Timestamp};
use rand::{Rng, RngExt};

pub use file::ScriptError;
pub use manners::{Beyond, Capacity, Early, Flapping, Manners, ScriptedAnswer, Signatures};

/// How an agency behaves. Rates are between 0 and 1.
#[derive(Clone, Debug)]
pub struct Script {
    /// How long it takes to answer a push.
    pub latency: Spread,
    /// How much of its working time passes from taking a delivery to the result.
    pub work: Spread,
    /// Its office hours; results come in working time only. None: it works day and night.
    pub office: Option<Calendar>,
    /// Pushes that fail before the delivery is taken.
    pub error_rate: f64,
    /// Pushes whose answer is lost after the delivery was taken.
    pub lost_answer_rate: f64,
    /// Pushes answered with *busy*.
    pub busy_rate: f64,
    /// What a busy agency asks for (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// Deliveries refused for good when they are pushed.
    pub not_taken_rate: f64,
    /// Result events that are sent twice.
    pub duplicate_reply_rate: f64,
    /// Deliveries whose *in process* comes after the result.
    pub out_of_order_rate: f64,
    /// Cases that end in a refusal.
    pub refusal_rate: f64,
    /// Cases for which a supplement is requested.
    pub supplement_rate: f64,
    /// The working time an applicant takes for a supplement.
    pub supplement: Spread,
    /// Cases whose handing over is reported too.
    pub handover_rate: f64,
    /// The working time from the result to the handing over.
    pub handover: Spread,
    /// When it is away: its port is closed.
    pub outages: Vec<Window>,
    /// When it answers slower, and how many times.
    pub slow: Vec<(Window, f64)>,
    /// Pushes that are answered otherwise than usual.
    pub answers: Vec<ScriptedAnswer>,
    /// Pushes whose connection is cut after the delivery was taken.
    pub dropped_answer_rate: f64,
    /// Pushes that are answered late.
    pub late_rate: f64,
    /// How much later.
    pub late: Spread,
    /// When it accepts connections and never answers.
    pub hangs: Vec<Window>,
    /// Whether its port opens and closes by turns.
    pub flapping: Option<Flapping>,
    /// What it can do at once.
    pub capacity: Option<Capacity>,
    /// How far it keeps the rules of receiving.
    pub manners: Manners,
}

/// A span of time; its end is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub to: Timestamp,
}

/// A distribution of durations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Always the same.
    Fixed(Duration),
    /// Anything between two, evenly.
    Uniform(Duration, Duration),
    /// Log-normal, by its median and its 99th percentile.
    LogNormal {
        /// The median.
        p50: Duration,
        /// The 99th percentile.
        p99: Duration,
    },
}

// === impl Script ===

impl Script {
    /// The same agency living so many times faster, day and night, without announced windows.
    pub(crate) fn squeezed(&self, speed: f64) -> Self {
        Self {
            latency: self.latency.squeezed(speed),
            work: self.work.squeezed(speed),
            supplement: self.supplement.squeezed(speed),
            handover: self.handover.squeezed(speed),
            retry_after: self.retry_after.map(|wait| wait.div_f64(speed)),
            office: None,
            outages: Vec::new(),
            slow: Vec::new(),
            late: self.late.squeezed(speed),
            hangs: Vec::new(),
            flapping: None,
            ..self.clone()
        }
    }

    /// The window in which it is away at `now`, or the next one.
    pub(crate) fn next_outage(&self, now: Timestamp) -> Option<Window> {
        let to_come = self
            .outages
            .iter()
            .filter(|window| window.to > now)
            .copied();
        let down = self.flapping.and_then(|flapping| flapping.next_down(now));
        to_come.chain(down).min_by_key(|window| window.from)
    }

    /// Whether it never answers what comes now.
    pub(crate) fn hangs(&self, now: Timestamp) -> bool {
        self.hangs.iter().any(|window| window.contains(now))
    }

    /// The answer that a draw between 0 and 1 falls on; none is the usual one.
    pub(crate) fn scripted(&self, draw: f64) -> Option<&ScriptedAnswer> {
        let mut upper = 0.0;
        self.answers.iter().find(|answer| {
            upper += answer.share;
            draw < upper
        })
    }

    /// How many times slower than usual it answers.
    pub(crate) fn slowness(&self, now: Timestamp) -> f64 {
        self.slow
            .iter()
            .filter(|(window, _)| window.contains(now))
            .map(|(_, factor)| *factor)
            .fold(1.0, f64::max)
    }
}

/// Answers at once, works for a minute, never fails.
impl Default for Script {
    fn default() -> Self {
        Self {
            latency: Spread::Fixed(Duration::ZERO),
            work: Spread::Fixed(Duration::from_secs(60)),
            office: None,
            error_rate: 0.0,
            lost_answer_rate: 0.0,
            busy_rate: 0.0,
            retry_after: None,
            not_taken_rate: 0.0,
            duplicate_reply_rate: 0.0,
            out_of_order_rate: 0.0,
            refusal_rate: 0.0,
            supplement_rate: 0.0,
            supplement: Spread::Fixed(Duration::from_secs(3600)),
            handover_rate: 0.0,
            handover: Spread::Uniform(Duration::from_secs(600), Duration::from_secs(4 * 3600)),
            outages: Vec::new(),
            slow: Vec::new(),
            answers: Vec::new(),
            dropped_answer_rate: 0.0,
            late_rate: 0.0,
            late: Spread::Fixed(Duration::from_secs(30)),
            hangs: Vec::new(),
            flapping: None,
            capacity: None,
            manners: Manners::default(),
        }
    }
}

// === impl Window ===

impl Window {
    /// The window that begins so long after an instant.
    pub fn after(start: Timestamp, from: Duration, length: Duration) -> Self {
        let from = later(start, from);
        Self {
            from,
            to: later(from, length),
        }
    }

    /// Whether an instant lies in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        (self.from..self.to).contains(&at)
    }
}

// === impl Spread ===

impl Spread {
    /// The 99th percentile of the standard normal distribution.
    const Z99: f64 = 2.326_347_874;

    fn squeezed(self, speed: f64) -> Self {
        match self {
            Self::Fixed(always) => Self::Fixed(always.div_f64(speed)),
            Self::Uniform(from, to) => Self::Uniform(from.div_f64(speed), to.div_f64(speed)),
            Self::LogNormal { p50, p99 } => Self::LogNormal {
                p50: p50.div_f64(speed),
                p99: p99.div_f64(speed),
            },
        }
    }

    /// One value.
    pub fn sample(&self, rng: &mut impl Rng) -> Duration {
        match *self {
            Self::Fixed(duration) => duration,
            Self::Uniform(from, to) if from < to => rng.random_range(from..=to),
            Self::Uniform(from, _) => from,
            Self::LogNormal { p50, p99 } => {
                let median = p50.as_secs_f64().max(1e-9);
                let sigma = (p99.as_secs_f64() / median).max(1.0).ln() / Self::Z99;
                let value = median * (sigma * normal(rng)).exp();
                Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
            }
        }
    }
}

/// The instant so long after another; beyond the calendar its end.
fn later(start: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    start.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// A value of the standard normal distribution (Box and Muller).
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::chance;

    fn quantile(spread: Spread, part: f64) -> f64 {
        let mut rng = chance(7, "test", &[]);
        let mut values: Vec<_> = (0..20_000)
            .map(|_| spread.sample(&mut rng).as_secs_f64())
            .collect();
        values.sort_by(f64::total_cmp);
        values[(part * values.len() as f64) as usize]
    }

    #[test]
    fn a_log_normal_spread_has_the_percentiles_it_was_given() {
        let seconds = Duration::from_secs;
        let spread = Spread::LogNormal {
            p50: seconds(10),
            p99: seconds(100),
        };
        assert!((9.5..10.5).contains(&quantile(spread, 0.5)));
        assert!((90.0..110.0).contains(&quantile(spread, 0.99)));
    }

    #[test]
    fn windows_have_a_first_instant_and_no_last() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let window = |from, to| Window {
            from: at(from),
            to: at(to),
        };
        let script = Script {
            outages: vec![window(50, 60), window(10, 20)],
            slow: vec![(window(0, 5), 3.0)],
            ..Script::default()
        };
        assert_eq!(script.next_outage(at(0)), Some(window(10, 20)));
        assert_eq!(script.next_outage(at(19)), Some(window(10, 20)));
        assert_eq!(script.next_outage(at(20)), Some(window(50, 60)));
        assert_eq!(script.next_outage(at(60)), None);
        assert_eq!((script.slowness(at(4)), script.slowness(at(5))), (3.0, 1.0));
    }
}
