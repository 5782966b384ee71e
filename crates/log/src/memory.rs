//! A log in memory, for tests of roles.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use jiff::Timestamp;

use crate::backend::{Backend, Reader};
use crate::batch::encode_batch;
use crate::config::Clock;
use crate::error::{AppendError, ReadError};
use crate::record::{Bounds, Cursor, Position, Record, Topic, check_sizes};
use crate::tail::{Tail, TailReader};

/// A log without disk, threads or limit.
pub(crate) struct MemoryLog {
    tail: Arc<Tail>,
    clock: Clock,
}

// === impl MemoryLog ===

impl MemoryLog {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            tail: Arc::new(Tail::new(usize::MAX, [(0, 0); 3])),
            clock,
        }
    }

    fn append(&self, topic: Topic, records: &[Record]) -> Result<Vec<Position>, AppendError> {
        check_sizes(records)?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let at = (self.clock)();
        let base = self
            .tail
            .append(topic, records.len(), at, encode_batch(records));
        Ok(Position::run(base, records.len()))
    }
}

impl Backend for MemoryLog {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        ready(self.append(topic, &records)).boxed()
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        let reader = TailReader::new(Arc::clone(&self.tail), None, from);
        ready(reader.map(|reader| Box::new(reader) as Box<dyn Reader>)).boxed()
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>> {
        let (first, end) = self.tail.bounds(topic);
        ready(Ok(vec![Bounds {
            partition: 0,
            first,
            end,
        }]))
        .boxed()
    }

    fn committed(&self, _group: &str, _offsets: &[Cursor]) {}

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        let reader = TailReader::new(Arc::clone(&self.tail), None, vec![at]);
        async move { reader?.appended_at().await }.boxed()
    }
}
