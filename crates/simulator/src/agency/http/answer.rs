//! What an HTTP inbox says.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::DeliveryId;
use serde_json::json;

use super::envelope;
use crate::{
    Reaction,
    agency::{
        books::Known,
        reception::{Answer, Said},
        words::{CONFLICT, OUT_OF_ORDER, seconds},
    },
};

/// How answers are worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agency) enum Wording {
    /// JSON under the status that fits.
    Json,
    /// SOAP envelopes, and faults under status 500.
    Soap,
}

/// The answer to a delivery.
pub(super) fn of_answer(
    wording: Wording,
    answer: &Answer,
    retry_after: Option<Duration>,
) -> Response {
    let (status, detail, wait) = match (&answer.said, answer.reaction) {
        (Said::Scripted(scripted), _) => {
            let status = StatusCode::from_u16(scripted.status);
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, scripted.text.as_str(), scripted.retry_after)
        }
        (Said::Lost, _) => (
            StatusCode::BAD_GATEWAY,
            "simulated loss of the answer",
            None,
        ),
        (Said::Early, _) => (StatusCode::CONFLICT, OUT_OF_ORDER, None),
        (Said::Conflict, _) => (StatusCode::UNPROCESSABLE_ENTITY, CONFLICT, None),
        (Said::TooLarge, _) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "simulated: the payload is too large",
            None,
        ),
        (Said::TooMany, _) => (
            StatusCode::TOO_MANY_REQUESTS,
            "simulated overload",
            retry_after,
        ),
        (Said::Locked, _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "simulated: a cut call left it locked",
            None,
        ),
        (_, Reaction::Taken) => (StatusCode::ACCEPTED, "taken", None),
        (_, Reaction::AlreadyTaken) => (StatusCode::OK, "already taken", None),
        (_, Reaction::NotTaken) => (StatusCode::UNPROCESSABLE_ENTITY, "simulated refusal", None),
        (_, Reaction::Failed) => (StatusCode::INTERNAL_SERVER_ERROR, "simulated failure", None),
        (_, Reaction::Busy) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "simulated overload",
            retry_after,
        ),
    };
    let mut response = reply(wording, status, detail);
    if let Some(wait) = wait {
        let seconds = HeaderValue::from(seconds(wait));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// The answer to a query: what the agency has under an id, or that it has nothing.
pub(super) fn of_query(found: Option<(DeliveryId, Known)>) -> Response {
    let Some((id, known)) = found else {
        let detail = json!({ "detail": "no such delivery" });
        return (StatusCode::NOT_FOUND, Json(detail)).into_response();
    };
    let digest = known
        .content
        .map(|content| format!("sha256:{}", content.data.hex()));
    let found = json!({ "id": id.to_string(), "effects": known.effects, "digest": digest });
    Json(found).into_response()
}

/// A plain answer.
pub(super) fn reply(wording: Wording, status: StatusCode, detail: &str) -> Response {
    match wording {
        Wording::Json => (status, Json(json!({ "detail": detail }))).into_response(),
        Wording::Soap => envelope::reply(status, detail),
    }
}
