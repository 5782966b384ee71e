//! A timeline that goes on.

use std::{collections::VecDeque, sync::Arc};

use domain::DossierKey;
use futures_util::{Stream, stream};
use proto::v1::{TimelineEntry, WatchDossierResponse};
use store::Store;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    query,
    shared::{Added, Update},
    status,
};

/// One watcher. News only say that something may be there; the numbers of the entries decide what is
/// next, so that nothing is shown twice and a gap is filled from the table.
pub(crate) struct Watcher {
    pub(crate) store: Store,
    pub(crate) dossier: DossierKey,
    pub(crate) updates: Receiver<Update>,
    pub(crate) stop: CancellationToken,
    next: u64,
    ready: VecDeque<TimelineEntry>,
}

// === impl Watcher ===

impl Watcher {
    /// A watcher that has seen nothing yet. `updates` must have been subscribed to before the table
    /// was looked into.
    pub(crate) fn new(
        store: Store,
        dossier: DossierKey,
        updates: Receiver<Update>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            store,
            dossier,
            updates,
            stop,
            next: 0,
            ready: VecDeque::new(),
        }
    }

    /// Looks into the tables; answers whether the dossier is known.
    pub(crate) async fn look(&mut self) -> Result<bool, store::ReadError> {
        let Some(state) = query::dossier(&self.store, &self.dossier).await? else {
            return Ok(false);
        };
        let timeline = query::timeline(&self.store, &self.dossier, &state).await?;
        self.take(timeline);
        Ok(true)
    }

    /// What was seen so far and everything that comes, until the stop.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<WatchDossierResponse, Status>> + Send {
        stream::unfold(Some(self), |watcher| async move {
            let mut watcher = watcher?;
            match watcher.next().await {
                Ok(Some(entry)) => Some((
                    Ok(WatchDossierResponse { entry: Some(entry) }),
                    Some(watcher),
                )),
                Ok(None) => None,
                Err(error) => Some((Err(status::read_failed(&error)), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<TimelineEntry>, store::ReadError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            let Some(update) = self.stop.run_until_cancelled(self.updates.recv()).await else {
                return Ok(None);
            };
            match update {
                Ok(Update::Added(added)) if added.dossier != self.dossier => {}
                Ok(Update::Added(added)) if added.first_seq <= self.next => self.take_added(&added),
                Ok(Update::Added(_) | Update::LookAgain) | Err(RecvError::Lagged(_)) => {
                    self.look().await?;
                }
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }

    fn take_added(&mut self, added: &Arc<Added>) {
        self.take((added.first_seq..).zip(added.entries.iter().cloned()));
    }

    fn take(&mut self, entries: impl IntoIterator<Item = (u64, TimelineEntry)>) {
        for (seq, entry) in entries {
            if seq >= self.next {
                self.next = seq + 1;
                self.ready.push_back(entry);
            }
        }
    }
}
