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
    let cause = match (
        optional(headers, "ce-causesource")?,
        optional(headers, "ce-causeid")?,
    ) {
        (Some(source), Some(id)) => Some((source, id)),
        _ => None,
    };
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
    let parsed = text
        .parse()
        .map_err(|error: T::Err| invalid(error.to_string()))?;
    Ok(Some(parsed))
}
