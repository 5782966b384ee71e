use std::time::Duration;

/// Full jitter: a share of the wait between nothing and the whole, chosen by the seed alone.
///
/// The same wait and seed always give the same share, so a replay waits alike.
pub fn jittered(wait: Duration, seed: u64) -> Duration {
    let nanos = wait.as_nanos();
    let share = u128::from(mixed(seed));
    // The upper 64 bits of a product with a uniform 64-bit number: uniform over 0..=nanos.
    let wide = (nanos >> 64).saturating_mul(share);
    let narrow = ((nanos & u128::from(u64::MAX)) * share + u128::from(u64::MAX)) >> 64;
    from_nanos(wide.saturating_add(narrow).min(nanos))
}

/// The seed of one attempt at what `id` names.
pub fn seed(id: &[u8], attempt: u32) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let hash = id.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mixed(hash ^ mixed(attempt.into()))
}

/// The finaliser of `SplitMix64`: neighbouring inputs give unrelated outputs.
fn mixed(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn from_nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    let rest = u32::try_from(nanos % SECOND).unwrap_or(0);
    Duration::new(seconds, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn jitter_stays_within_the_wait_and_repeats(nanos: u64, seed: u64) {
            let wait = Duration::from_nanos(nanos);
            prop_assert!(jittered(wait, seed) <= wait);
            prop_assert_eq!(jittered(wait, seed), jittered(wait, seed));
        }
    }

    #[test]
    fn the_extremes_are_kept() {
        for seed in 0..100 {
            assert_eq!(jittered(Duration::ZERO, seed), Duration::ZERO);
            assert!(jittered(Duration::MAX, seed) <= Duration::MAX);
        }
    }

    #[test]
    fn jitter_spreads_over_the_whole_wait() {
        let wait = Duration::from_secs(100);
        let mut tenths = [0_u32; 10];
        for attempt in 0..10_000 {
            let share = jittered(wait, seed(b"delivery", attempt)).as_secs() / 10;
            tenths[usize::try_from(share.min(9)).unwrap()] += 1;
        }
        for count in tenths {
            assert!((850..1_150).contains(&count), "{tenths:?}");
        }
    }

    #[test]
    fn a_seed_depends_on_id_and_attempt() {
        let seeds = [seed(b"a", 1), seed(b"a", 2), seed(b"b", 1), seed(b"ab", 1)];
        let distinct: std::collections::BTreeSet<_> = seeds.iter().collect();
        assert_eq!(distinct.len(), seeds.len());
    }
}
