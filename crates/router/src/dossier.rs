use std::collections::BTreeSet;

use bytes::Bytes;
use domain::{
    AgencyId, Classification, DestinationId, DossierCode, DossierEnd, DossierKey, Event, EventId,
    History, HoldReason, ProcedureCode, RouteId, StepId, UnitRef,
};
use jiff::Timestamp;

use crate::Plan;

/// What the router knows of one dossier: a function of its events alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dossier {
    /// The internal key.
    pub key: DossierKey,
    /// The official code, once one came.
    pub code: Option<DossierCode>,
    /// The statuses of the dossier as a whole.
    pub history: History,
    /// The event that accepted it; its payload is dropped once no step needs it any more.
    pub receipt: Option<Receipt>,
    /// The route version in force on the day of receipt, once found.
    pub route: Option<RouteId>,
    /// The steps that were opened, and those that statuses came for.
    pub steps: Vec<Step>,
    /// Why it waits, if it does.
    pub held: Option<Held>,
    /// How often it was held: tells one hold's records from another's.
    pub holds: u32,
    /// How it ended, if it has.
    pub end: Option<DossierEnd>,
}

/// The event that accepted a dossier, as later steps need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The agency that accepted it.
    pub source: AgencyId,
    /// The accepting event.
    pub event: EventId,
    /// When it was accepted: the legal clock starts here.
    pub at: Timestamp,
    /// What is asked for.
    pub procedure: ProcedureCode,
    /// The competent unit as the receiver knew it; the event names no other.
    pub unit: UnitRef,
    /// How far the content may travel.
    pub classification: Classification,
    /// Media type of the payload.
    pub content_type: String,
    /// The payload.
    pub data: Bytes,
}

/// One step as its agency tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The step's id in the route.
    pub id: StepId,
    /// Whether its delivery was emitted.
    pub is_open: bool,
    /// Where that went to; `None` also where an earlier version emitted it.
    pub destination: Option<DestinationId>,
    /// Its statuses.
    pub history: History,
}

/// Why a dossier waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The kind of cause.
    pub reason: HoldReason,
    /// The cause in words.
    pub detail: String,
}

// === impl Dossier ===

impl Dossier {
    /// How many steps are remembered before the route says which there are.
    const MAX_STEPS: usize = 64;

    /// A dossier of which nothing is known yet.
    pub fn new(key: DossierKey) -> Self {
        Self {
            key,
            code: None,
            history: History::default(),
            receipt: None,
            route: None,
            steps: Vec::new(),
            held: None,
            holds: 0,
            end: None,
        }
    }

    /// Whether the route has that step; before the route is known, whether it is one of a few.
    pub(crate) fn may_have(&self, id: &StepId, plan: &Plan) -> bool {
        let route = self.route.as_ref().and_then(|id| plan.routes.route(id));
        match route {
            Some(route) => route.step(id).is_some(),
            None => {
                self.steps.len() < Self::MAX_STEPS || self.steps.iter().any(|step| step.id == *id)
            }
        }
    }

    /// The step of that id, added if nothing is known of it.
    pub(crate) fn step_mut(&mut self, id: &StepId) -> &mut Step {
        let index = self
            .steps
            .iter()
            .position(|step| step.id == *id)
            .unwrap_or_else(|| {
                self.steps.push(Step {
                    id: id.clone(),
                    is_open: false,
                    destination: None,
                    history: History::default(),
                });
                self.steps.len() - 1
            });
        &mut self.steps[index]
    }

    pub(crate) fn is_open(&self, id: &StepId) -> bool {
        self.steps.iter().any(|step| step.is_open && step.id == *id)
    }

    /// The open steps that ended with their product.
    pub(crate) fn succeeded(&self) -> BTreeSet<StepId> {
        let done = self
            .steps
            .iter()
            .filter(|step| step.is_open && step.has_product());
        done.map(|step| step.id.clone()).collect()
    }

    /// When all of these steps had ended; `None` while one has not.
    pub(crate) fn ended_at(&self, ids: &[StepId]) -> Option<Timestamp> {
        let ends = ids.iter().map(|id| {
            let step = self.steps.iter().find(|step| step.id == *id)?;
            step.ended_at()
        });
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// When a step was opened that is: when the last of the steps before had ended, in whatever order
    /// their results came in. `None` before the dossier was accepted.
    pub(crate) fn opened_at(&self, step: &routes::Step) -> Option<Timestamp> {
        let received_at = self.receipt.as_ref()?.at;
        let ended_at = self.ended_at(&step.after).unwrap_or_default();
        Some(ended_at.max(received_at))
    }

    /// When the last open step ended; `None` while one has not.
    pub(crate) fn all_ended_at(&self) -> Option<Timestamp> {
        let open = self.steps.iter().filter(|step| step.is_open);
        let ends = open.map(Step::ended_at);
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

// === impl Receipt ===

impl Receipt {
    pub(crate) fn of(event: &Event, at: Timestamp) -> Self {
        Self {
            source: event.source.clone(),
            event: event.id.clone(),
            at,
            procedure: event.procedure.clone(),
            unit: event.unit,
            classification: event.classification,
            content_type: event.content_type.clone(),
            data: event.data.clone(),
        }
    }
}

// === impl Step ===

impl Step {
    pub(crate) fn has_product(&self) -> bool {
        self.history
            .fold()
            .is_some_and(|fold| fold.status.is_success())
    }

    fn ended_at(&self) -> Option<Timestamp> {
        self.history.fold().and_then(|fold| fold.ended_at)
    }
}
