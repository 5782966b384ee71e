//! A delivery as the attributes of a CloudEvent.

use std::borrow::Cow;
use std::fmt::Write;

use crate::v1::{Classification, Delivery};

/// The attributes of a delivery by the names of their headers, as plain text; empty ones are left out.
pub fn cloud_event_attributes(delivery: &Delivery) -> Vec<(&'static str, Cow<'_, str>)> {
    let mut attributes = Vec::with_capacity(MOST);
    for (name, text) in texts(delivery) {
        attributes.push((name, Cow::Borrowed(text)));
    }
    for (name, at) in [
        ("ce-time", delivery.opened_at),
        ("ce-receivedat", delivery.received_at),
        ("ce-dueat", delivery.due_at),
        ("ce-dossierdueat", delivery.dossier_due_at),
    ] {
        let at = crate::timestamp_from_wire("time", at);
        attributes.extend(at.ok().map(|at| (name, Cow::Owned(at.to_string()))));
    }
    let cause = format!("{}/{}", delivery.cause_source, delivery.cause_id);
    attributes.push(("ce-cause", Cow::Owned(cause)));
    if delivery.sequence > 0 {
        attributes.push(("ce-sequence", Cow::Owned(delivery.sequence.to_string())));
    }
    attributes.retain(|(_, text)| !text.is_empty());
    attributes
}

/// The headers of a delivery over HTTP, besides its content type: percent-encoded as the CloudEvents
/// HTTP binding (1.0.2, §3.1.3.2) asks for. Empty attributes are left out.
pub fn cloud_event_headers(delivery: &Delivery) -> Vec<(&'static str, Cow<'_, str>)> {
    let mut headers = cloud_event_attributes(delivery);
    for (_, text) in &mut headers {
        if !text.bytes().all(is_plain) {
            *text = Cow::Owned(percent_encoded(text));
        }
    }
    headers.push(("idempotency-key", Cow::Borrowed(&delivery.id)));
    headers
}

const MOST: usize = 26;

fn texts(delivery: &Delivery) -> [(&'static str, &str); 18] {
    let classification = match delivery.classification() {
        Classification::Public => "public",
        Classification::Unspecified | Classification::Internal => "internal",
        Classification::Personal => "personal",
        Classification::Confidential => "confidential",
    };
    [
        ("ce-specversion", "1.0"),
        ("ce-id", &delivery.id),
        ("ce-source", "lienthong"),
        ("ce-type", crate::DELIVERY_TYPE),
        ("ce-subject", &delivery.dossier),
        ("ce-dossiercode", &delivery.dossier_code),
        ("ce-procedure", &delivery.procedure),
        ("ce-route", &delivery.route),
        ("ce-step", &delivery.step),
        ("ce-agency", &delivery.agency),
        ("ce-destination", &delivery.destination),
        ("ce-unit", &delivery.unit),
        ("ce-unitvalidon", &delivery.unit_valid_on),
        ("ce-province", &delivery.province),
        ("ce-classification", classification),
        ("ce-task", &delivery.task),
        ("ce-product", &delivery.product),
        ("ce-legalbasis", &delivery.legal_basis),
    ]
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'%'
}

/// Everything but visible ASCII becomes `%XX`, and so do `"` and `%`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
