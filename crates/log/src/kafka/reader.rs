//! Reading partitions that were assigned by hand.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tokio::time::{Instant, timeout_at};

use super::client::{Client, Context};
use super::convert;
use super::meta::{self, Meta};
use crate::backend::{Limit, Read, Reader};
use crate::error::ReadError;
use crate::record::{Cursor, Position, Stored, Topic};
use crate::telemetry;

/// Reads from cursors on.
pub(super) struct KafkaReader {
    meta: Arc<Meta>,
    /// `None` only while it is dropped.
    consumer: Option<StreamConsumer<Context>>,
    taken: Taken,
    /// Why this reader has stopped.
    stopped: Option<ReadError>,
}

/// What was taken from the library and not yet given: a call that is cancelled leaves it here.
struct Taken {
    client: Client,
    /// The offset that comes next, per partition.
    next: HashMap<(Topic, i32), i64>,
    ready: VecDeque<(Read, usize)>,
    doubt: Option<Doubt>,
}

/// Something that only the brokers can explain.
enum Doubt {
    /// A record lies further on than the one that should come next.
    Gap(Cursor, Read, usize),
    /// The library says that an offset is not there, but not which.
    Offset,
    /// Anything else that the caller should know.
    Error(ReadError),
}

// === impl KafkaReader ===

impl KafkaReader {
    pub(super) fn new(
        client: &Client,
        meta: Arc<Meta>,
        from: &[Cursor],
        patience: Duration,
    ) -> Result<Self, ReadError> {
        let fatal = |error: KafkaError| ReadError::Fatal {
            reason: error.to_string(),
        };
        let config = client.reader_config(patience);
        let consumer: StreamConsumer<Context> = config
            .create_with_context(Context::new("reader"))
            .map_err(fatal)?;
        consumer
            .assign(&client.list(from).map_err(fatal)?)
            .map_err(fatal)?;
        let taken = Taken {
            client: client.clone(),
            next: from
                .iter()
                .map(|at| ((at.topic, at.partition), at.offset))
                .collect(),
            ready: VecDeque::new(),
            doubt: None,
        };
        Ok(Self {
            meta,
            consumer: Some(consumer),
            taken,
            stopped: None,
        })
    }

    async fn read(&mut self, limit: Limit, wait: Duration) -> Result<Vec<Read>, ReadError> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(stopped) = &self.stopped {
                return Err(stopped.clone());
            }
            let Some(consumer) = &self.consumer else {
                return Ok(Vec::new());
            };
            self.taken.fill(consumer, limit);
            if !self.taken.ready.is_empty() {
                return Ok(self.taken.give(limit));
            }
            if self.taken.doubt.is_some() {
                self.explain().await?;
            } else {
                match timeout_at(deadline, consumer.recv()).await {
                    Ok(message) => self.taken.take_in(message, consumer),
                    Err(_) => return Ok(Vec::new()),
                }
            }
        }
    }

    /// Asks the brokers about what is in doubt. The doubt stays until there is an answer.
    async fn explain(&mut self) -> Result<(), ReadError> {
        let cursors = match &self.taken.doubt {
            None => return Ok(()),
            Some(Doubt::Gap(at, ..)) => vec![*at],
            Some(Doubt::Offset) => self.taken.cursors(),
            Some(Doubt::Error(_)) => Vec::new(),
        };
        let asked = cursors.clone();
        let ask = move |meta: &Meta| asked.iter().try_for_each(|at| meta.check(*at));
        if let Err(error) = meta::blocking(Arc::clone(&self.meta), ask).await {
            return self.fail(error);
        }
        match self.taken.doubt.take() {
            // Nothing was removed: what is missing are marks of a stranger's transaction.
            Some(Doubt::Gap(_, read, size)) => self.taken.keep(read, size),
            Some(Doubt::Offset) => self.assign_again(&cursors)?,
            Some(Doubt::Error(error)) => return self.fail(error),
            None => {}
        }
        Ok(())
    }

    /// The library has stopped reading a partition whose offset is there after all.
    fn assign_again(&self, cursors: &[Cursor]) -> Result<(), ReadError> {
        let transient = |error: KafkaError| ReadError::Transient {
            reason: error.to_string(),
        };
        let list = self.taken.client.list(cursors).map_err(transient)?;
        self.consumer
            .as_ref()
            .map_or(Ok(()), |consumer| consumer.assign(&list))
            .map_err(transient)
    }

    fn fail(&mut self, error: ReadError) -> Result<(), ReadError> {
        if !error.is_transient() {
            self.stopped = Some(error.clone());
        }
        Err(error)
    }
}

impl Reader for KafkaReader {
    fn next(
        &mut self,
        limit: Limit,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Read>, ReadError>> {
        self.read(limit, wait).boxed()
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        // Closing a consumer waits for its threads, so it is done where waiting disturbs nobody.
        if let Some(consumer) = self.consumer.take() {
            std::thread::Builder::new()
                .spawn(move || drop(consumer))
                .ok();
        }
    }
}

// === impl Taken ===

impl Taken {
    /// Takes what the library holds already, without waiting.
    fn fill(&mut self, consumer: &StreamConsumer<Context>, limit: Limit) {
        let mut stream = consumer.stream();
        let mut bytes: usize = self.ready.iter().map(|(_, size)| size).sum();
        while self.doubt.is_none() && self.ready.len() < limit.records && bytes < limit.bytes {
            let Some(Some(message)) = stream.next().now_or_never() else {
                return;
            };
            let before = self.ready.len();
            self.take_in(message, consumer);
            if self.ready.len() > before {
                bytes += self.ready.back().map_or(0, |(_, size)| *size);
            }
        }
    }

    fn take_in(
        &mut self,
        message: KafkaResult<BorrowedMessage<'_>>,
        consumer: &StreamConsumer<Context>,
    ) {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                self.doubt = doubt(&error);
                return;
            }
        };
        consumer.client().context().heard();
        let Some(topic) = self.client.topic(message.topic()) else {
            return;
        };
        let partition = message.partition();
        let expected = self
            .next
            .get(&(topic, partition))
            .copied()
            .unwrap_or_default();
        let read = read(topic, &message);
        let size = match &read {
            Read::Ok(stored) => stored.record.size(),
            Read::Broken { raw, .. } => raw.len(),
        };
        if message.offset() > expected {
            let at = Cursor {
                topic,
                partition,
                offset: expected,
            };
            self.doubt = Some(Doubt::Gap(at, read, size));
        } else {
            self.keep(read, size);
        }
    }

    fn keep(&mut self, read: Read, size: usize) {
        let position = read.position();
        self.next
            .insert((read.topic(), position.partition), position.offset + 1);
        self.ready.push_back((read, size));
    }

    /// What is ready, up to the limit and at least one.
    fn give(&mut self, limit: Limit) -> Vec<Read> {
        let (mut given, mut bytes) = (Vec::new(), 0);
        while given.len() < limit.records
            && let Some((_, size)) = self.ready.front()
            && (given.is_empty() || bytes + size <= limit.bytes)
        {
            bytes += size;
            given.extend(self.ready.pop_front().map(|(read, _)| read));
        }
        given
    }

    fn cursors(&self) -> Vec<Cursor> {
        let cursor = |(&(topic, partition), &offset)| Cursor {
            topic,
            partition,
            offset,
        };
        self.next.iter().map(cursor).collect()
    }
}

/// What to make of an error; an outage is waited out, and was said once.
fn doubt(error: &KafkaError) -> Option<Doubt> {
    use RDKafkaErrorCode as Code;

    let reason = || error.to_string();
    if let KafkaError::MessageConsumptionFatal(_) = error {
        return Some(Doubt::Error(ReadError::Fatal { reason: reason() }));
    }
    match error.rdkafka_error_code()? {
        Code::AutoOffsetReset | Code::OffsetOutOfRange => Some(Doubt::Offset),
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::TopicAuthorizationFailed => {
            Some(Doubt::Error(ReadError::Transient { reason: reason() }))
        }
        _ => None,
    }
}

fn read(topic: Topic, message: &BorrowedMessage<'_>) -> Read {
    let position = Position {
        partition: message.partition(),
        offset: message.offset(),
    };
    let appended_at = convert::time(message);
    match convert::record(message) {
        Ok(record) => Read::Ok(Stored {
            topic,
            position,
            appended_at,
            record,
        }),
        Err(reason) => {
            telemetry::broken(topic, position.partition, position.offset, &reason);
            let raw = Bytes::copy_from_slice(message.payload().unwrap_or_default());
            Read::Broken {
                topic,
                position,
                appended_at,
                raw,
                reason,
            }
        }
    }
}
