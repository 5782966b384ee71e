use domain::{Classification, Event, EventKind, Status};
use jiff::Timestamp;

use bytes::Bytes;

/// A desk accepts a dossier of a procedure, in Hạc Thành.
pub(crate) fn accepted(dossier: &str, procedure: &str, time: Timestamp) -> Event {
    let valid_on = jiff::tz::Offset::constant(7).to_datetime(time).date();
    Event {
        id: format!("accepted-{dossier}").parse().unwrap(),
        source: "test-desk".parse().unwrap(),
        kind: EventKind::Status(Status::Accepted),
        time,
        dossier: dossier.parse().unwrap(),
        code: None,
        procedure: procedure.parse().unwrap(),
        unit: domain::UnitRef {
            code: "14797".parse().unwrap(),
            valid_on,
        },
        step: None,
        classification: Classification::Internal,
        content_type: "application/json".to_owned(),
        traceparent: None,
        data: json(dossier),
    }
}

/// An agency tells of a step of the dossier of another event.
pub(crate) fn status_of_step(of: &Event, id: &str, step: &str, status: Status) -> Event {
    Event {
        id: id.parse().unwrap(),
        source: "test-justice".parse().unwrap(),
        kind: EventKind::Status(status),
        step: Some(step.parse().unwrap()),
        ..of.clone()
    }
}

/// A payload that nobody could take for that of a real person.
pub(crate) fn json(applicant: &str) -> Bytes {
    format!(r#"{{"applicant":"Người Nộp Thử {applicant}"}}"#).into()
}
