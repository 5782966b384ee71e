//! What the fold and the service share: figures as of the last commit, and news for watchers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::DossierKey;
use proto::v1::TimelineEntry;
use tokio::sync::broadcast;

use crate::{
    figures::{Live, Totals},
    telemetry::Labels,
};

/// Figures and news, as of the last commit.
#[derive(Debug)]
pub(crate) struct Shared {
    figures: Mutex<(Totals, Live)>,
    updates: broadcast::Sender<Update>,
    pub(crate) labels: Labels,
}

/// What a watcher hears.
#[derive(Clone, Debug)]
pub(crate) enum Update {
    /// One dossier has new entries.
    Added(Arc<Added>),
    /// Something may have been missed: look into the tables.
    LookAgain,
}

/// New entries of one timeline.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) dossier: DossierKey,
    /// The number of the first.
    pub(crate) first_seq: u64,
    pub(crate) entries: Vec<TimelineEntry>,
}

/// A watcher that lags behind further than this looks into the tables.
const BACKLOG: usize = 1_024;

// === impl Shared ===

impl Shared {
    pub(crate) fn new() -> Self {
        let (updates, _) = broadcast::channel(BACKLOG);
        Self {
            figures: Mutex::default(),
            updates,
            labels: Labels::default(),
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.updates.subscribe()
    }

    /// Looks at the figures.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Totals, &Live) -> T) -> T {
        let figures = self.lock();
        look(&figures.0, &figures.1)
    }

    /// Changes the figures.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Totals, &mut Live)) {
        let (totals, live) = &mut *self.lock();
        change(totals, live);
    }

    /// Replaces the figures by those of the tables.
    pub(crate) fn replace(&self, totals: Totals, live: Live) {
        *self.lock() = (totals, live);
        let _ = self.updates.send(Update::LookAgain);
    }

    /// Tells watchers, if there are any.
    pub(crate) fn added(&self, added: impl FnOnce() -> Added) {
        if self.updates.receiver_count() > 0 {
            let _ = self.updates.send(Update::Added(Arc::new(added())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Totals, Live)> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
