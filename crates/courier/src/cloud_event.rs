//! A delivery as an HTTP message: a CloudEvent in binary mode.
//!
//! The payload is the body as it is; everything else is in headers, percent-encoded as the CloudEvents
//! HTTP binding (1.0.2, §3.1.3.2) asks for.

use std::fmt::Write;

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use proto::v1::{Classification, Delivery};

type Attribute = (&'static str, String);

/// Writes all headers of a delivery.
pub(crate) fn write_headers(delivery: &Delivery, headers: &mut HeaderMap) {
    for (name, value) in attributes(delivery) {
        if !value.is_empty() {
            put(headers, name, &percent_encoded(&value));
        }
    }
    put(headers, "idempotency-key", &delivery.id);
    if let Ok(value) = HeaderValue::from_str(&delivery.content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn attributes(delivery: &Delivery) -> [Attribute; 24] {
    let time = |wire: Option<_>| {
        let time = proto::timestamp_from_wire("time", wire);
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
        ("ce-type", text(proto::DELIVERY_TYPE)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_a_cloud_event_in_binary_mode() {
        let delivery = Delivery {
            id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            dossier: "d-1".to_owned(),
            step: "residence".to_owned(),
            unit: "14797".to_owned(),
            province: "38".to_owned(),
            task: "Đăng ký \"100%\"\r\n".to_owned(),
            content_type: "application/json".to_owned(),
            due_at: Some(proto::timestamp_to_wire(
                "2026-09-25T10:00:00Z".parse().unwrap(),
            )),
            sequence: 7,
            ..Delivery::default()
        };
        let mut headers = HeaderMap::new();
        write_headers(&delivery, &mut headers);
        let check = |name: &str, expected: &str| {
            assert_eq!(
                headers.get(name).map(|v| v.to_str().unwrap()),
                Some(expected),
                "{name}"
            );
        };
        check("ce-specversion", "1.0");
        check("ce-id", "0af7651916cd43dd8448eb211c80319c");
        check("idempotency-key", "0af7651916cd43dd8448eb211c80319c");
        check("ce-type", "vn.lienthong.delivery.v1");
        check("ce-subject", "d-1");
        check("ce-sequence", "7");
        check("ce-step", "residence");
        check("ce-unit", "14797");
        check("ce-province", "38");
        check("ce-dueat", "2026-09-25T10:00:00Z");
        check("ce-task", "%C4%90%C4%83ng%20k%C3%BD%20%22100%25%22%0D%0A");
        check("content-type", "application/json");
        assert!(
            headers.get("ce-dossiercode").is_none(),
            "an empty attribute is left out"
        );
    }
}
