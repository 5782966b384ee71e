//! The only place where gRPC codes are assigned.

use std::time::Duration;

use log::AppendError;
use proto::InvalidField;
use tonic::{Code, Status, metadata::MetadataValue};

/// Why an event was not accepted.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// A field is wrong: refused for good.
    Invalid(InvalidField),
    /// The source sends too fast.
    OverQuota(Duration),
    /// The log certainly does not hold it.
    NotWritten(AppendError),
    /// The log may hold it.
    Unknown(String),
}

// === impl Rejection ===

impl Rejection {
    /// The metric label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::OverQuota(_) => "over-quota",
            Self::NotWritten(_) => "not-written",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The answer of a unary call.
    pub(crate) fn into_status(self) -> Status {
        match self {
            Self::Invalid(error) => Status::invalid_argument(error.to_string()),
            Self::OverQuota(wait) => {
                let message = format!("too many events from this source, wait {wait:.1?}");
                let mut status = Status::new(Code::ResourceExhausted, message);
                let seconds = wait.as_secs_f64().ceil();
                if let Ok(value) = MetadataValue::try_from(format!("{seconds}")) {
                    status.metadata_mut().insert("retry-after", value);
                }
                status
            }
            Self::NotWritten(error) => Status::unavailable(error.to_string()),
            Self::Unknown(reason) => Status::unavailable(format!("{UNKNOWN}: {reason}")),
        }
    }

    /// The answer to one event of a stream.
    pub(crate) fn into_answer(self) -> proto::v1::publish_stream_response::Answer {
        use proto::v1::{Refused, Unknown, publish_stream_response::Answer};
        match self {
            Self::Invalid(error) => Answer::Refused(Refused {
                field: error.field.to_owned(),
                reason: error.reason,
            }),
            Self::OverQuota(wait) => Answer::Unknown(Unknown {
                reason: format!("over quota, wait {wait:.1?}"),
            }),
            Self::NotWritten(error) => Answer::Unknown(Unknown {
                reason: error.to_string(),
            }),
            Self::Unknown(reason) => Answer::Unknown(Unknown { reason }),
        }
    }
}

const UNKNOWN: &str = "the answer is unknown, send the event again with the same id";

impl From<AppendError> for Rejection {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { size } => Self::Invalid(InvalidField {
                field: "event.data",
                reason: format!("the event has {size} bytes, more than the log takes"),
            }),
            AppendError::NotWritten { .. } => Self::NotWritten(error),
            AppendError::Unknown { .. } | AppendError::Fatal { .. } => {
                Self::Unknown(error.to_string())
            }
        }
    }
}
