//! Appending: all records of an append are enqueued, then all their acknowledgements awaited.

mod ticket;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::client::{Client, Context, MAX_MESSAGE_BYTES};
use super::convert;
use crate::error::AppendError;
use crate::record::{Position, Record, Topic, check_sizes};
use crate::telemetry;

use ticket::{Batch, Fate, Ticket};

/// How much may wait for acknowledgement, in KiB: below the library's own limit of 64 MiB, so that
/// an append waits here and is not refused there.
const QUEUE_KIB: u32 = 48 << 10;

/// How long to wait when the library's queue is full all the same.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// A client. Closing it waits for its thread, so that is done where waiting disturbs nobody.
struct Live(Option<ThreadedProducer<Context>>);

/// Appends to the brokers; replaces its own client when that has failed for good.
pub(super) struct Producer {
    client: Client,
    config: ClientConfig,
    ack_timeout: Duration,
    live: RwLock<Arc<Live>>,
    room: Arc<Semaphore>,
}

// === impl Producer ===

impl Producer {
    pub(super) fn new(client: &Client, ack_timeout: Duration) -> KafkaResult<Self> {
        let mut config = client.config();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            // Built into the library; zstd would need another.
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            // Readers unpack a batch as a whole.
            .set("batch.size", "131072")
            .set("message.timeout.ms", ack_timeout.as_millis().to_string())
            .set("message.max.bytes", MAX_MESSAGE_BYTES)
            .set("queue.buffering.max.kbytes", "65536")
            .set("queue.buffering.max.messages", "500000")
            // The Java client's choice; records without a key stay together, and in order.
            .set("partitioner", "murmur2");
        let live = RwLock::new(Arc::new(Live::new(&config)?));
        let room = Arc::new(Semaphore::new(QUEUE_KIB as usize));
        Ok(Self {
            client: client.clone(),
            config,
            ack_timeout,
            live,
            room,
        })
    }

    pub(super) async fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> Result<Vec<Position>, AppendError> {
        let name = self.client.name(topic);
        self.append_as(topic.label(), name, records).await
    }

    /// To a topic that is none of the pipeline's own.
    pub(super) async fn append_named(
        &self,
        name: &str,
        records: Vec<Record>,
    ) -> Result<Vec<Position>, AppendError> {
        self.append_as(telemetry::NAMED, name, records).await
    }

    async fn append_as(
        &self,
        label: &'static str,
        name: &str,
        records: Vec<Record>,
    ) -> Result<Vec<Position>, AppendError> {
        check_sizes(&records)?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let waiting = telemetry::Waiting::new(label, records.len());
        let result = self.write(name, &records).await;
        waiting.answered(&result);
        result
    }

    async fn write(&self, name: &str, records: &[Record]) -> Result<Vec<Position>, AppendError> {
        let ended = || AppendError::Unknown {
            reason: "the producer was closed".into(),
        };
        let bytes: usize = records.iter().map(Record::size).sum();
        let kib = u32::try_from(bytes >> 10).map_or(QUEUE_KIB, |kib| QUEUE_KIB.min(kib + 1));
        let room = Arc::clone(&self.room)
            .acquire_many_owned(kib)
            .await
            .map_err(|_| ended())?;
        let (batch, answer) = Batch::new(records.len(), room);
        let live = Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner));
        self.enqueue(&live, name, records, &batch).await;
        let result = answer.await.map_err(|_| ended())?;
        if result.is_err() && live.get().client().fatal_error().is_some() {
            self.replace(&live);
        }
        result
    }

    async fn enqueue(&self, live: &Live, name: &str, records: &[Record], batch: &Arc<Batch>) {
        let deadline = Instant::now() + self.ack_timeout;
        for (index, record) in records.iter().enumerate() {
            let ticket = Box::new(Ticket::new(Arc::clone(batch), index));
            let mut message = BaseRecord::with_opaque_to(name, ticket)
                .key(record.key.as_str())
                .payload(&record.value[..])
                .headers(convert::headers(record));
            while let Err((error, again)) = live.get().send(message) {
                let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                if !full || Instant::now() >= deadline {
                    let fate = refused(&error, record.size());
                    return batch.settle_all(index, records.len(), &fate);
                }
                message = again;
                sleep(FULL_PAUSE).await;
            }
        }
    }

    /// B5: a client that failed for good takes nothing more; another one does.
    fn replace(&self, failed: &Arc<Live>) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&live, failed) {
            return;
        }
        match Live::new(&self.config) {
            Ok(fresh) => {
                let reason = failed
                    .get()
                    .client()
                    .fatal_error()
                    .map(|(_, reason)| reason);
                telemetry::producer_replaced(&reason.unwrap_or_default());
                *live = Arc::new(fresh);
            }
            Err(error) => telemetry::producer_not_replaced(&error.to_string()),
        }
    }
}

// === impl Live ===

impl Live {
    fn new(config: &ClientConfig) -> KafkaResult<Self> {
        config
            .create_with_context(Context::new("producer"))
            .map(Some)
            .map(Self)
    }

    fn get(&self) -> &ThreadedProducer<Context> {
        self.0.as_ref().expect("only `drop` takes it")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let client = self.0.take();
        // Without a thread the closure is dropped here, and the client with it.
        std::thread::Builder::new().spawn(move || drop(client)).ok();
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        use rdkafka::message::Message;

        let fate = match result {
            Ok(message) => {
                self.heard();
                Fate::Written(Position {
                    partition: message.partition(),
                    offset: message.offset(),
                })
            }
            Err((error, message)) => failed(error, message.payload_len()),
        };
        ticket.settle(fate);
    }
}

/// What an error before enqueueing means: nothing was sent.
fn refused(error: &KafkaError, size: usize) -> Fate {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => Fate::TooLarge(size),
        _ => Fate::NotWritten(error.to_string()),
    }
}

/// What a negative acknowledgement means. Only errors that a leader gives before it writes are
/// certain; all others may hide a written record (librdkafka#2188).
fn failed(error: &KafkaError, size: usize) -> Fate {
    use RDKafkaErrorCode as Code;

    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge) => Fate::TooLarge(size),
        Some(
            Code::NotEnoughReplicas
            | Code::TopicAuthorizationFailed
            | Code::PolicyViolation
            | Code::PurgeQueue,
        ) => Fate::NotWritten(error.to_string()),
        _ => Fate::Unknown(error.to_string()),
    }
}
