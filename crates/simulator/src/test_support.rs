//! What the tests of this crate share.

use bytes::Bytes;
use domain::{Classification, Delivery, DeliveryId, Event, EventKind, Status, UnitRef};
use jiff::{Timestamp, civil::date};

/// Monday 21 September 2026, 09:00 in Hanoi.
pub(crate) fn monday() -> Timestamp {
    "2026-09-21T02:00:00Z".parse().unwrap()
}

/// An event that accepts a dossier of its own.
pub(crate) fn event(id: &str) -> Event {
    Event {
        id: id.parse().unwrap(),
        source: "desk-38".parse().unwrap(),
        kind: EventKind::Status(Status::Accepted),
        time: monday(),
        dossier: format!("d-{id}").parse().unwrap(),
        code: None,
        procedure: "3.000722".parse().unwrap(),
        unit: UnitRef {
            code: "14797".parse().unwrap(),
            valid_on: date(2026, 9, 21),
        },
        step: None,
        classification: Classification::Internal,
        content_type: "application/json".to_owned(),
        traceparent: None,
        data: Bytes::from_static(b"{}"),
    }
}

/// The delivery that an event causes for a step.
pub(crate) fn delivery(event: &Event, step: &str) -> Delivery {
    let route = "birth@2026-09-01".parse().unwrap();
    let step = step.parse().unwrap();
    Delivery {
        id: DeliveryId::derive(&event.dossier, &route, &step, 0),
        dossier: event.dossier.clone(),
        code: None,
        procedure: event.procedure.clone(),
        route,
        step,
        agency: "justice".parse().unwrap(),
        destination: "justice".parse().unwrap(),
        unit: event.unit,
        province: None,
        classification: event.classification,
        received_at: event.time,
        opened_at: event.time,
        due_at: event.time,
        dossier_due_at: event.time,
        task: "register the birth".to_owned(),
        product: "birth certificate".to_owned(),
        legal_basis: "Decree 63/2024/NĐ-CP".to_owned(),
        cause: (event.source.clone(), event.id.clone()),
        content_type: event.content_type.clone(),
        data: event.data.clone(),
    }
}
