//! What retry horizons are worth: a destination away from Friday 16:00 to Monday 09:00, simulated.

use std::{sync::Arc, time::Duration};

use calendar::Calendars;
use courier::{Away, HorizonRow, compare_horizons};
use domain::RetrySteps;

use super::{drive, report::Row};
use crate::{command::bench::figure::Figure, output};

/// The retry steps of the destinations that come with the pipeline, in minutes.
const STEPS: [u64; 4] = [1, 5, 15, 60];
const ATTEMPTS: u32 = 12;
const TIMEOUT: Duration = Duration::from_secs(30);
const HEADINGS: [&str; 7] = [
    "SYSTEM",
    "AWAY AS",
    "IN TIME",
    "LATE, AVOIDABLE",
    "LATE, UNAVOIDABLE",
    "GIVEN UP",
    "ATTEMPTS WHILE AWAY",
];

/// Simulates the weekend here and at others.
pub(super) fn compare() -> anyhow::Result<Vec<HorizonRow>> {
    let mut destination = drive::destination(0, "http://127.0.0.1:1/", 1, TIMEOUT)?;
    destination.retry = RetrySteps {
        steps: STEPS
            .map(|minutes| Duration::from_secs(60 * minutes))
            .to_vec(),
        max_attempts: ATTEMPTS,
    };
    let calendars = Arc::new(Calendars::built_in()?);
    Ok(compare_horizons(destination, calendars)?)
}

/// What must be none of ours.
pub(super) fn figures(rows: &[HorizonRow]) -> Vec<Row> {
    let ours = rows.iter().filter(|row| row.system == HorizonRow::OURS);
    let figures = ours.flat_map(|row| {
        let figure = |what: &str, number: usize| {
            let name = format!("horizons.{what}.{}", words(row.away));
            Figure::at_most(name, number as f64, "deliveries", 0.0)
        };
        [
            figure("late-avoidable", row.late_avoidable),
            figure("given-up", row.given_up),
        ]
    });
    figures.map(Row::from).collect()
}

/// Prints the comparison for people.
pub(super) fn print(rows: &[HorizonRow]) {
    if rows.is_empty() {
        return;
    }
    output::line(format_args!(
        "a destination away from Friday 16:00 to Monday 09:00, steps of 4 working hours and 2 working days, \
         simulated; others by their published retry schedules, with as many in flight:"
    ));
    let cells: Vec<[String; 7]> = rows.iter().map(cells).collect();
    output::table(HEADINGS, &cells);
}

fn cells(row: &HorizonRow) -> [String; 7] {
    [
        row.system.clone(),
        words(row.away).to_owned(),
        row.in_time.to_string(),
        row.late_avoidable.to_string(),
        row.late_unavoidable.to_string(),
        row.given_up.to_string(),
        row.attempts_away.to_string(),
    ]
}

fn words(away: Away) -> &'static str {
    match away {
        Away::Refuses => "refused",
        Away::Fails => "http-500",
    }
}
