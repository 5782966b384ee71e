//! What the log says and counts: one function per event.

use std::time::Instant;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tracing::{debug, error, info, warn};

use crate::error::AppendError;
use crate::record::Topic;

const ACK_DURATION: &str = "lienthong_producer_ack_duration_seconds";
const QUEUE: &str = "lienthong_producer_queue_messages";
const FAILED: &str = "lienthong_producer_failed_records_total";
const BROKEN: &str = "lienthong_log_broken_records_total";
const EXPIRED: &str = "lienthong_log_expired_records_total";

/// Stands for all topics that are none of the pipeline's own.
pub(crate) const NAMED: &str = "named";

/// Describes this crate's metrics to the recorder.
pub fn describe_metrics() {
    describe_histogram!(
        ACK_DURATION,
        "Time from an append to its durable acknowledgement."
    );
    describe_gauge!(QUEUE, "Records that wait for their acknowledgement.");
    describe_counter!(
        FAILED,
        "Records whose append was not acknowledged, by reason."
    );
    describe_counter!(BROKEN, "Records that were read and could not be decoded.");
    describe_counter!(
        EXPIRED,
        "Records that retention removed from the embedded log."
    );
}

/// An append that waits for its acknowledgement; dropping it unanswered is giving up.
pub(crate) struct Waiting {
    topic: &'static str,
    records: usize,
    since: Instant,
}

// === impl Waiting ===

impl Waiting {
    /// An append begins to wait.
    pub(crate) fn new(topic: &'static str, records: usize) -> Self {
        gauge!(QUEUE, "topic" => topic).increment(records as f64);
        Self {
            topic,
            records,
            since: Instant::now(),
        }
    }

    /// The append was answered.
    pub(crate) fn answered<T>(self, result: &Result<T, AppendError>) {
        let (topic, records) = (self.topic, self.records);
        match result {
            Ok(_) => {
                let took = self.since.elapsed().as_secs_f64();
                histogram!(ACK_DURATION, "topic" => topic).record(took);
            }
            Err(error) => {
                counter!(FAILED, "topic" => topic, "reason" => error.label())
                    .increment(records as u64);
                debug!(topic, records, %error, "append not acknowledged");
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        gauge!(QUEUE, "topic" => self.topic).decrement(self.records as f64);
    }
}

/// A record was read that is none.
pub(crate) fn broken(topic: Topic, partition: i32, offset: i64, reason: &str) {
    counter!(BROKEN, "topic" => topic.label()).increment(1);
    error!(%topic, partition, offset, reason, "record cannot be decoded");
}

/// Retention removed records.
pub(crate) fn expired(topic: Topic, records: i64, first: i64) {
    counter!(EXPIRED, "topic" => topic.label()).increment(records.unsigned_abs());
    debug!(%topic, records, first, "old records removed");
}

/// The embedded log refuses appends because there is no room.
pub(crate) fn full(reason: &str) {
    warn!(
        reason,
        "the log is full: appends are refused until there is room"
    );
}

/// The embedded log has room again.
pub(crate) fn roomy() {
    info!("the log has room again");
}

/// The embedded log cannot be trusted any more.
pub(crate) fn failed(reason: &str) {
    error!(reason, "the log failed: every further append is refused");
}

/// The brokers do not answer; said once per outage and client.
pub(crate) fn brokers_away(client: &str, error: &str, reason: &str) {
    warn!(
        client,
        error, reason, "the Kafka brokers do not answer: waiting for them"
    );
}

/// The brokers answer again.
pub(crate) fn brokers_back(client: &str) {
    info!(client, "the Kafka brokers answer again");
}

/// The Kafka library has something to say.
pub(crate) fn library_said(client: &str, facility: &str, message: &str) {
    debug!(client, facility, message, "librdkafka");
}

/// The producer failed for good; another one has taken its place.
pub(crate) fn producer_replaced(reason: &str) {
    warn!(
        reason,
        "the Kafka producer failed for good and was replaced"
    );
}

/// The producer failed for good and no other could be made.
pub(crate) fn producer_not_replaced(reason: &str) {
    error!(
        reason,
        "the Kafka producer failed for good and could not be replaced"
    );
}

/// A group's offsets were not copied; lag tools show too much until they are.
pub(crate) fn group_not_copied(group: &str, reason: &str) {
    warn!(group, reason, "offsets not copied to the Kafka group");
}
