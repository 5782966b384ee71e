//! One function per event: log line and metric together.

use domain::{Event, OutcomeKind};
use metrics::{counter, describe_counter, describe_gauge, gauge};
use tracing::{debug, info, warn};

use crate::Effects;

const EVENTS: &str = "lienthong_router_events_total";
const DELIVERIES: &str = "lienthong_router_deliveries_total";
const WAITING: &str = "lienthong_router_unroutable_waiting";
const RELEASED: &str = "lienthong_router_released_total";

/// Describes the metrics of this crate.
pub fn describe_metrics() {
    describe_counter!(EVENTS, "Events decided on, by what became of them");
    describe_counter!(DELIVERIES, "Deliveries emitted, by destination");
    describe_gauge!(WAITING, "Dossiers held because they cannot be routed");
    describe_counter!(RELEASED, "Held dossiers that a later start could route");
}

pub(crate) fn decided(event: &Event, effects: &Effects) {
    let mut outcome = "routed";
    for fact in &effects.outcomes {
        match &fact.kind {
            OutcomeKind::DossierHeld { reason, detail } => {
                outcome = "held";
                warn!(dossier = %event.dossier, %reason, detail, "dossier held");
            }
            OutcomeKind::FactKept { reason, .. } => {
                outcome = match reason {
                    domain::FactReason::Conflict => "conflict",
                    _ => "late",
                };
                info!(dossier = %event.dossier, event = %event.id, %reason, "event kept as a fact");
            }
            _ => {}
        }
    }
    counter!(EVENTS, "outcome" => outcome).increment(1);
    for delivery in &effects.deliveries {
        debug!(dossier = %delivery.dossier, step = %delivery.step, destination = %delivery.destination, "step opened");
        counter!(DELIVERIES, "destination" => delivery.destination.to_string()).increment(1);
    }
}

pub(crate) fn unreadable() {
    counter!(EVENTS, "outcome" => "invalid").increment(1);
}

pub(crate) fn waiting(count: i64) {
    gauge!(WAITING).set(count as f64);
}

pub(crate) fn released(count: usize) {
    if count > 0 {
        counter!(RELEASED).increment(count as u64);
        info!(count, "held dossiers are on their way again");
    }
}
