use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Classification, UnitRef};
use jiff::{Timestamp, civil::Date};
use proto::InvalidField;
use serde_json::json;

use super::{case::Case, reception::Reception};
use crate::{Digest, Reaction};

/// An inbox for CloudEvents in binary mode: POST on any path.
pub(super) fn router(reception: Arc<Reception>) -> Router {
    Router::new().fallback(take).with_state(reception)
}

async fn take(
    State(reception): State<Arc<Reception>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let case = match read(&headers, &body) {
        Ok(case) => case,
        Err(error) => return reply(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let answer = reception.receive(case);
    if !answer.delay.is_zero() {
        reception.clock().sleep(answer.delay).await;
    }
    if answer.lost {
        return reply(StatusCode::BAD_GATEWAY, "simulated loss of the answer");
    }
    match answer.reaction {
        Reaction::Taken => reply(StatusCode::ACCEPTED, "taken"),
        Reaction::AlreadyTaken => reply(StatusCode::OK, "already taken"),
        Reaction::NotTaken => reply(StatusCode::UNPROCESSABLE_ENTITY, "simulated refusal"),
        Reaction::Failed => reply(StatusCode::INTERNAL_SERVER_ERROR, "simulated failure"),
        Reaction::Busy => {
            let answer = reply(StatusCode::SERVICE_UNAVAILABLE, "simulated overload");
            match reception.retry_after() {
                Some(wait) => {
                    ([(header::RETRY_AFTER, wait.as_secs().to_string())], answer).into_response()
                }
                None => answer,
            }
        }
    }
}

fn reply(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({ "detail": detail }))).into_response()
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Case, InvalidField> {
    let opened_at: Timestamp = required(headers, "ce-time")?;
    let received_on = opened_at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let cause: Option<String> = optional(headers, "ce-cause")?;
    let cause = cause.as_deref().and_then(|cause| cause.split_once('/'));
    let cause = cause.and_then(|(source, id)| Some((source.parse().ok()?, id.parse().ok()?)));
    Ok(Case {
        delivery: required(headers, "ce-id")?,
        dossier: required(headers, "ce-subject")?,
        code: optional(headers, "ce-dossiercode")?,
        procedure: required(headers, "ce-procedure")?,
        unit: UnitRef {
            code: required(headers, "ce-unit")?,
            valid_on: optional::<Date>(headers, "ce-unitvalidon")?.unwrap_or(received_on),
        },
        step: required(headers, "ce-step")?,
        classification: optional(headers, "ce-classification")?.unwrap_or(Classification::Internal),
        cause,
        opened_at,
        message: digest(headers, body),
        data: Digest::of(body),
    })
}

/// Of the event's attributes, whatever their order, and the body.
fn digest(headers: &HeaderMap, body: &[u8]) -> Digest {
    let mut attributes: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("ce-") || *name == header::CONTENT_TYPE)
        .map(|(name, value)| [name.as_str().as_bytes(), b"=", value.as_bytes(), b"\n"].concat())
        .collect();
    attributes.sort();
    attributes.push(body.to_vec());
    Digest::of(&attributes.concat())
}

fn required<T>(headers: &HeaderMap, name: &'static str) -> Result<T, InvalidField>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    optional(headers, name)?.ok_or_else(|| InvalidField {
        field: name,
        reason: "is missing".to_owned(),
    })
}

fn optional<T>(headers: &HeaderMap, name: &'static str) -> Result<Option<T>, InvalidField>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let invalid = |reason: String| InvalidField {
        field: name,
        reason,
    };
    let text = value.to_str().map_err(|error| invalid(error.to_string()))?;
    let parsed = percent_decoded(text)
        .parse()
        .map_err(|error: T::Err| invalid(error.to_string()))?;
    Ok(Some(parsed))
}

/// Undoes the encoding of the CloudEvents HTTP binding (1.0.2, §3.1.3.2); what is no encoding stays.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if *byte == b'%' => {
                decoded.push(value);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("ce-id", "0af7651916cd43dd8448eb211c80319c"),
            ("ce-subject", "d%251"),
            ("ce-time", "2026-09-21T02:00:00Z"),
            ("ce-procedure", "3.000722"),
            ("ce-unit", "14797"),
            ("ce-unitvalidon", "2026-09-20"),
            ("ce-step", "health-card"),
            ("ce-cause", "demo-desk-38/e/1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_cloud_event_is_read_from_its_headers() {
        let case = read(&headers(), b"{}").unwrap();
        assert_eq!(case.dossier.as_str(), "d%1");
        assert_eq!(case.unit.valid_on.to_string(), "2026-09-20");
        let cause = ("demo-desk-38".parse().unwrap(), "e/1".parse().unwrap());
        assert_eq!(case.cause, Some(cause));
        assert_eq!(case.data, Digest::of(b"{}"));
        assert_eq!(case.message, read(&headers(), b"{}").unwrap().message);
        assert_ne!(case.message, read(&headers(), b"{} ").unwrap().message);
    }

    #[test]
    fn a_missing_or_wrong_header_is_named() {
        let mut wrong = headers();
        wrong.insert("ce-unit", HeaderValue::from_static("999"));
        assert_eq!(read(&wrong, b"").unwrap_err().field, "ce-unit");
        wrong.remove("ce-id");
        assert_eq!(read(&wrong, b"").unwrap_err().field, "ce-id");
    }

    #[test]
    fn percent_decoding_leaves_what_is_no_encoding() {
        assert_eq!(percent_decoded("%C4%90%C4%83ng%20k"), "Đăng k");
        assert_eq!(percent_decoded("100%, %4, %zz"), "100%, %4, %zz");
    }
}
