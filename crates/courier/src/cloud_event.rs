//! A delivery as an HTTP message: a CloudEvent in binary mode.
//!
//! The payload is the body as it is; everything else is in headers, as [`proto::cloud_event_headers`]
//! writes them.

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use proto::v1::Delivery;

/// Writes all headers of a delivery.
pub(crate) fn write_headers(delivery: &Delivery, headers: &mut HeaderMap) {
    for (name, value) in proto::cloud_event_headers(delivery) {
        put(headers, name, &value);
    }
    if let Ok(value) = HeaderValue::from_str(&delivery.content_type) {
        headers.insert(CONTENT_TYPE, value);
    }
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
}
