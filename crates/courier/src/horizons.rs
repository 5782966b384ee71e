//! What retry horizons are worth when a destination is away over a weekend: our lane beside ladders that
//! other systems publish, all on one load, one destination and one clock that is only counted.
//!
//! The destination is away from Friday 16:00 to Monday 09:00. Everybody may have the same number in
//! flight there. Ladders send what is due in the order in which it became due; an ideal queue knows the
//! very moment of recovery and differs from the other ideal one by its order alone. A delivery *could have
//! been in time* if the ideal queue with the earliest deadline first hands it over in time: its deadline
//! lies after the recovery and after the drain of all that are due before it.

mod ideal;
mod ladder;
mod ours;
mod scenario;

use std::sync::Arc;

use calendar::{Calendars, OutOfRange};
use domain::Destination;
use serde::Serialize;

use crate::config::{Config, ConfigError};
use crate::entry::Millis;
use crate::lane::Setup;

use ladder::Ladder;
use scenario::{DESKS, Job, load};

/// What one system makes of the weekend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HorizonRow {
    /// The system, or the ideal queue.
    pub system: String,
    /// How the destination is away.
    pub away: Away,
    /// Handed over by the deadline.
    pub in_time: usize,
    /// Handed over late, although it could have been in time.
    pub late_avoidable: usize,
    /// Handed over late, and nobody could have helped it.
    pub late_unavoidable: usize,
    /// Never handed over: a person has to look.
    pub given_up: usize,
    /// Attempts at the destination while it was away.
    pub attempts_away: u64,
}

/// How a destination is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Away {
    /// It refuses connections.
    Refuses,
    /// It answers every attempt with HTTP 500.
    Fails,
}

/// The comparison cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HorizonError {
    /// Of the destination.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The destination's calendar does not know the days of the comparison.
    #[error(transparent)]
    Calendar(#[from] OutOfRange),
}

/// What became of every job, in the order of the load.
#[derive(Debug)]
struct Run {
    ends: Vec<Option<Millis>>,
    attempts_away: u64,
}

// === impl HorizonRow ===

impl HorizonRow {
    /// The system of our rows.
    pub const OURS: &str = "lienthong";
}

/// Compares the lane of a destination, with its retry steps and calendar and the courier's usual breaker,
/// to published ladders. The same arguments always give the same rows.
///
/// # Errors
/// The destination is not valid, or its calendar does not cover September 2026.
pub fn compare_horizons(
    destination: Destination,
    calendars: Arc<Calendars>,
) -> Result<Vec<HorizonRow>, HorizonError> {
    let mut rows = Vec::new();
    for bound in Config::new(vec![destination], calendars).bind()? {
        let setup = Setup {
            max_in_flight: DESKS,
            ..bound.setup
        };
        let jobs = load(&setup.calendar)?;
        let first_due = ideal::run(&jobs, |job| job.due_at);
        let first_in = ideal::run(&jobs, |job| job.opened_at);
        for away in [Away::Refuses, Away::Fails] {
            let mut judge =
                |system: &str, run: &Run| rows.push(judge(system, away, &jobs, run, &first_due));
            judge(HorizonRow::OURS, &ours::run(&jobs, &setup, away));
            for ladder in Ladder::published() {
                judge(ladder.system, &ladder.run(&jobs));
            }
            judge("ideal, first in first out", &first_in);
            judge("ideal, earliest deadline first", &first_due);
        }
    }
    Ok(rows)
}

fn judge(system: &str, away: Away, jobs: &[Job], run: &Run, best: &Run) -> HorizonRow {
    let mut row = HorizonRow {
        system: system.to_owned(),
        away,
        in_time: 0,
        late_avoidable: 0,
        late_unavoidable: 0,
        given_up: 0,
        attempts_away: run.attempts_away,
    };
    for ((job, end), best) in jobs.iter().zip(&run.ends).zip(&best.ends) {
        let is_in_time = |end: &Option<Millis>| end.is_some_and(|end| end <= job.due_at);
        let count = match end {
            None => &mut row.given_up,
            Some(_) if is_in_time(end) => &mut row.in_time,
            Some(_) if is_in_time(best) => &mut row.late_avoidable,
            Some(_) => &mut row.late_unavoidable,
        };
        *count += 1;
    }
    row
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{RetrySteps, Terms};

    use super::*;

    fn rows() -> Vec<HorizonRow> {
        let destination = Destination {
            id: "weekend".parse().unwrap(),
            agency: "justice".parse().unwrap(),
            endpoint: "http://127.0.0.1:7101/".parse().unwrap(),
            calendar: "national-office".parse().unwrap(),
            max_in_flight: 8,
            timeout: Duration::from_secs(30),
            retry: RetrySteps {
                steps: [60, 300, 900, 3_600].map(Duration::from_secs).to_vec(),
                max_attempts: 12,
            },
            terms: Terms::default(),
        };
        compare_horizons(destination, Arc::new(Calendars::built_in().unwrap())).unwrap()
    }

    /// Peers (e): nothing overdue that could have been in time, nothing given up, however the destination
    /// is away; every published ladder loses or delays something, and so does first in, first out.
    #[test]
    fn horizons_of_all_published_ladders_are_beaten() {
        let rows = rows();
        let of = |is_it: fn(&str) -> bool| -> Vec<&HorizonRow> {
            rows.iter().filter(|row| is_it(&row.system)).collect()
        };
        let ours = of(|system| system == HorizonRow::OURS);
        assert_eq!(ours.len(), 2);
        for row in ours {
            assert_eq!((row.late_avoidable, row.given_up), (0, 0), "{row:?}");
            assert!(row.in_time > 30_000 && row.attempts_away > 100, "{row:?}");
        }
        let others = of(|system| system != HorizonRow::OURS && !system.ends_with("deadline first"));
        assert_eq!(others.len(), 14);
        for row in others {
            assert!(row.late_avoidable + row.given_up > 0, "{row:?}");
        }
        for row in &rows {
            let all = row.in_time + row.late_avoidable + row.late_unavoidable + row.given_up;
            assert_eq!(all, rows[0].in_time + rows[0].late_unavoidable, "{row:?}");
            assert!(
                row.late_unavoidable + row.given_up > 0,
                "some were lost before: {row:?}"
            );
        }
    }
}
