//! Who stands where: slots, the line of each dossier, the ready and the delayed.

use domain::DeliveryId;

use super::Lane;
use crate::entry::{Entry, Millis};

/// A slot of the lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) entry: Entry,
    pub(super) standing: Standing,
    /// The next one of the same dossier.
    next: Option<u32>,
}

/// Where a delivery stands in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The slot is empty.
    Free,
    /// Behind another one of its dossier.
    Behind,
    Ready,
    Delayed,
    InFlight,
}

/// The order among dossiers: the earliest deadline first, then the place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    due_at: Millis,
    offset: i64,
    pub(super) slot: u32,
}

// === impl Lane ===

impl Lane {
    pub(super) fn node(&mut self, slot: u32) -> &mut Node {
        &mut self.nodes[slot as usize]
    }

    pub(super) fn occupy(&mut self, entry: Entry) -> u32 {
        let node = Node {
            entry,
            standing: Standing::Behind,
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
    pub(super) fn line_up(&mut self, slot: u32, now: Millis) {
        let Entry { dossier, place, .. } = self.node(slot).entry;
        let Some(&head) = self.heads.get(&dossier) else {
            self.heads.insert(dossier, slot);
            return self.promote(slot, now);
        };
        let first = *self.node(head);
        if place < first.entry.place && first.standing != Standing::InFlight {
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

    /// Lets the first of a dossier wait for its turn or its time.
    pub(super) fn promote(&mut self, slot: u32, now: Millis) {
        let node = self.node(slot);
        if node.entry.next_at > now {
            node.standing = Standing::Delayed;
            let at = node.entry.next_at;
            self.delayed.insert((at, slot));
        } else {
            node.standing = Standing::Ready;
            let rank = node.rank(slot);
            self.ready.insert(rank);
        }
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

    /// Takes the first of a dossier out of the ready or the delayed.
    pub(super) fn withdraw(&mut self, slot: u32) {
        let node = *self.node(slot);
        self.ready.remove(&node.rank(slot));
        self.delayed.remove(&(node.entry.next_at, slot));
    }

    pub(super) fn launch(&mut self, slot: u32) -> DeliveryId {
        self.in_flight += 1;
        let node = self.node(slot);
        node.standing = Standing::InFlight;
        node.entry.id
    }

    pub(super) fn land(&mut self, slot: u32) {
        self.in_flight -= 1;
        self.node(slot).standing = Standing::Behind;
    }

    pub(super) fn flying(&self, id: DeliveryId) -> Option<u32> {
        let slot = *self.slots.get(&id)?;
        (self.nodes[slot as usize].standing == Standing::InFlight).then_some(slot)
    }

    /// Ends the first of a dossier, which has landed; the next one of the dossier steps forward.
    pub(super) fn remove(&mut self, slot: u32, now: Millis) {
        let node = *self.node(slot);
        self.node(slot).standing = Standing::Free;
        self.free.push(slot);
        self.slots.remove(&node.entry.id);
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

// === impl Node ===

impl Node {
    pub(super) fn rank(&self, slot: u32) -> Rank {
        Rank {
            due_at: self.entry.due_at,
            offset: self.entry.place.offset,
            slot,
        }
    }
}

// === impl Standing ===

impl Standing {
    pub(super) fn is_taken(self) -> bool {
        self != Self::Free
    }
}
