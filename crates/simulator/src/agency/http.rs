mod answer;
mod envelope;

use std::sync::Arc;

use axum::{
    Router,
    body::to_bytes,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use domain::{Classification, UnitRef};
use jiff::{Timestamp, civil::Date};
use proto::InvalidField;

use super::{
    case::Case,
    cuttable::Cutter,
    reception::{Reception, Said},
    visit::Visit,
    words::{SIGNATURE, has_unknown_member},
};
use crate::{Digest, Signatures};
pub(super) use answer::Wording;
use answer::{of_answer, of_query, reply};

/// The most bytes of a body that are read.
const LARGEST_BODY: usize = 2 << 20;

/// The attributes that are read or known to be sent; a strict agency refuses others.
const KNOWN_ATTRIBUTES: [&str; 24] = [
    "ce-agency",
    "ce-cause",
    "ce-classification",
    "ce-destination",
    "ce-dossiercode",
    "ce-dossierdueat",
    "ce-dueat",
    "ce-id",
    "ce-legalbasis",
    "ce-procedure",
    "ce-product",
    "ce-province",
    "ce-receivedat",
    "ce-route",
    "ce-sequence",
    "ce-source",
    "ce-specversion",
    "ce-step",
    "ce-subject",
    "ce-task",
    "ce-time",
    "ce-type",
    "ce-unit",
    "ce-unitvalidon",
];

#[derive(Clone)]
struct Inbox {
    reception: Arc<Reception>,
    wording: Wording,
}

/// An inbox for CloudEvents in binary mode: POST on any path.
pub(super) fn router(reception: Arc<Reception>, wording: Wording) -> Router {
    Router::new()
        .fallback(handle)
        .with_state(Inbox { reception, wording })
}

async fn handle(
    State(inbox): State<Inbox>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
) -> Response {
    if request.method() == Method::GET {
        return query(&inbox, request.uri().path());
    }
    let mut visit = Visit::begin(&inbox.reception);
    let (head, body) = request.into_parts();
    visit.about(optional(&head.headers, "ce-id").ok().flatten());
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        // Cut in the middle, most likely: the visit counts as unanswered.
        let detail = "the body was cut or is too large";
        return reply(inbox.wording, StatusCode::PAYLOAD_TOO_LARGE, detail);
    };
    let response = take(&inbox, &mut visit, &head.headers, &body, &cutter).await;
    visit.answered();
    response
}

async fn take(
    inbox: &Inbox,
    visit: &mut Visit,
    headers: &HeaderMap,
    body: &[u8],
    cutter: &Cutter,
) -> Response {
    let (reception, wording) = (&inbox.reception, inbox.wording);
    let manners = &reception.script().manners;
    if headers.contains_key(SIGNATURE) {
        match manners.signatures {
            Signatures::Ignore => {}
            Signatures::Check => {
                return reply(
                    wording,
                    StatusCode::UNAUTHORIZED,
                    "simulated: the signature is wrong",
                );
            }
            Signatures::Fail => {
                return reply(
                    wording,
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "simulated failure over a signature",
                );
            }
        }
    }
    let read = match wording {
        Wording::Soap if !headers.contains_key("ce-id") => read(&envelope::headers(body), body),
        Wording::Json | Wording::Soap => read(headers, body),
    };
    let case = match read {
        Ok(case) => case,
        Err(_) if manners.takes_garbage => return reply(wording, StatusCode::ACCEPTED, "taken"),
        Err(error) => return reply(wording, StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if !manners.ignores_unknown && (has_unknown_attribute(headers) || has_unknown_member(body)) {
        return reply(
            wording,
            StatusCode::BAD_REQUEST,
            "simulated: an unknown field",
        );
    }
    let answer = visit.receive(case).await;
    match answer.said {
        Said::Dropped => {
            cutter.cut();
            std::future::pending().await
        }
        Said::Never => std::future::pending().await,
        _ => of_answer(wording, &answer, reception.retry_after()),
    }
}

/// Whether the agency has a delivery: GET of any path that ends with its id.
fn query(inbox: &Inbox, path: &str) -> Response {
    let id = path.rsplit('/').next().unwrap_or_default();
    let id = id.parse().ok();
    of_query(id.and_then(|id| Some((id, inbox.reception.known(id)?))))
}

fn has_unknown_attribute(headers: &HeaderMap) -> bool {
    let mut names = headers.keys().map(|name| name.as_str());
    names.any(|name| name.starts_with("ce-") && !KNOWN_ATTRIBUTES.contains(&name))
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
        sequence: optional(headers, "ce-sequence")?,
        classification: optional(headers, "ce-classification")?.unwrap_or(Classification::Internal),
        cause,
        opened_at,
        message: digest(headers, body),
        data: Digest::of(body),
        bytes: body.len(),
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
