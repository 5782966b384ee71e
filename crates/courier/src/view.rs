use calendar::{Calendar, WorkingTime};
use domain::DestinationId;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::entry::Millis;
use crate::lane::{Counts, Lane};

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
    /// How that lane stands now; without a calendar its lag is not counted.
    pub(crate) fn of(
        lane: &Lane,
        destination: &DestinationId,
        calendar: Option<&Calendar>,
        now: Millis,
    ) -> Self {
        let oldest = lane.oldest();
        let lag = oldest
            .zip(calendar)
            .map(|(oldest, calendar)| calendar.budget(oldest.timestamp(), now.timestamp()));
        Self {
            destination: destination.clone(),
            counts: lane.counts(),
            oldest,
            lag: lag.unwrap_or_default(),
            resting: lane.resting().map(|rest| {
                let next_probe = rest.next_probe.map(Millis::timestamp);
                (rest.reason.to_owned(), next_probe)
            }),
        }
    }

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
