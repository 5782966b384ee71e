use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{DossierKey, EventKind, Status};
use proto::{
    duration_from_wire,
    v1::{DeadlineState, DossierState, GetSummaryResponse},
};
use serde::Serialize;

use crate::{Fate, LaneReport, QueryError, Reaction, Record, TrackerQueries, lateness::Lateness};

/// How a simulation ended. Figures are of this simulation alone, whatever the system had done before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Dossiers that the gateway accepted.
    pub accepted: u64,
    /// Dossiers that ended, in whatever way.
    pub completed: u64,
    /// Dossiers on which work goes on.
    pub open: u64,
    /// Dossiers that wait for a cause outside themselves.
    pub held: u64,
    /// Deliveries that need a person.
    pub dead: u64,
    /// Ended dossiers that met their legal deadline.
    pub on_time: u64,
    /// Dossiers that missed it: ended too late, or open past it.
    pub late: u64,
    /// Accepted events on no timeline, accepted dossiers in no state, deliveries on which agencies and
    /// tracker disagree.
    pub unaccounted: u64,
    /// One per destination.
    pub destinations: Vec<DestinationReport>,
    /// Events that the gateway accepted.
    pub events: u64,
    /// Events that it refused.
    pub refused_events: u64,
    /// Late dossiers with the reason, at most [`Report::MOST_NAMED`].
    pub late_dossiers: Vec<LateDossier>,
    /// What is not accounted for, by name, at most [`Report::MOST_NAMED`].
    pub unaccounted_for: Vec<String>,
}

/// How one destination did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DestinationReport {
    /// The destination.
    pub id: String,
    /// Attempts made.
    pub attempts: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries that wait.
    pub pending: u64,
    /// Deliveries that need a person.
    pub dead: u64,
    /// The median time from opening to arrival, in seconds of the pipeline's clock.
    pub latency_p50_seconds: f64,
    /// The 99th percentile of it.
    pub latency_p99_seconds: f64,
    /// What its lane went through, if anybody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<LaneReport>,
}

/// A dossier that missed its legal deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LateDossier {
    /// Its key.
    pub dossier: String,
    /// Its official code, if it has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// Its procedure.
    pub procedure: String,
    /// Where the time went.
    pub reason: String,
}

/// What the tracker claimed before a simulation began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline {
    summary: GetSummaryResponse,
    /// Deliveries taken by the agencies before.
    taken: u64,
}

// === impl Report ===

impl Report {
    /// How many late dossiers and unaccounted ids are named.
    pub const MOST_NAMED: usize = 1_000;

    /// Whether everything is accounted for.
    pub fn is_accounted(&self) -> bool {
        self.unaccounted == 0
    }

    /// Asks the tracker and compares with what was sent and what arrived.
    pub(crate) async fn gather(
        queries: &TrackerQueries,
        record: &Record,
        baseline: &Baseline,
        lateness: &Lateness,
    ) -> Result<Self, QueryError> {
        let dossiers = accepted_dossiers(record);
        let summary = queries.summary().await?;
        let mut report = Self {
            accepted: dossiers.len() as u64,
            events: record.with_fate(Fate::Accepted).count() as u64,
            refused_events: record.with_fate(Fate::Refused).count() as u64,
            ..Self::default()
        };
        report.totals(&summary, &baseline.summary);
        report.deliveries(record, baseline);
        let missing = queries.missing(record.with_fate(Fate::Accepted)).await?;
        for (source, id) in &missing {
            report.unaccounted(1, format!("event {source}/{id} is on no timeline"));
        }
        let known = report.completed + report.open + report.held;
        let lost = report.accepted.saturating_sub(known);
        if lost > 0 && missing.is_empty() {
            report.unaccounted(lost, format!("{lost} accepted dossier(s) in no state"));
        }
        report.late_dossiers = late(queries, &dossiers, lateness).await?;
        Ok(report)
    }

    fn totals(&mut self, now: &GetSummaryResponse, before: &GetSummaryResponse) {
        let count = |summary: &GetSummaryResponse, state: DossierState| {
            let counts = summary.states.iter();
            let of_state = counts.filter(|count| count.state == i32::from(state));
            of_state.map(|count| count.count).sum::<u64>()
        };
        let more = |state| count(now, state).saturating_sub(count(before, state));
        self.open = more(DossierState::Open);
        self.held = more(DossierState::Held);
        self.completed = more(DossierState::Completed)
            + more(DossierState::Partial)
            + more(DossierState::Refused)
            + more(DossierState::Withdrawn);
        self.on_time = now.on_time.saturating_sub(before.on_time);
        self.late = now.late.saturating_sub(before.late);
        let earlier: BTreeMap<_, _> = before
            .destinations
            .iter()
            .map(|destination| (&destination.destination, destination))
            .collect();
        for destination in &now.destinations {
            let before = earlier.get(&destination.destination);
            let less = |count: u64, of: fn(&proto::v1::DestinationSummary) -> u64| {
                count.saturating_sub(before.map_or(0, |before| of(before)))
            };
            let seconds = |wire: Option<_>| {
                let latency: Duration = wire.map(duration_from_wire).unwrap_or_default();
                latency.as_secs_f64()
            };
            let figures = DestinationReport {
                id: destination.destination.clone(),
                attempts: less(destination.attempts, |d| d.attempts),
                delivered: less(destination.delivered, |d| d.delivered),
                pending: destination.pending,
                dead: less(destination.dead, |d| d.dead),
                latency_p50_seconds: seconds(destination.latency_p50),
                latency_p99_seconds: seconds(destination.latency_p99),
                lane: None,
            };
            self.dead += figures.dead;
            self.destinations.push(figures);
        }
    }

    /// What the agencies took must be what the tracker has as delivered.
    fn deliveries(&mut self, record: &Record, baseline: &Baseline) {
        let taken = taken(record).saturating_sub(baseline.taken);
        let delivered: u64 = self.destinations.iter().map(|d| d.delivered).sum();
        let apart = taken.abs_diff(delivered);
        if apart > 0 {
            let detail = format!(
                "agencies took {taken} deliveries, the tracker has {delivered} as delivered"
            );
            self.unaccounted(apart, detail);
        }
    }

    fn unaccounted(&mut self, count: u64, detail: String) {
        self.unaccounted += count;
        if self.unaccounted_for.len() < Self::MOST_NAMED {
            self.unaccounted_for.push(detail);
        }
    }
}

async fn late(
    queries: &TrackerQueries,
    ours: &BTreeSet<DossierKey>,
    lateness: &Lateness,
) -> Result<Vec<LateDossier>, QueryError> {
    let mut keys = Vec::new();
    for deadline in [DeadlineState::Missed, DeadlineState::Overdue] {
        let listed = queries.list(DossierState::Unspecified, deadline).await?;
        keys.extend(listed.into_iter().map(|dossier| dossier.key));
    }
    keys.retain(|key| key.parse().is_ok_and(|key| ours.contains(&key)));
    keys.sort();
    keys.truncate(Report::MOST_NAMED);
    let dossiers = queries.dossiers(keys).await?;
    let mut named: Vec<_> = dossiers
        .into_iter()
        .map(|dossier| LateDossier {
            reason: lateness.reason(&dossier),
            dossier: dossier.key,
            code: dossier.code,
            procedure: dossier.procedure,
        })
        .collect();
    named.sort_by(|a, b| a.dossier.cmp(&b.dossier));
    Ok(named)
}

/// The dossiers that the gateway accepted as accepted.
fn accepted_dossiers(record: &Record) -> BTreeSet<DossierKey> {
    let of_desks = record.sent.values().filter(|sent| {
        sent.fate == Fate::Accepted
            && sent.step.is_none()
            && sent.kind == EventKind::Status(Status::Accepted)
    });
    of_desks.map(|sent| sent.dossier.clone()).collect()
}

fn taken(record: &Record) -> u64 {
    let taken = |arrival: &&crate::Arrival| arrival.reaction == Reaction::Taken;
    record.arrivals.iter().filter(taken).count() as u64
}

// === impl Baseline ===

impl Baseline {
    pub(crate) fn new(summary: GetSummaryResponse, record: &Record) -> Self {
        Self {
            summary,
            taken: taken(record),
        }
    }
}
