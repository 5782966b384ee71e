//! The only place where answers get gRPC codes.

use std::fmt::Display;

use runtime::ErrorChain;
use tonic::Status;

/// A field of the question makes no sense.
pub(crate) fn invalid(field: &str, reason: impl Display) -> Status {
    Status::invalid_argument(format!("{field}: {reason}"))
}

/// No dossier has that name.
pub(crate) fn not_found(what: &str, name: &str) -> Status {
    Status::not_found(format!(
        "no dossier with the {what} `{name}` has reached the tracker"
    ))
}

/// The store did not answer.
pub(crate) fn read_failed(error: &store::ReadError) -> Status {
    let text = ErrorChain(error).to_string();
    match error {
        store::ReadError::TooLong { .. } | store::ReadError::Transient(_) => {
            Status::unavailable(text)
        }
        store::ReadError::Row(_) | store::ReadError::Fatal(_) => Status::internal(text),
    }
}
