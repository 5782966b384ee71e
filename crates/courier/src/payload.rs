//! Payloads in memory: as many as a byte budget over all lanes allows.
//!
//! Most deliveries arrive at their first attempt, and their payloads are never read again. So where one
//! courier has the store, a payload that fits into memory is not stored with its delivery: the log has it
//! as well. It is stored when its first attempt fails, when it has waited for a while, and when its lane
//! rests; what a kill leaves in the log alone is stored by the next start.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use domain::{Delivery, DestinationId, DossierKey, StepId};

use crate::entry::{Millis, Place};
use crate::verdicts::Report;

/// What an attempt needs of a delivery besides its entry.
#[derive(Debug)]
pub(crate) struct Payload {
    /// The encoded message: the bytes that the log holds, sent as they are.
    pub(crate) body: Bytes,
    pub(crate) dossier: DossierKey,
    pub(crate) step: StepId,
    pub(crate) appended_at: Millis,
    /// Whether the delivery's row has it, or is about to; otherwise the log alone does.
    pub(crate) is_stored: bool,
    /// Whether a look has found it waiting.
    pub(crate) has_waited: bool,
    share: Option<Share>,
}

/// The bytes that all lanes together may keep for later.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// The lanes of this process that rest: what comes for them is stored at once, for its turn is not near.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resting(Arc<Mutex<BTreeSet<DestinationId>>>);

#[derive(Debug)]
struct Share {
    budget: Budget,
    bytes: usize,
}

// === impl Payload ===

impl Payload {
    /// What text and bookkeeping take besides the body.
    const OVERHEAD: usize = 192;

    /// A payload that is sent at once: it needs no budget.
    pub(crate) fn new(body: Bytes, delivery: &Delivery, appended_at: Millis) -> Self {
        Self {
            body,
            dossier: delivery.dossier.clone(),
            step: delivery.step.clone(),
            appended_at,
            is_stored: true,
            has_waited: false,
            share: None,
        }
    }

    /// The same, left to the log for now.
    pub(crate) fn unstored(mut self) -> Self {
        self.is_stored = false;
        self
    }

    /// Whether it may stay in memory although it is not in flight.
    pub(crate) fn may_wait(&self) -> bool {
        self.share.is_some()
    }

    /// The report that stores it, unless that is done.
    pub(crate) fn store_at(&mut self, place: Place) -> Option<Report> {
        if std::mem::replace(&mut self.is_stored, true) {
            return None;
        }
        let body = self.body.clone();
        Some(Report::Payload { place, body })
    }

    /// A payload that may wait for its turn; `None` when the budget is used up.
    ///
    /// The body is copied, or it would keep the whole batch alive that it came with.
    pub(crate) fn cached(
        budget: &Budget,
        body: &[u8],
        delivery: &Delivery,
        appended_at: Millis,
    ) -> Option<Self> {
        let share = budget.take(body.len() + Self::OVERHEAD)?;
        Some(Self {
            share: Some(share),
            ..Self::new(Bytes::copy_from_slice(body), delivery, appended_at)
        })
    }
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    fn take(&self, bytes: usize) -> Option<Share> {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.ok().map(|_| Share {
            budget: self.clone(),
            bytes,
        })
    }

    /// Whether most of it is left: worth reading ahead.
    pub(crate) fn has_room(&self) -> bool {
        const WORTH_IT: usize = 1 << 20;
        self.0.load(Ordering::Relaxed) > WORTH_IT
    }
}

// === impl Resting ===

impl Resting {
    pub(crate) fn contains(&self, lane: &DestinationId) -> bool {
        self.lanes().contains(lane)
    }

    pub(crate) fn set(&self, lane: &DestinationId, rests: bool) {
        let mut lanes = self.lanes();
        if rests {
            lanes.insert(lane.clone());
        } else {
            lanes.remove(lane);
        }
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeSet<DestinationId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Share ===

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B7: of 50,000 that wait behind one that hangs, as many are kept as the budget has room for.
    #[test]
    fn b7_what_waits_in_memory_stays_within_its_budget() {
        const EACH: usize = 1_000;
        let budget = Budget::new(1 << 20);
        let shares: Vec<_> = (0..50_000).filter_map(|_| budget.take(EACH)).collect();
        assert_eq!(shares.len(), (1 << 20) / EACH);
        assert!(!budget.has_room());
        drop(shares);
        assert_eq!(budget.0.load(Ordering::Relaxed), 1 << 20);
    }

    #[test]
    fn a_budget_is_given_back() {
        let budget = Budget::new(100);
        let first = budget.take(60);
        assert!(first.is_some() && budget.take(60).is_none());
        drop(first);
        assert!(budget.take(100).is_some());
    }
}
