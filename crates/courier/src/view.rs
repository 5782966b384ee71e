use calendar::WorkingTime;
use domain::DestinationId;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::entry::Millis;
use crate::lane::Counts;

/// How a lane stands, as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct LaneView {
    pub(crate) destination: DestinationId,
    pub(crate) counts: Counts,
    /// When the oldest delivery that has not arrived was opened, dead letters included.
    pub(crate) oldest: Option<Millis>,
    /// Working time since then.
    pub(crate) lag: WorkingTime,
    /// Why it rests, and when it probes next.
    pub(crate) resting: Option<(String, Option<Timestamp>)>,
}

// === impl LaneView ===

impl LaneView {
    /// For `/status`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "destination": self.destination.as_str(),
            "queued": self.counts.queued,
            "in_flight": self.counts.in_flight,
            "waiting": self.counts.delayed + self.counts.behind,
            "dead": self.counts.dead,
            "oldest_at": self.oldest.map(|at| at.timestamp().to_string()),
            "lag_working_seconds": self.lag.as_seconds(),
            "resting": self.resting.as_ref().map(|(reason, _)| reason),
        })
    }
}
