use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tracing::{debug, error, info, warn};

use crate::backend::Probe;
use crate::error::{CommitError, ReadError};
use crate::write::Committed;

const UP: &str = "lienthong_store_up";
const SIZE: &str = "lienthong_store_size_bytes";
const FREE: &str = "lienthong_store_free_bytes";
const TRANSACTIONS: &str = "lienthong_store_transactions_total";
const DURATION: &str = "lienthong_store_transaction_duration_seconds";
const DUPLICATES: &str = "lienthong_inbox_duplicates_total";
const PENDING: &str = "lienthong_outbox_pending_records";
const OLDEST: &str = "lienthong_outbox_oldest_pending_timestamp_seconds";
const PUBLISHED: &str = "lienthong_outbox_published_total";

/// Describes every metric of this crate; call it once, after the recorder is installed.
pub fn describe_metrics() {
    describe_gauge!(UP, "Whether the role's store answered the last probe");
    describe_gauge!(SIZE, Unit::Bytes, "Size of the role's database");
    describe_gauge!(
        FREE,
        Unit::Bytes,
        "Free space on the disk of the role's database"
    );
    describe_counter!(TRANSACTIONS, "Transactions by how they ended");
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "Time from handing a write over to its answer"
    );
    describe_counter!(DUPLICATES, "Records that the inbox recognised");
    describe_gauge!(PENDING, "Outbox rows that are not yet published");
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "When the oldest unpublished row was written, or 0"
    );
    describe_counter!(
        PUBLISHED,
        "Outbox rows published for the first time, again, or not at all"
    );
}

/// An instance became the owner of a group. Its counters start at 0 here, or the first increase
/// would be invisible.
pub(crate) fn taken_over(group: &'static str, epoch: i64) {
    for result in ["committed", "rolled_back", "unknown", "fenced"] {
        counter!(TRANSACTIONS, "role" => group, "result" => result).increment(0);
    }
    for result in ["first", "repeat", "error"] {
        counter!(PUBLISHED, "role" => group, "result" => result).increment(0);
    }
    counter!(DUPLICATES, "role" => group).increment(0);
    info!(group, epoch, "group taken over");
}

/// A transaction has ended.
pub(crate) fn committed(
    group: &'static str,
    result: &Result<Committed, CommitError>,
    took: Duration,
) {
    let label = match result {
        Ok(_) => "committed",
        Err(CommitError::Transient { unknown: true, .. }) => "unknown",
        Err(CommitError::Fenced { .. } | CommitError::Guarded { .. }) => "fenced",
        Err(CommitError::Transient { .. } | CommitError::Fatal(_)) => "rolled_back",
    };
    counter!(TRANSACTIONS, "role" => group, "result" => label).increment(1);
    histogram!(DURATION, "role" => group).record(took);
    match result {
        Ok(_) => debug!(group, ?took, "committed"),
        Err(
            error @ (CommitError::Transient { .. }
            | CommitError::Fenced { .. }
            | CommitError::Guarded { .. }),
        ) => {
            warn!(group, error = %Chain(error), "write not committed");
        }
        Err(error) => error!(group, error = %Chain(error), "write not committed"),
    }
}

/// Ids were recognised.
pub(crate) fn duplicates(group: &'static str, count: u64) {
    counter!(DUPLICATES, "role" => group).increment(count);
}

/// Rows were published; `repeat` of them had been marked by somebody else already.
pub(crate) fn published(group: &'static str, first: u64, repeat: u64) {
    counter!(PUBLISHED, "role" => group, "result" => "first").increment(first);
    counter!(PUBLISHED, "role" => group, "result" => "repeat").increment(repeat);
}

/// The log refused rows.
pub(crate) fn publish_failed(group: &'static str, rows: u64) {
    counter!(PUBLISHED, "role" => group, "result" => "error").increment(rows);
}

/// The database was asked for its figures.
pub(crate) fn probed(group: &'static str, result: &Result<Probe, ReadError>) {
    gauge!(UP, "role" => group).set(if result.is_ok() { 1.0 } else { 0.0 });
    match result {
        Ok(probe) => {
            gauge!(SIZE, "role" => group).set(probe.size_bytes as f64);
            if let Some(free) = probe.free_bytes {
                gauge!(FREE, "role" => group).set(free as f64);
            }
            gauge!(PENDING, "role" => group).set(probe.pending as f64);
            let oldest = probe.oldest_pending.unwrap_or(0);
            gauge!(OLDEST, "role" => group).set(oldest as f64 / 1000.0);
        }
        Err(error) => warn!(group, error = %Chain(error), "the store does not answer"),
    }
}

/// An error with its causes in one line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

// === impl Chain ===

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
