//! Questions about partitions: how many, what they hold, how old a record is. All of them block.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::client::{Client, Context};
use super::convert;
use crate::error::ReadError;
use crate::record::{Bounds, Cursor, Topic};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks the brokers.
pub(super) struct Meta {
    client: Client,
    asker: BaseConsumer<Context>,
    partitions: Mutex<[i32; 3]>,
    probe: Mutex<Probe>,
}

/// Reads single records for their time; a record's time never changes, so the last is kept.
struct Probe {
    consumer: BaseConsumer<Context>,
    known: HashMap<(Topic, i32), (i64, Timestamp)>,
}

/// Asks on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    meta: Arc<Meta>,
    ask: impl FnOnce(&Meta) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let answer = tokio::task::spawn_blocking(move || ask(&meta)).await;
    answer.map_err(|error| ReadError::Fatal {
        reason: error.to_string(),
    })?
}

// === impl Meta ===

impl Meta {
    pub(super) fn new(client: &Client) -> KafkaResult<Self> {
        let asker = client
            .config()
            .create_with_context(Context::new("metadata"))?;
        let mut config = client.consumer_config();
        config
            .set("queued.min.messages", "1")
            .set("fetch.message.max.bytes", "65536");
        let consumer = config.create_with_context(Context::new("probe"))?;
        Ok(Self {
            client: client.clone(),
            asker,
            partitions: Mutex::new([0; 3]),
            probe: Mutex::new(Probe {
                consumer,
                known: HashMap::new(),
            }),
        })
    }

    /// Learns how many partitions each topic has; answers with those that are not there.
    pub(super) fn learn(&self, wait: Duration) -> KafkaResult<Vec<Topic>> {
        let mut missing = Vec::new();
        for topic in Topic::ALL {
            match self.partitions_of(self.client.name(topic), wait)? {
                Some(count) => {
                    self.partitions
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)[topic.index()] = count;
                }
                None => missing.push(topic),
            }
        }
        Ok(missing)
    }

    /// How many partitions a topic has; `None`: it is not there, or lacks a leader.
    pub(super) fn partitions_of(&self, name: &str, wait: Duration) -> KafkaResult<Option<i32>> {
        self.serve();
        let metadata = self.asker.fetch_metadata(Some(name), wait)?;
        let found = metadata
            .topics()
            .first()
            .filter(|found| found.error().is_none());
        let whole = found.filter(|found| {
            !found.partitions().is_empty()
                && found
                    .partitions()
                    .iter()
                    .all(|partition| partition.leader() >= 0)
        });
        Ok(whole.map(|found| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)))
    }

    /// What each partition of a topic holds.
    pub(super) fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, ReadError> {
        self.serve();
        let count = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)[topic.index()];
        (0..count)
            .map(|partition| {
                let (first, end) = self.watermarks(topic, partition)?;
                Ok(Bounds {
                    partition,
                    first,
                    end,
                })
            })
            .collect()
    }

    /// Refuses a cursor whose offset is not there.
    pub(super) fn check(&self, at: Cursor) -> Result<(), ReadError> {
        self.end_behind(at).map(|_| ())
    }

    /// When the record under a cursor was appended.
    pub(super) fn appended_at(&self, at: Cursor) -> Result<Option<Timestamp>, ReadError> {
        if self.end_behind(at)? == at.offset {
            return Ok(None);
        }
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((offset, time)) = probe.known.get(&(at.topic, at.partition))
            && *offset == at.offset
        {
            return Ok(Some(*time));
        }
        let time = self.read_time(&probe.consumer, at)?;
        probe
            .known
            .insert((at.topic, at.partition), (at.offset, time));
        Ok(Some(time))
    }

    fn read_time(
        &self,
        consumer: &BaseConsumer<Context>,
        at: Cursor,
    ) -> Result<Timestamp, ReadError> {
        let list = self.client.list(&[at]).map_err(transient)?;
        consumer.assign(&list).map_err(transient)?;
        let deadline = Instant::now() + PATIENCE;
        let mut time = None;
        while time.is_none() && Instant::now() < deadline {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                time = Some(convert::time(&message));
            }
        }
        consumer.unassign().map_err(transient)?;
        time.ok_or_else(|| ReadError::Transient {
            reason: "no answer from the brokers".into(),
        })
    }

    /// The partition's end, unless the cursor's offset is not there.
    fn end_behind(&self, at: Cursor) -> Result<i64, ReadError> {
        let (first, end) = self.watermarks(at.topic, at.partition)?;
        if at.offset < first || at.offset > end {
            return Err(ReadError::gone(at, first, end));
        }
        Ok(end)
    }

    /// Asks again while a partition changes its leader.
    fn watermarks(&self, topic: Topic, partition: i32) -> Result<(i64, i64), ReadError> {
        let name = self.client.name(topic);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.asker.fetch_watermarks(name, partition, PATIENCE) {
                Ok(found) => return Ok(found),
                Err(error) if !is_moving(&error) || Instant::now() >= deadline => {
                    return Err(transient(error));
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Takes what the library wants to say, lest it pile up.
    fn serve(&self) {
        while self.asker.poll(Duration::ZERO).is_some() {}
    }
}

fn is_moving(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;

    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::NotLeaderForPartition | Code::LeaderNotAvailable | Code::UnknownTopicOrPartition
        )
    )
}

fn transient(error: KafkaError) -> ReadError {
    ReadError::Transient {
        reason: error.to_string(),
    }
}
