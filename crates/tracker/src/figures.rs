//! Counts over all dossiers. Each dossier has a [`Share`] in them, a pure function of its state; a
//! change takes the old share out and puts the new one in, so that the figures are always the sum
//! over all dossiers.
//!
//! [`Totals`] are kept in rows that are written in the transaction of the dossiers themselves: exact
//! after any crash, and no scan at the start. [`Live`] is rebuilt at the start from the dossiers that
//! are not at rest.

use std::collections::{BTreeMap, BTreeSet};

use domain::{AgencyId, DestinationId, StepId};
use jiff::{SignedDuration, Timestamp};
use proto::v1::{DeliveryState, DossierState};

use crate::{
    deadline::{Deadline, LegalClock, Standing},
    histogram::Histogram,
    state::State,
};

/// What one dossier adds to the figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// How it stands; `None` before its first record.
    pub(crate) state: Option<DossierState>,
    pub(crate) deadline: Deadline,
    pub(crate) deliveries: Vec<DeliveryShare>,
    pub(crate) steps: Vec<StepShare>,
}

/// One delivery's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryShare {
    destination: DestinationId,
    state: DeliveryState,
    attempts: u32,
    opened_at: Option<Timestamp>,
    /// From opening to arrival, in microseconds.
    latency: Option<u64>,
}

/// One open or ended step's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepShare {
    pub(crate) step: StepId,
    pub(crate) place: Place,
    pub(crate) deadline: Deadline,
    pub(crate) opened_at: Timestamp,
}

/// Whose work it is: the base code of the procedure and the agency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) procedure: String,
    pub(crate) agency: AgencyId,
}

/// Sums that are kept in rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) all: All,
    pub(crate) destinations: BTreeMap<DestinationId, DestinationTotals>,
    /// Steps that ended after their deadline.
    pub(crate) missed_steps: BTreeMap<Place, u64>,
}

/// Sums over everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct All {
    /// Distinct events on the timelines.
    pub(crate) events: u64,
    /// Dossiers by [`DossierState`].
    pub(crate) states: BTreeMap<i32, u64>,
    /// Dossiers that ended in time.
    pub(crate) met: u64,
    /// Dossiers that ended after their deadline.
    pub(crate) missed: u64,
}

/// One destination's sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DestinationTotals {
    pub(crate) pending: u64,
    pub(crate) delivered: u64,
    pub(crate) dead: u64,
    pub(crate) attempts: u64,
    pub(crate) latency: Histogram,
}

/// What time moves: kept in memory alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    dossiers: OpenDeadlines,
    /// Opening times of pending deliveries.
    pending: BTreeMap<DestinationId, BTreeMap<Timestamp, u32>>,
    steps: BTreeMap<Place, OpenDeadlines>,
}

/// Deadlines that are not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenDeadlines {
    paused: u64,
    /// By deadline and the instant from which it is at risk.
    running: BTreeMap<(Timestamp, Timestamp), u32>,
}

/// The rows of [`Totals`] that a batch touches.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    pub(crate) destinations: BTreeSet<DestinationId>,
    pub(crate) places: BTreeSet<Place>,
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

// === impl Share ===

impl Share {
    pub(crate) fn of(state: &State) -> Self {
        let procedure = state
            .named
            .as_ref()
            .map(|named| named.procedure.base().to_owned());
        let steps = state.steps.iter().filter_map(|(id, step)| {
            let opened = step.opened.as_ref()?;
            let procedure = procedure.clone().unwrap_or_default();
            Some(StepShare {
                step: id.clone(),
                place: Place {
                    procedure,
                    agency: opened.agency.clone(),
                },
                deadline: step.deadline,
                opened_at: opened.at,
            })
        });
        let deliveries = state.handovers().map(|(_, handover)| DeliveryShare {
            destination: handover.destination.clone(),
            state: handover.state,
            attempts: handover.attempts,
            opened_at: handover.opened_at,
            latency: handover
                .opened_at
                .zip(handover.delivered_at)
                .map(micros_between),
        });
        Self {
            state: Some(state.standing()),
            deadline: state.deadline,
            deliveries: deliveries.collect(),
            steps: steps.collect(),
        }
    }

    /// How long the steps took that `self` calls ended and `before` did not.
    pub(crate) fn ended_since<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (&'a Place, SignedDuration)> {
        self.steps.iter().filter_map(|step| {
            let ended_at = step.deadline.ended_at?;
            let known = before.steps.iter().find(|old| old.step == step.step);
            let is_new = known.is_none_or(|old| old.deadline.ended_at.is_none());
            is_new.then(|| (&step.place, ended_at.duration_since(step.opened_at)))
        })
    }
}

fn micros_between((from, to): (Timestamp, Timestamp)) -> u64 {
    u64::try_from(to.duration_since(from).as_micros()).unwrap_or(0)
}

// === impl Totals ===

impl Totals {
    /// Takes `before` out and puts `after` in.
    pub(crate) fn change(&mut self, before: &Share, after: &Share) {
        self.count(before, Sign::Minus);
        self.count(after, Sign::Plus);
    }

    fn count(&mut self, share: &Share, sign: Sign) {
        let Some(state) = share.state else { return };
        sign.apply(self.all.states.entry(state.into()).or_default(), 1);
        match share.deadline.clock {
            LegalClock::Met => sign.apply(&mut self.all.met, 1),
            LegalClock::Missed => sign.apply(&mut self.all.missed, 1),
            LegalClock::Unknown | LegalClock::Running | LegalClock::Paused => {}
        }
        for delivery in &share.deliveries {
            let totals = entry(&mut self.destinations, &delivery.destination);
            totals.count(delivery, sign);
        }
        for step in share
            .steps
            .iter()
            .filter(|s| s.deadline.clock == LegalClock::Missed)
        {
            sign.apply(entry(&mut self.missed_steps, &step.place), 1);
        }
    }
}

// === impl DestinationTotals ===

impl DestinationTotals {
    fn count(&mut self, delivery: &DeliveryShare, sign: Sign) {
        let state = match delivery.state {
            DeliveryState::Delivered => &mut self.delivered,
            DeliveryState::Dead => &mut self.dead,
            DeliveryState::Pending | DeliveryState::Unspecified => &mut self.pending,
        };
        sign.apply(state, 1);
        sign.apply(&mut self.attempts, delivery.attempts.into());
        match (delivery.latency, sign) {
            (Some(latency), Sign::Plus) => self.latency.add(latency),
            (Some(latency), Sign::Minus) => self.latency.remove(latency),
            (None, _) => {}
        }
    }
}

// === impl Live ===

impl Live {
    /// Takes `before` out and puts `after` in.
    pub(crate) fn change(&mut self, before: &Share, after: &Share) {
        self.count(before, Sign::Minus);
        self.count(after, Sign::Plus);
    }

    /// Open dossiers past their deadline.
    pub(crate) fn overdue_dossiers(&self, now: Timestamp) -> u64 {
        self.dossiers.overdue(now)
    }

    /// When a destination's oldest pending delivery was opened.
    pub(crate) fn oldest_pending(&self, destination: &DestinationId) -> Option<Timestamp> {
        self.pending
            .get(destination)?
            .first_key_value()
            .map(|(at, _)| *at)
    }

    /// Places with the deadlines of their open steps; a place stays once it was seen.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&Place, &OpenDeadlines)> {
        self.steps.iter()
    }

    fn count(&mut self, share: &Share, sign: Sign) {
        if share.state.is_none() {
            return;
        }
        self.dossiers.count(&share.deadline, sign);
        for delivery in &share.deliveries {
            if let (DeliveryState::Pending, Some(at)) = (delivery.state, delivery.opened_at) {
                sign.apply_in(entry(&mut self.pending, &delivery.destination), at);
            }
        }
        for step in &share.steps {
            entry(&mut self.steps, &step.place).count(&step.deadline, sign);
        }
    }
}

// === impl OpenDeadlines ===

impl OpenDeadlines {
    /// How many stand so now: on track, at risk, overdue or paused.
    pub(crate) fn standing(&self, standing: Standing, now: Timestamp) -> u64 {
        let count = |matches: &dyn Fn(Timestamp, Timestamp) -> bool| {
            let matching = self
                .running
                .iter()
                .filter(|((due, risk), _)| matches(*due, *risk));
            matching.map(|(_, count)| u64::from(*count)).sum()
        };
        match standing {
            Standing::Paused => self.paused,
            Standing::Overdue => self.overdue(now),
            Standing::AtRisk => count(&|due, risk| now <= due && now > risk),
            Standing::OnTrack => count(&|due, risk| now <= due && now <= risk),
            Standing::Unknown | Standing::Met | Standing::Missed => 0,
        }
    }

    fn overdue(&self, now: Timestamp) -> u64 {
        let passed = self.running.range(..(now, Timestamp::MIN));
        passed.map(|(_, count)| u64::from(*count)).sum()
    }

    fn count(&mut self, deadline: &Deadline, sign: Sign) {
        match deadline {
            Deadline {
                clock: LegalClock::Paused,
                ..
            } => sign.apply(&mut self.paused, 1),
            Deadline {
                clock: LegalClock::Running,
                due_at: Some(due),
                risk_at,
                ..
            } => {
                sign.apply_in(&mut self.running, (*due, risk_at.unwrap_or(*due)));
            }
            _ => {}
        }
    }
}

// === impl Touched ===

impl Touched {
    /// Notes the rows that a change from `before` to `after` touches.
    pub(crate) fn note(&mut self, before: &Share, after: &Share) {
        if before.deliveries != after.deliveries {
            let both = before.deliveries.iter().chain(&after.deliveries);
            self.destinations
                .extend(both.map(|delivery| delivery.destination.clone()));
        }
        if before.steps != after.steps {
            let both = before.steps.iter().chain(&after.steps);
            let missed = both.filter(|step| step.deadline.clock == LegalClock::Missed);
            self.places.extend(missed.map(|step| step.place.clone()));
        }
    }
}

// === impl Sign ===

impl Sign {
    fn apply(self, count: &mut u64, by: u64) {
        *count = match self {
            Self::Plus => count.saturating_add(by),
            Self::Minus => count.saturating_sub(by),
        };
    }

    /// Counts in a set of counted keys, which holds no zeros.
    fn apply_in<K: Ord>(self, counts: &mut BTreeMap<K, u32>, key: K) {
        match self {
            Self::Plus => *counts.entry(key).or_default() += 1,
            Self::Minus => {
                if let Some(count) = counts.get_mut(&key) {
                    *count -= 1;
                    if *count == 0 {
                        counts.remove(&key);
                    }
                }
            }
        }
    }
}

/// As `entry(key.clone()).or_default()`, cloning only a new key.
fn entry<'a, K: Ord + Clone, V: Default>(map: &'a mut BTreeMap<K, V>, key: &K) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.clone(), V::default());
    }
    map.get_mut(key)
        .expect("it was inserted above if it was missing")
}
