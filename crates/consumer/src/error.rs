use store::{CommitError, FenceBreach};

/// Why a role stopped reading. None of these loses anything: the next start goes on from the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another instance of the group has started and owns it now.
    #[error("another instance has taken over the work; this one stops")]
    Fenced(#[source] store::CommitError),
    /// The store cannot be trusted any more.
    #[error("the store failed for good")]
    Commit(#[source] store::CommitError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Read(#[source] store::ReadError),
    /// Records that were never read are gone, or the log cannot be read.
    #[error("the log cannot be read on")]
    Log(#[source] log::ReadError),
    /// The log cannot be trusted any more.
    #[error("the log takes nothing more")]
    Append(#[source] log::AppendError),
    /// The outbox holds records for a topic that this version does not know.
    #[error(
        "outbox row {row} is for the unknown topic `{topic}`; was it written by a newer version?"
    )]
    Topic {
        /// The row.
        row: i64,
        /// The topic.
        topic: String,
    },
    /// The outbox holds something that is no batch of records.
    #[error("outbox row {row} is damaged")]
    Outbox {
        /// The row.
        row: i64,
        /// What is wrong with it.
        #[source]
        source: log::Undecodable,
    },
}

// === impl Error ===

impl Error {
    /// Whether the same step may succeed later. After a lost commit answer the store's offsets tell
    /// whether it landed, and the outbox is published from its rows.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Commit(error) => error.is_transient(),
            Self::Read(error) => error.is_transient(),
            Self::Log(error) => error.is_transient(),
            // Only at the stop: until then the outbox waits for the log.
            Self::Append(error) => error.is_transient(),
            // The epoch is checked first and still ours: an own write landed later than its answer
            // was given up.
            Self::Fenced(CommitError::Fenced {
                breach: FenceBreach::Offset { .. },
                ..
            }) => true,
            Self::Fenced(_) | Self::Topic { .. } | Self::Outbox { .. } => false,
        }
    }
}
