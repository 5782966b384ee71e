//! One function per event: log line and metric together.

use log::Topic;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use runtime::ErrorChain;
use tracing::{error, info, warn};

use crate::Unreadable;

const RECORDS: &str = "lienthong_consumer_records_total";
const UNREADABLE: &str = "lienthong_consumer_unreadable_records_total";
const CONFLICTS: &str = "lienthong_inbox_conflicts_total";
const BATCH: &str = "lienthong_consumer_batch_duration_seconds";
const RETRIES: &str = "lienthong_consumer_retries_total";
const PROGRESS: &str = "lienthong_consumer_last_progress_timestamp_seconds";
const REPUBLISHED: &str = "lienthong_outbox_recovered_batches_total";

/// Describes the metrics of this crate.
pub fn describe_metrics() {
    describe_counter!(RECORDS, "Records folded, repeats left out");
    describe_counter!(
        UNREADABLE,
        "Records that could not be read and are kept for a person"
    );
    describe_counter!(CONFLICTS, "Records whose id came before with another body");
    describe_histogram!(BATCH, Unit::Seconds, "From reading a batch to its commit");
    describe_counter!(
        RETRIES,
        "Steps taken again after a passing fault, by what failed"
    );
    describe_gauge!(
        PROGRESS,
        Unit::Seconds,
        "When the group last moved an offset"
    );
    describe_counter!(
        REPUBLISHED,
        "Outbox batches published again after a restart or a fault"
    );
}

pub(crate) fn folded(
    group: &'static str,
    records: usize,
    conflicts: usize,
    took: std::time::Duration,
) {
    counter!(RECORDS, "group" => group).increment(records as u64);
    if conflicts > 0 {
        counter!(CONFLICTS, "group" => group).increment(conflicts as u64);
        warn!(
            group,
            conflicts, "records came again under their id with another body"
        );
    }
    histogram!(BATCH, "group" => group).record(took.as_secs_f64());
}

pub(crate) fn progressed(group: &'static str, topic: Topic, now: jiff::Timestamp) {
    let seconds = now.as_millisecond() as f64 / 1000.0;
    gauge!(PROGRESS, "group" => group, "topic" => topic.label()).set(seconds);
}

pub(crate) fn unreadable(group: &'static str, one: &Unreadable) {
    counter!(UNREADABLE, "group" => group, "topic" => one.topic.label()).increment(1);
    error!(
        group,
        topic = one.topic.label(),
        partition = one.position.partition,
        offset = one.position.offset,
        reason = one.reason,
        "a record cannot be read; it is kept in unreadable_records for a person"
    );
}

pub(crate) fn retrying(group: &'static str, what: &'static str, error: &dyn std::error::Error) {
    counter!(RETRIES, "group" => group, "what" => what).increment(1);
    warn!(group, what, error = %ErrorChain(error), "a passing fault; trying again");
}

pub(crate) fn recovered(group: &'static str, batches: usize) {
    counter!(REPUBLISHED, "group" => group).increment(batches as u64);
    info!(
        group,
        batches, "publishing what an earlier run committed and did not mark"
    );
}
