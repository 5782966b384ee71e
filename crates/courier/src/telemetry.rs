//! One function per event: log line and metric together.

use std::collections::BTreeMap;

use domain::{AttemptClass, DestinationId};
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use runtime::ErrorChain;
use tracing::{debug, error, info, warn};

use crate::lane::{Change, Hold, Ruling};
use crate::verdicts::{About, Verdict};
use crate::view::LaneView;

const ATTEMPTS: &str = "lienthong_courier_attempts_total";
const ATTEMPT: &str = "lienthong_courier_attempt_duration_seconds";
const COMPLETED: &str = "lienthong_courier_deliveries_completed_total";
const FIRST_ATTEMPT: &str = "lienthong_courier_publish_to_first_attempt_seconds";
const PENDING: &str = "lienthong_courier_pending_deliveries";
const OLDEST: &str = "lienthong_courier_oldest_pending_timestamp_seconds";
const LAG: &str = "lienthong_courier_lag_working_seconds";
const RESTING: &str = "lienthong_courier_lane_resting";
const HOLD: &str = "lienthong_courier_lane_hold";
const LIMIT: &str = "lienthong_courier_concurrency_limit";
const TRANSITIONS: &str = "lienthong_circuit_transitions_total";
const BUDGET_USED: &str = "lienthong_courier_budget_used_total";
const NO_ATTEMPT_FITS: &str = "lienthong_courier_no_attempt_fits_total";
const UNKNOWN: &str = "lienthong_courier_unknown_outcomes_total";
const RESOLVED: &str = "lienthong_courier_unknown_outcomes_resolved_total";
const RETRIED_WRITES: &str = "lienthong_courier_verdict_retries_total";
const PAYLOADS_LOST: &str = "lienthong_courier_payloads_lost_total";
const LATE: &str = "lienthong_courier_late_verdicts_total";
const DEAD_OPEN: &str = "lienthong_dead_letters_open";
const DEAD: &str = "lienthong_dead_letters_recorded_total";
const REDRIVEN: &str = "lienthong_dead_letters_redriven_total";

/// Describes the metrics of this crate.
pub fn describe_metrics() {
    describe_warnings();
    crate::link::pull::describe_metrics();
    crate::leases::telemetry::describe_metrics();
    describe_counter!(
        LATE,
        "Attempts that ended after their lane had gone to another courier; nothing of them counts"
    );
    describe_counter!(
        ATTEMPTS,
        "Attempts by destination and how the answer was classified"
    );
    describe_histogram!(
        ATTEMPT,
        Unit::Seconds,
        "From the start of an attempt to its answer"
    );
    describe_counter!(
        COMPLETED,
        "Deliveries that ended, in time, late, or as dead letters"
    );
    describe_histogram!(
        FIRST_ATTEMPT,
        Unit::Seconds,
        "From a delivery's append to the log to its first attempt"
    );
    describe_gauge!(
        PENDING,
        "Undelivered deliveries by destination and how they stand"
    );
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "When the oldest delivery that has not arrived was opened; 0 when there is none"
    );
    describe_gauge!(
        LAG,
        Unit::Seconds,
        "Age of the oldest delivery that has not arrived, in the destination's working time"
    );
    describe_gauge!(RESTING, "1 while the lane rests");
    describe_gauge!(HOLD, "1 for the reason that holds the lane, if one does");
    describe_gauge!(
        LIMIT,
        "How many deliveries may be in flight now, found by trying"
    );
    describe_counter!(
        RETRIED_WRITES,
        "Writes of verdicts taken again after a passing fault"
    );
    describe_gauge!(DEAD_OPEN, "Deliveries that need a person");
    describe_counter!(
        DEAD,
        "Deliveries that became dead letters, by the class of the last attempt"
    );
    describe_counter!(REDRIVEN, "Dead letters sent on their way again");
}

fn describe_warnings() {
    describe_counter!(TRANSITIONS, "Breakers that opened or closed");
    describe_counter!(
        BUDGET_USED,
        "Undelivered deliveries that used 50, 80 or 100 percent of their working time"
    );
    describe_counter!(
        NO_ATTEMPT_FITS,
        "Failed attempts after which no further one fits before the deadline"
    );
    describe_counter!(
        UNKNOWN,
        "Attempts of unknown outcome at destinations for which a repeat is not harmless"
    );
    describe_counter!(
        PAYLOADS_LOST,
        "Undelivered deliveries left out because their payload cannot be read; a person must look"
    );
    describe_counter!(RESOLVED, "Unknown outcomes that became known");
}

/// The figures of one lane, looked up once.
pub(crate) struct LaneMeter {
    destination: DestinationId,
    attempts: [Counter; AttemptClass::ALL.len()],
    duration: Histogram,
    first_attempt: Histogram,
}

// === impl LaneMeter ===

impl LaneMeter {
    pub(crate) fn new(destination: &DestinationId) -> Self {
        let name = destination.to_string();
        for outcome in ["on_time", "late", "dead"] {
            counter!(COMPLETED, "destination" => name.clone(), "outcome" => outcome).increment(0);
        }
        let attempts = AttemptClass::ALL.map(|class| {
            let counter =
                counter!(ATTEMPTS, "destination" => name.clone(), "result" => class.as_str());
            counter.increment(0);
            counter
        });
        Self {
            destination: destination.clone(),
            attempts,
            duration: histogram!(ATTEMPT, "destination" => name),
            first_attempt: histogram!(FIRST_ATTEMPT),
        }
    }

    /// An attempt has ended.
    pub(crate) fn attempted(&self, class: AttemptClass, took: std::time::Duration) {
        let known = AttemptClass::ALL.iter().position(|known| *known == class);
        if let Some(counter) = known.and_then(|index| self.attempts.get(index)) {
            counter.increment(1);
        }
        self.duration.record(took.as_secs_f64());
    }

    /// A delivery is tried for the first time, so long after the log took it.
    pub(crate) fn first_tried(&self, after: std::time::Duration) {
        self.first_attempt.record(after.as_secs_f64());
    }

    /// The lane rests, or works again.
    pub(crate) fn changed(&self, change: Change, reason: &str) {
        let destination = &self.destination;
        match change {
            Change::Opened => {
                counter!(TRANSITIONS, "destination" => destination.to_string(), "to" => "open")
                    .increment(1);
                warn!(%destination, reason, "breaker opened: the lane holds everything and probes");
            }
            Change::Closed => {
                counter!(TRANSITIONS, "destination" => destination.to_string(), "to" => "closed")
                    .increment(1);
                info!(%destination, "breaker closed: the lane works again, slowly at first");
            }
        }
    }
}

/// Deliveries that ended, counted over a batch: to look a counter up costs more than to add to it.
#[derive(Default)]
pub(crate) struct Ended(BTreeMap<(DestinationId, &'static str), u64>);

/// A verdict is durable.
pub(crate) fn ruled(verdict: &Verdict, ended: &mut Ended) {
    let Verdict { attempt, about, .. } = verdict;
    let entry = &about.entry;
    let name = about.destination.as_str();
    let outcome = match verdict.ruling {
        Ruling::Again { .. } => {
            debug!(destination = name, delivery = %entry.id, class = %attempt.class,
                detail = attempt.detail, "attempt failed");
            return;
        }
        Ruling::Unknown => {
            warn!(destination = name, delivery = %entry.id, detail = attempt.detail,
                "outcome unknown: it is not sent again before that is settled");
            counter!(UNKNOWN, "destination" => name.to_owned()).increment(1);
            return;
        }
        Ruling::Delivered if verdict.ended_at() <= entry.due_at.timestamp() => "on_time",
        Ruling::Delivered => "late",
        Ruling::Dead => {
            error!(destination = name, delivery = %entry.id, attempts = entry.tries,
                class = %attempt.class, detail = attempt.detail, "put aside as a dead letter");
            let class = attempt.class.as_str();
            counter!(DEAD, "destination" => name.to_owned(), "reason" => class).increment(1);
            "dead"
        }
    };
    let ended = ended.0.entry((about.destination.clone(), outcome));
    *ended.or_default() += 1;
}

// === impl Ended ===

impl Ended {
    /// Counts them.
    pub(crate) fn count(self) {
        for ((destination, outcome), number) in self.0 {
            let name = destination.to_string();
            counter!(COMPLETED, "destination" => name, "outcome" => outcome).increment(number);
        }
    }
}

/// An unknown outcome became known.
pub(crate) fn resolved(about: &About, arrived: bool) {
    let name = about.destination.to_string();
    info!(destination = name, delivery = %about.entry.id, arrived, "unknown outcome became known");
    let result = if arrived { "arrived" } else { "not_arrived" };
    counter!(RESOLVED, "destination" => name, "result" => result).increment(1);
}

/// The destination was asked about a delivery in doubt and could not say.
pub(crate) fn still_unknown(
    destination: &DestinationId,
    delivery: domain::DeliveryId,
    detail: &str,
) {
    debug!(%destination, %delivery, detail, "the destination could not say; it is asked again");
}

/// Much of a delivery's time is used.
pub(crate) fn budget_used(about: &About, percent: u8) {
    let name = about.destination.to_string();
    warn!(destination = name, delivery = %about.entry.id, percent,
        "so much of the time for the step has passed and the delivery has not arrived");
    let percent = percent.to_string();
    counter!(BUDGET_USED, "destination" => name, "percent" => percent).increment(1);
}

/// The store could not be read, so nobody could be told of an alarm; it is told again soon.
pub(crate) fn alarm_untold(destination: &DestinationId, delivery: domain::DeliveryId) {
    warn!(%destination, %delivery, "an alarm could not be told; trying again");
}

/// After a failed attempt no further one fits before the deadline.
pub(crate) fn no_attempt_fits(verdict: &Verdict) {
    let name = verdict.about.destination.to_string();
    error!(destination = name, delivery = %verdict.about.entry.id,
        "no further attempt fits before the deadline");
    counter!(NO_ATTEMPT_FITS, "destination" => name).increment(1);
}

/// The log does not take outcomes: the deliveries topic is read no further until it does.
pub(crate) fn verdicts_stuck() {
    warn!("the log does not take outcomes; reading of deliveries stops until it does");
}

/// Verdicts could not be written and are written again.
pub(crate) fn write_again(error: &store::CommitError) {
    counter!(RETRIED_WRITES).increment(1);
    warn!(error = %ErrorChain(error), "verdicts could not be written; trying again");
}

/// An attempt ended after its lane had gone to another courier, which sends the delivery again.
pub(crate) fn late(verdict: &Verdict) {
    let About {
        destination, entry, ..
    } = &verdict.about;
    let (number, class) = (verdict.attempt.number, verdict.attempt.class.as_str());
    warn!(%destination, delivery = %entry.id, attempt = number, class,
        "the lane went to another courier before the verdict was written; it is kept as a fact");
    counter!(LATE, "destination" => destination.to_string()).increment(1);
}

/// What another courier left in the outbox could not be published.
pub(crate) fn sweep_again(error: &consumer::Error) {
    warn!(error = %ErrorChain(error), "the outbox could not be looked through; trying again");
}

/// Lines of news were forgotten before this courier read them.
pub(crate) fn news_missed() {
    warn!("news of other couriers were missed; all lanes are given back and read anew");
}

/// Store or log were away when lanes were to be read or followed.
pub(crate) fn follow_again(error: &store::ReadError) {
    warn!(error = %ErrorChain(error), "new deliveries could not be looked for; trying again");
}

/// This courier folds the deliveries topic from now on.
pub(crate) fn intake_begun(epoch: i64) {
    info!(epoch, "reading the deliveries topic");
}

/// Reading could not be ended as it should; the store has the truth.
pub(crate) fn intake_broke_off(error: &crate::Error) {
    warn!(error = %ErrorChain(error), "reading the deliveries topic broke off");
}

/// Another courier folds the deliveries topic from now on.
pub(crate) fn intake_ended() {
    info!("no longer reading the deliveries topic; another courier does");
}

/// The undelivered ones of earlier runs are in their lanes.
pub(crate) fn loaded(number: usize) {
    info!(
        number,
        "undelivered deliveries of earlier runs are in their lanes"
    );
}

/// Payloads could not be read and are read again.
pub(crate) fn read_again(destination: &DestinationId, error: &store::ReadError) {
    warn!(%destination, error = %ErrorChain(error), "payloads could not be read; trying again");
}

/// Payloads that a process left in the log are in the store.
pub(crate) fn payloads_stored(number: usize) {
    info!(number, "payloads of earlier runs are stored from the log");
}

/// Undelivered deliveries whose payload neither store nor log has; their lanes tell which.
pub(crate) fn payloads_missing(number: usize) {
    if number > 0 {
        error!(
            number,
            "the log does not hold the payloads of undelivered deliveries any more; \
             their rows are left as they are"
        );
    }
}

/// The store has no readable payload of an undelivered delivery.
pub(crate) fn payload_lost(destination: &DestinationId, delivery: domain::DeliveryId) {
    counter!(PAYLOADS_LOST, "destination" => destination.to_string()).increment(1);
    error!(%destination, %delivery, "the stored delivery cannot be read and is left out; see its row");
}

/// Dead letters are on their way again.
pub(crate) fn redriven(destination: &str, number: usize) {
    counter!(REDRIVEN, "destination" => destination.to_owned()).increment(number as u64);
    info!(destination, number, "dead letters sent on their way again");
}

/// Jobs cannot be worked on for a while.
pub(crate) fn job_waits(error: &(impl std::error::Error + 'static)) {
    warn!(error = %ErrorChain(error), "jobs wait; trying again");
}

/// A delivery or an order came again under its id with another body; the first one counts.
pub(crate) fn conflict(record: &domain::RecordId) {
    error!(%record, "a delivery or an order came again with another body and was left out");
}

/// A delivery names a destination that the configuration does not have.
pub(crate) fn unknown_destination(destination: &str) {
    warn!(
        destination,
        "no such destination in the configuration; its deliveries are held"
    );
}

/// How a lane stands.
pub(crate) fn lane(view: &LaneView) {
    let name = || view.destination.to_string();
    let counts = view.counts;
    for (state, number) in [
        ("queued", counts.queued + counts.behind),
        ("inflight", counts.in_flight),
        ("backoff", counts.delayed),
    ] {
        let held = view.rests() && state != "inflight";
        let number = if held { 0 } else { number };
        gauge!(PENDING, "destination" => name(), "state" => state).set(number as f64);
    }
    let held = if view.rests() {
        counts.queued + counts.behind + counts.delayed
    } else {
        0
    };
    gauge!(PENDING, "destination" => name(), "state" => "held").set(held as f64);
    gauge!(PENDING, "destination" => name(), "state" => "unknown").set(counts.unknown as f64);
    let oldest = view.oldest.map_or(0.0, |at| at.0 as f64 / 1000.0);
    gauge!(OLDEST, "destination" => name()).set(oldest);
    gauge!(LAG, "destination" => name()).set(view.lag.as_seconds() as f64);
    gauge!(LIMIT, "destination" => name()).set(view.limit as f64);
    gauge!(RESTING, "destination" => name()).set(if view.rests() { 1.0 } else { 0.0 });
    for word in Hold::WORDS {
        let is_it = view.hold.as_ref().is_some_and(|hold| hold.word == word);
        gauge!(HOLD, "destination" => name(), "reason" => word).set(f64::from(u8::from(is_it)));
    }
    gauge!(DEAD_OPEN, "destination" => name()).set(counts.dead as f64);
}
