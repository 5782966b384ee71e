//! The log under test, and small helpers to fill and read it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use eventlog::{
    Clock, Config, Embedded, Kafka, Limit, Log, Position, Read, Reader, Record, Stored, Topic,
};
use jiff::Timestamp;
use tempfile::TempDir;

/// Long enough for any wait that must end by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// More than any test appends.
pub(crate) const ALL: Limit = Limit {
    records: 100_000,
    bytes: 1 << 30,
};

/// A log and what is needed to open it again.
pub(crate) struct Subject {
    pub(crate) log: Log,
    pub(crate) time: ManualTime,
    config: Option<Config>,
    dir: Option<TempDir>,
}

/// A clock that stands still until it is told to move.
#[derive(Clone)]
pub(crate) struct ManualTime(Arc<AtomicI64>);

// === impl Subject ===

impl Subject {
    pub(crate) fn memory() -> Self {
        let time = ManualTime::new();
        Self {
            log: Log::memory(time.clock()),
            time,
            config: None,
            dir: None,
        }
    }

    pub(crate) async fn embedded() -> Self {
        Self::embedded_with(|_| ()).await
    }

    pub(crate) async fn embedded_with(change: impl FnOnce(&mut Embedded)) -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory");
        let time = ManualTime::new();
        let mut config = Embedded::new(dir.path().join("log"), time.clock());
        change(&mut config);
        let config = Config::Embedded(config);
        let log = Log::open(config.clone()).await.expect("the log opens");
        Self {
            log,
            time,
            config: Some(config),
            dir: Some(dir),
        }
    }

    /// `None`, said aloud, when no broker is named.
    pub(crate) async fn kafka(test: &str) -> Option<Self> {
        let brokers = brokers(test)?;
        let config = Config::Kafka(kafka_config(brokers));
        let log = Log::open(config.clone()).await.expect("Kafka is there");
        Some(Self {
            log,
            time: ManualTime::new(),
            config: Some(config),
            dir: None,
        })
    }

    /// Whether closing it loses it.
    pub(crate) fn is_volatile(&self) -> bool {
        self.config.is_none()
    }

    /// Closes the log and opens it again.
    pub(crate) async fn reopened(self) -> Self {
        let closed = self.closed();
        let config = closed
            .config
            .clone()
            .expect("a log that can be opened again");
        closed.open(config).await
    }

    /// Closes the log; its files stay.
    pub(crate) fn closed(self) -> Closed {
        Closed {
            time: self.time,
            config: self.config,
            dir: self.dir,
        }
    }

    /// The file of an embedded log.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        match &self.config {
            Some(Config::Embedded(config)) => config.path.join("log.db"),
            _ => panic!("only the embedded log has a file"),
        }
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone().expect("a log with a configuration")
    }

    /// Appends and returns the only position.
    pub(crate) async fn append(&self, topic: Topic, record: Record) -> Position {
        let positions = self
            .log
            .append(topic, vec![record])
            .await
            .expect("appended");
        assert_eq!(positions.len(), 1);
        positions[0]
    }

    /// Everything that a topic holds.
    pub(crate) async fn everything(&self, topic: Topic) -> Vec<Stored> {
        let bounds = self.log.bounds(topic).await.expect("bounds");
        let count: i64 = bounds.iter().map(|bound| bound.end - bound.first).sum();
        let mut reader = self.log.reader_from_start(topic).await.expect("a reader");
        read(&mut *reader, count as usize).await
    }
}

/// A log that is not open.
pub(crate) struct Closed {
    time: ManualTime,
    config: Option<Config>,
    dir: Option<TempDir>,
}

// === impl Closed ===

impl Closed {
    pub(crate) async fn open(self, config: Config) -> Subject {
        let log = Log::open(config.clone())
            .await
            .expect("the log opens again");
        Subject {
            log,
            time: self.time,
            config: Some(config),
            dir: self.dir,
        }
    }
}

// === impl ManualTime ===

impl ManualTime {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_750_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs() as i64, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).expect("a time in this century")
    }

    fn clock(&self) -> Clock {
        let time = self.clone();
        Arc::new(move || time.now())
    }
}

/// A record with a number in it.
pub(crate) fn record(key: &str, number: usize) -> Record {
    Record {
        key: key.to_owned(),
        headers: vec![
            ("id".into(), format!("{key}-{number}")),
            ("type".into(), "test".into()),
        ],
        value: number.to_string().into_bytes().into(),
    }
}

/// The number in a record.
pub(crate) fn number(record: &Record) -> usize {
    std::str::from_utf8(&record.value)
        .expect("a text")
        .parse()
        .expect("a number")
}

/// Reads exactly so many whole records.
pub(crate) async fn read(reader: &mut dyn Reader, count: usize) -> Vec<Stored> {
    let mut records = Vec::new();
    while records.len() < count {
        let found = reader.next(ALL, PATIENCE).await.expect("readable");
        assert!(
            !found.is_empty(),
            "{} of {count} records came",
            records.len()
        );
        records.extend(found.into_iter().map(whole));
    }
    assert_eq!(records.len(), count);
    records
}

/// The record of a read that must be whole.
pub(crate) fn whole(read: Read) -> Stored {
    match read {
        Read::Ok(stored) => stored,
        Read::Broken {
            position, reason, ..
        } => panic!("broken at {position:?}: {reason}"),
    }
}

/// The broker to test with.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told of services by the environment"
)]
pub(crate) fn brokers(test: &str) -> Option<String> {
    let brokers = std::env::var("LIENTHONG_TEST_BROKERS")
        .ok()
        .filter(|text| !text.is_empty());
    if brokers.is_none() {
        // Past the test harness, which would swallow it.
        writeln!(
            std::io::stderr(),
            "SKIPPED kafka::{test}: set LIENTHONG_TEST_BROKERS"
        )
        .ok();
    }
    brokers
}

/// Settings with topics of one's own.
pub(crate) fn kafka_config(brokers: String) -> Kafka {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = std::process::id();
    let since = std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_millis());
    let test = NEXT.fetch_add(1, Ordering::SeqCst);
    let mut config = Kafka::new(brokers, format!("test-{since}-{run}-{test}"));
    config.partitions = 3;
    config
}
