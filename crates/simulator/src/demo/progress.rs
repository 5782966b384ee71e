use std::time::Duration;

use calendar::WorkingTime;
use jiff::civil::DateTime;

/// Sees how a simulation goes on, a few times a second.
pub trait Progress: Send {
    /// Takes a snapshot to show.
    fn show(&mut self, snapshot: &Snapshot);
}

/// How a simulation stands at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What is going on.
    pub phase: Phase,
    /// The time on the desks' clock.
    pub local_time: DateTime,
    /// How many dossiers all days bring.
    pub planned: u64,
    /// How many of them were handed in.
    pub handed_in: u64,
    /// Events that the gateway accepted.
    pub events_accepted: usize,
    /// Events without an answer yet.
    pub events_unanswered: usize,
    /// Dossiers on which work goes on.
    pub open: u64,
    /// Dossiers that are held.
    pub held: u64,
    /// Dossiers that ended.
    pub completed: u64,
    /// Ended dossiers in time.
    pub on_time: u64,
    /// Late dossiers.
    pub late: u64,
    /// One per destination.
    pub lanes: Vec<LaneSnapshot>,
    /// Whether the tracker did not answer; its figures are old then.
    pub tracker_silent: bool,
}

/// How one destination stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaneSnapshot {
    /// The destination.
    pub destination: String,
    /// Deliveries that wait.
    pub pending: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries that need a person.
    pub dead: u64,
    /// Attempts made.
    pub attempts: u64,
    /// How long the oldest one has waited.
    pub lag: Duration,
    /// The destination's working time in that.
    pub lag_working: WorkingTime,
    /// Why the lane rests as a whole, in words; empty while it works.
    pub resting: String,
    /// How many it gives at once; 0 when nobody looked.
    pub limit: u64,
    /// Deliveries of which nobody knows whether they arrived.
    pub unknown: u64,
    /// How many are still due of what came together while the lane rested.
    pub catching_up: Option<u64>,
}

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The desks are open.
    Day {
        /// Which day, from one.
        number: u32,
        /// Of how many.
        of: u32,
    },
    /// Nobody works: time passes fast.
    Night,
    /// The desks have closed for good; the agencies finish their work.
    Finishing,
}
