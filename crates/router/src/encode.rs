//! How a dossier lies in the store: a protobuf message of this crate alone, so that fields can be added.

use bytes::Bytes;
use domain::{Classification, DossierEnd, DossierKey, Fact, History, HoldReason, Status, UnitRef};
use jiff::Timestamp;
use prost::Message;

use crate::{Dossier, Held, Receipt, Step};

#[derive(Clone, PartialEq, Message)]
struct StoredDossier {
    #[prost(string, optional, tag = "1")]
    code: Option<String>,
    #[prost(message, repeated, tag = "2")]
    facts: Vec<StoredFact>,
    #[prost(message, optional, tag = "3")]
    receipt: Option<StoredReceipt>,
    #[prost(string, optional, tag = "4")]
    route: Option<String>,
    #[prost(message, repeated, tag = "5")]
    steps: Vec<StoredStep>,
    #[prost(string, optional, tag = "6")]
    hold_reason: Option<String>,
    #[prost(string, tag = "7")]
    hold_detail: String,
    #[prost(string, optional, tag = "8")]
    end: Option<String>,
    #[prost(uint32, tag = "9")]
    holds: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredFact {
    #[prost(int64, tag = "1")]
    second: i64,
    #[prost(int32, tag = "2")]
    nanosecond: i32,
    #[prost(int64, tag = "3")]
    status: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StoredReceipt {
    #[prost(string, tag = "1")]
    source: String,
    #[prost(string, tag = "2")]
    event: String,
    #[prost(int64, tag = "3")]
    second: i64,
    #[prost(int32, tag = "4")]
    nanosecond: i32,
    #[prost(string, tag = "5")]
    procedure: String,
    #[prost(string, tag = "6")]
    unit: String,
    #[prost(string, tag = "7")]
    unit_valid_on: String,
    #[prost(string, tag = "8")]
    classification: String,
    #[prost(string, tag = "9")]
    content_type: String,
    #[prost(bytes = "bytes", tag = "10")]
    data: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct StoredStep {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bool, tag = "2")]
    is_open: bool,
    #[prost(message, repeated, tag = "3")]
    facts: Vec<StoredFact>,
    #[prost(string, optional, tag = "4")]
    destination: Option<String>,
}

/// The state of a dossier in the store cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the stored state of dossier `{dossier}` is damaged: {reason}")]
pub(crate) struct Damaged {
    dossier: String,
    reason: String,
}

pub(crate) fn encode(dossier: &Dossier) -> Bytes {
    let stored = StoredDossier {
        code: dossier.code.clone().map(String::from),
        facts: facts_out(&dossier.history),
        receipt: dossier.receipt.as_ref().map(receipt_out),
        route: dossier.route.clone().map(String::from),
        steps: dossier.steps.iter().map(step_out).collect(),
        hold_reason: dossier.held.as_ref().map(|held| held.reason.to_string()),
        hold_detail: dossier
            .held
            .as_ref()
            .map(|held| held.detail.clone())
            .unwrap_or_default(),
        end: dossier.end.map(|end| end.to_string()),
        holds: dossier.holds,
    };
    stored.encode_to_vec().into()
}

pub(crate) fn decode(key: DossierKey, body: Bytes) -> Result<Dossier, Damaged> {
    let dossier = key.to_string();
    read(key, body).map_err(|reason| Damaged { dossier, reason })
}

fn read(key: DossierKey, body: Bytes) -> Result<Dossier, String> {
    let stored = StoredDossier::decode(body).map_err(text)?;
    let reason = match &stored.hold_reason {
        None => None,
        Some(word) => Some(HoldReason::from_word(word).ok_or_else(|| word.clone())?),
    };
    let detail = stored.hold_detail;
    let end = match &stored.end {
        None => None,
        Some(word) => Some(DossierEnd::from_word(word).ok_or_else(|| word.clone())?),
    };
    Ok(Dossier {
        key,
        code: stored
            .code
            .map(|code| code.parse())
            .transpose()
            .map_err(text)?,
        history: facts_in(&stored.facts)?,
        receipt: stored.receipt.map(receipt_in).transpose()?,
        route: stored
            .route
            .map(|route| route.parse())
            .transpose()
            .map_err(text)?,
        steps: stored
            .steps
            .into_iter()
            .map(step_in)
            .collect::<Result<_, _>>()?,
        held: reason.map(|reason| Held { reason, detail }),
        holds: stored.holds,
        end,
    })
}

fn facts_out(history: &History) -> Vec<StoredFact> {
    let facts = history.facts().iter().map(|fact| StoredFact {
        second: fact.at.as_second(),
        nanosecond: fact.at.subsec_nanosecond(),
        status: fact.status.code().into(),
    });
    facts.collect()
}

fn facts_in(stored: &[StoredFact]) -> Result<History, String> {
    let mut history = History::default();
    for fact in stored {
        let at = Timestamp::new(fact.second, fact.nanosecond).map_err(text)?;
        history.insert(Fact {
            at,
            status: Status::from_code(fact.status).map_err(text)?,
        });
    }
    Ok(history)
}

fn receipt_out(receipt: &Receipt) -> StoredReceipt {
    StoredReceipt {
        source: receipt.source.to_string(),
        event: receipt.event.to_string(),
        second: receipt.at.as_second(),
        nanosecond: receipt.at.subsec_nanosecond(),
        procedure: receipt.procedure.to_string(),
        unit: receipt.unit.code.to_string(),
        unit_valid_on: receipt.unit.valid_on.to_string(),
        classification: receipt.classification.to_string(),
        content_type: receipt.content_type.clone(),
        data: receipt.data.clone(),
    }
}

fn receipt_in(stored: StoredReceipt) -> Result<Receipt, String> {
    Ok(Receipt {
        source: stored.source.parse().map_err(text)?,
        event: stored.event.parse().map_err(text)?,
        at: Timestamp::new(stored.second, stored.nanosecond).map_err(text)?,
        procedure: stored.procedure.parse().map_err(text)?,
        unit: UnitRef {
            code: stored.unit.parse().map_err(text)?,
            valid_on: stored.unit_valid_on.parse().map_err(text)?,
        },
        classification: stored
            .classification
            .parse::<Classification>()
            .map_err(text)?,
        content_type: stored.content_type,
        data: stored.data,
    })
}

fn step_out(step: &Step) -> StoredStep {
    StoredStep {
        id: step.id.to_string(),
        is_open: step.is_open,
        facts: facts_out(&step.history),
        destination: step.destination.clone().map(String::from),
    }
}

fn step_in(stored: StoredStep) -> Result<Step, String> {
    Ok(Step {
        id: stored.id.parse().map_err(text)?,
        is_open: stored.is_open,
        destination: stored
            .destination
            .map(|destination| destination.parse())
            .transpose()
            .map_err(text)?,
        history: facts_in(&stored.facts)?,
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn history() -> impl Strategy<Value = History> {
        let fact = (0..2_000_000_000_i64, 0..1_000_000_000_i32, 0..10_usize);
        prop::collection::vec(fact, 0..6).prop_map(|facts| {
            let mut history = History::default();
            for (second, nanosecond, status) in facts {
                let at = Timestamp::new(second, nanosecond).unwrap();
                let status = Status::ALL[status];
                history.insert(Fact { at, status });
            }
            history
        })
    }

    fn receipt() -> impl Strategy<Value = Receipt> {
        let data = prop::collection::vec(any::<u8>(), 0..40);
        (0..2_000_000_000_i64, 0..4_usize, data).prop_map(|(second, class, data)| Receipt {
            source: "desk".parse().unwrap(),
            event: format!("e-{second}").parse().unwrap(),
            at: Timestamp::from_second(second).unwrap(),
            procedure: "3.000722.H56".parse().unwrap(),
            unit: UnitRef {
                code: "14797".parse().unwrap(),
                valid_on: jiff::civil::date(2026, 9, 21),
            },
            classification: Classification::ALL[class],
            content_type: "application/json".to_owned(),
            data: data.into(),
        })
    }

    fn step() -> impl Strategy<Value = Step> {
        let id = "[a-z][a-z0-9-]{0,20}";
        (id, any::<(bool, bool)>(), history()).prop_map(|(id, (is_open, is_known), history)| Step {
            id: id.parse().unwrap(),
            is_open,
            destination: is_known.then(|| "justice".parse().unwrap()),
            history,
        })
    }

    fn held() -> impl Strategy<Value = Held> {
        let reasons = HoldReason::ALL;
        ("\\PC{0,40}", 0..reasons.len()).prop_map(move |(detail, reason)| Held {
            reason: reasons[reason],
            detail,
        })
    }

    prop_compose! {
        fn dossier()(
            history in history(),
            receipt in prop::option::of(receipt()),
            steps in prop::collection::vec(step(), 0..5),
            held in prop::option::of(held()),
            holds in any::<u32>(),
            (coded, routed) in any::<(bool, bool)>(),
            end in prop::option::of(0..DossierEnd::ALL.len()),
        ) -> Dossier {
            Dossier {
                key: "d-1".parse().unwrap(),
                code: coded.then(|| "H56.14-260921-0042".parse().unwrap()),
                history,
                receipt,
                route: routed.then(|| "birth@2026-09-01".parse().unwrap()),
                steps,
                held,
                holds,
                end: end.map(|end| DossierEnd::ALL[end]),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_again(dossier in dossier()) {
            let read = decode(dossier.key.clone(), encode(&dossier)).unwrap();
            prop_assert_eq!(read, dossier);
        }

        #[test]
        fn other_bytes_are_damage_and_no_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode("d-1".parse().unwrap(), body.into());
        }
    }
}
