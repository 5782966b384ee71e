//! What all clients of the brokers share: settings, names, and what they say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::Kafka;
use crate::record::{Cursor, Topic};
use crate::telemetry;

/// Kafka's limit on one message: our own limit and room for framing.
pub(super) const MAX_MESSAGE_BYTES: &str = "2097152";

/// How much ends the patience of a reader that is in no hurry.
const PATIENT_BYTES: &str = "262144";

/// Makes clients of one cluster.
#[derive(Clone)]
pub(super) struct Client {
    brokers: String,
    names: Arc<[String; 3]>,
    group: String,
}

/// Turns a client's own words into telemetry: an outage is said once, and its end.
pub(super) struct Context {
    what: &'static str,
    away: AtomicBool,
}

// === impl Client ===

impl Client {
    pub(super) fn new(config: &Kafka) -> Self {
        let names = Topic::ALL.map(|topic| topic.name(&config.prefix));
        let group = format!("{}-reader", config.prefix);
        Self {
            brokers: config.brokers.clone(),
            names: Arc::new(names),
            group,
        }
    }

    /// A topic's name on the brokers.
    pub(super) fn name(&self, topic: Topic) -> &str {
        &self.names[topic.index()]
    }

    /// The topic of that name.
    pub(super) fn topic(&self, name: &str) -> Option<Topic> {
        Topic::ALL
            .into_iter()
            .find(|topic| self.name(*topic) == name)
    }

    /// Settings of every client: reconnect fast, say little.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "lienthong")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "1000")
            .set("log.connection.close", "false")
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// Settings of a consumer that is told what to read and never chooses an offset itself.
    ///
    /// Assigning partitions by hand needs a group's name, but joins no group.
    pub(super) fn consumer_config(&self) -> ClientConfig {
        let mut config = self.config();
        config
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "10")
            .set("fetch.error.backoff.ms", "100")
            // Of compressed bytes: what they unpack to may be twenty times as much.
            .set("fetch.max.bytes", "1048576")
            .set("fetch.message.max.bytes", "65536")
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "4096");
        config
    }

    /// The same for reading. Without patience the brokers answer to the first record, which at a middling
    /// load is an answer for almost every record.
    pub(super) fn reader_config(&self, patience: Duration) -> ClientConfig {
        let mut config = self.consumer_config();
        if !patience.is_zero() {
            config
                .set("fetch.min.bytes", PATIENT_BYTES)
                .set("fetch.wait.max.ms", patience.as_millis().to_string());
        }
        config
    }

    /// Cursors in the library's form.
    pub(super) fn list(&self, cursors: &[Cursor]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(cursors.len());
        for at in cursors {
            let offset = Offset::Offset(at.offset);
            list.add_partition_offset(self.name(at.topic), at.partition, offset)?;
        }
        Ok(list)
    }
}

// === impl Context ===

impl Context {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            away: AtomicBool::new(false),
        }
    }

    /// Something came from the brokers.
    pub(super) fn heard(&self) {
        if self.away.load(Ordering::Relaxed) && self.away.swap(false, Ordering::Relaxed) {
            telemetry::brokers_back(self.what);
        }
    }
}

impl ClientContext for Context {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        telemetry::library_said(self.what, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if !self.away.swap(true, Ordering::Relaxed) {
            telemetry::brokers_away(self.what, &error.to_string(), reason);
        }
    }
}

impl ConsumerContext for Context {}
