//! One destination's queue. No clock, no I/O: instants and answers are arguments.
//!
//! Of each dossier only the first undelivered delivery may be tried. Among dossiers the one with the
//! least remaining legal time goes first.

mod order;
mod rest;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use backoff::RetryPlan;
use domain::{AttemptClass, DeliveryId};

use crate::answer::Answer;
use crate::entry::{DossierMark, Entry, Millis};

use order::{Node, Rank};
pub(crate) use rest::{Rest, Resting};

/// A destination's undelivered deliveries.
#[derive(Debug)]
pub(crate) struct Lane {
    limits: Limits,
    nodes: Vec<Node>,
    free: Vec<u32>,
    slots: HashMap<DeliveryId, u32>,
    heads: HashMap<DossierMark, u32>,
    ready: BTreeSet<Rank>,
    delayed: BTreeSet<(Millis, u32)>,
    in_flight: usize,
    dead: BTreeSet<(Millis, DeliveryId)>,
    blames: u32,
    rest: Option<Rest>,
}

/// How a lane treats its destination.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How many may be in flight at once.
    pub(crate) max_in_flight: usize,
    /// The lane rests after so many attempts in a row that blame the destination.
    pub(crate) rest_after: u32,
    /// The wait before the first probe.
    pub(crate) first_rest: Duration,
    /// The longest wait between probes.
    pub(crate) longest_rest: Duration,
}

/// What becomes of a delivery after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// It has arrived.
    Delivered,
    /// It is tried again.
    Again {
        /// Not before.
        at: Millis,
    },
    /// It needs a person.
    Dead,
}

/// The effect of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The delivery as it stands after the attempt.
    pub(crate) entry: Entry,
    /// What becomes of it.
    pub(crate) ruling: Ruling,
    /// How the lane itself changed.
    pub(crate) change: Option<Change>,
}

/// A lane began or ended a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It holds everything from now on and probes.
    Rests,
    /// It works again.
    Opens,
}

/// How many deliveries stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) queued: usize,
    pub(crate) in_flight: usize,
    /// Wait for their next attempt.
    pub(crate) delayed: usize,
    /// Wait behind another of their dossier.
    pub(crate) behind: usize,
    pub(crate) dead: usize,
}

// === impl Lane ===

impl Lane {
    /// An empty lane.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            nodes: Vec::new(),
            free: Vec::new(),
            slots: HashMap::new(),
            heads: HashMap::new(),
            ready: BTreeSet::new(),
            delayed: BTreeSet::new(),
            in_flight: 0,
            dead: BTreeSet::new(),
            blames: 0,
            rest: None,
        }
    }

    /// A lane that holds everything for good.
    pub(crate) fn closed(reason: String) -> Self {
        let mut lane = Self::new(Limits {
            max_in_flight: 0,
            rest_after: 1,
            first_rest: Duration::MAX,
            longest_rest: Duration::MAX,
        });
        lane.rest = Some(Rest::forever(reason));
        lane
    }

    /// Takes a delivery in; one that is here already changes nothing.
    pub(crate) fn add(&mut self, entry: Entry, now: Millis) {
        if self.slots.contains_key(&entry.id) {
            return;
        }
        self.dead.remove(&(entry.opened_at, entry.id));
        let slot = self.occupy(entry);
        self.slots.insert(entry.id, slot);
        self.line_up(slot, now);
    }

    /// Remembers a dead letter from before.
    pub(crate) fn add_dead(&mut self, id: DeliveryId, opened_at: Millis) {
        self.dead.insert((opened_at, id));
    }

    /// A person ended a dead letter.
    pub(crate) fn forget_dead(&mut self, id: DeliveryId, opened_at: Millis) {
        self.dead.remove(&(opened_at, id));
    }

    /// Puts as many deliveries in flight as there is room for, most urgent first. A resting lane
    /// gives one when its probe is due.
    pub(crate) fn take(&mut self, now: Millis) -> Vec<DeliveryId> {
        self.ripen(now);
        if self.rest.is_some() {
            return self.take_probe(now).into_iter().collect();
        }
        let room = self.limits.max_in_flight.saturating_sub(self.in_flight);
        let mut taken = Vec::with_capacity(room.min(self.ready.len()));
        while taken.len() < room {
            let Some(rank) = self.ready.pop_first() else {
                break;
            };
            taken.push(self.launch(rank.slot));
        }
        taken
    }

    /// Takes a delivery out of flight that was never sent.
    pub(crate) fn put_back(&mut self, id: DeliveryId, now: Millis) {
        if let Some(slot) = self.flying(id) {
            self.land(slot);
            self.promote(slot, now);
            if let Some(rest) = &mut self.rest {
                rest.forget_probe(slot);
            }
        }
    }

    /// Goes on without a delivery in flight that cannot be sent at all.
    pub(crate) fn abandon(&mut self, id: DeliveryId, now: Millis) {
        if let Some(slot) = self.flying(id) {
            self.land(slot);
            self.remove(slot, now);
            if let Some(rest) = &mut self.rest {
                rest.forget_probe(slot);
            }
        }
    }

    /// Whether that delivery is in flight.
    pub(crate) fn is_in_flight(&self, id: DeliveryId) -> bool {
        self.flying(id).is_some()
    }

    /// Settles an attempt. `budget` is the working time left until the delivery's deadline.
    ///
    /// `None`: no such delivery is in flight; a late answer changes nothing.
    pub(crate) fn answered(
        &mut self,
        id: DeliveryId,
        answer: &Answer,
        now: Millis,
        budget: Duration,
        plan: &RetryPlan,
    ) -> Option<Settled> {
        let slot = self.flying(id)?;
        self.land(slot);
        let counts = counts(answer.class) && self.rest.is_none();
        let entry = &mut self.node(slot).entry;
        entry.tries = entry.tries.saturating_add(1);
        entry.charged = entry.charged.saturating_add(counts.into());
        let ruling = rule(entry, answer, counts, now, budget, plan);
        if let Ruling::Again { at } = ruling {
            entry.next_at = at;
        }
        let entry = *entry;
        let change = self.blame(slot, answer, now);
        match ruling {
            Ruling::Again { .. } => self.promote(slot, now),
            Ruling::Delivered => self.remove(slot, now),
            Ruling::Dead => {
                self.remove(slot, now);
                self.dead.insert((entry.opened_at, id));
            }
        }
        Some(Settled {
            entry,
            ruling,
            change,
        })
    }

    /// When [`take`](Self::take) may give something although nothing else happens; the past is now.
    pub(crate) fn next_wake(&self) -> Option<Millis> {
        let delayed = self.delayed.first().map(|(at, _)| *at);
        if let Some(rest) = &self.rest {
            let waits = !self.ready.is_empty() || delayed.is_some();
            return rest.next_probe().filter(|_| waits);
        }
        let room = self.in_flight < self.limits.max_in_flight;
        let first = if self.ready.is_empty() {
            delayed
        } else {
            Some(Millis::default())
        };
        first.filter(|_| room)
    }

    /// The delivery of that id, unless it has ended.
    pub(crate) fn entry(&self, id: DeliveryId) -> Option<&Entry> {
        let slot = *self.slots.get(&id)?;
        Some(&self.nodes[slot as usize].entry)
    }

    /// What will be taken next, most urgent first.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = &Entry> {
        let nodes = &self.nodes;
        self.ready
            .iter()
            .map(|rank| &nodes[rank.slot as usize].entry)
    }

    /// Why the lane rests, if it does.
    pub(crate) fn resting(&self) -> Option<Resting<'_>> {
        self.rest.as_ref().map(Rest::shown)
    }

    /// How many deliveries stand how.
    pub(crate) fn counts(&self) -> Counts {
        let (queued, delayed) = (self.ready.len(), self.delayed.len());
        Counts {
            queued,
            in_flight: self.in_flight,
            delayed,
            behind: self.slots.len() - queued - delayed - self.in_flight,
            dead: self.dead.len(),
        }
    }

    /// When the oldest delivery that has not arrived was opened, dead letters included.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        let waiting = self.nodes.iter().filter(|node| node.standing.is_taken());
        let dead = self.dead.first().map(|(opened_at, _)| *opened_at);
        waiting.map(|node| node.entry.opened_at).chain(dead).min()
    }

    /// Counts the blame of an answer and lets the lane rest or work accordingly.
    fn blame(&mut self, slot: u32, answer: &Answer, now: Millis) -> Option<Change> {
        let vindicates = answer.class.is_success() || answer.class == AttemptClass::Permanent;
        if vindicates {
            self.blames = 0;
            return self.rest.take().map(|_| Change::Opens);
        }
        if let Some(rest) = &mut self.rest {
            rest.failed(slot, answer, now, self.limits.longest_rest);
            return None;
        }
        if !answer.class.blames_destination() {
            self.blames = 0;
            return None;
        }
        self.blames += 1;
        if self.blames < self.limits.rest_after {
            return None;
        }
        let until = now.plus(self.limits.first_rest);
        self.rest = Some(Rest::after(
            self.blames,
            answer,
            until,
            self.limits.first_rest,
        ));
        Some(Change::Rests)
    }

    fn take_probe(&mut self, now: Millis) -> Option<DeliveryId> {
        let rest = self.rest.as_mut().filter(|rest| rest.is_due(now))?;
        let slot = rest
            .next_candidate(&self.ready)
            .map(|rank| rank.slot)
            .or_else(|| self.delayed.first().map(|(_, slot)| *slot))?;
        rest.probe_with(self.nodes[slot as usize].rank(slot));
        self.withdraw(slot);
        Some(self.launch(slot))
    }
}

/// Whether an attempt counts against the retry plan: it reached the destination and failed there.
fn counts(class: AttemptClass) -> bool {
    match class {
        AttemptClass::Retryable
        | AttemptClass::Timeout
        | AttemptClass::OutOfOrder
        | AttemptClass::Unclear => true,
        AttemptClass::Unreachable | AttemptClass::Blocked => false,
        AttemptClass::Accepted
        | AttemptClass::Duplicate
        | AttemptClass::Permanent
        | AttemptClass::NeedsPerson => false,
    }
}

fn rule(
    entry: &Entry,
    answer: &Answer,
    counted: bool,
    now: Millis,
    budget: Duration,
    plan: &RetryPlan,
) -> Ruling {
    if answer.class.is_success() {
        return Ruling::Delivered;
    }
    if matches!(
        answer.class,
        AttemptClass::Permanent | AttemptClass::NeedsPerson
    ) {
        return Ruling::Dead;
    }
    let number = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    let wait = if counted {
        plan.wait_after(number(entry.charged), budget, answer.asked)
    } else if answer.class == AttemptClass::Unreachable {
        // The lane itself rests while nobody answers; the delivery need not be slowed as well.
        Some(plan.wait(NonZeroU32::MIN, budget, answer.asked))
    } else {
        Some(plan.wait(number(entry.tries), budget, answer.asked))
    };
    let Some(wait) = wait else {
        return Ruling::Dead;
    };
    let seed = backoff::seed(entry.id.as_bytes(), entry.tries);
    let wait = backoff::jittered(wait, seed).max(plan.granted(answer.asked));
    Ruling::Again { at: now.plus(wait) }
}
