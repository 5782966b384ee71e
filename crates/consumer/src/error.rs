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
