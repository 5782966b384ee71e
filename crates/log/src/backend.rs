//! The one small trait behind which the logs lie, and the handle that roles hold.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use jiff::Timestamp;

use crate::config::Clock;
use crate::embedded::EmbeddedLog;
use crate::kafka::KafkaLog;
use crate::memory::MemoryLog;
use crate::{
    AppendError, Bounds, Config, Cursor, OpenError, Position, ReadError, Record, Stored, Topic,
};

/// A handle on a log; clones share it.
///
/// The log is closed when the last clone is dropped.
#[derive(Clone)]
pub struct Log(Arc<dyn Backend>);

/// A log. Futures are boxed so that tests can wrap one log in another.
pub trait Backend: Send + Sync + 'static {
    /// Appends in order and answers, once all are durable, with one position per record.
    ///
    /// Dropping the future does not take the records back.
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>>;

    /// Makes topics that are none of the pipeline's own, where they are missing.
    fn prepare_named(&self, _names: Vec<String>) -> BoxFuture<'_, Result<(), OpenError>> {
        ready(Err(OpenError::NoNamedTopics)).boxed()
    }

    /// As [`Backend::append`], to a topic that was prepared by its name.
    fn append_named<'a>(
        &'a self,
        _name: &'a str,
        _records: Vec<Record>,
    ) -> BoxFuture<'a, Result<Vec<Position>, AppendError>> {
        let reason = OpenError::NoNamedTopics.to_string();
        ready(Err(AppendError::NotWritten { reason })).boxed()
    }

    /// A reader of these partitions from these offsets on.
    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>>;

    /// The same for a reader that is in no hurry: new records may be gathered for about `patience`
    /// before they are given, where that spares the log work.
    fn patient_reader(
        &self,
        from: Vec<Cursor>,
        _patience: Duration,
    ) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        self.reader(from)
    }

    /// What each partition of a topic holds, by rising partition.
    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>>;

    /// Copies a role's offsets to where lag tools look. The store's offsets stay the truth.
    fn committed(&self, group: &str, offsets: &[Cursor]);

    /// When the record under the cursor was appended; `None` when the reader has caught up.
    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>>;
}

/// Reads on from where it stands.
pub trait Reader: Send {
    /// Waits for at least one record, at most for `wait`, and gives what is there up to the limit;
    /// nothing when the wait was in vain. Rising, unbroken offsets per partition.
    ///
    /// Cancel-safe: a future that is dropped has taken nothing.
    fn next(&mut self, limit: Limit, wait: Duration)
    -> BoxFuture<'_, Result<Vec<Read>, ReadError>>;
}

/// How much one call may give. The first record is given whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The most records.
    pub records: usize,
    /// The most bytes of [`Record::size`].
    pub bytes: usize,
}

/// One record as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole record.
    Ok(Stored),
    /// Something lies here that is no record; reading goes on behind it.
    Broken {
        /// The topic that holds it.
        topic: Topic,
        /// Its place.
        position: Position,
        /// When the log took it.
        appended_at: Timestamp,
        /// The bytes as they lie there.
        raw: Bytes,
        /// What is wrong with them.
        reason: String,
    },
}

// === impl Log ===

impl Log {
    /// Opens the log that the configuration describes.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        match config {
            Config::Embedded(config) => Ok(Self::wrap(EmbeddedLog::open(config).await?)),
            Config::Kafka(config) => Ok(Self::wrap(KafkaLog::open(config).await?)),
        }
    }

    /// Removes a log on brokers with everything in it: its topics. For those who made it for a while
    /// only, such as measurements. Of a directory it removes nothing; delete the directory.
    pub async fn discard(config: Config) -> Result<(), OpenError> {
        match config {
            Config::Embedded(_) => Ok(()),
            Config::Kafka(config) => KafkaLog::discard(config).await,
        }
    }

    /// A log in memory, gone with its last handle: one partition, no limit. For tests of roles;
    /// it has no thread of its own, so paused time works.
    pub fn memory(clock: Clock) -> Self {
        Self::wrap(MemoryLog::new(clock))
    }

    /// A handle on one's own log, for example one that fails on purpose.
    pub fn wrap(backend: impl Backend) -> Self {
        Self(Arc::new(backend))
    }

    /// As [`Backend::append`].
    pub async fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> Result<Vec<Position>, AppendError> {
        self.0.append(topic, records).await
    }

    /// As [`Backend::prepare_named`].
    pub async fn prepare_named(&self, names: Vec<String>) -> Result<(), OpenError> {
        self.0.prepare_named(names).await
    }

    /// As [`Backend::append_named`].
    pub async fn append_named(
        &self,
        name: &str,
        records: Vec<Record>,
    ) -> Result<Vec<Position>, AppendError> {
        self.0.append_named(name, records).await
    }

    /// As [`Backend::reader`].
    pub async fn reader(&self, from: Vec<Cursor>) -> Result<Box<dyn Reader>, ReadError> {
        self.0.reader(from).await
    }

    /// As [`Backend::patient_reader`].
    pub async fn patient_reader(
        &self,
        from: Vec<Cursor>,
        patience: Duration,
    ) -> Result<Box<dyn Reader>, ReadError> {
        self.0.patient_reader(from, patience).await
    }

    /// A reader of a whole topic from the oldest records on.
    pub async fn reader_from_start(&self, topic: Topic) -> Result<Box<dyn Reader>, ReadError> {
        let bounds = self.bounds(topic).await?;
        self.reader(bounds.iter().map(|bound| bound.start(topic)).collect())
            .await
    }

    /// As [`Backend::bounds`].
    pub async fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, ReadError> {
        self.0.bounds(topic).await
    }

    /// As [`Backend::committed`].
    pub fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.0.committed(group, offsets);
    }

    /// As [`Backend::oldest_unread`].
    pub async fn oldest_unread(&self, at: Cursor) -> Result<Option<Timestamp>, ReadError> {
        self.0.oldest_unread(at).await
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Log")
    }
}

// === impl Read ===

impl Read {
    /// The topic that holds it.
    pub fn topic(&self) -> Topic {
        match self {
            Self::Ok(stored) => stored.topic,
            Self::Broken { topic, .. } => *topic,
        }
    }

    /// Its place.
    pub fn position(&self) -> Position {
        match self {
            Self::Ok(stored) => stored.position,
            Self::Broken { position, .. } => *position,
        }
    }

    /// When the log took it.
    pub fn appended_at(&self) -> Timestamp {
        match self {
            Self::Ok(stored) => stored.appended_at,
            Self::Broken { appended_at, .. } => *appended_at,
        }
    }

    /// The cursor of a reader that has taken this one.
    pub fn after(&self) -> Cursor {
        self.position().after(self.topic())
    }
}

// === impl Bounds ===

impl Bounds {
    /// The cursor of a reader that wants everything.
    pub fn start(self, topic: Topic) -> Cursor {
        Cursor {
            topic,
            partition: self.partition,
            offset: self.first,
        }
    }

    /// The cursor of a reader that wants only what is still to come.
    pub fn end(self, topic: Topic) -> Cursor {
        Cursor {
            topic,
            partition: self.partition,
            offset: self.end,
        }
    }
}
