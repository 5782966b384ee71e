use std::fmt;
use std::str::FromStr;

use drafts::list;

use crate::{GrpcCode, Reply};

/// What a reply means for the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reading {
    /// The destination has taken the delivery.
    Accepted,
    /// It has taken the same delivery before: a success.
    Duplicate,
    /// It waits for a predecessor of this delivery; the same delivery will do later.
    OutOfOrder,
    /// It cannot take anything just now; the same delivery will do later.
    Transient,
    /// It refuses this delivery and always will.
    Permanent,
    /// It cannot go on before a person has looked at it.
    NeedsPerson,
    /// Nobody has said what this reply means: nothing follows from it, and it belongs on the review list.
    Unclear,
    /// It refuses us whatever we send: configuration, and not this delivery.
    Blocked,
}

/// The text is no reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reading; expected one of {known}", known = list(Reading::ALL))]
pub struct UnknownReading(String);

// === impl Reading ===

impl Reading {
    /// All readings.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Duplicate,
        Self::OutOfOrder,
        Self::Transient,
        Self::Permanent,
        Self::NeedsPerson,
        Self::Unclear,
        Self::Blocked,
    ];

    /// The word that files and reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out-of-order",
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::NeedsPerson => "needs-person",
            Self::Unclear => "unclear",
            Self::Blocked => "blocked",
        }
    }

    /// The reading of a reply for which nobody has written a rule: by its gRPC code, else by its status.
    pub fn by_default(reply: &Reply<'_>) -> Self {
        match (reply.grpc, reply.status) {
            (Some(code), _) => Self::of_grpc(code),
            (None, Some(409)) if reply.names_delivery() => Self::Duplicate,
            (None, Some(status)) => Self::of_status(status),
            (None, None) => Self::Unclear,
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Accepted,
            408 | 425 | 429 | 500..=599 => Self::Transient,
            401 | 403 | 404 | 410 => Self::Blocked,
            400 | 409 | 413 | 422 => Self::Permanent,
            _ => Self::Unclear,
        }
    }

    fn of_grpc(code: GrpcCode) -> Self {
        match code {
            GrpcCode::Ok => Self::Accepted,
            GrpcCode::AlreadyExists => Self::Duplicate,
            GrpcCode::Unavailable
            | GrpcCode::ResourceExhausted
            | GrpcCode::Aborted
            | GrpcCode::Internal => Self::Transient,
            GrpcCode::Unauthenticated
            | GrpcCode::PermissionDenied
            | GrpcCode::NotFound
            | GrpcCode::Unimplemented => Self::Blocked,
            GrpcCode::InvalidArgument | GrpcCode::FailedPrecondition | GrpcCode::OutOfRange => {
                Self::Permanent
            }
            GrpcCode::Cancelled
            | GrpcCode::Unknown
            | GrpcCode::DeadlineExceeded
            | GrpcCode::DataLoss => Self::Unclear,
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reading {
    type Err = UnknownReading;

    fn from_str(word: &str) -> Result<Self, UnknownReading> {
        Self::ALL
            .into_iter()
            .find(|reading| reading.as_str() == word)
            .ok_or_else(|| UnknownReading(word.to_owned()))
    }
}
