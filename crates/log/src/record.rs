//! What the log holds: records, and where they lie.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;

use crate::error::AppendError;

/// The largest [`Record::size`] that the log takes, on every back end.
///
/// Kafka's own limit is set to 2 MiB; the rest is room for its framing.
pub const MAX_RECORD_BYTES: usize = 2_000_000;

/// One entry of the log, as it is given to be appended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The dossier's key: records with the same key keep their order.
    pub key: String,
    /// CloudEvents attributes by their own names, without a prefix: `id`, `source`, `type`, …,
    /// and `datacontenttype`. `specversion` is understood to be 1.0 when it is absent.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The payload.
    pub value: Bytes,
}

/// A record with the place and the time that the log gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The topic that holds it.
    pub topic: Topic,
    /// Its place in the topic.
    pub position: Position,
    /// When the log took it.
    pub appended_at: Timestamp,
    /// What was appended.
    pub record: Record,
}

/// The topics: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What agencies say happened.
    Events,
    /// What is to be handed to destinations.
    Deliveries,
    /// What became of deliveries.
    Outcomes,
}

/// The place of a record in its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset in the partition, counted from zero.
    pub offset: i64,
}

/// The next record that a reader wants from one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record.
    pub offset: i64,
}

/// What one partition holds at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The partition.
    pub partition: i32,
    /// The offset of the oldest record still there; equal to `end` when there is none.
    pub first: i64,
    /// The offset that the next record will get.
    pub end: i64,
}

// === impl Record ===

impl Record {
    /// The value of an attribute.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The bytes of key, headers and value together.
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.key.len() + headers + self.value.len()
    }
}

// === impl Topic ===

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 3] = [Self::Events, Self::Deliveries, Self::Outcomes];

    /// The topic's name in a log that others may share, for example `lienthong.events`.
    pub fn name(self, prefix: &str) -> String {
        format!("{prefix}.{}", self.label())
    }

    /// The topic's short name, for metrics and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Deliveries => "deliveries",
            Self::Outcomes => "outcomes",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Events => 0,
            Self::Deliveries => 1,
            Self::Outcomes => 2,
        }
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.label())
    }
}

// === impl Position ===

impl Position {
    /// The cursor of a reader that has read up to and including this record.
    pub fn after(self, topic: Topic) -> Cursor {
        Cursor {
            topic,
            partition: self.partition,
            offset: self.offset + 1,
        }
    }

    /// Positions one after the other in partition 0.
    pub(crate) fn run(base: i64, count: usize) -> Vec<Self> {
        (base..)
            .take(count)
            .map(|offset| Self {
                partition: 0,
                offset,
            })
            .collect()
    }
}

/// Refuses records that are too large, before anything is written.
pub(crate) fn check_sizes(records: &[Record]) -> Result<(), AppendError> {
    match records
        .iter()
        .map(Record::size)
        .find(|size| *size > MAX_RECORD_BYTES)
    {
        Some(size) => Err(AppendError::TooLarge { size }),
        None => Ok(()),
    }
}
