//! Brings the acknowledgements of one append together.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::AppendError;
use crate::record::Position;

/// One append whose records are under way.
pub(super) struct Batch(Mutex<Open>);

/// One record of it.
pub(crate) struct Ticket {
    batch: Arc<Batch>,
    index: usize,
}

/// What became of one record.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Written(Position),
    TooLarge(usize),
    NotWritten(String),
    Unknown(String),
}

struct Open {
    fates: Vec<Option<Fate>>,
    left: usize,
    answer: Option<oneshot::Sender<Result<Vec<Position>, AppendError>>>,
    _room: OwnedSemaphorePermit,
}

// === impl Batch ===

impl Batch {
    pub(super) fn new(
        records: usize,
        room: OwnedSemaphorePermit,
    ) -> (
        Arc<Self>,
        oneshot::Receiver<Result<Vec<Position>, AppendError>>,
    ) {
        let (answer, awaited) = oneshot::channel();
        let fates = vec![None; records];
        let open = Open {
            fates,
            left: records,
            answer: Some(answer),
            _room: room,
        };
        (Arc::new(Self(Mutex::new(open))), awaited)
    }

    /// Settles the records from one on, which were never enqueued.
    pub(super) fn settle_all(&self, from: usize, to: usize, fate: &Fate) {
        (from..to).for_each(|index| self.settle(index, fate.clone()));
    }

    fn settle(&self, index: usize, fate: Fate) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.fates[index].replace(fate).is_some() {
            return;
        }
        open.left -= 1;
        if open.left == 0
            && let Some(answer) = open.answer.take()
        {
            let fates = std::mem::take(&mut open.fates);
            // Whoever asked may be gone; the records are where they are.
            answer.send(verdict(fates.into_iter().flatten())).ok();
        }
    }
}

// === impl Ticket ===

impl Ticket {
    pub(super) fn new(batch: Arc<Batch>, index: usize) -> Self {
        Self { batch, index }
    }

    pub(super) fn settle(self, fate: Fate) {
        self.batch.settle(self.index, fate);
    }
}

/// One answer for the whole append: certain only where all its records are.
fn verdict(fates: impl Iterator<Item = Fate>) -> Result<Vec<Position>, AppendError> {
    let mut positions = Vec::new();
    let (mut unknown, mut refused) = (None, None);
    for fate in fates {
        match fate {
            Fate::Written(position) => positions.push(position),
            Fate::TooLarge(size) => refused = Some(AppendError::TooLarge { size }),
            Fate::NotWritten(reason) => {
                refused.get_or_insert(AppendError::NotWritten { reason });
            }
            Fate::Unknown(reason) => {
                unknown.get_or_insert(reason);
            }
        }
    }
    match (unknown, refused) {
        (None, None) => Ok(positions),
        (None, Some(refused)) if positions.is_empty() => Err(refused),
        (None, Some(refused)) => Err(AppendError::Unknown {
            reason: format!("written in part: {refused}"),
        }),
        (Some(reason), _) => Err(AppendError::Unknown { reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fates: &[Fate], expected: &str) {
        let verdict = verdict(fates.iter().cloned());
        assert_eq!(
            verdict
                .as_ref()
                .map_or_else(AppendError::label, |_| "written"),
            expected
        );
    }

    /// B4: what may be written is never called refused.
    #[test]
    fn an_append_is_refused_only_when_nothing_of_it_can_be_written() {
        let written = || {
            Fate::Written(Position {
                partition: 0,
                offset: 0,
            })
        };
        let not_written = || Fate::NotWritten("no".into());
        let unknown = || Fate::Unknown("perhaps".into());

        check(&[written(), written()], "written");
        check(&[not_written(), not_written()], "not_written");
        check(&[Fate::TooLarge(9), not_written()], "too_large");
        check(&[written(), not_written()], "unknown");
        check(&[written(), Fate::TooLarge(9)], "unknown");
        check(&[not_written(), unknown()], "unknown");
    }
}
