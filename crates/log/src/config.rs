//! Which log to open.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// Tells the time; the demo's runs faster than life.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Which log to open, and how.
#[derive(Clone, Debug)]
pub enum Config {
    /// One SQLite file on this machine.
    Embedded(Embedded),
    /// Apache Kafka.
    Kafka(Kafka),
}

/// Settings of the embedded log.
#[derive(Clone)]
pub struct Embedded {
    /// The directory; it is made when missing.
    pub path: PathBuf,
    /// How long records stay, by `clock`.
    pub retention: Duration,
    /// The largest size of the file; above it appends are refused, nothing is removed early.
    pub max_bytes: u64,
    /// Gives records their append time.
    pub clock: Clock,
}

/// Settings of Kafka.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// Addresses, separated by commas.
    pub brokers: String,
    /// First part of topic names: `lienthong` makes `lienthong.events`.
    pub prefix: String,
    /// Partitions of topics that are made.
    pub partitions: i32,
    /// Copies of topics that are made; all but one of them must be in sync to accept.
    pub replication: i16,
    /// How long records stay in topics that are made.
    pub retention: Duration,
    /// How long an append may wait for its acknowledgement before it counts as unknown.
    pub ack_timeout: Duration,
    /// How long opening waits for a broker.
    pub open_timeout: Duration,
}

// === impl Embedded ===

impl Embedded {
    /// The settings for a directory, with sixteen days of retention and at most 64 GiB.
    pub fn new(path: impl Into<PathBuf>, clock: Clock) -> Self {
        let retention = Duration::from_secs(16 * 24 * 3600);
        Self {
            path: path.into(),
            retention,
            max_bytes: 64 << 30,
            clock,
        }
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("path", &self.path)
            .field("retention", &self.retention)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

// === impl Kafka ===

impl Kafka {
    /// The settings for one broker: twelve partitions, one copy, sixteen days of retention.
    pub fn new(brokers: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: prefix.into(),
            partitions: 12,
            replication: 1,
            retention: Duration::from_secs(16 * 24 * 3600),
            ack_timeout: Duration::from_secs(120),
            open_timeout: Duration::from_secs(15),
        }
    }
}
