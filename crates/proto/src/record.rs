//! What stands in the deliveries and outcomes topics: CloudEvents attributes, and a message as data.

use bytes::Bytes;
use domain::{Delivery, DossierKey, Outcome};
use jiff::Timestamp;
use prost::Message;

use crate::{InvalidField, v1};

/// The CloudEvents type of a delivery.
pub const DELIVERY_TYPE: &str = "vn.lienthong.delivery.v1";
/// The CloudEvents type of an outcome.
pub const OUTCOME_TYPE: &str = "vn.lienthong.outcome.v1";

const PROTOBUF: &str = "application/protobuf";
const SOURCE: &str = "lienthong";

/// A record that carries a message: attributes by CloudEvents name, and the encoded message.
pub type Encoded = (Vec<(&'static str, String)>, Bytes);

fn attributes(
    kind: &str,
    id: String,
    dossier: &DossierKey,
    at: Timestamp,
) -> Vec<(&'static str, String)> {
    vec![
        ("specversion", "1.0".to_owned()),
        ("id", id),
        ("source", SOURCE.to_owned()),
        ("type", kind.to_owned()),
        ("time", at.to_string()),
        ("subject", dossier.to_string()),
        ("datacontenttype", PROTOBUF.to_owned()),
    ]
}

pub(crate) fn decode<M: Message + Default>(data: &[u8]) -> Result<M, InvalidField> {
    M::decode(data).map_err(|error| InvalidField::new("data", error))
}

/// The record of a delivery.
pub fn encode_delivery(delivery: Delivery) -> Encoded {
    let attributes = attributes(
        DELIVERY_TYPE,
        delivery.id.to_string(),
        &delivery.dossier,
        delivery.opened_at,
    );
    (
        attributes,
        v1::Delivery::from(delivery).encode_to_vec().into(),
    )
}

/// Reads the data of a delivery's record.
pub fn decode_delivery(data: Bytes) -> Result<Delivery, InvalidField> {
    v1::Delivery::decode(data)
        .map_err(|error| InvalidField::new("data", error))?
        .try_into()
}

/// The record of an outcome.
pub fn encode_outcome(outcome: Outcome) -> Encoded {
    let attributes = attributes(
        OUTCOME_TYPE,
        outcome.id.to_string(),
        &outcome.dossier,
        outcome.at,
    );
    (
        attributes,
        v1::Outcome::from(outcome).encode_to_vec().into(),
    )
}

/// Reads the data of an outcome's record.
pub fn decode_outcome(data: &[u8]) -> Result<Outcome, InvalidField> {
    decode::<v1::Outcome>(data)?.try_into()
}
