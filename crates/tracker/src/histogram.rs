//! A histogram that can be kept in a row and from which values can be taken out again.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;

/// Counts of values in buckets no wider than 1/64 of their value (the scheme of HdrHistogram).
///
/// hdrhistogram itself is not used because it cannot take a single value out again, which a
/// correction of a dossier needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    buckets: BTreeMap<u32, u64>,
}

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(uint32, repeated, tag = "1")]
    buckets: Vec<u32>,
    #[prost(uint64, repeated, tag = "2")]
    counts: Vec<u64>,
}

/// Values below this have a bucket each.
const EXACT: u64 = 128;
/// Buckets per doubling above it.
const HALF: u32 = 64;

// === impl Histogram ===

impl Histogram {
    pub(crate) fn add(&mut self, value: u64) {
        *self.buckets.entry(bucket(value)).or_default() += 1;
    }

    pub(crate) fn remove(&mut self, value: u64) {
        let bucket = bucket(value);
        if let Some(count) = self.buckets.get_mut(&bucket) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.buckets.remove(&bucket);
            }
        }
    }

    /// The value below or at which so many of a thousand lie; `None` without values.
    pub(crate) fn permille(&self, permille: u64) -> Option<u64> {
        let all: u64 = self.buckets.values().sum();
        let rank = (all * permille).div_ceil(1000).max(1);
        let mut passed = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            passed += **count;
            passed >= rank
        });
        reached.map(|(bucket, _)| middle(*bucket))
    }

    pub(crate) fn encode(&self) -> Bytes {
        let (buckets, counts) = self.buckets.iter().unzip();
        Body { buckets, counts }.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, prost::DecodeError> {
        let body = Body::decode(bytes)?;
        Ok(Self {
            buckets: body.buckets.into_iter().zip(body.counts).collect(),
        })
    }
}

fn bucket(value: u64) -> u32 {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(7);
    // Below EXACT the shift is 0; above, the mantissa lies between 64 and 127.
    shift * HALF + u32::try_from(value >> shift).unwrap_or(0)
}

fn middle(bucket: u32) -> u64 {
    if u64::from(bucket) < EXACT {
        return bucket.into();
    }
    let shift = bucket / HALF - 1;
    let low = u64::from(bucket % HALF + HALF) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_is_close_to_its_values(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            let shown = middle(bucket(value));
            prop_assert!(shown.abs_diff(value) <= value / 64, "{value} shown as {shown}");
        }

        #[test]
        fn buckets_rise_with_values(a in any::<u64>(), b in any::<u64>()) {
            prop_assert!((a <= b) <= (bucket(a) <= bucket(b)));
        }

        #[test]
        fn what_is_taken_out_leaves_no_trace(
            kept in prop::collection::vec(0u64..1_000_000, 0..20),
            gone in prop::collection::vec(0u64..1_000_000, 0..20),
        ) {
            let mut expected = Histogram::default();
            kept.iter().for_each(|value| expected.add(*value));
            let mut histogram = expected.clone();
            gone.iter().for_each(|value| histogram.add(*value));
            gone.iter().for_each(|value| histogram.remove(*value));
            prop_assert_eq!(&histogram, &expected);
            prop_assert_eq!(Histogram::decode(histogram.encode()), Ok(expected));
        }
    }

    #[test]
    fn percentiles_by_rank() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.permille(500), None);
        (1..=100).for_each(|value| histogram.add(value));
        assert_eq!(histogram.permille(500), Some(50));
        assert_eq!(histogram.permille(990), Some(99));
        assert_eq!(histogram.permille(1000), Some(100));
    }
}
