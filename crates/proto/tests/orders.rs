//! Orders go round, and a wrong one is named by its field.

#![cfg(test)]

use domain::{Action, DeliveryId, JobId, LaneAction, Order, RecordId, SidelineWay};
use jiff::Timestamp;
use proptest::prelude::*;

fn at() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_i64, 0..1_000_000_000_i32).prop_map(|(s, n)| Timestamp::new(s, n).unwrap())
}

fn lane() -> impl Strategy<Value = LaneAction> {
    prop_oneof![
        Just(LaneAction::Pause),
        Just(LaneAction::Resume),
        Just(LaneAction::Probe),
        any::<u32>().prop_map(|n| LaneAction::Limit(std::num::NonZeroU32::new(n))),
        (at(), 1..1_000_i64).prop_map(|(from, length)| LaneAction::Window {
            from,
            to: from + jiff::SignedDuration::from_secs(length),
        }),
        at().prop_map(|from| LaneAction::CancelWindow { from }),
    ]
}

fn job() -> impl Strategy<Value = JobId> {
    "[a-z0-9-]{1,63}".prop_map(|id| id.parse().unwrap())
}

fn subject() -> impl Strategy<Value = domain::Subject> {
    let texts = prop_oneof![
        Just("dossier d-1"),
        Just("procedure 3.000722.H56"),
        Just("agency thanh-hoa-desk"),
    ];
    texts.prop_map(|text| text.parse().unwrap())
}

fn action() -> impl Strategy<Value = Action> {
    let id = || any::<[u8; 16]>().prop_map(DeliveryId::from);
    let dossier = || "[!-~]{1,40}".prop_map(|key| key.parse().unwrap());
    let way = prop_oneof![Just(SidelineWay::Hold), Just(SidelineWay::Demote)];
    prop_oneof![
        lane().prop_map(|action| Action::Lane {
            destination: "justice".parse().unwrap(),
            action,
        }),
        (subject(), prop::option::of((way, at())))
            .prop_map(|(subject, rule)| Action::Sideline { subject, rule }),
        (id(), dossier(), prop::option::of((job(), any::<u32>()))).prop_map(
            |(delivery, dossier, item)| Action::Redrive {
                delivery,
                dossier,
                item,
            }
        ),
        (id(), dossier(), any::<bool>()).prop_map(|(delivery, dossier, arrived)| {
            Action::Settle {
                delivery,
                dossier,
                arrived,
            }
        }),
        (id(), dossier()).prop_map(|(delivery, dossier)| Action::Prove { delivery, dossier }),
        (id(), dossier()).prop_map(|(delivery, dossier)| Action::Discard { delivery, dossier }),
        (job(), 1..u32::MAX, any::<u32>(), ".{0,40}").prop_map(|(job, rate, total, filter)| {
            Action::StartJob {
                job,
                rate: rate.try_into().unwrap(),
                total,
                filter,
            }
        }),
        (job(), any::<u32>(), prop::collection::vec(id(), 0..20)).prop_map(
            |(job, first, deliveries)| Action::JobItems {
                job,
                first,
                deliveries,
            }
        ),
        job().prop_map(|job| Action::CancelJob { job }),
    ]
}

fn order(action: Action) -> Order {
    Order {
        id: RecordId::of("order", &["1"]),
        at: "2026-11-20T02:00:00.000000001Z".parse().unwrap(),
        by: "Người Trực Thử".parse().unwrap(),
        reason: "sự cố số 7".parse().unwrap(),
        action,
    }
}

fn decode(
    attributes: &[(&'static str, String)],
    data: &[u8],
) -> Result<Order, proto::InvalidField> {
    let get = |name: &str| {
        let found = attributes.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    };
    proto::decode_order(get, data)
}

proptest! {
    #[test]
    fn orders_go_round(action in action()) {
        let order = order(action);
        let (attributes, data) = proto::encode_order(&order);
        prop_assert!(attributes.iter().any(|(name, kind)| *name == "type" && proto::is_order(kind)));
        prop_assert_eq!(decode(&attributes, &data), Ok(order));
    }
}

#[test]
fn a_wrong_order_is_named_by_its_field() {
    let pause = Action::Lane {
        destination: "justice".parse().unwrap(),
        action: LaneAction::Pause,
    };
    let wrong = |name: &str, value: &str, field: &str| {
        let (mut attributes, data) = proto::encode_order(&order(pause.clone()));
        for (known, text) in &mut attributes {
            if *known == name {
                *text = value.to_owned();
            }
        }
        assert_eq!(decode(&attributes, &data).unwrap_err().field, field);
    };
    wrong("type", "vn.lienthong.delivery.v1", "type");
    wrong("type", "vn.lienthong.control.dance.v1", "type");
    wrong("by", "", "by");
    wrong("reason", "two\nlines", "reason");
    wrong("time", "yesterday", "time");
    wrong("id", "x", "id");
}
