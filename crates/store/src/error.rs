use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::value::RowError;

/// The back end's own error; shared, because one failure may end several writes.
pub type Source = Arc<dyn Error + Send + Sync>;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is not there and cannot be made.
    #[error("cannot create the store's directory {path}: create it and give it to this user")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Source,
    },
    /// The directory or the file cannot be written.
    #[error("cannot write the store at {path}: give this user write permission there")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Source,
    },
    /// Another process has it open.
    #[error("the store at {path} is already open by another process: stop that one first")]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The file is not a sound database.
    #[error("the store at {path} cannot be read: restore a copy or rebuild it from the log")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Source,
    },
    /// The setting for PostgreSQL is wrong.
    #[error("the store's setting `{setting}` is not usable: {reason}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// PostgreSQL does not answer.
    #[error("cannot reach PostgreSQL at {server}: start it, or correct the store's url")]
    Unreachable {
        /// Host and port.
        server: String,
        /// The reason.
        #[source]
        source: Source,
    },
    /// PostgreSQL answers, and refuses.
    #[error("PostgreSQL at {server} refuses: check user, password, database and rights")]
    Refused {
        /// Host and port.
        server: String,
        /// The reason.
        #[source]
        source: Source,
    },
    /// The store's own tables cannot be prepared.
    #[error("cannot prepare the store's own tables")]
    Migrate(#[source] MigrateError),
}

/// A schema cannot be brought up to date.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MigrateError {
    /// A newer binary was here.
    #[error(
        "the tables of `{role}` have version {found}, this binary knows {known}: use a newer one"
    )]
    Newer {
        /// The role.
        role: &'static str,
        /// The version in the database.
        found: u32,
        /// The newest version in this binary.
        known: u32,
    },
    /// A migration failed; it was rolled back and may be tried again.
    #[error("migration {version} of `{role}` failed")]
    Failed {
        /// The role.
        role: &'static str,
        /// The migration.
        version: u32,
        /// The reason.
        #[source]
        source: Source,
    },
    /// The migration ran and could not be committed; it may be tried again.
    #[error("cannot commit the migration")]
    Commit(#[from] CommitError),
    /// The database cannot be asked for its version.
    #[error("cannot read the version of the tables of `{role}`")]
    Version {
        /// The role.
        role: &'static str,
        /// The reason.
        #[source]
        source: Source,
    },
}

/// A write was not committed, or nobody knows.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// Another instance owns the group or the partition. Nothing was changed.
    #[error("another instance of `{group}` has taken over: {breach}")]
    Fenced {
        /// The group.
        group: &'static str,
        /// How it showed.
        breach: FenceBreach,
    },
    /// What the writer relied on has changed. Nothing was changed; the write may be tried again
    /// without what belongs to these guards.
    #[error("{} guarded row(s) do not hold the expected value, first guard number {}", .failed.len(), .failed.first().unwrap_or(&0))]
    Guarded {
        /// The places in [`crate::Write::guards`], rising.
        failed: Vec<usize>,
    },
    /// Try again: read the offsets first, and decide anew from there.
    #[error("the store cannot commit now{}", if *.unknown { ", the outcome is unknown" } else { "" })]
    Transient {
        /// Whether the transaction may have been committed all the same.
        unknown: bool,
        /// The reason.
        #[source]
        source: Source,
    },
    /// The write can never be committed, or the database can no longer be trusted: the process ends.
    #[error("the store cannot commit")]
    Fatal(#[source] Source),
}

/// How a fence was found broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FenceBreach {
    /// The group has another epoch, or none.
    Epoch {
        /// The writer's.
        held: i64,
        /// The database's.
        found: Option<i64>,
    },
    /// An offset is not where the writer read it.
    Offset {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What the writer read.
        expected: i64,
        /// What is there now.
        found: Option<i64>,
    },
}

/// A read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// It took longer than a read may take.
    #[error("the read was cut after {} ms", .limit.as_millis())]
    TooLong {
        /// The limit.
        limit: Duration,
    },
    /// Try again.
    #[error("the store cannot be read now")]
    Transient(#[source] Source),
    /// A column does not hold what the reader expects.
    #[error("a row has an unexpected shape")]
    Row(#[from] RowError),
    /// Trying again does not help.
    #[error("the store cannot be read")]
    Fatal(#[source] Source),
}

/// A write or a read that no back end could carry out: a mistake of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A row has the wrong number of values.
    #[error("a row for `{table}` has {found} values, expected {expected}")]
    Width {
        /// The table.
        table: &'static str,
        /// How many are right.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A value does not fit its column.
    #[error("a value for `{table}` does not fit")]
    Value {
        /// The table.
        table: &'static str,
        /// Which and why.
        #[source]
        source: RowError,
    },
    /// A text holds a NUL character.
    #[error("text with a NUL character cannot be stored")]
    Nul,
    /// The table has no such column, or it is part of the key.
    #[error("`{table}` has no column `{column}` that an update may set")]
    Column {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The table has no such column.
    #[error("`{table}` has no column `{column}`")]
    NoColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// Keys must all have the same length, from one column to the whole key.
    #[error("keys for `{table}` must all have the same length, from 1 to {key} values")]
    Keys {
        /// The table.
        table: &'static str,
        /// Length of the whole key.
        key: usize,
    },
    /// One write moves the same offset twice.
    #[error("the offset of `{topic}` partition {partition} is moved twice in one write")]
    MovedTwice {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
}

// === impl CommitError ===

impl CommitError {
    /// Whether trying again may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transient { .. } => true,
            Self::Fenced { .. } | Self::Guarded { .. } | Self::Fatal(_) => false,
        }
    }

    pub(crate) fn fatal(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Fatal(Arc::new(source))
    }

    pub(crate) fn transient(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Transient {
            unknown: false,
            source: Arc::new(source),
        }
    }
}

// === impl FenceBreach ===

impl fmt::Display for FenceBreach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |found: &Option<i64>| found.map_or("none".to_owned(), |n| n.to_string());
        match self {
            Self::Epoch { held, found } => {
                write!(
                    f,
                    "this one holds epoch {held}, the store has {}",
                    or_none(found)
                )
            }
            Self::Offset {
                topic,
                partition,
                expected,
                found,
            } => {
                let found = or_none(found);
                write!(
                    f,
                    "offset of `{topic}` partition {partition} is {found}, not {expected}"
                )
            }
        }
    }
}

// === impl ReadError ===

impl ReadError {
    /// Whether trying again may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TooLong { .. } | Self::Transient(_) => true,
            Self::Row(_) | Self::Fatal(_) => false,
        }
    }
}

// === impl MigrateError ===

impl MigrateError {
    pub(crate) fn failed(role: &'static str, version: u32, source: Source) -> Self {
        Self::Failed {
            role,
            version,
            source,
        }
    }
}
