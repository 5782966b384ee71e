use domain::{
    Attempt, AttemptClass, DeliveryId, DestinationId, DossierEnd, FactReason, HoldReason, Outcome,
    OutcomeKind, RecordId, StepId,
};

use crate::{
    error::{InvalidField, parse},
    time::{duration_from_wire, duration_to_wire, timestamp_from_wire, timestamp_to_wire},
    v1::{self, outcome::Kind},
};

impl From<Outcome> for v1::Outcome {
    fn from(outcome: Outcome) -> Self {
        Self {
            id: outcome.id.to_string(),
            dossier: outcome.dossier.into(),
            at: Some(timestamp_to_wire(outcome.at)),
            kind: Some(kind_to_wire(outcome.kind)),
        }
    }
}

impl TryFrom<v1::Outcome> for Outcome {
    type Error = InvalidField;

    fn try_from(wire: v1::Outcome) -> Result<Self, InvalidField> {
        let kind = wire
            .kind
            .ok_or_else(|| InvalidField::missing("outcome.kind"))?;
        Ok(Self {
            id: parse::<DeliveryId>("outcome.id", &wire.id)
                .map(|id| RecordId::from(*id.as_bytes()))?,
            dossier: parse("outcome.dossier", &wire.dossier)?,
            at: timestamp_from_wire("outcome.at", wire.at)?,
            kind: kind_from_wire(kind)?,
        })
    }
}

fn kind_to_wire(kind: OutcomeKind) -> Kind {
    match kind {
        OutcomeKind::DossierHeld { reason, detail } => Kind::DossierHeld(v1::DossierHeld {
            reason: reason.to_string(),
            detail,
        }),
        OutcomeKind::DossierReleased => Kind::DossierReleased(v1::DossierReleased {}),
        OutcomeKind::DossierEnded { end, ended_at } => Kind::DossierEnded(v1::DossierEnded {
            end: end.to_string(),
            ended_at: Some(timestamp_to_wire(ended_at)),
        }),
        OutcomeKind::FactKept { event, reason } => Kind::FactKept(v1::FactKept {
            source: event.0.into(),
            event_id: event.1.into(),
            reason: reason.to_string(),
        }),
        kind @ (OutcomeKind::AttemptFailed { .. }
        | OutcomeKind::Delivered { .. }
        | OutcomeKind::DeadLettered { .. }
        | OutcomeKind::Unknown { .. }) => attempt_to_wire(kind),
        kind @ (OutcomeKind::Redriven { .. }
        | OutcomeKind::Settled { .. }
        | OutcomeKind::Discarded { .. }
        | OutcomeKind::BudgetUsed { .. }) => word_to_wire(kind),
    }
}

fn attempt_to_wire(kind: OutcomeKind) -> Kind {
    match kind {
        OutcomeKind::AttemptFailed {
            delivery,
            step,
            destination,
            attempt,
            next_at,
        } => Kind::AttemptFailed(v1::AttemptFailed {
            delivery: delivery.to_string(),
            step: step.into(),
            destination: destination.into(),
            attempt: Some(attempt.into()),
            next_at: Some(timestamp_to_wire(next_at)),
        }),
        OutcomeKind::Delivered {
            delivery,
            step,
            destination,
            attempt,
        } => Kind::Delivered(v1::Delivered {
            delivery: delivery.to_string(),
            step: step.into(),
            destination: destination.into(),
            attempt: Some(attempt.into()),
        }),
        OutcomeKind::DeadLettered {
            delivery,
            step,
            destination,
            attempt,
        } => Kind::DeadLettered(v1::DeadLettered {
            delivery: delivery.to_string(),
            step: step.into(),
            destination: destination.into(),
            attempt: Some(attempt.into()),
        }),
        OutcomeKind::Unknown {
            delivery,
            step,
            destination,
            attempt,
        } => Kind::OutcomeUnknown(v1::OutcomeUnknown {
            delivery: delivery.to_string(),
            step: step.into(),
            destination: destination.into(),
            attempt: Some(attempt.into()),
        }),
        kind => word_to_wire(kind),
    }
}

fn word_to_wire(kind: OutcomeKind) -> Kind {
    match kind {
        OutcomeKind::Redriven {
            delivery,
            step,
            destination,
            reason,
        } => redriven(delivery, step, destination, reason),
        OutcomeKind::Settled {
            delivery,
            step,
            destination,
            arrived,
            reason,
        } => Kind::Settled(v1::Settled {
            delivery: delivery.to_string(),
            step: step.into(),
            destination: destination.into(),
            arrived,
            reason,
        }),
        OutcomeKind::Discarded {
            delivery,
            step,
            destination,
            reason,
        } => Kind::Discarded(v1::Discarded {
            delivery: delivery.to_string(),
            step: step.into(),
            destination: destination.into(),
            reason,
        }),
        OutcomeKind::BudgetUsed {
            delivery,
            step,
            destination,
            percent,
        } => Kind::BudgetUsed(v1::BudgetUsed {
            delivery: delivery.to_string(),
            step: step.into(),
            destination: destination.into(),
            percent,
        }),
        earlier => kind_to_wire(earlier),
    }
}

fn redriven(
    delivery: DeliveryId,
    step: StepId,
    destination: DestinationId,
    reason: String,
) -> Kind {
    Kind::Redriven(v1::Redriven {
        delivery: delivery.to_string(),
        step: step.into(),
        destination: destination.into(),
        reason,
    })
}

fn kind_from_wire(kind: Kind) -> Result<OutcomeKind, InvalidField> {
    Ok(match kind {
        Kind::DossierHeld(held) => OutcomeKind::DossierHeld {
            reason: word(
                "outcome.dossier_held.reason",
                &held.reason,
                HoldReason::from_word,
            )?,
            detail: held.detail,
        },
        Kind::DossierReleased(_) => OutcomeKind::DossierReleased,
        Kind::DossierEnded(ended) => OutcomeKind::DossierEnded {
            end: word(
                "outcome.dossier_ended.end",
                &ended.end,
                DossierEnd::from_word,
            )?,
            ended_at: timestamp_from_wire("outcome.dossier_ended.ended_at", ended.ended_at)?,
        },
        Kind::FactKept(fact) => OutcomeKind::FactKept {
            event: (
                parse("outcome.fact_kept.source", &fact.source)?,
                parse("outcome.fact_kept.event_id", &fact.event_id)?,
            ),
            reason: word(
                "outcome.fact_kept.reason",
                &fact.reason,
                FactReason::from_word,
            )?,
        },
        kind @ (Kind::AttemptFailed(_)
        | Kind::Delivered(_)
        | Kind::DeadLettered(_)
        | Kind::Redriven(_)
        | Kind::OutcomeUnknown(_)
        | Kind::Settled(_)
        | Kind::Discarded(_)
        | Kind::BudgetUsed(_)) => return delivery_from_wire(kind),
    })
}

fn delivery_from_wire(kind: Kind) -> Result<OutcomeKind, InvalidField> {
    Ok(match kind {
        Kind::AttemptFailed(failed) => OutcomeKind::AttemptFailed {
            delivery: parse("outcome.attempt_failed.delivery", &failed.delivery)?,
            step: parse("outcome.attempt_failed.step", &failed.step)?,
            destination: parse("outcome.attempt_failed.destination", &failed.destination)?,
            attempt: attempt("outcome.attempt_failed.attempt", failed.attempt)?,
            next_at: timestamp_from_wire("outcome.attempt_failed.next_at", failed.next_at)?,
        },
        Kind::Delivered(delivered) => OutcomeKind::Delivered {
            delivery: parse("outcome.delivered.delivery", &delivered.delivery)?,
            step: parse("outcome.delivered.step", &delivered.step)?,
            destination: parse("outcome.delivered.destination", &delivered.destination)?,
            attempt: attempt("outcome.delivered.attempt", delivered.attempt)?,
        },
        Kind::DeadLettered(dead) => OutcomeKind::DeadLettered {
            delivery: parse("outcome.dead_lettered.delivery", &dead.delivery)?,
            step: parse("outcome.dead_lettered.step", &dead.step)?,
            destination: parse("outcome.dead_lettered.destination", &dead.destination)?,
            attempt: attempt("outcome.dead_lettered.attempt", dead.attempt)?,
        },
        Kind::Redriven(redriven) => OutcomeKind::Redriven {
            delivery: parse("outcome.redriven.delivery", &redriven.delivery)?,
            step: parse("outcome.redriven.step", &redriven.step)?,
            destination: parse("outcome.redriven.destination", &redriven.destination)?,
            reason: redriven.reason,
        },
        Kind::OutcomeUnknown(unknown) => OutcomeKind::Unknown {
            delivery: parse("outcome.outcome_unknown.delivery", &unknown.delivery)?,
            step: parse("outcome.outcome_unknown.step", &unknown.step)?,
            destination: parse("outcome.outcome_unknown.destination", &unknown.destination)?,
            attempt: attempt("outcome.outcome_unknown.attempt", unknown.attempt)?,
        },
        Kind::Settled(settled) => OutcomeKind::Settled {
            delivery: parse("outcome.settled.delivery", &settled.delivery)?,
            step: parse("outcome.settled.step", &settled.step)?,
            destination: parse("outcome.settled.destination", &settled.destination)?,
            arrived: settled.arrived,
            reason: settled.reason,
        },
        Kind::Discarded(discarded) => OutcomeKind::Discarded {
            delivery: parse("outcome.discarded.delivery", &discarded.delivery)?,
            step: parse("outcome.discarded.step", &discarded.step)?,
            destination: parse("outcome.discarded.destination", &discarded.destination)?,
            reason: discarded.reason,
        },
        Kind::BudgetUsed(used) => OutcomeKind::BudgetUsed {
            delivery: parse("outcome.budget_used.delivery", &used.delivery)?,
            step: parse("outcome.budget_used.step", &used.step)?,
            destination: parse("outcome.budget_used.destination", &used.destination)?,
            percent: used.percent,
        },
        kind @ (Kind::DossierHeld(_)
        | Kind::DossierReleased(_)
        | Kind::DossierEnded(_)
        | Kind::FactKept(_)) => return kind_from_wire(kind),
    })
}

impl From<Attempt> for v1::Attempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: Some(timestamp_to_wire(attempt.started_at)),
            took: Some(duration_to_wire(attempt.took)),
            class: attempt.class.to_string(),
            detail: attempt.detail,
        }
    }
}

fn attempt(field: &'static str, wire: Option<v1::Attempt>) -> Result<Attempt, InvalidField> {
    let wire = wire.ok_or_else(|| InvalidField::missing(field))?;
    let class = |text: &str| {
        AttemptClass::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
    };
    Ok(Attempt {
        number: wire.number,
        started_at: timestamp_from_wire(field, wire.started_at)?,
        took: wire.took.map(duration_from_wire).unwrap_or_default(),
        class: word(field, &wire.class, class)?,
        detail: wire.detail,
    })
}

fn word<T>(
    field: &'static str,
    text: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, InvalidField> {
    read(text).ok_or_else(|| InvalidField::new(field, format!("unknown word `{text}`")))
}
