//! Records for tests. All names are invented.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use calendar::Calendars;
use domain::{
    Attempt, AttemptClass, Classification, Delivery, DeliveryId, Event, EventKind, Outcome,
    OutcomeKind, RecordId, RouteId, Status, StepId, UnitRef,
};
use jiff::{SignedDuration, Timestamp, civil::date};

use crate::{arrival::News, deadline::Clocks, state::State};

/// Counting the built-in calendars through takes a while: once is enough.
static CLOCKS: LazyLock<Clocks> = LazyLock::new(|| {
    Clocks::new(
        &Calendars::built_in().unwrap(),
        &BTreeMap::new(),
        &BTreeMap::new(),
    )
    .unwrap()
});

pub(crate) fn clocks() -> &'static Clocks {
    &CLOCKS
}

/// So many hours after 08:00 on Monday, 21 September 2026.
pub(crate) fn hour(hours: i64) -> Timestamp {
    let start: Timestamp = "2026-09-21T08:00:00+07:00".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

pub(crate) fn event(id: &str, at: i64, kind: EventKind, step: Option<&str>) -> Event {
    Event {
        id: id.parse().unwrap(),
        source: "sample-desk".parse().unwrap(),
        kind,
        time: hour(at),
        dossier: "d-1".parse().unwrap(),
        code: None,
        procedure: "3.000722.H56".parse().unwrap(),
        unit: UnitRef {
            code: "14797".parse().unwrap(),
            valid_on: date(2026, 9, 21),
        },
        step: step.map(|step| step.parse().unwrap()),
        classification: Classification::Personal,
        content_type: "application/json".to_owned(),
        traceparent: None,
        data: "{}".into(),
    }
}

pub(crate) fn status(id: &str, at: i64, status: Status, step: Option<&str>) -> News {
    News::Event(event(id, at, EventKind::Status(status), step))
}

pub(crate) fn delivery_id(step: &str) -> DeliveryId {
    let route: RouteId = "birth@2026-09-01".parse().unwrap();
    DeliveryId::derive(&"d-1".parse().unwrap(), &route, &step.parse().unwrap(), 0)
}

/// A step opened at an hour and due at another; the dossier is due at hour 105, Friday 17:00.
pub(crate) fn delivery(step: &str, opened: i64, due: i64) -> Delivery {
    Delivery {
        id: delivery_id(step),
        dossier: "d-1".parse().unwrap(),
        code: None,
        procedure: "3.000722.H56".parse().unwrap(),
        route: "birth@2026-09-01".parse().unwrap(),
        step: step.parse().unwrap(),
        agency: format!("sample-{step}").parse().unwrap(),
        destination: format!("{step}-38").parse().unwrap(),
        unit: UnitRef {
            code: "14797".parse().unwrap(),
            valid_on: date(2026, 9, 21),
        },
        province: None,
        classification: Classification::Personal,
        received_at: hour(0),
        opened_at: hour(opened),
        due_at: hour(due),
        dossier_due_at: hour(105),
        task: "a task".to_owned(),
        product: "a product".to_owned(),
        legal_basis: "a decree".to_owned(),
        cause: ("sample-desk".parse().unwrap(), "e-1".parse().unwrap()),
        content_type: "application/json".to_owned(),
        data: "{}".into(),
    }
}

pub(crate) fn outcome(name: &str, at: i64, kind: OutcomeKind) -> Outcome {
    let id = RecordId::of("outcome", &[name]);
    Outcome {
        id,
        dossier: "d-1".parse().unwrap(),
        at: hour(at),
        kind,
    }
}

pub(crate) fn attempt(number: u32, at: i64, class: AttemptClass) -> Attempt {
    let took = Duration::from_millis(12);
    Attempt {
        number,
        started_at: hour(at),
        took,
        class,
        detail: String::new(),
    }
}

pub(crate) fn delivered(step: &str, at: i64) -> OutcomeKind {
    let (delivery, destination) = (delivery_id(step), format!("{step}-38").parse().unwrap());
    let attempt = attempt(1, at, AttemptClass::Accepted);
    OutcomeKind::Delivered {
        delivery,
        step: step_id(step),
        destination,
        attempt,
    }
}

pub(crate) fn failed(step: &str, at: i64) -> OutcomeKind {
    let (delivery, destination) = (delivery_id(step), format!("{step}-38").parse().unwrap());
    let attempt = attempt(1, at, AttemptClass::Retryable);
    let next_at = hour(at + 1);
    OutcomeKind::AttemptFailed {
        delivery,
        step: step_id(step),
        destination,
        attempt,
        next_at,
    }
}

pub(crate) fn dead(step: &str, at: i64) -> OutcomeKind {
    let (delivery, destination) = (delivery_id(step), format!("{step}-38").parse().unwrap());
    let attempt = attempt(2, at, AttemptClass::Permanent);
    OutcomeKind::DeadLettered {
        delivery,
        step: step_id(step),
        destination,
        attempt,
    }
}

pub(crate) fn redriven(step: &str) -> OutcomeKind {
    let (delivery, destination) = (delivery_id(step), format!("{step}-38").parse().unwrap());
    let reason = "the office has moved".to_owned();
    OutcomeKind::Redriven {
        delivery,
        step: step_id(step),
        destination,
        reason,
    }
}

pub(crate) fn step_id(step: &str) -> StepId {
    step.parse().unwrap()
}

/// The state after these records.
pub(crate) fn folded(news: impl IntoIterator<Item = News>) -> State {
    let mut state = State::default();
    for news in news {
        state.take(news);
        state.settle(clocks());
    }
    state
}
