//! What pulling says and counts.

use domain::DestinationId;
use metrics::{counter, describe_counter};
use tracing::{debug, warn};

use super::offers::NotLeased;

const LEASES: &str = "lienthong_courier_pull_leases_total";
const TOO_LATE: &str = "lienthong_courier_pull_not_leased_total";

/// Describes the metrics of pulling.
pub(crate) fn describe_metrics() {
    describe_counter!(
        LEASES,
        "Leases of pulled deliveries, by what happened to them"
    );
    describe_counter!(
        TOO_LATE,
        "Verdicts, extensions and releases without a lease, by what was said and why it had no effect"
    );
}

/// Something happened to so many leases.
pub(crate) fn leases(destination: &DestinationId, what: &'static str, number: usize) {
    let counter = counter!(LEASES, "destination" => destination.to_string(), "what" => what);
    counter.increment(number as u64);
    debug!(%destination, what, number, "leases");
}

/// Leases ran out without a verdict.
pub(crate) fn expired(destination: &DestinationId, number: usize) {
    leases(destination, "expired", number);
    warn!(%destination, number, "deliveries were taken and not confirmed in time; they are offered again");
}

/// A puller spoke of a lease that it does not hold. Nothing has changed by it; a verdict that came too
/// late is here for those who look for it.
pub(crate) fn not_leased(
    destination: &DestinationId,
    what: &'static str,
    token: &str,
    why: NotLeased,
    said: &str,
) {
    let name = destination.to_string();
    counter!(TOO_LATE, "destination" => name, "what" => what, "why" => why.as_str()).increment(1);
    let token: String = token.chars().take(128).collect();
    warn!(%destination, what, token, why = why.as_str(), said, "the lease is not held; nothing was changed");
}

// === impl NotLeased ===

impl NotLeased {
    fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}
