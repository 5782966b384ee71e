//! A later event settles what a time-out left open.

use domain::{Action, Event, Note, Order, RecordId};

use crate::{Dossier, Plan, open};

const BY: &str = "router";

/// The order that tells the courier: the agency has the delivery of the step, for it speaks of the step
/// and is not earlier than the delivery. Only where repeats harm, for elsewhere no outcome is unknown.
pub(crate) fn of(dossier: &Dossier, event: &Event, plan: &Plan) -> Option<Order> {
    let id = event.step.as_ref()?;
    let step = dossier.steps.iter().find(|step| step.id == *id)?;
    let destination = plan.routes.destination_of(step.destination.as_ref()?)?;
    if destination.terms.idempotent || destination.agency != event.source {
        return None;
    }
    let route = plan.routes.route(dossier.route.as_ref()?)?;
    let step = route.step(id)?;
    if event.time < dossier.opened_at(step)? {
        return None;
    }
    let delivery = open::delivery_id(dossier, route, step);
    let (source, event_id) = (event.source.as_str(), event.id.as_str());
    let parts = ["prove", source, event_id, &delivery.to_string()];
    let note = |text: &str| text.parse::<Note>().ok();
    Some(Order {
        id: RecordId::of("order", &parts),
        at: event.time,
        by: note(BY)?,
        reason: note(&format!("event {event_id} of {source}"))?,
        action: Action::Prove {
            delivery,
            dossier: dossier.key.clone(),
        },
    })
}
