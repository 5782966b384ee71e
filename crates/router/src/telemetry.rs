//! One function per event: log line and metric together.

use std::collections::BTreeMap;

use domain::{DestinationId, Event, FactReason, OutcomeKind};
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

/// What a batch amounts to; counted once its transaction has landed, so that the figures agree with
/// the store.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    events: BTreeMap<&'static str, u64>,
    deliveries: BTreeMap<DestinationId, u64>,
    waiting: i32,
}

// === impl Tally ===

impl Tally {
    pub(crate) fn decided(&mut self, event: &Event, effects: &Effects) {
        let mut became = "routed";
        for fact in &effects.outcomes {
            match &fact.kind {
                OutcomeKind::DossierHeld { reason, detail } => {
                    became = "held";
                    warn!(dossier = %event.dossier, %reason, detail, "dossier held");
                }
                OutcomeKind::FactKept { reason, .. } => {
                    became = match reason {
                        FactReason::Conflict => "conflict",
                        FactReason::Contradicts
                        | FactReason::AfterEnd
                        | FactReason::UnknownStep
                        | FactReason::StepNotOpen => "late",
                    };
                    info!(dossier = %event.dossier, event = %event.id, %reason, "event kept as a fact");
                }
                _ => {}
            }
        }
        *self.events.entry(became).or_default() += 1;
        for delivery in &effects.deliveries {
            debug!(dossier = %delivery.dossier, step = %delivery.step, destination = %delivery.destination, "step opened");
            let count = self.deliveries.entry(delivery.destination.clone());
            *count.or_default() += 1;
        }
    }

    pub(crate) fn invalid(&mut self) {
        *self.events.entry("invalid").or_default() += 1;
    }

    /// How a dossier stood before and after an event.
    pub(crate) fn held(&mut self, before: bool, after: bool) {
        self.waiting += i32::from(after) - i32::from(before);
    }

    pub(crate) fn count(self) {
        for (outcome, count) in self.events {
            counter!(EVENTS, "outcome" => outcome).increment(count);
        }
        for (destination, count) in self.deliveries {
            counter!(DELIVERIES, "destination" => destination.to_string()).increment(count);
        }
        gauge!(WAITING).increment(f64::from(self.waiting));
    }
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
