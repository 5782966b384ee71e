use domain::{
    AgencyId, Delivery, DossierEnd, Event, EventId, EventKind, Fact, FactReason, HoldReason, Order,
    Outcome, OutcomeKind, RecordId, Status, StepId, Transition,
};
use jiff::Timestamp;

use crate::{Dossier, Held, Plan, Receipt, open, prove};

/// What an event amounts to, besides the dossier's new state.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Work to hand over.
    pub deliveries: Vec<Delivery>,
    /// Facts for the timeline.
    pub outcomes: Vec<Outcome>,
    /// What the courier should know of work that was handed over.
    pub orders: Vec<Order>,
}

/// What caused the effects: every id is derived from it.
pub(crate) struct Cause {
    pub(crate) source: AgencyId,
    pub(crate) event: EventId,
    pub(crate) at: Timestamp,
}

/// Folds one event into a dossier. `conflict`: the event's id came before with another body.
pub fn decide(dossier: &mut Dossier, event: &Event, conflict: bool, plan: &Plan) -> Effects {
    let cause = Cause {
        source: event.source.clone(),
        event: event.id.clone(),
        at: event.time,
    };
    let mut effects = Effects::default();
    if conflict {
        effects.fact(dossier, &cause, FactReason::Conflict);
        return effects;
    }
    if dossier.code.is_none() {
        dossier.code.clone_from(&event.code);
    }
    effects.orders.extend(prove::of(dossier, event, plan));
    let EventKind::Status(status) = event.kind else {
        return effects;
    };
    let fact = Fact {
        at: event.time,
        status,
    };
    match &event.step {
        None => fold_dossier(dossier, event, fact, &cause, &mut effects),
        Some(id) if dossier.may_have(id, plan) => {
            fold_step(dossier, id, fact, &cause, &mut effects);
        }
        Some(_) => {
            effects.fact(dossier, &cause, FactReason::UnknownStep);
            return effects;
        }
    }
    advance(dossier, plan, &cause, &mut effects);
    effects
}

/// Tries a held dossier again, after routes, units or destinations have changed.
pub fn reopen(dossier: &mut Dossier, plan: &Plan) -> Effects {
    let mut effects = Effects::default();
    let Some(receipt) = &dossier.receipt else {
        return effects;
    };
    let steps = dossier.steps.iter().filter_map(|step| step.history.fold());
    let cause = Cause {
        source: receipt.source.clone(),
        event: receipt.event.clone(),
        at: steps
            .map(|fold| fold.since)
            .max()
            .unwrap_or(receipt.at)
            .max(receipt.at),
    };
    advance(dossier, plan, &cause, &mut effects);
    effects
}

fn fold_step(dossier: &mut Dossier, id: &StepId, fact: Fact, cause: &Cause, effects: &mut Effects) {
    let had_ended = dossier.end.is_some();
    let step = dossier.step_mut(id);
    let (is_open, had_product) = (step.is_open, step.has_product());
    let transition = step.history.insert(fact);
    if had_ended && transition == Transition::Moves && !had_product {
        effects.fact(dossier, cause, FactReason::AfterEnd);
    } else if !is_open {
        effects.fact(dossier, cause, FactReason::StepNotOpen);
    } else {
        effects.note(dossier, cause, transition);
    }
}

fn fold_dossier(
    dossier: &mut Dossier,
    event: &Event,
    fact: Fact,
    cause: &Cause,
    effects: &mut Effects,
) {
    let had_ended = dossier.end.is_some();
    let transition = dossier.history.insert(fact);
    if had_ended && transition == Transition::Moves && !fact.status.is_success() {
        effects.fact(dossier, cause, FactReason::AfterEnd);
        return;
    }
    effects.note(dossier, cause, transition);
    let Some(fold) = dossier.history.fold() else {
        return;
    };
    if let (None, Some(at)) = (&dossier.receipt, fold.accepted_at)
        && fact.status.clock() == domain::DossierClock::Runs
    {
        dossier.receipt = Some(Receipt::of(event, at));
    }
    let Some(ended_at) = fold.ended_at else {
        return;
    };
    let end = match fold.status {
        Status::Withdrawn => DossierEnd::Withdrawn,
        status if status.is_refusal() => DossierEnd::Refused,
        _ => DossierEnd::Completed,
    };
    effects.end(dossier, cause, end, ended_at);
}

/// Opens what is due, holds what cannot be opened, and ends the dossier when nothing is left.
fn advance(dossier: &mut Dossier, plan: &Plan, cause: &Cause, effects: &mut Effects) {
    if dossier.end.is_some() {
        return;
    }
    if dossier.receipt.is_none() {
        if dossier.history.facts().is_empty() && !dossier.steps.is_empty() {
            let detail = "statuses of steps came before any that accepts the dossier".to_owned();
            effects.hold(
                dossier,
                cause,
                Held {
                    reason: HoldReason::NotAccepted,
                    detail,
                },
            );
        }
        return;
    }
    // A step whose result came before it was opened opens its successors at once.
    loop {
        match open::due(dossier, plan, cause) {
            Ok(opened) if opened.is_empty() => break,
            Ok(opened) => {
                for delivery in opened {
                    let step = dossier.step_mut(&delivery.step);
                    step.is_open = true;
                    step.destination = Some(delivery.destination.clone());
                    effects.deliveries.push(delivery);
                }
            }
            Err(held) => {
                effects.hold(dossier, cause, held);
                return;
            }
        }
    }
    effects.release(dossier, cause);
    if let Some((end, ended_at)) = finished(dossier, plan) {
        effects.end(dossier, cause, end, ended_at);
    }
    forget_payload(dossier, plan);
}

fn finished(dossier: &Dossier, plan: &Plan) -> Option<(DossierEnd, Timestamp)> {
    let route = plan.routes.route(dossier.route.as_ref()?)?;
    let ended_at = dossier.all_ended_at()?;
    let succeeded = dossier.succeeded().len();
    let end = match succeeded {
        0 => DossierEnd::Refused,
        all if all == route.steps.len() => DossierEnd::Completed,
        _ => DossierEnd::Partial,
    };
    Some((end, ended_at))
}

/// The payload is kept only while a step that needs it may still open.
fn forget_payload(dossier: &mut Dossier, plan: &Plan) {
    let route = dossier.route.as_ref().and_then(|id| plan.routes.route(id));
    let Some(route) = route else { return };
    let all_open = route.steps.iter().all(|step| dossier.is_open(&step.id));
    if let Some(receipt) = dossier.receipt.as_mut().filter(|_| all_open) {
        receipt.data.clear();
    }
}

// === impl Effects ===

impl Effects {
    /// `ordinal` tells apart what one cause can bring about more than once, as a hold that later
    /// starts release: a reader drops a second outcome with the same id.
    fn push(
        &mut self,
        dossier: &Dossier,
        cause: &Cause,
        (what, ordinal): (&str, u32),
        kind: OutcomeKind,
    ) {
        let (at, ordinal) = (cause.at.to_string(), ordinal.to_string());
        let parts = [
            what,
            dossier.key.as_str(),
            cause.source.as_str(),
            cause.event.as_str(),
            &at,
            &ordinal,
        ];
        let id = RecordId::of("outcome", &parts);
        self.outcomes.push(Outcome {
            id,
            dossier: dossier.key.clone(),
            at: cause.at,
            kind,
        });
    }

    fn fact(&mut self, dossier: &Dossier, cause: &Cause, reason: FactReason) {
        let event = (cause.source.clone(), cause.event.clone());
        let kind = OutcomeKind::FactKept { event, reason };
        self.push(dossier, cause, (reason.as_str(), 0), kind);
    }

    fn note(&mut self, dossier: &Dossier, cause: &Cause, transition: Transition) {
        match transition {
            Transition::Moves | Transition::Repeats => {}
            Transition::Contradicts => self.fact(dossier, cause, FactReason::Contradicts),
            Transition::AfterEnd => self.fact(dossier, cause, FactReason::AfterEnd),
        }
    }

    fn hold(&mut self, dossier: &mut Dossier, cause: &Cause, held: Held) {
        if dossier.held.as_ref() == Some(&held) {
            return;
        }
        let Held { reason, detail } = held.clone();
        dossier.held = Some(held);
        dossier.holds += 1;
        let kind = OutcomeKind::DossierHeld { reason, detail };
        self.push(dossier, cause, ("held", dossier.holds), kind);
    }

    fn release(&mut self, dossier: &mut Dossier, cause: &Cause) {
        if dossier.held.take().is_some() {
            let what = ("released", dossier.holds);
            self.push(dossier, cause, what, OutcomeKind::DossierReleased);
        }
    }

    fn end(&mut self, dossier: &mut Dossier, cause: &Cause, end: DossierEnd, ended_at: Timestamp) {
        if dossier.end.is_some() {
            return;
        }
        dossier.end = Some(end);
        dossier.held = None;
        if let Some(receipt) = &mut dossier.receipt {
            receipt.data.clear();
        }
        let kind = OutcomeKind::DossierEnded { end, ended_at };
        self.push(dossier, cause, ("ended", 0), kind);
    }
}
