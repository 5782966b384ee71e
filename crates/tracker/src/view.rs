//! What callers see of a dossier.

use domain::{DossierKey, StepId};
use jiff::Timestamp;
use proto::{
    timestamp_to_wire,
    v1::{self, DeadlineState, DeliveryState},
};

use crate::{
    deadline::{Deadline, Standing},
    state::{Opened, State, Step},
};

/// A dossier without its steps.
pub(crate) fn dossier(key: &DossierKey, state: &State, now: Timestamp) -> v1::Dossier {
    let status = state.history.fold().map(|fold| fold.status.code().into());
    let received_at = match &state.routed {
        Some(routed) => Some(routed.received_at),
        None => state.history.fold().and_then(|fold| fold.accepted_at),
    };
    let standing = state.standing();
    let hold = state.hold.filter(|_| standing == v1::DossierState::Held);
    v1::Dossier {
        key: key.to_string(),
        code: state
            .code
            .as_ref()
            .map(|(_, code)| code.to_string())
            .unwrap_or_default(),
        procedure: state
            .named
            .as_ref()
            .map(|n| n.procedure.to_string())
            .unwrap_or_default(),
        route: state
            .routed
            .as_ref()
            .map(|r| r.route.to_string())
            .unwrap_or_default(),
        unit: state
            .named
            .as_ref()
            .map(|n| n.unit.to_string())
            .unwrap_or_default(),
        status: status.unwrap_or_default(),
        state: standing.into(),
        hold_reason: hold.map(|reason| reason.to_string()).unwrap_or_default(),
        received_at: received_at.map(timestamp_to_wire),
        due_at: state.deadline.due_at.map(timestamp_to_wire),
        ended_at: state.deadline.ended_at.map(timestamp_to_wire),
        deadline: deadline(&state.deadline, now).into(),
        steps: Vec::new(),
    }
}

/// The steps that were opened, in that order.
pub(crate) fn steps(state: &State, now: Timestamp) -> Vec<v1::Step> {
    let opened = state
        .steps
        .iter()
        .filter_map(|(id, step)| Some((id, step, step.opened.as_ref()?)));
    let mut steps: Vec<_> = opened.collect();
    steps.sort_by_key(|(_, _, opened)| opened.at);
    steps
        .into_iter()
        .map(|(id, step, opened)| view(id, step, opened, now))
        .collect()
}

fn view(id: &StepId, step: &Step, opened: &Opened, now: Timestamp) -> v1::Step {
    let handover = step.current();
    let status = step.history.fold().map(|fold| fold.status.code().into());
    v1::Step {
        id: id.to_string(),
        agency: opened.agency.to_string(),
        unit: match opened.province {
            Some(province) => province.to_string(),
            None => opened.unit.to_string(),
        },
        destination: handover
            .map(|h| h.destination.to_string())
            .unwrap_or_default(),
        delivery: opened.delivery.to_string(),
        delivery_state: handover
            .map_or(DeliveryState::Unspecified, |h| h.state)
            .into(),
        attempts: handover.map(|h| h.attempts).unwrap_or_default(),
        status: status.unwrap_or_default(),
        opened_at: Some(timestamp_to_wire(opened.at)),
        delivered_at: handover.and_then(|h| h.delivered_at).map(timestamp_to_wire),
        due_at: step.deadline.due_at.map(timestamp_to_wire),
        ended_at: step.deadline.ended_at.map(timestamp_to_wire),
        deadline: deadline(&step.deadline, now).into(),
        task: opened.task.clone(),
        product: opened.product.clone(),
        legal_basis: opened.legal_basis.clone(),
    }
}

fn deadline(deadline: &Deadline, now: Timestamp) -> DeadlineState {
    match deadline.standing(now) {
        Standing::Unknown => DeadlineState::Unspecified,
        Standing::OnTrack => DeadlineState::OnTrack,
        Standing::AtRisk => DeadlineState::AtRisk,
        Standing::Overdue => DeadlineState::Overdue,
        Standing::Met => DeadlineState::Met,
        Standing::Missed => DeadlineState::Missed,
        Standing::Paused => DeadlineState::Paused,
    }
}
