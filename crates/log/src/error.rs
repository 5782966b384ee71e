//! What can go wrong with the log, one enum per operation.

use std::path::PathBuf;

use crate::record::{Cursor, MAX_RECORD_BYTES, Topic};

/// Why an append was not answered with positions. Every variant is about the whole append.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A record is larger than the log takes; nothing was written.
    #[error("record of {size} bytes is larger than the log takes ({MAX_RECORD_BYTES})")]
    TooLarge {
        /// The record's size.
        size: usize,
    },
    /// The log certainly holds nothing of this append, and may take it later: disk full, queue
    /// full, too few replicas.
    #[error("the log did not take the append: {reason}")]
    NotWritten {
        /// The log's own words.
        reason: String,
    },
    /// The log may hold all of the append, a part of it, or nothing. Appending again is right, for
    /// readers drop repeats by id.
    #[error("the log did not answer, the append may be written: {reason}")]
    Unknown {
        /// The log's own words.
        reason: String,
    },
    /// The log cannot be trusted any more; the process must end.
    #[error("the log failed and takes nothing more: {reason}")]
    Fatal {
        /// The log's own words.
        reason: String,
    },
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The log does not hold that offset: retention removed it unread, or the log is another one.
    /// The reader stops; it never jumps.
    #[error(
        "offset {offset} of {topic}/{partition} is not in the log, which holds {first} to {end}"
    )]
    Gone {
        /// The topic.
        topic: Topic,
        /// The partition.
        partition: i32,
        /// The offset that was asked for.
        offset: i64,
        /// The oldest offset that is there.
        first: i64,
        /// The offset that the next record will get.
        end: i64,
    },
    /// Reading may succeed later.
    #[error("the log cannot be read now: {reason}")]
    Transient {
        /// The log's own words.
        reason: String,
    },
    /// The log cannot be read any more; the process must end.
    #[error("the log cannot be read: {reason}")]
    Fatal {
        /// The log's own words.
        reason: String,
    },
}

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error("cannot use {path} as the log's directory: make it writable or configure another one")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process has this log open.
    #[error("the log in {path} is open in another process: stop that one or use another directory")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The file is not a log, is damaged, or was written by a newer version.
    #[error("cannot open the log file {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No broker answered in time.
    #[error(
        "no Kafka broker of {brokers} answered: start it, or correct the address in the configuration"
    )]
    Unreachable {
        /// The configured addresses.
        brokers: String,
    },
    /// The brokers answered and refused.
    #[error("Kafka refused to prepare topic {topic}: {reason}")]
    Topic {
        /// The topic's full name.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// This log has no topics but the pipeline's own.
    #[error(
        "this log has no topics but the pipeline's own: set `log.kind = \"kafka\"` to have others"
    )]
    NoNamedTopics,
    /// The name is that of a topic of the pipeline.
    #[error("topic {topic} is the pipeline's own: choose another name")]
    OwnTopic {
        /// The name.
        topic: String,
    },
    /// A setting makes no sense.
    #[error("the log cannot be set up: {reason}")]
    Setting {
        /// Which one, and what is expected.
        reason: String,
    },
}

// === impl AppendError ===

impl AppendError {
    /// Whether appending the same records again may succeed. No `_` arm: a new variant must decide.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotWritten { .. } | Self::Unknown { .. } => true,
            Self::TooLarge { .. } | Self::Fatal { .. } => false,
        }
    }

    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::NotWritten { .. } => "not_written",
            Self::Unknown { .. } => "unknown",
            Self::Fatal { .. } => "fatal",
        }
    }
}

// === impl ReadError ===

impl ReadError {
    /// Whether reading on may succeed. No `_` arm: a new variant must decide.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transient { .. } => true,
            Self::Gone { .. } | Self::Fatal { .. } => false,
        }
    }

    pub(crate) fn gone(at: Cursor, first: i64, end: i64) -> Self {
        let Cursor {
            topic,
            partition,
            offset,
        } = at;
        Self::Gone {
            topic,
            partition,
            offset,
            first,
            end,
        }
    }
}
