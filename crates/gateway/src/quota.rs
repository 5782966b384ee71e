use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::AgencyId;
use tokio::time::Instant;

/// A token bucket per source; sources beyond the known many share one.
#[derive(Debug)]
pub(crate) struct Quotas {
    rate: f64,
    burst: f64,
    buckets: Mutex<HashMap<Option<AgencyId>, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    since: Instant,
}

const SOURCES: usize = 1_000;

// === impl Quotas ===

impl Quotas {
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let (rate, burst) = (f64::from(rate.max(1)), f64::from(burst.max(1)));
        Self {
            rate,
            burst,
            buckets: Mutex::default(),
        }
    }

    /// Takes a token, or says how long until there is one.
    pub(crate) fn take(&self, source: &AgencyId, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Some(source.clone());
        let key = if buckets.len() >= SOURCES && !buckets.contains_key(&key) {
            None
        } else {
            key
        };
        let full = Bucket {
            tokens: self.burst,
            since: now,
        };
        let bucket = buckets.entry(key).or_insert(full);
        let grown = now.saturating_duration_since(bucket.since).as_secs_f64() * self.rate;
        *bucket = Bucket {
            tokens: (bucket.tokens + grown).min(self.burst),
            since: now,
        };
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds_per_source() {
        let quotas = Quotas::new(10, 2);
        let (now, a, b) = (Instant::now(), "a".parse().unwrap(), "b".parse().unwrap());
        assert!(quotas.take(&a, now).is_ok() && quotas.take(&a, now).is_ok());
        assert_eq!(quotas.take(&a, now), Err(Duration::from_millis(100)));
        assert!(quotas.take(&b, now).is_ok());
        assert!(quotas.take(&a, now + Duration::from_millis(100)).is_ok());
    }
}
