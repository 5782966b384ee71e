use std::collections::{HashMap, HashSet};

use domain::{DeliveryId, DossierKey, StepId};

use super::case::Case;
use crate::Digest;

/// What an agency knows of deliveries.
#[derive(Debug, Default)]
pub(super) struct Books {
    known: HashMap<DeliveryId, Known>,
    /// What came of each dossier; kept only where the order matters.
    steps: HashSet<(DossierKey, StepId)>,
}

/// What an agency knows of one delivery.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// How often it came.
    pub(super) arrivals: u32,
    /// How often it had its effect; more than once is what must not be.
    pub(super) effects: u32,
    /// What was taken last.
    pub(super) content: Option<Content>,
    /// A cut call left it locked.
    pub(super) is_locked: bool,
}

/// Digests of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) message: Digest,
    pub(super) data: Digest,
}

// === impl Books ===

impl Books {
    pub(super) fn of(&self, delivery: DeliveryId) -> Option<&Known> {
        self.known.get(&delivery)
    }

    pub(super) fn entry(&mut self, delivery: DeliveryId) -> &mut Known {
        self.known.entry(delivery).or_default()
    }

    pub(super) fn has_step(&self, dossier: &DossierKey, step: &StepId) -> bool {
        self.steps.contains(&(dossier.clone(), step.clone()))
    }

    /// The delivery has its effect.
    pub(super) fn take(&mut self, case: &Case, keeps_steps: bool) {
        if keeps_steps {
            self.steps.insert((case.dossier.clone(), case.step.clone()));
        }
        let known = self.entry(case.delivery);
        known.effects += 1;
        known.content = Some(Content::of(case));
    }

    /// How often deliveries had their effect.
    pub(super) fn effects(&self) -> u64 {
        self.known
            .values()
            .map(|known| u64::from(known.effects))
            .sum()
    }
}

// === impl Content ===

impl Content {
    pub(super) fn of(case: &Case) -> Self {
        Self {
            message: case.message,
            data: case.data,
        }
    }
}
