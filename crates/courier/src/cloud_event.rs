//! A delivery as a CloudEvent, in two modes.
//!
//! Binary: the payload is the body of an HTTP message as it is; everything else is in headers, as
//! [`proto::cloud_event_headers`] writes them. Structured: everything is one JSON object (JSON format
//! 1.0.2, §3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use proto::v1::Delivery;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// Before the name of an attribute in a header.
const PREFIX: &str = "ce-";

/// Writes all headers of a delivery.
pub(crate) fn write_headers(delivery: &Delivery, headers: &mut HeaderMap) {
    let all = proto::cloud_event_headers(delivery);
    headers.reserve(all.len() + 1);
    for (name, value) in all {
        put(headers, name, &value);
    }
    if let Ok(value) = HeaderValue::from_str(&delivery.content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
}

/// The delivery as one JSON object, with these attributes besides its own. A payload that is JSON stands
/// in `data` letter for letter, any other in `data_base64`.
pub(crate) fn to_json(
    delivery: &Delivery,
    more: impl IntoIterator<Item = (&'static str, String)>,
) -> String {
    let own = proto::cloud_event_attributes(delivery).into_iter();
    let own = own.map(|(name, value)| (name.trim_start_matches(PREFIX), value));
    let kind = ("datacontenttype", delivery.content_type.clone());
    let own = own.map(|(name, value)| (name, value.into_owned()));
    let all = own.chain([kind]).chain(more);
    let object: Map<String, Value> = all
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    let mut text = Value::Object(object).to_string();
    text.pop();
    match json_text(delivery) {
        Some(data) => text.extend([",\"data\":", data, "}"]),
        None => text.extend([
            ",\"data_base64\":\"",
            &STANDARD.encode(&delivery.data),
            "\"}",
        ]),
    }
    text
}

/// The payload, when it is said to be JSON and is.
fn json_text(delivery: &Delivery) -> Option<&str> {
    let kind = delivery.content_type.split(';').next()?.trim();
    let says_so = kind == "application/json" || kind.ends_with("+json");
    let text = std::str::from_utf8(&delivery.data)
        .ok()
        .filter(|_| says_so)?;
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    Some(text)
}

fn put(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
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

    #[test]
    fn a_delivery_is_a_cloud_event_in_structured_mode() {
        let json = Delivery {
            id: "0af7".to_owned(),
            task: "Đăng ký \"100%\"".to_owned(),
            content_type: "application/json; charset=utf-8".to_owned(),
            data: r#"{"fee": 1.10, "n": 12345678901234567890123}"#.into(),
            ..Delivery::default()
        };
        let text = to_json(&json, [("leasetoken", "t.1".to_owned())]);
        assert!(
            text.ends_with(r#","data":{"fee": 1.10, "n": 12345678901234567890123}}"#),
            "{text}"
        );
        let event: Value = serde_json::from_str(&text).unwrap();
        let check = |name: &str, expected: &str| assert_eq!(event[name], expected, "{name}");
        check("specversion", "1.0");
        check("id", "0af7");
        check("task", "Đăng ký \"100%\"");
        check("leasetoken", "t.1");
        check("datacontenttype", "application/json; charset=utf-8");
        assert!(
            event.get("unit").is_none(),
            "an empty attribute is left out"
        );
    }

    #[test]
    fn a_payload_that_is_no_json_stands_in_base64() {
        for (content_type, data) in [("application/xml", "<a/>"), ("application/json", "{\"a\":")] {
            let delivery = Delivery {
                content_type: content_type.to_owned(),
                data: data.into(),
                ..Delivery::default()
            };
            let event: Value = serde_json::from_str(&to_json(&delivery, [])).unwrap();
            assert_eq!(
                event["data_base64"],
                STANDARD.encode(data),
                "{content_type}"
            );
            assert!(event.get("data").is_none());
        }
    }
}
