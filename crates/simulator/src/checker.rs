mod arrivals;
mod claims;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use domain::{AgencyId, DeliveryId, DossierKey, EventId};
use proto::v1::{DeliveryState, Dossier, GetSummaryResponse, Step};

use crate::Record;

/// What the tracker claims, once the circle has come to rest.
#[derive(Clone, Debug, Default)]
pub struct TrackerView {
    /// Of all events that were sent, those that are on no timeline.
    pub missing: BTreeSet<(AgencyId, EventId)>,
    /// Every dossier with its steps.
    pub dossiers: BTreeMap<DossierKey, Dossier>,
    /// The totals.
    pub summary: GetSummaryResponse,
}

/// A promise of the pipeline (`reliability.md` §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// I1: every accepted event and every delivery it causes ends in a known state.
    NoLoss,
    /// I2: each delivered id has a cause, its digest is that of the cause.
    NothingInvented,
    /// I3: one effect per (delivery, destination) after dropping repeats by id.
    OneEffect,
    /// I4: order per (dossier, destination) of first arrivals.
    Order,
    /// I5: nothing refused is delivered.
    NothingRefused,
    /// I6: pending drains to zero.
    Drained,
    /// I7: totals equal the history.
    Totals,
}

/// A promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// How, with ids.
    pub detail: String,
}

/// Both sides, prepared for look-ups.
struct Case<'a> {
    record: &'a Record,
    view: &'a TrackerView,
    /// The view's deliveries.
    steps: BTreeMap<DeliveryId, (&'a DossierKey, &'a Step)>,
    violations: Vec<Violation>,
}

/// Compares what the world saw with what the tracker claims, when nothing is on its way any more. No
/// violation: I1 to I7 hold for this history.
pub fn check(record: &Record, view: &TrackerView) -> Vec<Violation> {
    let mut case = Case {
        record,
        view,
        steps: BTreeMap::new(),
        violations: Vec::new(),
    };
    case.index();
    case.events();
    case.dossiers();
    case.totals();
    case.causes();
    case.effects();
    case.order();
    case.violations.sort_by_key(|violation| violation.invariant);
    case.violations
}

// === impl Case ===

impl<'a> Case<'a> {
    fn index(&mut self) {
        let view = self.view;
        for (key, dossier) in &view.dossiers {
            for step in &dossier.steps {
                let Ok(id) = step.delivery.parse::<DeliveryId>() else {
                    let state = step.delivery_state();
                    self.add(
                        Invariant::NoLoss,
                        format!("step {} of {key} is {state:?} without a delivery", step.id),
                    );
                    continue;
                };
                if step.delivery_state() == DeliveryState::Unspecified {
                    let detail = format!("delivery {id} of {key} is in no state");
                    self.add(Invariant::NoLoss, detail);
                }
                if let Some((other, _)) = self.steps.insert(id, (key, step)) {
                    let detail = format!("delivery {id} belongs to {key} and to {other}");
                    self.add(Invariant::NothingInvented, detail);
                }
            }
        }
    }

    fn add(&mut self, invariant: Invariant, detail: String) {
        self.violations.push(Violation { invariant, detail });
    }
}

// === impl Invariant ===

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLoss => "I1 no loss",
            Self::NothingInvented => "I2 nothing invented or altered",
            Self::OneEffect => "I3 one effect",
            Self::Order => "I4 order",
            Self::NothingRefused => "I5 nothing refused is delivered",
            Self::Drained => "I6 drained",
            Self::Totals => "I7 totals",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}
