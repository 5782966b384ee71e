//! One destination's queue and the one controller of what leaves it. No clock, no I/O: instants and
//! answers are arguments.
//!
//! What holds a lane, in this order: an announced outage, an operator's pause, the breaker, the contract
//! rate, the adaptive limit, the destination's Retry-After, the retry plan of each delivery.

mod adaptive;
mod alarm;
mod breaker;
mod closing;
mod hold;
mod line;
mod plan;
mod rate;
mod ruling;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use backoff::RetryPlan;
use calendar::Calendar;
use domain::{DeliveryId, Outage, Rate};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::controls::Controls;
use crate::entry::{Entry, Millis};
use crate::sidelines::Sidelines;

use adaptive::Adaptive;
pub(crate) use alarm::Alarm;
use breaker::{Breaker, Open, Sign};
pub(crate) use breaker::{BreakerRules, Change};
use closing::Announced;
pub(crate) use hold::Hold;
use line::Rank;
pub(crate) use line::{Counts, Line, Standing};
pub(crate) use plan::Forecast;
use rate::ContractRate;
pub(crate) use ruling::Ruling;
use ruling::{Charging, budget, first_query, is_too_late, rule, sign};

/// A destination's undelivered deliveries, and what may be done with them.
#[derive(Debug)]
pub(crate) struct Lane {
    line: Line,
    setup: Setup,
    announced: Announced,
    paused: Option<String>,
    breaker: Breaker,
    rate: ContractRate,
    /// The contract lets none begin before.
    refused_until: Millis,
    limit: Adaptive,
    /// The destination asked to be left alone until then.
    asked_until: Millis,
    /// When an operator last asked for a probe.
    probe_asked: Option<Millis>,
    probe: Option<Probe>,
    last_probe: Option<Rank>,
}

/// How a lane treats its destination.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// Of the destination's working time.
    pub(crate) calendar: Calendar,
    /// When to try again.
    pub(crate) plan: RetryPlan,
    /// How long one attempt may take.
    pub(crate) timeout: Duration,
    /// How many may be in flight at once, at most.
    pub(crate) max_in_flight: usize,
    /// `None`: nobody is called, so nobody can be away.
    pub(crate) breaker: Option<BreakerRules>,
    /// By contract.
    pub(crate) rate: Rate,
    /// By announcement.
    pub(crate) outages: Vec<Outage>,
    /// Whether it takes deliveries in its office hours only.
    pub(crate) office_hours_only: bool,
    /// Whether a repeat has no second effect.
    pub(crate) idempotent: bool,
    /// Whether it can be asked what became of a delivery.
    pub(crate) queryable: bool,
    /// Whether probes need no delivery.
    pub(crate) canary: bool,
}

/// The effect of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The delivery as it stands after the attempt.
    pub(crate) entry: Entry,
    /// What becomes of it.
    pub(crate) ruling: Ruling,
    /// How the breaker changed.
    pub(crate) change: Option<Change>,
    /// Whether no further attempt fits before the deadline, although it has not passed.
    pub(crate) is_too_late: bool,
}

/// What of a lane outlives its process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    breaker: Option<Open>,
    limit: usize,
    asked_until: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Canary,
    Delivery(DeliveryId),
}

// === impl Kept ===

impl Kept {
    /// As the row holds it.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether the difference to another one is not worth a write.
    pub(crate) fn is_near(&self, other: &Self) -> bool {
        let (more, less) = (self.limit.max(other.limit), self.limit.min(other.limit));
        self.breaker == other.breaker && self.asked_until == other.asked_until && more <= 2 * less
    }
}

// === impl Lane ===

impl Lane {
    /// An empty lane.
    pub(crate) fn new(setup: Setup) -> Self {
        let never = BreakerRules::never();
        Self {
            line: Line::default(),
            announced: Announced::new(
                setup.calendar.clone(),
                setup.outages.clone(),
                setup.office_hours_only,
            ),
            paused: None,
            breaker: Breaker::new(setup.breaker.clone().unwrap_or(never)),
            rate: ContractRate::new(setup.rate),
            refused_until: Millis::default(),
            limit: match setup.breaker {
                Some(_) => Adaptive::new(setup.max_in_flight),
                None => Adaptive::fixed(setup.max_in_flight),
            },
            asked_until: Millis::default(),
            probe_asked: None,
            probe: None,
            last_probe: None,
            setup,
        }
    }

    /// Who stands where.
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Takes a delivery in; one that is here already changes nothing.
    pub(crate) fn add(&mut self, entry: Entry, now: Millis) {
        if self.line.add(entry, now) {
            self.plan_alarm(&entry, now);
        }
    }

    /// Remembers a dead letter from before.
    pub(crate) fn add_dead(&mut self, id: DeliveryId, opened_at: Millis) {
        self.line.add_dead(id, opened_at);
    }

    /// Forgets a dead letter that a person gave up.
    pub(crate) fn discard(&mut self, id: DeliveryId, opened_at: Millis) {
        self.line.discard(id, opened_at);
    }

    /// A person says what became of one in doubt; `entry` is how it goes on if it has not arrived.
    pub(crate) fn settled(&mut self, entry: Entry, arrived: bool, now: Millis) {
        self.line.settle(entry, arrived, now);
    }

    /// Goes on as an earlier process left it.
    pub(crate) fn restore(&mut self, kept: Kept) {
        self.breaker.restore(kept.breaker);
        self.asked_until = kept.asked_until;
        if kept.limit > 0 {
            self.limit.restore(kept.limit);
        }
    }

    /// What the next process should know.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            breaker: self.breaker.open().cloned(),
            limit: self.limit.limit(),
            asked_until: self.asked_until,
        }
    }

    /// What operators order, in place of what they ordered before.
    pub(crate) fn control(&mut self, controls: &Controls, now: Millis) {
        self.paused = controls
            .paused
            .as_ref()
            .map(|paused| format!("paused by {}: {}", paused.by, paused.reason));
        let cap = controls.limit.map_or(usize::MAX, |limit| limit as usize);
        self.limit.set_cap(cap.min(self.setup.max_in_flight));
        self.announced.set_windows(controls.windows.clone());
        if controls.probe_asked > self.probe_asked {
            self.probe_asked = controls.probe_asked;
            self.breaker.probe_at_once(now);
        }
    }

    /// What stands aside from now on.
    pub(crate) fn set_sidelines(&mut self, sidelines: Arc<Sidelines>, now: Millis) {
        self.line.set_sidelines(sidelines, now);
    }

    /// Puts as many deliveries in flight as nothing speaks against, most urgent first. With an open
    /// breaker it gives one when its probe is due.
    /// Not more than `most`.
    pub(crate) fn take_at_most(&mut self, most: usize, now: Millis) -> Vec<DeliveryId> {
        self.line.ripen(now);
        if self.is_shut(now) {
            return Vec::new();
        }
        if self.breaker.open().is_some() {
            return self.take_probe(now).into_iter().collect();
        }
        if self.asked_until > now || self.refused_until > now {
            return Vec::new();
        }
        let room = self.limit.limit().saturating_sub(self.line.in_flight());
        let room = room.min(most);
        let mut taken = Vec::new();
        while taken.len() < room && self.line.is_any_ready() {
            if let Err(next) = self.rate.admit(now, &self.setup.calendar) {
                self.refused_until = next;
                break;
            }
            taken.extend(self.line.launch_first());
        }
        taken
    }

    /// Whether the canary should be sent now: the breaker is open and its probe due.
    pub(crate) fn take_canary(&mut self, now: Millis) -> bool {
        let due = self.setup.canary && self.breaker.is_probe_due(now) && !self.is_shut(now);
        if due {
            self.breaker.probe();
            self.probe = Some(Probe::Canary);
        }
        due
    }

    /// What the canary's answer changes.
    pub(crate) fn canary_answered(&mut self, answer: &Answer, now: Millis) -> Option<Change> {
        self.probe = self.probe.filter(|probe| *probe != Probe::Canary);
        let change = self.breaker.attempted(sign(answer), true, answer, now);
        self.changed(change)
    }

    /// Those of unknown outcome about which it is time to ask.
    pub(crate) fn take_queries(&mut self, now: Millis) -> Vec<DeliveryId> {
        if self.setup.queryable && !self.is_shut(now) {
            self.line.take_doubtful(now)
        } else {
            Vec::new()
        }
    }

    /// Nobody could say what became of it: ask again later.
    pub(crate) fn ask_again(&mut self, id: DeliveryId, now: Millis) {
        if let Some(mut landed) = self.line.clear(id) {
            let entry = landed.entry();
            let budget = budget(&self.setup.calendar, entry, now);
            let tries = NonZeroU32::new(entry.tries).unwrap_or(NonZeroU32::MIN);
            let wait = self.setup.plan.wait(tries, budget, None);
            entry.next_at = now.plus(wait);
            landed.doubt(now);
        }
    }

    /// It became known what has become of a delivery in doubt: it has arrived, or is sent again.
    /// `None`: it is not in doubt (any more).
    pub(crate) fn resolve(&mut self, id: DeliveryId, arrived: bool, now: Millis) -> Option<Entry> {
        self.line.resolve(id, arrived, now)
    }

    /// Takes a delivery out of flight that was never sent.
    pub(crate) fn put_back(&mut self, id: DeliveryId, now: Millis) {
        if let Some(landed) = self.line.land(id) {
            landed.again(now);
            self.forget_probe(id);
        }
    }

    /// Goes on without a delivery in flight that cannot be sent at all.
    pub(crate) fn abandon(&mut self, id: DeliveryId, now: Millis) {
        if let Some(landed) = self.line.land(id) {
            landed.remove(now);
            self.forget_probe(id);
        }
    }

    /// Settles an attempt that took so long in real time.
    ///
    /// `None`: no such delivery is in flight; a late answer changes nothing.
    pub(crate) fn answered(
        &mut self,
        id: DeliveryId,
        answer: &Answer,
        took: Duration,
        now: Millis,
    ) -> Option<Settled> {
        let in_flight = self.line.in_flight();
        let is_open = self.breaker.open().is_some();
        let mut landed = self.line.land(id)?;
        let rank = landed.rank();
        let setup = &self.setup;
        let entry = landed.entry();
        let charging = Charging::of(answer.class, is_open);
        entry.tries = entry.tries.saturating_add(1);
        let is_charged = charging == Charging::Charged;
        entry.charged = entry.charged.saturating_add(is_charged.into());
        let ruling = rule(setup, entry, answer, charging, now);
        match ruling {
            Ruling::Again { at } => entry.next_at = at,
            Ruling::Unknown => entry.next_at = first_query(setup, now),
            Ruling::Delivered | Ruling::Dead => {}
        }
        let is_too_late = is_too_late(setup, entry, ruling, now);
        entry.doubtful = ruling == Ruling::Unknown;
        let entry = *entry;
        match ruling {
            Ruling::Again { .. } => landed.again(now),
            Ruling::Unknown => landed.doubt(now),
            Ruling::Delivered => landed.remove(now),
            Ruling::Dead => landed.bury(now),
        }
        let sign = sign(answer);
        self.limit.answered(sign, took, in_flight);
        self.heed(answer, sign, now);
        let is_probe = self.probe == Some(Probe::Delivery(id));
        if is_probe {
            self.probe = None;
            self.last_probe = Some(rank);
        }
        let change = self.breaker.attempted(sign, is_probe, answer, now);
        Some(Settled {
            entry,
            ruling,
            change: self.changed(change),
            is_too_late,
        })
    }

    /// When [`take_at_most`](Self::take_at_most) and its siblings may give something although nothing else happens;
    /// the past is now.
    pub(crate) fn next_wake(&self, now: Millis) -> Option<Millis> {
        let wake = self.next_turn(now).into_iter();
        wake.chain(self.line.next_alarm()).min()
    }

    fn next_turn(&self, now: Millis) -> Option<Millis> {
        let waits = self.line.is_any_ready() || self.line.first_delayed().is_some();
        let asks = self.line.next_doubtful().filter(|_| self.setup.queryable);
        if self.paused.is_some() {
            return None;
        }
        if let Some(closed) = self.announced.closed(now) {
            return (waits || asks.is_some()).then_some(closed.until);
        }
        if self.breaker.open().is_some() {
            let probe = self.breaker.next_probe();
            return probe
                .filter(|_| waits || self.setup.canary)
                .into_iter()
                .chain(asks)
                .min();
        }
        let first = if self.line.is_any_ready() {
            Some(Millis::default())
        } else {
            self.line.first_delayed()
        };
        let free = self.refused_until.max(self.asked_until);
        let has_room = self.line.in_flight() < self.limit.limit();
        let turn = first.filter(|_| has_room).map(|first| first.max(free));
        turn.into_iter().chain(asks).min()
    }

    /// What holds the lane now, if deliveries wait; the first reason in the order of precedence.
    pub(crate) fn hold(&self, now: Millis) -> Option<Hold> {
        if let Some(closed) = self.announced.closed(now) {
            return Some(Hold::Closed(closed));
        }
        if let Some(reason) = &self.paused {
            let reason = reason.clone();
            return Some(Hold::Paused { reason });
        }
        if let Some(open) = self.breaker.open() {
            return Some(Hold::Breaker {
                since: open.since,
                reason: open.reason.clone(),
                next_probe: self.breaker.next_probe(),
            });
        }
        let is_any_due =
            self.line.is_any_ready() || self.line.first_delayed().is_some_and(|at| at <= now);
        if !is_any_due {
            let until = self.line.first_delayed()?;
            return Some(Hold::Waiting { until });
        }
        if self.refused_until > now {
            return Some(Hold::Rate {
                until: self.refused_until,
                contract: self.rate.words(),
            });
        }
        let limit = self.limit.limit();
        if self.line.in_flight() >= limit {
            return Some(Hold::Full { limit });
        }
        let until = self.asked_until;
        (until > now).then_some(Hold::Asked { until })
    }

    /// Of the destination's working time.
    pub(crate) fn calendar(&self) -> &Calendar {
        &self.setup.calendar
    }

    /// How many may be in flight now.
    pub(crate) fn limit(&self) -> usize {
        self.limit.limit()
    }

    /// The attempts to come of a delivery, as long as nothing changes.
    pub(crate) fn forecast(&self, id: DeliveryId, now: Millis) -> Option<Forecast> {
        let entry = self.line.entry(id)?;
        Some(Forecast::of(entry, &self.setup, now))
    }

    /// When to ask about a delivery that has just come into doubt: the destination gets a moment to finish.
    pub(crate) fn first_query(&self, now: Millis) -> Millis {
        first_query(&self.setup, now)
    }

    fn is_shut(&self, now: Millis) -> bool {
        self.paused.is_some() || self.announced.closed(now).is_some()
    }

    fn forget_probe(&mut self, id: DeliveryId) {
        if self.probe == Some(Probe::Delivery(id)) {
            self.probe = None;
            self.breaker.forget_probe();
        }
    }

    /// A destination that asks us to wait means all of us.
    fn heed(&mut self, answer: &Answer, sign: Sign, now: Millis) {
        if sign == Sign::Overloaded && answer.asked.is_some() {
            let until = now.plus(self.setup.plan.granted(answer.asked));
            self.asked_until = self.asked_until.max(until);
        }
    }

    fn changed(&mut self, change: Option<Change>) -> Option<Change> {
        if change == Some(Change::Closed) {
            self.probe = None;
            self.limit.ramp_up();
        }
        change
    }

    fn take_probe(&mut self, now: Millis) -> Option<DeliveryId> {
        if self.setup.canary || !self.breaker.is_probe_due(now) {
            return None;
        }
        let (id, _) = self.line.launch_probe(self.last_probe)?;
        self.breaker.probe();
        self.probe = Some(Probe::Delivery(id));
        Some(id)
    }
}
