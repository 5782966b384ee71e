//! When each event is due: the recorded gaps, shortened.

use std::time::Duration;

use jiff::Timestamp;

/// How long after the start of the replay each event is due. Speed 0 means at once.
pub(super) fn due(
    times: impl IntoIterator<Item = Timestamp>,
    speed: f64,
) -> impl Iterator<Item = Duration> {
    let mut first = None;
    times.into_iter().map(move |at| {
        let passed = at.duration_since(*first.get_or_insert(at)).as_secs_f64();
        if speed == 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64((passed / speed).max(0.0)).unwrap_or(Duration::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(speed: f64, expected: [u64; 4]) {
        let times = [100, 160, 160, 1_060].map(|second| Timestamp::from_second(second).unwrap());
        let plan: Vec<_> = due(times, speed).collect();
        assert_eq!(
            plan,
            expected.map(Duration::from_millis),
            "at speed {speed}"
        );
    }

    #[test]
    fn gaps_are_the_recorded_ones_divided_by_the_speed() {
        check(1.0, [0, 60_000, 60_000, 960_000]);
        check(60.0, [0, 1_000, 1_000, 16_000]);
        check(0.5, [0, 120_000, 120_000, 1_920_000]);
        check(0.0, [0; 4]);
    }
}
