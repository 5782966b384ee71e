//! A delivery as the headers of a CloudEvent in binary mode.

use std::fmt::Write;

use crate::v1::{Classification, Delivery};

/// The attributes of a delivery by the names of their headers, as plain text; empty ones among them.
pub fn cloud_event_attributes(delivery: &Delivery) -> Vec<(&'static str, String)> {
    attributes(delivery).into()
}

/// The headers of a delivery over HTTP, besides its content type: percent-encoded as the CloudEvents
/// HTTP binding (1.0.2, §3.1.3.2) asks for. Empty attributes are left out.
pub fn cloud_event_headers(delivery: &Delivery) -> Vec<(&'static str, String)> {
    let attributes = attributes(delivery).into_iter();
    let given = attributes.filter(|(_, value)| !value.is_empty());
    given
        .map(|(name, value)| (name, percent_encoded(&value)))
        .chain([("idempotency-key", delivery.id.clone())])
        .collect()
}

fn attributes(delivery: &Delivery) -> [(&'static str, String); 24] {
    let time = |wire: Option<_>| {
        let time = crate::timestamp_from_wire("time", wire);
        time.map(|time| time.to_string()).unwrap_or_default()
    };
    let classification = match delivery.classification() {
        Classification::Public => "public",
        Classification::Unspecified | Classification::Internal => "internal",
        Classification::Personal => "personal",
        Classification::Confidential => "confidential",
    };
    let text = |text: &str| text.to_owned();
    let number = |number: u64| match number {
        0 => String::new(),
        counted => counted.to_string(),
    };
    [
        ("ce-specversion", text("1.0")),
        ("ce-id", text(&delivery.id)),
        ("ce-source", text("lienthong")),
        ("ce-type", text(crate::DELIVERY_TYPE)),
        ("ce-time", time(delivery.opened_at)),
        ("ce-subject", text(&delivery.dossier)),
        ("ce-sequence", number(delivery.sequence)),
        ("ce-dossiercode", text(&delivery.dossier_code)),
        ("ce-procedure", text(&delivery.procedure)),
        ("ce-route", text(&delivery.route)),
        ("ce-step", text(&delivery.step)),
        ("ce-agency", text(&delivery.agency)),
        ("ce-destination", text(&delivery.destination)),
        ("ce-unit", text(&delivery.unit)),
        ("ce-unitvalidon", text(&delivery.unit_valid_on)),
        ("ce-province", text(&delivery.province)),
        ("ce-classification", text(classification)),
        ("ce-receivedat", time(delivery.received_at)),
        ("ce-dueat", time(delivery.due_at)),
        ("ce-dossierdueat", time(delivery.dossier_due_at)),
        ("ce-task", text(&delivery.task)),
        ("ce-product", text(&delivery.product)),
        ("ce-legalbasis", text(&delivery.legal_basis)),
        (
            "ce-cause",
            format!("{}/{}", delivery.cause_source, delivery.cause_id),
        ),
    ]
}

/// Everything but visible ASCII becomes `%XX`, and so do `"` and `%`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
