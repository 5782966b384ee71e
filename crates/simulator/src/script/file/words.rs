//! The values that stand in a script file.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use tonic::Code;

use crate::Spread;

/// A part of the whole.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(try_from = "f64")]
pub(super) struct Share(pub(super) f64);

/// A span of time in words, such as `1m 30s`.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span(pub(super) Duration);

#[derive(Clone, Copy, Deserialize)]
#[serde(
    untagged,
    expecting = "a time such as \"20ms\", { from, to } or { p50, p99 }"
)]
pub(super) enum Length {
    Fixed(Span),
    Uniform { from: Span, to: Span },
    LogNormal { p50: Span, p99: Span },
}

/// A gRPC code by its usual name, `RESOURCE_EXHAUSTED`.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct CodeWord(pub(super) Code);

/// The gRPC code that says what an HTTP status says.
pub(super) fn code_of(status: u16) -> Code {
    match status {
        200..=299 => Code::Ok,
        400 | 413 | 422 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 | 410 => Code::NotFound,
        409 => Code::AlreadyExists,
        412 | 425 => Code::FailedPrecondition,
        429 => Code::ResourceExhausted,
        502 | 503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Internal,
    }
}

/// The HTTP status that says what a gRPC code says.
pub(super) fn status_of(code: Code) -> u16 {
    match code {
        Code::Ok => 202,
        Code::InvalidArgument | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::FailedPrecondition => 412,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

// === impl Share ===

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(format!("a share is between 0 and 1, got {share}"))
        }
    }
}

// === impl Span ===

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let span: Option<SignedDuration> = text.parse().ok();
        span.and_then(|span| Duration::try_from(span).ok())
            .map(Self)
            .ok_or_else(|| format!("a time is written as \"20ms\" or \"1m 30s\", got `{text}`"))
    }
}

// === impl Length ===

impl Length {
    pub(super) fn spread(self) -> Spread {
        match self {
            Self::Fixed(span) => Spread::Fixed(span.0),
            Self::Uniform { from, to } => Spread::Uniform(from.0, to.0),
            Self::LogNormal { p50, p99 } => Spread::LogNormal {
                p50: p50.0,
                p99: p99.0,
            },
        }
    }
}

// === impl CodeWord ===

impl TryFrom<String> for CodeWord {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |text: &str| text.replace(['_', '-', ' '], "").to_ascii_lowercase();
        let codes = (0..=16).map(Code::from);
        let mut named = codes.filter(|code| plain(&format!("{code:?}")) == plain(&text));
        named
            .next()
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no gRPC code such as \"UNAVAILABLE\""))
    }
}
