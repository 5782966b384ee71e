use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Refusal;

/// An RFC 9457 problem.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

// === impl Problem ===

impl Problem {
    /// The request cannot be read.
    pub(super) fn unreadable(status: StatusCode, detail: impl ToString) -> Self {
        Self {
            status,
            title: "The request cannot be read",
            detail: detail.to_string(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, title) = match &refusal {
            Refusal::NoPull(_) => (StatusCode::NOT_FOUND, "No such destination pulls"),
            Refusal::Closed(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The lane is not at work here",
            ),
            Refusal::Invalid { .. } => (StatusCode::BAD_REQUEST, "The request makes no sense"),
        };
        Self {
            status,
            title,
            detail: refusal.to_string(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, body.to_string()).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
