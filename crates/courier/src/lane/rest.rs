//! A lane that rests: it holds everything, charges nothing, and probes with one delivery at a time.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use super::order::Rank;
use crate::answer::Answer;
use crate::entry::Millis;

/// Why a lane rests and how it finds out that it need not.
#[derive(Debug)]
pub(crate) struct Rest {
    reason: String,
    until: Millis,
    span: Duration,
    probe: Option<u32>,
    /// The last probe; the next one is another delivery, so that one that can never succeed does not
    /// keep the lane shut.
    last: Option<Rank>,
}

/// What is shown of a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resting<'a> {
    pub(crate) reason: &'a str,
    /// `None`: a probe is in flight, or there will be none.
    pub(crate) next_probe: Option<Millis>,
}

// === impl Rest ===

impl Rest {
    pub(super) fn after(blames: u32, answer: &Answer, until: Millis, span: Duration) -> Self {
        let Answer { class, detail, .. } = answer;
        Self {
            reason: format!("{blames} attempts in a row failed, the last one: {class}: {detail}"),
            until,
            span,
            probe: None,
            last: None,
        }
    }

    pub(super) fn forever(reason: String) -> Self {
        Self {
            reason,
            until: Millis::MAX,
            span: Duration::MAX,
            probe: None,
            last: None,
        }
    }

    pub(super) fn is_due(&self, now: Millis) -> bool {
        self.probe.is_none() && self.until <= now && self.until < Millis::MAX
    }

    pub(super) fn next_probe(&self) -> Option<Millis> {
        (self.probe.is_none() && self.until < Millis::MAX).then_some(self.until)
    }

    /// The ready one that stands behind the last probe; after the last one the first again.
    pub(super) fn next_candidate(&self, ready: &BTreeSet<Rank>) -> Option<Rank> {
        let behind = self.last.and_then(|last| {
            let mut behind = ready.range((Bound::Excluded(last), Bound::Unbounded));
            behind.next()
        });
        behind.or_else(|| ready.first()).copied()
    }

    pub(super) fn probe_with(&mut self, rank: Rank) {
        self.probe = Some(rank.slot);
        self.last = Some(rank);
    }

    pub(super) fn forget_probe(&mut self, slot: u32) {
        if self.probe == Some(slot) {
            self.probe = None;
        }
    }

    /// An attempt failed; if it was the probe, the next one comes later than this one did.
    pub(super) fn failed(&mut self, slot: u32, answer: &Answer, now: Millis, longest: Duration) {
        if self.probe != Some(slot) {
            return;
        }
        self.probe = None;
        self.span = self.span.saturating_mul(2).min(longest);
        self.until = now.plus(self.span);
        let Answer { class, detail, .. } = answer;
        self.reason = format!("the last probe failed: {class}: {detail}");
    }

    pub(super) fn shown(&self) -> Resting<'_> {
        Resting {
            reason: &self.reason,
            next_probe: self.next_probe(),
        }
    }
}
