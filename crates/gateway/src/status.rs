//! The only place where gRPC codes are assigned.

use std::time::Duration;

use log::AppendError;
use proto::{
    InvalidField,
    v1::{Refused, Unknown, publish_stream_response::Answer},
};
use tonic::{Code, Status, metadata::MetadataValue};

/// Why an event was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Rejection {
    /// A field is wrong: refused for good.
    #[error(transparent)]
    Invalid(InvalidField),
    /// The source sends too fast.
    #[error("too many events from this source, wait {0:.1?}")]
    OverQuota(Duration),
    /// It found no room among the events that wait for the log.
    #[error("too many events wait for the log, none was taken within {0:?}")]
    Busy(Duration),
    /// The log certainly does not hold it.
    #[error(transparent)]
    NotWritten(AppendError),
    /// The log may hold it.
    #[error("{UNKNOWN}: {0}")]
    Unknown(String),
}

const UNKNOWN: &str = "the answer is unknown, send the event again with the same id";

// === impl Rejection ===

impl Rejection {
    /// The metric label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::OverQuota(_) => "over-quota",
            Self::Busy(_) => "busy",
            Self::NotWritten(_) => "not-written",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The answer of a unary call.
    pub(crate) fn into_status(self) -> Status {
        let message = self.to_string();
        match self {
            Self::Invalid(_) => Status::invalid_argument(message),
            Self::OverQuota(wait) => {
                let mut status = Status::new(Code::ResourceExhausted, message);
                let seconds = wait.as_secs_f64().ceil().max(1.0);
                if let Ok(value) = MetadataValue::try_from(format!("{seconds}")) {
                    status.metadata_mut().insert("retry-after", value);
                }
                status
            }
            Self::Busy(_) | Self::NotWritten(_) | Self::Unknown(_) => Status::unavailable(message),
        }
    }

    /// The answer to one event of a stream.
    pub(crate) fn into_answer(self) -> Answer {
        let reason = self.to_string();
        match self {
            Self::Invalid(InvalidField { field, reason }) => Answer::Refused(Refused {
                field: field.to_owned(),
                reason,
            }),
            Self::OverQuota(_) | Self::Busy(_) | Self::NotWritten(_) | Self::Unknown(_) => {
                Answer::Unknown(Unknown { reason })
            }
        }
    }
}

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
