use log::OpenError;
use store::{CommitError, MigrateError, ReadError};

use crate::ConfigError;

/// The courier cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot work.
    #[error("the courier's settings cannot work")]
    Config(#[from] ConfigError),
    /// The courier's tables cannot be prepared.
    #[error("cannot prepare the courier's tables")]
    Migrate(#[from] MigrateError),
    /// A topic of an agency cannot be had.
    #[error("cannot prepare the topics of `kafka:` destinations")]
    Topics(#[source] OpenError),
    /// The group cannot be taken over.
    #[error("cannot take over the courier's group")]
    TakeOver(#[from] CommitError),
    /// The stop came first.
    #[error("the courier was stopped before it had started")]
    Stopped,
    /// What is undelivered cannot be read.
    #[error("cannot read the undelivered deliveries")]
    Read(#[from] ReadError),
    /// Payloads that the log alone has cannot be read.
    #[error("cannot read undelivered deliveries from the log")]
    Log(#[from] log::ReadError),
}

/// Why the courier stopped working. None of these loses anything: the next start goes on from the
/// store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The deliveries topic cannot be folded any more.
    #[error("the courier's consumer stopped")]
    Consumer(#[from] consumer::Error),
    /// Verdicts cannot be written any more.
    #[error("verdicts cannot be written")]
    Verdicts(#[source] CommitError),
    /// Leases of lanes cannot be kept any more.
    #[error("the leases of lanes cannot be kept")]
    Leases(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Undelivered deliveries cannot be read any more.
    #[error("undelivered deliveries cannot be read")]
    Read(#[source] ReadError),
    /// Payloads that the log alone has cannot be read.
    #[error("undelivered deliveries cannot be read from the log")]
    Log(#[source] log::ReadError),
    /// The group cannot be taken over.
    #[error("the deliveries topic cannot be taken over")]
    TakeOver(#[source] CommitError),
    /// A lane's task broke off.
    #[error("the task of a lane broke off")]
    Lane(#[source] tokio::task::JoinError),
    /// Jobs cannot be worked off any more.
    #[error("jobs cannot be worked off")]
    Jobs(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Payloads cannot be read any more.
    #[error("payloads cannot be read")]
    Payloads(#[source] ReadError),
}
