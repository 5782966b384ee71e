//! One function per event: log line and metric together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use log::Topic;
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use proto::v1::DossierState;
use runtime::ErrorChain;
use tracing::warn;

use crate::{
    deadline::Standing,
    figures::{Live, Place, Totals},
};

const DOSSIERS: &str = "lienthong_tracker_dossiers";
const STEPS: &str = "lienthong_deadline_steps";
const BREACHES: &str = "lienthong_deadline_breaches_total";
const STEP_DURATION: &str = "lienthong_tracker_step_duration_seconds";
const LAG_RECORDS: &str = "lienthong_consumer_lag_records";
const LAG_SECONDS: &str = "lienthong_consumer_lag_seconds";
const ORDERS: &str = "lienthong_tracker_orders_passed_over_total";
const OTHER_LABELS: &str = "lienthong_tracker_labels_over_limit_total";

/// Describes the metrics of this crate.
pub fn describe_metrics() {
    describe_gauge!(DOSSIERS, "Dossiers by state");
    describe_gauge!(STEPS, "Open steps by how their legal deadline stands");
    describe_counter!(
        BREACHES,
        "Steps that missed their legal deadline, open or ended"
    );
    describe_histogram!(
        STEP_DURATION,
        Unit::Seconds,
        "From opening a step to its end"
    );
    describe_gauge!(LAG_RECORDS, "Records that a group has not read");
    describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "Age of the oldest record that a group has not read"
    );
    describe_counter!(ORDERS, "Orders of operators that are about no dossier");
    describe_counter!(
        OTHER_LABELS,
        "Label values shown as `other` because there were too many"
    );
}

/// The label values shown so far: at most so many of each kind, later ones are `other`.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    procedures: Mutex<BTreeSet<String>>,
    agencies: Mutex<BTreeSet<String>>,
}

const MOST_VALUES: usize = 200;
const OTHER: &str = "other";

pub(crate) fn step_ended(labels: &Labels, procedure: &str, took: SignedDuration) {
    let procedure = labels.procedure(procedure);
    histogram!(STEP_DURATION, "procedure" => procedure).record(took.as_secs_f64().max(0.0));
}

/// An order of an operator is about no dossier and stands on no timeline.
pub(crate) fn not_of_a_dossier() {
    counter!(ORDERS).increment(1);
}

/// Shows the figures; called on a slow tick.
pub(crate) fn figures(labels: &Labels, totals: &Totals, live: &Live, now: Timestamp) {
    for (state, label) in STATES {
        let count = totals
            .all
            .states
            .get(&i32::from(state))
            .copied()
            .unwrap_or(0);
        gauge!(DOSSIERS, "state" => label).set(count as f64);
    }
    let mut shown = BTreeMap::new();
    for (place, steps) in live.steps() {
        let counts = SHOWN.map(|(standing, _)| steps.standing(standing, now));
        let sum: &mut ([u64; 4], u64) = shown.entry(labels.of(place)).or_default();
        sum.0
            .iter_mut()
            .zip(counts)
            .for_each(|(sum, count)| *sum += count);
        sum.1 += steps.standing(Standing::Overdue, now);
    }
    for (place, missed) in &totals.missed_steps {
        shown.entry(labels.of(place)).or_default().1 += missed;
    }
    for ((procedure, agency), (counts, breaches)) in shown {
        for ((_, status), count) in SHOWN.into_iter().zip(counts) {
            gauge!(STEPS, "procedure" => procedure.clone(), "agency" => agency.clone(), "status" => status)
                .set(count as f64);
        }
        counter!(BREACHES, "procedure" => procedure, "agency" => agency).absolute(breaches);
    }
}

pub(crate) fn lag(
    group: &'static str,
    topic: Topic,
    partitions: &[(i32, u64)],
    oldest: Option<SignedDuration>,
) {
    for (partition, records) in partitions {
        gauge!(LAG_RECORDS, "group" => group, "topic" => topic.label(), "partition" => partition.to_string())
            .set(*records as f64);
    }
    let seconds = oldest.map_or(0.0, |age| age.as_secs_f64().max(0.0));
    gauge!(LAG_SECONDS, "group" => group, "topic" => topic.label()).set(seconds);
}

pub(crate) fn lag_unknown(error: &(dyn std::error::Error + 'static)) {
    warn!(error = %ErrorChain(error), "the lag of the groups cannot be worked out now");
}

const SHOWN: [(Standing, &str); 4] = [
    (Standing::OnTrack, "on_track"),
    (Standing::AtRisk, "at_risk"),
    (Standing::Overdue, "overdue"),
    (Standing::Paused, "paused"),
];

/// The label of each state.
pub(crate) const STATES: [(DossierState, &str); 6] = [
    (DossierState::Open, "open"),
    (DossierState::Held, "held"),
    (DossierState::Completed, "completed"),
    (DossierState::Partial, "partial"),
    (DossierState::Refused, "refused"),
    (DossierState::Withdrawn, "withdrawn"),
];

// === impl Labels ===

impl Labels {
    fn procedure(&self, value: &str) -> String {
        limited(&self.procedures, value, "procedure")
    }

    fn agency(&self, value: &str) -> String {
        limited(&self.agencies, value, "agency")
    }

    fn of(&self, place: &Place) -> (String, String) {
        (
            self.procedure(&place.procedure),
            self.agency(place.agency.as_str()),
        )
    }
}

fn limited(known: &Mutex<BTreeSet<String>>, value: &str, name: &'static str) -> String {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if !known.contains(value) {
        if known.len() >= MOST_VALUES {
            counter!(OTHER_LABELS, "label" => name).increment(1);
            return OTHER.to_owned();
        }
        known.insert(value.to_owned());
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_limited_and_known_ones_stay() {
        let labels = Labels::default();
        for number in 0..MOST_VALUES {
            labels.agency(&format!("agency-{number}"));
        }
        assert_eq!(labels.agency("agency-7"), "agency-7");
        assert_eq!(labels.agency("one-more"), OTHER);
        assert_eq!(labels.procedure("3.000722"), "3.000722");
    }
}
