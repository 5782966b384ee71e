//! What goes out comes back the same, and a wrong field is named.

#![cfg(test)]

use std::time::Duration;

use domain::{
    Attempt, AttemptClass, Classification, Delivery, DeliveryId, DossierEnd, Event, EventKind,
    FactReason, HoldReason, Outcome, OutcomeKind, RecordId, Status, UnitRef,
};
use jiff::{Timestamp, civil::date};
use proptest::{prelude::*, strategy::ValueTree};
use proto::{InvalidField, v1};

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let second = 0..4_000_000_000_i64;
    (second, 0..1_000_000_000_i32).prop_map(|(s, n)| Timestamp::new(s, n).unwrap())
}

fn data() -> impl Strategy<Value = bytes::Bytes> {
    prop::collection::vec(any::<u8>(), 0..64).prop_map(bytes::Bytes::from)
}

fn unit() -> UnitRef {
    UnitRef {
        code: "14797".parse().unwrap(),
        valid_on: date(2026, 9, 21),
    }
}

fn kind() -> impl Strategy<Value = EventKind> {
    (0..12_usize).prop_map(|number| match number {
        10 => EventKind::CodeAssigned,
        11 => EventKind::Noted,
        status => EventKind::Status(Status::ALL[status]),
    })
}

prop_compose! {
    fn event()(
        id in "[!-~]{1,128}",
        kind in kind(),
        time in timestamp(),
        dossier in "[a-zA-Z0-9-]{1,40}",
        (coded, stepped, traced) in any::<(bool, bool, bool)>(),
        class in 0..4_usize,
        data in data(),
    ) -> Event {
        Event {
            id: id.parse().unwrap(),
            source: "thanh-hoa-desk".parse().unwrap(),
            kind,
            time,
            dossier: dossier.parse().unwrap(),
            code: coded.then(|| "H56.14-260921-0042".parse().unwrap()),
            procedure: "3.000722.H56".parse().unwrap(),
            unit: unit(),
            step: stepped.then(|| "residence".parse().unwrap()),
            classification: Classification::ALL[class],
            content_type: "application/json".to_owned(),
            traceparent: traced.then(|| "00-0af7651916cd43dd-b7ad6b71-01".to_owned()),
            data,
        }
    }
}

prop_compose! {
    fn delivery()(
        id in any::<[u8; 16]>(),
        times in (timestamp(), timestamp(), timestamp(), timestamp()),
        texts in ("\\PC{0,30}", "\\PC{0,30}", "\\PC{0,30}"),
        (coded, provincial) in any::<(bool, bool)>(),
        class in 0..4_usize,
        data in data(),
    ) -> Delivery {
        Delivery {
            id: id.into(),
            dossier: "d-1".parse().unwrap(),
            code: coded.then(|| "H56.14-260921-0042".parse().unwrap()),
            procedure: "3.000722".parse().unwrap(),
            route: "birth@2026-09-01".parse().unwrap(),
            step: "residence".parse().unwrap(),
            agency: "demo-police".parse().unwrap(),
            destination: "demo-police".parse().unwrap(),
            unit: unit(),
            province: provincial.then(|| "38".parse().unwrap()),
            classification: Classification::ALL[class],
            received_at: times.0,
            opened_at: times.1,
            due_at: times.2,
            dossier_due_at: times.3,
            task: texts.0,
            product: texts.1,
            legal_basis: texts.2,
            cause: ("justice".parse().unwrap(), "e-9".parse().unwrap()),
            content_type: "application/json".to_owned(),
            data,
        }
    }
}

prop_compose! {
    fn attempt()(
        number in any::<u32>(),
        started_at in timestamp(),
        took in (0..u64::from(u32::MAX), 0..1_000_000_000_u32),
        class in 0..AttemptClass::ALL.len(),
        detail in "\\PC{0,30}",
    ) -> Attempt {
        Attempt {
            number,
            started_at,
            took: Duration::new(took.0, took.1),
            class: AttemptClass::ALL[class],
            detail,
        }
    }
}

fn waiting_kind(
    (delivery, step, destination): (DeliveryId, domain::StepId, domain::DestinationId),
    attempt: Attempt,
    text: String,
    which: usize,
) -> OutcomeKind {
    match which {
        8 => OutcomeKind::Unknown {
            delivery,
            step,
            destination,
            attempt,
        },
        9 => OutcomeKind::Settled {
            delivery,
            step,
            destination,
            arrived: which.is_multiple_of(2),
            reason: text,
        },
        10 => OutcomeKind::Discarded {
            delivery,
            step,
            destination,
            reason: text,
        },
        11 => OutcomeKind::BudgetUsed {
            delivery,
            step,
            destination,
            percent: 80,
        },
        _ => OutcomeKind::Redriven {
            delivery,
            step,
            destination,
            reason: text,
        },
    }
}

fn outcome_kind() -> impl Strategy<Value = OutcomeKind> {
    let step: domain::StepId = "residence".parse().unwrap();
    let destination: domain::DestinationId = "demo-police".parse().unwrap();
    let parts = (any::<[u8; 16]>(), attempt(), timestamp(), "\\PC{0,30}");
    (parts, 0..13_usize, any::<usize>()).prop_map(move |(parts, which, word)| {
        let (id, attempt, at, text) = parts;
        let (step, destination) = (step.clone(), destination.clone());
        let delivery = DeliveryId::from(id);
        match which {
            0 => OutcomeKind::DossierHeld {
                reason: HoldReason::ALL[word % HoldReason::ALL.len()],
                detail: text,
            },
            1 => OutcomeKind::DossierReleased,
            2 => OutcomeKind::DossierEnded {
                end: DossierEnd::ALL[word % DossierEnd::ALL.len()],
                ended_at: at,
            },
            3 => OutcomeKind::FactKept {
                event: ("justice".parse().unwrap(), "e-9".parse().unwrap()),
                reason: FactReason::ALL[word % FactReason::ALL.len()],
            },
            4 => OutcomeKind::AttemptFailed {
                delivery,
                step,
                destination,
                attempt,
                next_at: at,
            },
            5 | 6 => OutcomeKind::Delivered {
                delivery,
                step,
                destination,
                attempt,
            },
            7 => OutcomeKind::DeadLettered {
                delivery,
                step,
                destination,
                attempt,
            },
            _ => waiting_kind((delivery, step, destination), attempt, text, which),
        }
    })
}

proptest! {
    #[test]
    fn an_event_goes_round(event in event()) {
        let wire = v1::Event::from(event.clone());
        prop_assert_eq!(Event::try_from(wire), Ok(event));
    }

    #[test]
    fn a_delivery_goes_round_and_its_record_says_whose_it_is(delivery in delivery()) {
        let (attributes, data) = proto::encode_delivery(delivery.clone());
        let says = |name| attributes.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
        prop_assert_eq!(says("id"), Some(delivery.id.to_string()));
        prop_assert_eq!(says("subject"), Some(delivery.dossier.to_string()));
        prop_assert_eq!(says("type"), Some(proto::DELIVERY_TYPE.to_owned()));
        prop_assert_eq!(proto::decode_delivery(data), Ok(delivery));
    }

    #[test]
    fn an_outcome_goes_round(id in any::<[u8; 16]>(), at in timestamp(), kind in outcome_kind()) {
        let id = RecordId::from(id);
        let outcome = Outcome { id, dossier: "d-1".parse().unwrap(), at, kind };
        let (attributes, data) = proto::encode_outcome(outcome.clone());
        prop_assert!(attributes.contains(&("id", outcome.id.to_string())));
        prop_assert_eq!(proto::decode_outcome(&data), Ok(outcome));
    }

    #[test]
    fn the_same_delivery_has_the_same_bytes(delivery in delivery()) {
        prop_assert_eq!(proto::encode_delivery(delivery.clone()), proto::encode_delivery(delivery));
    }

    /// G2: no bytes make a reader panic.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = proto::decode_outcome(&bytes);
        let _ = proto::decode_delivery(bytes.into());
    }

    #[test]
    fn any_numbers_are_a_time_or_refused(seconds in any::<i64>(), nanos in any::<i32>()) {
        let wire = prost_types::Timestamp { seconds, nanos };
        if let Ok(time) = proto::timestamp_from_wire("t", Some(wire)) {
            prop_assert_eq!(proto::timestamp_to_wire(time), wire);
        }
        let _ = proto::duration_from_wire(prost_types::Duration { seconds, nanos });
    }
}

/// A value to change, and the field that is wrong then.
fn one<T>(strategy: impl Strategy<Value = T>) -> T {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    strategy.new_tree(&mut runner).unwrap().current()
}

#[track_caller]
fn wrong_delivery(change: impl FnOnce(&mut v1::Delivery), field: &str) {
    let mut wire = v1::Delivery::from(one(delivery()));
    change(&mut wire);
    let error: InvalidField = Delivery::try_from(wire).unwrap_err();
    assert_eq!(error.field, field, "{error}");
}

#[test]
fn a_wrong_field_of_a_delivery_is_named() {
    wrong_delivery(|d| d.id = "7".to_owned(), "delivery.id");
    wrong_delivery(|d| d.dossier.clear(), "delivery.dossier");
    wrong_delivery(|d| d.dossier_code = "x".to_owned(), "delivery.dossier_code");
    wrong_delivery(|d| d.procedure.clear(), "delivery.procedure");
    wrong_delivery(|d| d.route.clear(), "delivery.route");
    wrong_delivery(|d| d.step.clear(), "delivery.step");
    wrong_delivery(|d| d.agency.clear(), "delivery.agency");
    wrong_delivery(|d| d.destination.clear(), "delivery.destination");
    wrong_delivery(|d| d.unit.clear(), "delivery.unit");
    wrong_delivery(|d| d.unit_valid_on.clear(), "delivery.unit_valid_on");
    wrong_delivery(|d| d.province = "038".to_owned(), "delivery.province");
    wrong_delivery(|d| d.classification = 9, "delivery.classification");
    wrong_delivery(|d| d.received_at = None, "delivery.received_at");
    wrong_delivery(|d| d.opened_at = None, "delivery.opened_at");
    wrong_delivery(|d| d.due_at = None, "delivery.due_at");
    wrong_delivery(|d| d.dossier_due_at = None, "delivery.dossier_due_at");
    wrong_delivery(|d| d.cause_source.clear(), "delivery.cause_source");
    wrong_delivery(|d| d.cause_id.clear(), "delivery.cause_id");
}

#[test]
fn a_wrong_field_of_an_outcome_is_named() {
    let wire = || {
        let kind = OutcomeKind::Delivered {
            delivery: DeliveryId::from([7; 16]),
            step: "residence".parse().unwrap(),
            destination: "demo-police".parse().unwrap(),
            attempt: one(attempt()),
        };
        v1::Outcome::from(Outcome {
            id: [1; 16].into(),
            dossier: "d-1".parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            kind,
        })
    };
    let wrong = |change: fn(&mut v1::Outcome), field: &str| {
        let mut wire = wire();
        change(&mut wire);
        assert_eq!(Outcome::try_from(wire).unwrap_err().field, field);
    };
    wrong(|o| o.id.clear(), "outcome.id");
    wrong(|o| o.dossier.clear(), "outcome.dossier");
    wrong(|o| o.at = None, "outcome.at");
    wrong(|o| o.kind = None, "outcome.kind");
    let delivered = |change: fn(&mut v1::Delivered), field: &str| {
        let mut wire = wire();
        let Some(v1::outcome::Kind::Delivered(one)) = &mut wire.kind else {
            panic!("{wire:?}");
        };
        change(one);
        assert_eq!(Outcome::try_from(wire).unwrap_err().field, field);
    };
    delivered(|d| d.delivery.clear(), "outcome.delivered.delivery");
    delivered(|d| d.step.clear(), "outcome.delivered.step");
    delivered(|d| d.destination.clear(), "outcome.delivered.destination");
    delivered(|d| d.attempt = None, "outcome.delivered.attempt");
    let class = |d: &mut v1::Delivered| d.attempt.as_mut().unwrap().class.clear();
    delivered(class, "outcome.delivered.attempt");
}

#[test]
fn what_is_not_given_reads_as_its_default() {
    let mut wire = v1::Event::from(one(event()));
    wire.classification = 0;
    wire.content_type.clear();
    let event = Event::try_from(wire).unwrap();
    assert_eq!(event.classification, Classification::Internal);
    assert_eq!(event.content_type, "application/octet-stream");
}

#[test]
fn a_delivery_without_a_province_is_done_by_its_unit() {
    let mut wire = v1::Delivery::from(one(delivery()));
    wire.province.clear();
    let delivery = Delivery::try_from(wire).unwrap();
    assert_eq!(delivery.province, None);
    assert_eq!(delivery.acting_unit(), "14797");
}

#[test]
fn a_negative_duration_reads_as_zero() {
    for (seconds, nanos) in [(-1, 0), (-1, -5), (0, -5)] {
        let wire = prost_types::Duration { seconds, nanos };
        assert_eq!(proto::duration_from_wire(wire), Duration::ZERO);
    }
    let longest = Duration::MAX;
    assert_eq!(proto::duration_to_wire(longest).seconds, i64::MAX);
}
