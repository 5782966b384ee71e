//! The entries of a timeline: each is a function of one record alone.

use std::fmt::Write as _;

use bytes::Bytes;
use domain::{
    Action, Attempt, Delivery, DeliveryId, DestinationId, Event, Order, Outcome, OutcomeKind,
    StepId,
};
use jiff::Timestamp;
use proto::{timestamp_to_wire, v1::TimelineEntry};
use sha2::{Digest, Sha256};

use crate::arrival::{Arrival, News};

/// Who caused what the pipeline itself did.
const PIPELINE: &str = "lienthong";

/// The entry that a record makes.
pub(crate) fn of(arrival: &Arrival) -> TimelineEntry {
    let entry = match &arrival.news {
        News::Event(event) => of_event(event),
        News::Delivery(delivery) => of_delivery(delivery),
        News::Outcome(outcome) => of_outcome(outcome),
        News::Ordered(order) => of_order(order),
        News::Conflict {
            at,
            who,
            step,
            id,
            detail,
        } => TimelineEntry {
            step: step.clone(),
            ..entry(*at, "conflict", who, id, detail.clone())
        },
    };
    TimelineEntry {
        recorded_at: Some(timestamp_to_wire(arrival.recorded_at)),
        ..entry
    }
}

/// Size and digest of a payload, which itself is kept nowhere.
pub(crate) fn payload(data: &Bytes) -> String {
    let mut text = format!("{} bytes, sha256 ", data.len());
    for byte in &Sha256::digest(data)[..16] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn entry(
    at: Timestamp,
    what: &str,
    who: &str,
    id: impl std::fmt::Display,
    detail: String,
) -> TimelineEntry {
    TimelineEntry {
        at: Some(timestamp_to_wire(at)),
        recorded_at: None,
        what: what.to_owned(),
        who: who.to_owned(),
        step: String::new(),
        detail,
        id: id.to_string(),
    }
}

fn of_event(event: &Event) -> TimelineEntry {
    let mut detail = format!("unit {} of {}", event.unit.code, event.unit.valid_on);
    if let Some(code) = &event.code {
        let _ = write!(detail, ", code {code}");
    }
    if !event.data.is_empty() {
        let _ = write!(detail, ", {} {}", event.content_type, payload(&event.data));
    }
    TimelineEntry {
        step: event
            .step
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        ..entry(
            event.time,
            event.kind.word(),
            event.source.as_str(),
            &event.id,
            detail,
        )
    }
}

fn of_delivery(delivery: &Delivery) -> TimelineEntry {
    let detail = format!(
        "to {}, unit {}, due {}, {} bytes, by {} of {}",
        delivery.destination,
        delivery.acting_unit(),
        delivery.due_at,
        delivery.data.len(),
        delivery.cause.1,
        delivery.cause.0,
    );
    TimelineEntry {
        step: delivery.step.to_string(),
        ..entry(
            delivery.opened_at,
            "delivery",
            PIPELINE,
            delivery.id,
            detail,
        )
    }
}

fn of_order(order: &Order) -> TimelineEntry {
    let what = match &order.action {
        Action::Redrive { .. } => "redrive-ordered",
        Action::Settle { arrived: true, .. } => "settled-as-arrived",
        Action::Settle { .. } => "settled-as-not-arrived",
        Action::Discard { .. } => "discard-ordered",
        Action::Sideline { rule: Some(_), .. } => "sideline-ordered",
        Action::Sideline { rule: None, .. } => "sideline-lifted",
        Action::Lane { .. }
        | Action::Prove { .. }
        | Action::StartJob { .. }
        | Action::JobItems { .. }
        | Action::CancelJob { .. } => "order",
    };
    let detail = format!("{}: {}", order.by, order.reason);
    entry(order.at, what, PIPELINE, order.action.subject(), detail)
}

fn of_outcome(outcome: &Outcome) -> TimelineEntry {
    let (at, kind) = (outcome.at, &outcome.kind);
    let by_pipeline = |detail| entry(at, word(kind), PIPELINE, outcome.id, detail);
    match kind {
        OutcomeKind::DossierHeld { reason, detail } => {
            return by_pipeline(format!("{reason}: {detail}"));
        }
        OutcomeKind::DossierReleased => return by_pipeline(String::new()),
        OutcomeKind::DossierEnded { end, ended_at } => {
            return by_pipeline(format!("{end}, last step ended {ended_at}"));
        }
        OutcomeKind::FactKept {
            event: (source, id),
            reason,
        } => {
            let detail = format!("{reason}: an event of {source} moved no state");
            return entry(at, word(kind), PIPELINE, id, detail);
        }
        _ => {}
    }
    let Some((step, destination, delivery, detail)) = tries(kind).or_else(|| turns(kind)) else {
        return by_pipeline(String::new());
    };
    TimelineEntry {
        step: step.to_string(),
        ..entry(at, word(kind), destination.as_str(), delivery, detail)
    }
}

/// Step, destination and delivery of an outcome, and its detail.
type About<'a> = (&'a StepId, &'a DestinationId, &'a DeliveryId, String);

/// Of the end of an attempt.
fn tries(kind: &OutcomeKind) -> Option<About<'_>> {
    Some(match kind {
        OutcomeKind::AttemptFailed {
            delivery,
            step,
            destination,
            attempt,
            next_at,
        } => (
            step,
            destination,
            delivery,
            format!("{}, next {next_at}", tried(attempt)),
        ),
        OutcomeKind::Delivered {
            delivery,
            step,
            destination,
            attempt,
        }
        | OutcomeKind::DeadLettered {
            delivery,
            step,
            destination,
            attempt,
        }
        | OutcomeKind::Unknown {
            delivery,
            step,
            destination,
            attempt,
        } => (step, destination, delivery, tried(attempt)),
        _ => return None,
    })
}

/// Of any other turn that a delivery takes.
fn turns(kind: &OutcomeKind) -> Option<About<'_>> {
    Some(match kind {
        OutcomeKind::Redriven {
            delivery,
            step,
            destination,
            reason,
        }
        | OutcomeKind::Discarded {
            delivery,
            step,
            destination,
            reason,
        } => (step, destination, delivery, reason.clone()),
        OutcomeKind::Settled {
            delivery,
            step,
            destination,
            arrived,
            reason,
        } => {
            let ruling = if *arrived { "arrived" } else { "not arrived" };
            (step, destination, delivery, format!("{ruling}: {reason}"))
        }
        OutcomeKind::BudgetUsed {
            delivery,
            step,
            destination,
            percent,
        } => {
            let detail = format!("{percent} % of the time for the step has passed");
            (step, destination, delivery, detail)
        }
        _ => return None,
    })
}

fn word(kind: &OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::DossierHeld { .. } => "dossier-held",
        OutcomeKind::DossierReleased => "dossier-released",
        OutcomeKind::DossierEnded { .. } => "dossier-ended",
        OutcomeKind::FactKept { .. } => "fact-kept",
        OutcomeKind::AttemptFailed { .. } => "attempt-failed",
        OutcomeKind::Delivered { .. } => "delivered",
        OutcomeKind::DeadLettered { .. } => "dead-lettered",
        OutcomeKind::Redriven { .. } => "redriven",
        OutcomeKind::Unknown { .. } => "outcome-unknown",
        OutcomeKind::Settled { .. } => "settled",
        OutcomeKind::Discarded { .. } => "discarded",
        OutcomeKind::BudgetUsed { .. } => "budget-used",
    }
}

fn tried(attempt: &Attempt) -> String {
    let Attempt {
        number,
        class,
        took,
        detail,
        ..
    } = attempt;
    let colon = if detail.is_empty() { "" } else { ": " };
    format!(
        "attempt {number} {class} after {} ms{colon}{detail}",
        took.as_millis()
    )
}

#[cfg(test)]
mod tests {
    use domain::{EventKind, Status};

    use super::*;
    use crate::testing::*;

    #[track_caller]
    fn check(news: News, what: &str, who: &str, step: &str, detail: &str) {
        let (dossier, recorded_at) = ("d-1".parse().unwrap(), hour(9));
        let entry = of(&Arrival {
            dossier,
            recorded_at,
            news,
        });
        assert_eq!((entry.what.as_str(), entry.who.as_str()), (what, who));
        assert_eq!((entry.step.as_str(), entry.detail.as_str()), (step, detail));
        assert_eq!(entry.recorded_at, Some(timestamp_to_wire(recorded_at)));
    }

    #[test]
    fn an_entry_names_who_what_and_the_digest_of_a_payload_but_never_shows_it() {
        let mut event = event(
            "e-1",
            0,
            EventKind::Status(Status::Accepted),
            Some("residence"),
        );
        event.code = Some("H56.14-260921-0042".parse().unwrap());
        event.data = "a secret".into();
        let detail = "unit 14797 of 2026-09-21, code H56.14-260921-0042, \
                      application/json 8 bytes, sha256 984ca5162200734c592148f1820b7105";
        check(
            News::Event(event),
            "accepted",
            "sample-desk",
            "residence",
            detail,
        );
    }

    #[test]
    fn an_order_names_who_gave_it_and_why() {
        let order = |action| Order {
            id: domain::RecordId::of("order", &[]),
            at: hour(1),
            by: "Người Trực Thử".parse().unwrap(),
            reason: "form corrected".parse().unwrap(),
            action,
        };
        let (delivery, dossier) = (delivery_id("residence"), "d-1".parse().unwrap());
        let discard = Action::Discard { delivery, dossier };
        let detail = "Người Trực Thử: form corrected";
        let news = News::Ordered(order(discard));
        check(news, "discard-ordered", PIPELINE, "", detail);
    }

    #[test]
    fn an_attempt_tells_its_class_and_when_the_next_one_comes() {
        check(
            News::Outcome(outcome("o", 1, failed("residence", 1))),
            "attempt-failed",
            "residence-38",
            "residence",
            "attempt 1 retryable after 12 ms, next 2026-09-21T03:00:00Z",
        );
        check(
            News::Outcome(outcome("o", 1, delivered("residence", 1))),
            "delivered",
            "residence-38",
            "residence",
            "attempt 1 accepted after 12 ms",
        );
    }
}
