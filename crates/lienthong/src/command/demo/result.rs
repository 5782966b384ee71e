use simulator::{LaneReport, Report, Rest};

use crate::{cli::Output, exit::Failure, output};

const NAMED: usize = 20;

/// Prints the report; something unaccounted for is a finding.
///
/// # Errors
/// Something is not accounted for.
pub(crate) fn finish(report: &Report, format: Output) -> Result<(), Failure> {
    match format {
        Output::Json => output::json(report)?,
        Output::Table => print(report),
    }
    if report.is_accounted() {
        return Ok(());
    }
    Err(Failure::Finding(format!(
        "{} unaccounted for",
        report.unaccounted
    )))
}

fn print(report: &Report) {
    output::line(format_args!(
        "dossiers  {} accepted · {} ended · {} open · {} held",
        report.accepted, report.completed, report.open, report.held
    ));
    output::line(format_args!(
        "legal clock  {} on time · {} late",
        report.on_time, report.late
    ));
    output::line(format_args!(
        "events  {} accepted · {} refused · {} dead letters · {} unaccounted for",
        report.events, report.refused_events, report.dead, report.unaccounted
    ));
    output::line("");
    let rows: Vec<[String; 7]> = report
        .destinations
        .iter()
        .map(|lane| {
            [
                lane.id.clone(),
                lane.delivered.to_string(),
                lane.attempts.to_string(),
                lane.pending.to_string(),
                lane.dead.to_string(),
                seconds(lane.latency_p50_seconds),
                seconds(lane.latency_p99_seconds),
            ]
        })
        .collect();
    output::table(
        [
            "DESTINATION",
            "DELIVERED",
            "ATTEMPTS",
            "WAITING",
            "DEAD",
            "P50",
            "P99",
        ],
        &rows,
    );
    print_lanes(report);
    print_late(report);
    for what in &report.unaccounted_for {
        output::line(format_args!("UNACCOUNTED FOR  {what}"));
    }
}

fn print_lanes(report: &Report) {
    let lanes = report.destinations.iter();
    let rows: Vec<[String; 6]> = lanes
        .filter_map(|destination| Some((destination, destination.lane.as_ref()?)))
        .map(|(destination, lane)| {
            [
                destination.id.clone(),
                lane.breaker_opened.to_string(),
                held(lane),
                lane.highest_backlog.to_string(),
                lane.limits
                    .map(|(least, most)| format!("{least} to {most}"))
                    .unwrap_or_default(),
                caught_up(lane),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    output::line("");
    let headings = [
        "LANE",
        "BREAKER OPENED",
        "HELD",
        "HIGHEST BACKLOG",
        "AT ONCE",
        "LONGEST CATCH-UP",
    ];
    output::table(headings, &rows);
    output::line(format_args!("lost  {}", report.unaccounted));
}

/// How long it held for each reason that outlasted a moment.
fn held(lane: &LaneReport) -> String {
    let reasons = lane.held_seconds.iter().filter(|(_, held)| **held >= 1.0);
    let reasons: Vec<String> = reasons
        .map(|(word, held)| format!("{word} {}", seconds(*held)))
        .collect();
    reasons.join(", ")
}

fn caught_up(lane: &LaneReport) -> String {
    let took = |rest: &Rest| {
        let took = rest.caught_up_at?.duration_since(rest.to?);
        Some((took, rest.backlog, rest.why.clone()))
    };
    let longest = lane.rests.iter().filter_map(took).max();
    longest.map_or_else(String::new, |(took, backlog, why)| {
        let took = seconds(took.as_secs_f64());
        format!("{backlog} in {took} after {why}")
    })
}

fn print_late(report: &Report) {
    if report.late_dossiers.is_empty() {
        return;
    }
    output::line("");
    let rows: Vec<[String; 3]> = report
        .late_dossiers
        .iter()
        .take(NAMED)
        .map(|late| {
            [
                late.dossier.clone(),
                late.procedure.clone(),
                late.reason.clone(),
            ]
        })
        .collect();
    output::table(["LATE DOSSIER", "PROCEDURE", "WHERE THE TIME WENT"], &rows);
    let more = report.late_dossiers.len().saturating_sub(NAMED);
    if more > 0 {
        output::line(format_args!("… and {more} more (-o json names them)"));
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}
