//! What the process's exit code says.

use std::process::ExitCode;

/// How a command ended, besides well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It ran, and found something wrong.
    #[error("{0}")]
    Finding(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The command line or the settings are wrong.
    #[error(transparent)]
    Usage(anyhow::Error),
    /// A service cannot be reached.
    #[error(transparent)]
    Unreachable(anyhow::Error),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

// === impl Failure ===

impl Failure {
    /// The code of `sysexits.h` and `grep` habits: 1 finding, 2 not found, 64 usage, 69 unreachable,
    /// 70 anything else.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Finding(_) => 1,
            Self::NotFound(_) => 2,
            Self::Usage(_) => 64,
            Self::Unreachable(_) => 69,
            Self::Other(_) => 70,
        })
    }

    /// What to print: the error with its causes, on one line.
    pub fn text(&self) -> String {
        match self {
            Self::Finding(text) | Self::NotFound(text) => text.clone(),
            Self::Usage(error) | Self::Unreachable(error) | Self::Other(error) => {
                format!("{error:#}")
            }
        }
    }
}

/// A gRPC answer that is no answer, as a failure.
pub fn from_status(service: &str, status: &tonic::Status) -> Failure {
    match status.code() {
        tonic::Code::NotFound => Failure::NotFound(status.message().to_owned()),
        tonic::Code::FailedPrecondition => Failure::Finding(status.message().to_owned()),
        tonic::Code::InvalidArgument => Failure::Usage(anyhow::anyhow!("{}", status.message())),
        tonic::Code::Unavailable => Failure::Unreachable(anyhow::anyhow!(
            "the {service} does not answer: {}; is it running, and is the address right?",
            status.message()
        )),
        code => Failure::Other(anyhow::anyhow!(
            "the {service} answered {code:?}: {}",
            status.message()
        )),
    }
}
