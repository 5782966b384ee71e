//! One function per event: log line and metric together.

use domain::DestinationId;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use runtime::ErrorChain;
use tracing::{info, warn};

use crate::leases::{LeaseError, Token};

const HELD: &str = "lienthong_courier_lanes_held";
const MOVES: &str = "lienthong_courier_lane_moves_total";
const FAILURES: &str = "lienthong_courier_lease_failures_total";

/// Describes the metrics of leases.
pub(crate) fn describe_metrics() {
    describe_gauge!(HELD, "Lanes that this instance holds");
    describe_counter!(MOVES, "Lanes that came to this instance or left it");
    describe_counter!(FAILURES, "Rounds of leases that the store refused");
}

/// A lane came to this instance.
pub(crate) fn gained(destination: &DestinationId, token: Token, held: usize) {
    moved("gained", held);
    info!(%destination, token = token.0, "lane claimed");
}

/// Another instance waits for the lane.
pub(crate) fn asked(destination: &DestinationId) {
    info!(%destination, "lane asked back for another instance");
}

/// The lane was given back.
pub(crate) fn left(destination: &DestinationId, held: usize) {
    moved("left", held);
    info!(%destination, "lane given back");
}

/// The lease ran out before it could be renewed, or another instance has the lane.
pub(crate) fn lost(destination: &DestinationId, held: usize) {
    moved("lost", held);
    warn!(%destination, "lane lost; what is in flight will be sent again by its next owner");
}

/// The store was away for a round.
pub(crate) fn failed(error: &LeaseError) {
    counter!(FAILURES).increment(1);
    warn!(error = %ErrorChain(error), "leases could not be renewed; trying again");
}

fn moved(result: &'static str, held: usize) {
    counter!(MOVES, "result" => result).increment(1);
    gauge!(HELD).set(held as f64);
}
