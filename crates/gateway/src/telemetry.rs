//! One function per event: log line and metric together.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tracing::{debug, warn};

use crate::status::Rejection;

const EVENTS: &str = "lienthong_gateway_events_total";
const REJECTED: &str = "lienthong_gateway_rejected_events_total";
const UNKNOWN: &str = "lienthong_gateway_unknown_outcomes_total";
const DURATION: &str = "lienthong_gateway_request_duration_seconds";
const SIZE: &str = "lienthong_gateway_event_size_bytes";
const INFLIGHT: &str = "lienthong_gateway_inflight_requests";

/// Describes the metrics of this crate.
pub fn describe_metrics() {
    describe_counter!(EVENTS, "Events answered, by method and answer");
    describe_counter!(REJECTED, "Events not accepted, by reason");
    describe_counter!(UNKNOWN, "Events whose answer was unknown");
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "From an event's arrival to its answer"
    );
    describe_histogram!(SIZE, Unit::Bytes, "Size of accepted events");
    describe_gauge!(INFLIGHT, "Calls and streams that are open");
    for method in ["Publish", "PublishStream"] {
        for answer in ["accepted", "refused", "unknown"] {
            counter!(EVENTS, "method" => method, "answer" => answer).increment(0);
        }
    }
    counter!(UNKNOWN).increment(0);
}

pub(crate) fn accepted(method: &'static str, events: u64, took: Duration) {
    counter!(EVENTS, "method" => method, "answer" => "accepted").increment(events);
    histogram!(DURATION, "method" => method).record(took.as_secs_f64());
}

pub(crate) fn sized(bytes: usize) {
    histogram!(SIZE).record(bytes as f64);
}

pub(crate) fn rejected(method: &'static str, event: &str, rejection: &Rejection) {
    debug!(event, error = %rejection, "event not accepted");
    let answer = match rejection {
        Rejection::Invalid(_) => "refused",
        Rejection::OverQuota(_) | Rejection::Busy(_) | Rejection::NotWritten(_) => "unknown",
        Rejection::Unknown(_) => {
            counter!(UNKNOWN).increment(1);
            "unknown"
        }
    };
    counter!(EVENTS, "method" => method, "answer" => answer).increment(1);
    counter!(REJECTED, "reason" => rejection.label()).increment(1);
}

/// The log took an append not at all, or not for certain: one line for all its events.
pub(crate) fn not_taken(rejection: &Rejection) {
    warn!(error = %rejection, "events not taken by the log");
}

/// No connection came of it; the listener goes on.
pub(crate) fn not_connected(error: &std::io::Error) {
    warn!(%error, "cannot take a connection");
}

/// Callers that did not hang up in time lose their connections; what was answered is in the log.
pub(crate) fn cut_off() {
    warn!("connections were still open when the stop had to be finished");
}

/// Counts an open call or stream as long as it lives.
pub(crate) struct Open(());

impl Open {
    pub(crate) fn new() -> Self {
        gauge!(INFLIGHT).increment(1.0);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(INFLIGHT).decrement(1.0);
    }
}
