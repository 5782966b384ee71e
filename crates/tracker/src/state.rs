//! What is known of one dossier. Folding is pure, and the order in which topics are read does not
//! matter: an outcome may come before the delivery that it is about.

use domain::{
    AgencyId, Delivery, DeliveryId, DestinationId, DossierCode, DossierEnd, Event, Fact, Fold,
    History, HoldReason, Outcome, OutcomeKind, ProcedureCode, ProvinceCode, RouteId, StepId,
    UnitCode,
};
use jiff::Timestamp;
use proto::v1::{DeliveryState, DossierState};

use crate::{
    arrival::News,
    deadline::{Clocks, Deadline, Limit},
    tail::Tail,
};

/// One dossier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The newest entries of its timeline.
    pub(crate) tail: Tail,
    pub(crate) named: Option<Named>,
    /// The official code, with the time of the newest record that gives one.
    pub(crate) code: Option<(Timestamp, DossierCode)>,
    pub(crate) routed: Option<Routed>,
    /// Status facts of the dossier as a whole.
    pub(crate) history: History,
    pub(crate) hold: Option<HoldReason>,
    pub(crate) end: Option<(DossierEnd, Timestamp)>,
    /// By id. A list, because a map's node would take kilobytes for a step or two.
    pub(crate) steps: Vec<(StepId, Step)>,
    /// Counted by [`State::settle`].
    pub(crate) deadline: Deadline,
}

/// What is asked for and where, as the earliest event says; without one, as a delivery says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) by: Namer,
    pub(crate) procedure: ProcedureCode,
    pub(crate) unit: UnitCode,
}

/// The record that names a dossier; the least one wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Namer {
    Event(Timestamp, String),
    Delivery(Timestamp, DeliveryId),
}

/// What the router decided, as the first delivery says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Routed {
    pub(crate) by: (Timestamp, DeliveryId),
    pub(crate) route: RouteId,
    pub(crate) received_at: Timestamp,
    pub(crate) due_at: Timestamp,
}

/// One step. Before its delivery is read it may already have facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) history: History,
    pub(crate) opened: Option<Opened>,
    pub(crate) handovers: Vec<Handover>,
    /// Counted by [`State::settle`].
    pub(crate) deadline: Deadline,
}

/// What a step's newest delivery says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) delivery: DeliveryId,
    pub(crate) at: Timestamp,
    pub(crate) due_at: Timestamp,
    pub(crate) agency: AgencyId,
    pub(crate) unit: UnitCode,
    /// Acts in the unit's place.
    pub(crate) province: Option<ProvinceCode>,
    pub(crate) task: String,
    pub(crate) product: String,
    pub(crate) legal_basis: String,
}

/// How one delivery stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handover {
    pub(crate) delivery: DeliveryId,
    pub(crate) destination: DestinationId,
    /// Once the delivery itself was read.
    pub(crate) opened_at: Option<Timestamp>,
    pub(crate) state: DeliveryState,
    pub(crate) attempts: u32,
    pub(crate) delivered_at: Option<Timestamp>,
}

// === impl State ===

impl State {
    /// Takes one record in. [`State::settle`] counts the deadlines afterwards.
    pub(crate) fn take(&mut self, news: News) {
        match news {
            News::Event(event) => self.event(event),
            News::Delivery(delivery) => self.delivery(delivery),
            News::Outcome(outcome) => self.outcome(outcome),
            News::Ordered(_) | News::Conflict { .. } => {}
        }
    }

    /// Counts the deadlines anew.
    pub(crate) fn settle(&mut self, clocks: &Clocks) {
        let fold = self.history.fold();
        let ended_at = self
            .end
            .map(|(_, at)| at)
            .or_else(|| refused_at(fold.as_ref()));
        let limit = self.routed.as_ref().map(|r| Limit {
            started_at: r.received_at,
            due_at: r.due_at,
        });
        let calendar = match &self.routed {
            Some(routed) => clocks.of_route(&routed.route),
            None => clocks.usual(),
        };
        self.deadline = Deadline::count(calendar, limit, pauses(fold.as_ref()), ended_at);
        for (_, step) in &mut self.steps {
            step.settle(clocks, ended_at);
        }
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> DossierState {
        if let Some((end, _)) = self.end {
            return match end {
                DossierEnd::Completed => DossierState::Completed,
                DossierEnd::Partial => DossierState::Partial,
                DossierEnd::Refused => DossierState::Refused,
                DossierEnd::Withdrawn => DossierState::Withdrawn,
            };
        }
        match self.history.fold().map(|fold| fold.status) {
            Some(domain::Status::Withdrawn) => DossierState::Withdrawn,
            Some(status) if status.is_refusal() => DossierState::Refused,
            _ if self.hold.is_some() => DossierState::Held,
            _ => DossierState::Open,
        }
    }

    /// Whether anything of it may still change by itself with time: it is not ended, or one of its
    /// deliveries waits.
    pub(crate) fn is_live(&self) -> bool {
        self.deadline.ended_at.is_none()
            || self
                .handovers()
                .any(|(_, handover)| handover.state == DeliveryState::Pending)
    }

    /// Every delivery with its step.
    pub(crate) fn handovers(&self) -> impl Iterator<Item = (&StepId, &Handover)> {
        self.steps
            .iter()
            .flat_map(|(id, step)| step.handovers.iter().map(move |h| (id, h)))
    }

    fn event(&mut self, event: Event) {
        if let Some(status) = event.kind.status() {
            let fact = Fact {
                at: event.time,
                status,
            };
            let history = match &event.step {
                Some(step) => &mut self.step(step).history,
                None => &mut self.history,
            };
            history.insert(fact);
        }
        let by = Namer::Event(event.time, event.id.into());
        self.name(by, event.procedure, event.unit.code);
        self.codify(event.time, event.code);
    }

    fn delivery(&mut self, delivery: Delivery) {
        let (id, at) = (delivery.id, delivery.opened_at);
        self.name(
            Namer::Delivery(at, id),
            delivery.procedure,
            delivery.unit.code,
        );
        self.codify(at, delivery.code);
        if self
            .routed
            .as_ref()
            .is_none_or(|routed| (at, id) < routed.by)
        {
            self.routed = Some(Routed {
                by: (at, id),
                route: delivery.route,
                received_at: delivery.received_at,
                due_at: delivery.dossier_due_at,
            });
        }
        let step = self.step(&delivery.step);
        step.handover(id, &delivery.destination).opened_at = Some(at);
        if step
            .opened
            .as_ref()
            .is_none_or(|opened| (at, id) > (opened.at, opened.delivery))
        {
            step.opened = Some(Opened {
                delivery: id,
                at,
                due_at: delivery.due_at,
                agency: delivery.agency,
                unit: delivery.unit.code,
                province: delivery.province,
                task: delivery.task,
                product: delivery.product,
                legal_basis: delivery.legal_basis,
            });
        }
    }

    fn outcome(&mut self, outcome: Outcome) {
        match outcome.kind {
            OutcomeKind::DossierHeld { reason, .. } => self.hold = Some(reason),
            OutcomeKind::DossierReleased => self.hold = None,
            OutcomeKind::DossierEnded { end, ended_at } => self.end = Some((end, ended_at)),
            OutcomeKind::FactKept { .. }
            | OutcomeKind::Settled { arrived: false, .. }
            | OutcomeKind::BudgetUsed { .. }
            | OutcomeKind::Discarded { .. } => {}
            OutcomeKind::AttemptFailed {
                delivery,
                step,
                destination,
                ..
            }
            | OutcomeKind::Unknown {
                delivery,
                step,
                destination,
                ..
            } => {
                let handover = self.handover(&step, delivery, &destination);
                handover.tried(DeliveryState::Pending);
            }
            OutcomeKind::Delivered {
                delivery,
                step,
                destination,
                ..
            } => {
                let handover = self.handover(&step, delivery, &destination);
                handover.tried(DeliveryState::Delivered);
                handover.delivered_at = Some(outcome.at);
            }
            OutcomeKind::DeadLettered {
                delivery,
                step,
                destination,
                ..
            } => self
                .handover(&step, delivery, &destination)
                .tried(DeliveryState::Dead),
            OutcomeKind::Redriven {
                delivery,
                step,
                destination,
                ..
            } => self.handover(&step, delivery, &destination).state = DeliveryState::Pending,
            OutcomeKind::Settled {
                delivery,
                step,
                destination,
                arrived: true,
                ..
            } => {
                let handover = self.handover(&step, delivery, &destination);
                handover.state = DeliveryState::Delivered;
                handover.delivered_at = Some(outcome.at);
            }
        }
    }

    fn handover(
        &mut self,
        step: &StepId,
        delivery: DeliveryId,
        destination: &DestinationId,
    ) -> &mut Handover {
        self.step(step).handover(delivery, destination)
    }

    fn step(&mut self, id: &StepId) -> &mut Step {
        let place = self.steps.binary_search_by(|(known, _)| known.cmp(id));
        let place = place.unwrap_or_else(|free| {
            self.steps.insert(free, (id.clone(), Step::default()));
            free
        });
        &mut self.steps[place].1
    }

    fn name(&mut self, by: Namer, procedure: ProcedureCode, unit: UnitCode) {
        if self.named.as_ref().is_none_or(|named| by < named.by) {
            self.named = Some(Named {
                by,
                procedure,
                unit,
            });
        }
    }

    fn codify(&mut self, at: Timestamp, code: Option<DossierCode>) {
        let Some(code) = code else { return };
        let newer = |(known_at, known): &(Timestamp, DossierCode)| (at, &code) > (*known_at, known);
        if self.code.as_ref().is_none_or(newer) {
            self.code = Some((at, code));
        }
    }
}

/// When a dossier was refused or withdrawn as a whole.
fn refused_at(fold: Option<&Fold>) -> Option<Timestamp> {
    fold.filter(|fold| fold.status.is_refusal())
        .and_then(|fold| fold.ended_at)
}

fn pauses(fold: Option<&Fold>) -> crate::deadline::Pauses<'_> {
    fold.map(|fold| fold.pauses.as_slice()).unwrap_or_default()
}

// === impl Step ===

impl Step {
    /// The newest delivery's state.
    pub(crate) fn current(&self) -> Option<&Handover> {
        let newest = self.opened.as_ref()?.delivery;
        self.handovers
            .iter()
            .find(|handover| handover.delivery == newest)
    }

    /// A step that has not ended when its dossier ends, ends with it.
    fn settle(&mut self, clocks: &Clocks, dossier_ended_at: Option<Timestamp>) {
        let fold = self.history.fold();
        let ended_at = fold
            .as_ref()
            .and_then(|fold| fold.ended_at)
            .or(dossier_ended_at);
        let calendar = match self.current() {
            Some(handover) => clocks.of_destination(&handover.destination),
            None => clocks.usual(),
        };
        let limit = self.opened.as_ref().map(|o| Limit {
            started_at: o.at,
            due_at: o.due_at,
        });
        self.deadline = Deadline::count(calendar, limit, pauses(fold.as_ref()), ended_at);
    }

    fn handover(&mut self, delivery: DeliveryId, destination: &DestinationId) -> &mut Handover {
        // By id, so that the order of arrival leaves no trace.
        let place = self
            .handovers
            .binary_search_by_key(&delivery, |h| h.delivery);
        let place = place.unwrap_or_else(|free| {
            let new = Handover {
                delivery,
                destination: destination.clone(),
                opened_at: None,
                state: DeliveryState::Pending,
                attempts: 0,
                delivered_at: None,
            };
            self.handovers.insert(free, new);
            free
        });
        &mut self.handovers[place]
    }
}

// === impl Handover ===

impl Handover {
    /// Every attempt makes exactly one outcome, so counting outcomes counts attempts.
    fn tried(&mut self, state: DeliveryState) {
        self.attempts = self.attempts.saturating_add(1);
        self.state = state;
    }
}

#[cfg(test)]
mod tests;
