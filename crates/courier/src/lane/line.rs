//! Who stands where: slots, the line of each dossier, those that are ready, wait, fly or are in doubt.
//!
//! Of each dossier only the first may be tried. Among dossiers the one with the least remaining legal
//! time goes first; since all of a lane have one calendar, that is the one with the earliest deadline.
//! Nothing that is opened after a delivery's deadline can go before it, so none waits for ever: before
//! it go at most those of the lane that are due no later than it is. Demoted ones go after the others.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use domain::DeliveryId;

use crate::entry::{DossierMark, Entry, Millis};
use crate::sidelines::{Sidelined, Sidelines};

/// The undelivered deliveries of a lane.
#[derive(Debug, Default)]
pub(crate) struct Line {
    nodes: Vec<Node>,
    free: Vec<u32>,
    slots: HashMap<DeliveryId, u32>,
    heads: HashMap<DossierMark, u32>,
    ready: BTreeSet<Rank>,
    delayed: BTreeSet<(Millis, u32)>,
    /// Those in doubt, by when to ask about them; [`Millis::MAX`] is never.
    doubtful: BTreeSet<(Millis, u32)>,
    /// When to announce how much of a budget is used.
    alarms: BTreeSet<(Millis, u32)>,
    in_flight: usize,
    dead: BTreeSet<(Millis, DeliveryId)>,
    sidelines: Arc<Sidelines>,
}

/// A slot.
#[derive(Clone, Copy, Debug)]
struct Node {
    entry: Entry,
    standing: Standing,
    demoted: bool,
    /// Until when it is delayed.
    until: Millis,
    /// When its next alarm is; [`Millis::MAX`] is never.
    alarm: Millis,
    /// The next one of the same dossier.
    next: Option<u32>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The slot is empty.
    Free,
    /// Behind another one of its dossier.
    Behind,
    /// Its turn comes.
    Ready,
    /// Waits for its next attempt.
    Delayed,
    /// An attempt is on its way.
    InFlight,
    /// Nobody knows whether the destination has it.
    Doubtful,
}

/// The order among dossiers: the earliest deadline first, then the place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    demoted: bool,
    due_at: Millis,
    offset: i64,
    slot: u32,
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
    /// Nobody knows whether the destination has them.
    pub(crate) unknown: usize,
    pub(crate) dead: usize,
}

// === impl Line ===

impl Line {
    /// Takes a delivery in; one that is here already changes nothing.
    pub(crate) fn add(&mut self, entry: Entry, now: Millis) -> bool {
        if self.slots.contains_key(&entry.id) {
            return false;
        }
        self.dead.remove(&(entry.opened_at, entry.id));
        let slot = self.occupy(entry);
        self.slots.insert(entry.id, slot);
        self.line_up(slot, now);
        true
    }

    /// Remembers a dead letter from before.
    pub(crate) fn add_dead(&mut self, id: DeliveryId, opened_at: Millis) {
        self.dead.insert((opened_at, id));
    }

    /// Forgets a dead letter that a person gave up.
    pub(crate) fn discard(&mut self, id: DeliveryId, opened_at: Millis) {
        self.dead.remove(&(opened_at, id));
    }

    /// The delivery of that id, unless it has ended.
    pub(crate) fn entry(&self, id: DeliveryId) -> Option<&Entry> {
        let slot = *self.slots.get(&id)?;
        Some(&self.nodes[slot as usize].entry)
    }

    /// How that delivery stands.
    pub(crate) fn standing(&self, id: DeliveryId) -> Option<Standing> {
        let slot = *self.slots.get(&id)?;
        Some(self.nodes[slot as usize].standing)
    }

    /// What will be taken next, most urgent first.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = &Entry> {
        let nodes = &self.nodes;
        let entry = |rank: &Rank| &nodes[rank.slot as usize].entry;
        self.ready.iter().map(entry)
    }

    /// How many deliveries stand how.
    pub(crate) fn counts(&self) -> Counts {
        let (queued, delayed) = (self.ready.len(), self.delayed.len());
        let unknown = self.doubtful.len();
        Counts {
            queued,
            in_flight: self.in_flight,
            delayed,
            behind: self.slots.len() - queued - delayed - unknown - self.in_flight,
            unknown,
            dead: self.dead.len(),
        }
    }

    /// What stands aside from now on, in place of what did before.
    pub(crate) fn set_sidelines(&mut self, sidelines: Arc<Sidelines>, now: Millis) {
        self.sidelines = sidelines;
        let ready = self.ready.iter().map(|rank| rank.slot);
        let waiting: Vec<u32> = ready
            .chain(self.delayed.iter().map(|(_, slot)| *slot))
            .collect();
        for slot in waiting {
            self.withdraw(slot);
            self.promote(slot, now);
        }
    }

    fn sidelined(&self, slot: u32, now: Millis) -> Option<Sidelined> {
        let Entry { dossier, marks, .. } = self.nodes[slot as usize].entry;
        self.sidelines
            .of(dossier, marks.procedure, marks.sender, now)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// When the oldest delivery that has not arrived was opened, dead letters included.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        let taken = |node: &&Node| node.standing != Standing::Free;
        let waiting = self.nodes.iter().filter(taken);
        let dead = self.dead.first().map(|(opened_at, _)| *opened_at);
        waiting.map(|node| node.entry.opened_at).chain(dead).min()
    }

    /// Moves those whose time has come to the ready ones.
    pub(super) fn ripen(&mut self, now: Millis) {
        while let Some((at, slot)) = self.delayed.first().copied() {
            if at > now {
                break;
            }
            self.delayed.pop_first();
            self.promote(slot, now);
        }
    }

    /// The most urgent ready one, put in flight.
    pub(super) fn launch_first(&mut self) -> Option<DeliveryId> {
        let rank = self.ready.pop_first()?;
        Some(self.launch(rank.slot))
    }

    /// The one that stands behind `last`, put in flight for a probe; after the last one the first
    /// again. So one that can never succeed does not keep its lane shut.
    pub(super) fn launch_probe(&mut self, last: Option<Rank>) -> Option<(DeliveryId, Rank)> {
        let behind = last.and_then(|last| {
            let mut behind = self.ready.range((Bound::Excluded(last), Bound::Unbounded));
            behind.next().copied()
        });
        let ready = behind.or_else(|| self.ready.first().copied());
        let delayed = || self.delayed.first().map(|(_, slot)| *slot);
        let slot = ready.map(|rank| rank.slot).or_else(delayed)?;
        let rank = self.node(slot).rank(slot);
        self.withdraw(slot);
        Some((self.launch(slot), rank))
    }

    pub(super) fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn first_delayed(&self) -> Option<Millis> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// Takes one out of flight; `None`: it is not in flight.
    pub(super) fn land(&mut self, id: DeliveryId) -> Option<Landed<'_>> {
        let slot = *self.slots.get(&id)?;
        if self.nodes[slot as usize].standing != Standing::InFlight {
            return None;
        }
        self.in_flight -= 1;
        self.node(slot).standing = Standing::Behind;
        Some(Landed { line: self, slot })
    }

    /// Takes one out of doubt; `None`: it is not in doubt.
    pub(super) fn clear(&mut self, id: DeliveryId) -> Option<Landed<'_>> {
        let slot = *self.slots.get(&id)?;
        let node = self.nodes[slot as usize];
        if node.standing != Standing::Doubtful {
            return None;
        }
        self.doubtful.remove(&(node.entry.next_at, slot));
        Some(Landed { line: self, slot })
    }

    /// One in doubt has arrived, or goes on as if it had not been tried. `None`: it is not in doubt.
    pub(crate) fn resolve(&mut self, id: DeliveryId, arrived: bool, now: Millis) -> Option<Entry> {
        let mut landed = self.clear(id)?;
        let entry = landed.entry();
        entry.doubtful = false;
        entry.next_at = Millis::default();
        let entry = *entry;
        if arrived {
            landed.remove(now);
        } else {
            landed.again(now);
        }
        Some(entry)
    }

    /// As [`resolve`](Self::resolve); one that has not arrived and is not here comes in.
    pub(crate) fn settle(&mut self, entry: Entry, arrived: bool, now: Millis) {
        let was_here = self.resolve(entry.id, arrived, now).is_some();
        if !was_here && !arrived {
            self.add(entry, now);
        }
    }

    /// Those in doubt about which it is time to ask. They are asked about again only after
    /// [`Landed::doubt`].
    pub(super) fn take_doubtful(&mut self, now: Millis) -> Vec<DeliveryId> {
        let due = self.doubtful.range(..=(now, u32::MAX));
        let due: Vec<(Millis, u32)> = due.copied().collect();
        let mut taken = Vec::with_capacity(due.len());
        for (at, slot) in due {
            self.doubtful.remove(&(at, slot));
            self.doubtful.insert((Millis::MAX, slot));
            let entry = &mut self.node(slot).entry;
            entry.next_at = Millis::MAX;
            taken.push(entry.id);
        }
        taken
    }

    pub(super) fn next_doubtful(&self) -> Option<Millis> {
        let first = self.doubtful.first().map(|(at, _)| *at);
        first.filter(|at| *at < Millis::MAX)
    }

    /// Sets when the next alarm of a delivery is.
    pub(super) fn set_alarm(&mut self, id: DeliveryId, at: Option<Millis>, announced: u8) {
        let Some(slot) = self.slots.get(&id).copied() else {
            return;
        };
        let old = self.node(slot).alarm;
        self.alarms.remove(&(old, slot));
        let node = self.node(slot);
        node.alarm = at.unwrap_or(Millis::MAX);
        node.entry.announced = announced;
        if let Some(at) = at {
            self.alarms.insert((at, slot));
        }
    }

    /// The first alarm that is due.
    pub(super) fn due_alarm(&self, now: Millis) -> Option<Entry> {
        let (at, slot) = self.alarms.first().copied()?;
        (at <= now).then(|| self.nodes[slot as usize].entry)
    }

    pub(super) fn next_alarm(&self) -> Option<Millis> {
        self.alarms.first().map(|(at, _)| *at)
    }

    fn node(&mut self, slot: u32) -> &mut Node {
        &mut self.nodes[slot as usize]
    }

    fn occupy(&mut self, entry: Entry) -> u32 {
        let node = Node {
            entry,
            standing: Standing::Behind,
            demoted: false,
            until: Millis::default(),
            alarm: Millis::MAX,
            next: None,
        };
        if let Some(slot) = self.free.pop() {
            *self.node(slot) = node;
            return slot;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("fewer than four thousand million deliveries")
    }

    /// Gives a new one its place in the line of its dossier.
    fn line_up(&mut self, slot: u32, now: Millis) {
        let Entry { dossier, place, .. } = self.node(slot).entry;
        let Some(&head) = self.heads.get(&dossier) else {
            self.heads.insert(dossier, slot);
            return self.promote(slot, now);
        };
        let first = *self.node(head);
        let is_fixed = matches!(first.standing, Standing::InFlight | Standing::Doubtful);
        if place < first.entry.place && !is_fixed {
            self.withdraw(head);
            self.node(head).standing = Standing::Behind;
            self.node(slot).next = Some(head);
            self.heads.insert(dossier, slot);
            return self.promote(slot, now);
        }
        let mut before = head;
        while let Some(next) = self.node(before).next {
            if place < self.node(next).entry.place {
                break;
            }
            before = next;
        }
        self.node(slot).next = self.node(before).next;
        self.node(before).next = Some(slot);
    }

    /// Lets the first of a dossier wait for its turn, its time or an answer about it.
    fn promote(&mut self, slot: u32, now: Millis) {
        let Entry { next_at, .. } = self.node(slot).entry;
        let (at, demoted) = match self.sidelined(slot, now) {
            Some(Sidelined::Hold { until }) => (next_at.max(until), false),
            Some(Sidelined::Demote { .. }) => (next_at, true),
            None => (next_at, false),
        };
        let node = self.node(slot);
        node.demoted = demoted;
        node.until = at;
        if node.entry.doubtful {
            node.standing = Standing::Doubtful;
            self.doubtful.insert((next_at, slot));
        } else if at > now {
            node.standing = Standing::Delayed;
            self.delayed.insert((at, slot));
        } else {
            node.standing = Standing::Ready;
            let rank = node.rank(slot);
            self.ready.insert(rank);
        }
    }

    /// Takes the first of a dossier out of the ready or the delayed.
    fn withdraw(&mut self, slot: u32) {
        let node = *self.node(slot);
        self.ready.remove(&node.rank(slot));
        self.delayed.remove(&(node.until, slot));
    }

    fn launch(&mut self, slot: u32) -> DeliveryId {
        self.in_flight += 1;
        let node = self.node(slot);
        node.standing = Standing::InFlight;
        node.entry.id
    }

    /// Ends the first of a dossier, which has landed; the next one of the dossier steps forward.
    fn remove(&mut self, slot: u32, now: Millis) {
        let node = *self.node(slot);
        self.node(slot).standing = Standing::Free;
        self.free.push(slot);
        self.slots.remove(&node.entry.id);
        self.alarms.remove(&(node.alarm, slot));
        match node.next {
            Some(next) => {
                self.heads.insert(node.entry.dossier, next);
                self.promote(next, now);
            }
            None => {
                self.heads.remove(&node.entry.dossier);
            }
        }
        self.shrink();
    }

    /// Gives memory back after a backlog.
    fn shrink(&mut self) {
        const WORTH_IT: usize = 4096;
        if self.slots.is_empty() && self.nodes.capacity() > WORTH_IT {
            self.nodes = Vec::new();
            self.free = Vec::new();
            self.slots.shrink_to_fit();
            self.heads.shrink_to_fit();
        }
    }
}

/// One that has come out of flight or out of doubt and needs a new place.
pub(super) struct Landed<'a> {
    line: &'a mut Line,
    slot: u32,
}

// === impl Landed ===

impl Landed<'_> {
    pub(super) fn entry(&mut self) -> &mut Entry {
        &mut self.line.node(self.slot).entry
    }

    pub(super) fn rank(&mut self) -> Rank {
        let slot = self.slot;
        self.line.node(slot).rank(slot)
    }

    /// It is tried again when its time has come.
    pub(super) fn again(mut self, now: Millis) {
        self.entry().doubtful = false;
        self.line.promote(self.slot, now);
    }

    /// It has arrived, or cannot be sent.
    pub(super) fn remove(self, now: Millis) {
        self.line.remove(self.slot, now);
    }

    /// It needs a person.
    pub(super) fn bury(mut self, now: Millis) {
        let Entry { opened_at, id, .. } = *self.entry();
        self.line.remove(self.slot, now);
        self.line.dead.insert((opened_at, id));
    }

    /// Nobody knows; ask at its time.
    pub(super) fn doubt(mut self, now: Millis) {
        self.entry().doubtful = true;
        self.line.promote(self.slot, now);
    }
}

// === impl Node ===

impl Node {
    fn rank(&self, slot: u32) -> Rank {
        Rank {
            demoted: self.demoted,
            due_at: self.entry.due_at,
            offset: self.entry.place.offset,
            slot,
        }
    }
}
