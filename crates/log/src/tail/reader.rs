//! A reader over the tail, and over the disk where the tail does not reach.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_all};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Found, Row, Tail};
use crate::backend::{Limit, Read, Reader};
use crate::batch::decode_each;
use crate::error::ReadError;
use crate::record::{Cursor, Position, Stored, Topic};
use crate::telemetry;

/// Reads batches that are no longer in memory.
pub(crate) trait Cold: Send + Sync {
    /// The batches from the one that holds the offset on.
    fn rows(
        &self,
        topic: Topic,
        offset: i64,
        limit: Limit,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>>;
}

/// Reads from cursors on; wakes when the log grows.
pub(crate) struct TailReader {
    tail: Arc<Tail>,
    cold: Option<Arc<dyn Cold>>,
    cursors: Vec<Cursor>,
    watches: Vec<watch::Receiver<i64>>,
    /// The cursor that is looked at first, so that none starves.
    turn: usize,
}

// === impl TailReader ===

impl TailReader {
    /// A reader that has checked that the log holds all its cursors.
    pub(crate) fn new(
        tail: Arc<Tail>,
        cold: Option<Arc<dyn Cold>>,
        cursors: Vec<Cursor>,
    ) -> Result<Self, ReadError> {
        for cursor in &cursors {
            let (first, end) = tail.bounds(cursor.topic);
            if cursor.partition != 0 || cursor.offset < first || cursor.offset > end {
                return Err(ReadError::gone(*cursor, first, end));
            }
        }
        let watches = cursors
            .iter()
            .map(|cursor| tail.watch(cursor.topic))
            .collect();
        Ok(Self {
            tail,
            cold,
            cursors,
            watches,
            turn: 0,
        })
    }

    /// The time at which the record under a cursor was appended.
    pub(crate) async fn appended_at(&self) -> Result<Option<Timestamp>, ReadError> {
        let one = Limit {
            records: 1,
            bytes: 1,
        };
        match self.cursors.first() {
            Some(cursor) => {
                let rows = self.rows(*cursor, one).await?;
                Ok(rows.first().map(|row| row.appended_at))
            }
            None => Ok(None),
        }
    }

    async fn read(&mut self, limit: Limit, wait: Duration) -> Result<Vec<Read>, ReadError> {
        let deadline = Instant::now() + wait;
        loop {
            self.watches
                .iter_mut()
                .for_each(|watch| _ = watch.borrow_and_update());
            let found = self.collect(limit).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            let grown = grown(&mut self.watches);
            if timeout_at(deadline, grown).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    /// What is there up to the limit. The cursors move last, behind every `await`.
    async fn collect(&mut self, limit: Limit) -> Result<Vec<Read>, ReadError> {
        let mut cursors = self.cursors.clone();
        let mut found = Vec::new();
        let mut left = limit;
        for step in 0..cursors.len() {
            let index = (self.turn + step) % cursors.len();
            if left.records == 0 || (left.bytes == 0 && !found.is_empty()) {
                break;
            }
            for row in self.rows(cursors[index], left).await? {
                cursors[index].offset = take(&row, cursors[index], &mut left, &mut found);
            }
        }
        self.turn = (self.turn + 1) % cursors.len().max(1);
        self.cursors = cursors;
        Ok(found)
    }

    async fn rows(&self, at: Cursor, limit: Limit) -> Result<Vec<Row>, ReadError> {
        let gone = || {
            let (first, end) = self.tail.bounds(at.topic);
            ReadError::gone(at, first, end)
        };
        let rows = match (self.tail.find(at.topic, at.offset, limit), &self.cold) {
            (Found::Rows(rows), _) => rows,
            (Found::Nothing, _) => return Ok(Vec::new()),
            (Found::Cold, Some(cold)) => cold.rows(at.topic, at.offset, limit).await?,
            (Found::Outside | Found::Cold, _) => return Err(gone()),
        };
        let mut next = at.offset;
        for row in &rows {
            if row.base > next || row.end() <= next {
                return Err(self.hole(at, next));
            }
            next = row.end();
        }
        if rows.is_empty() {
            Err(self.hole(at, next))
        } else {
            Ok(rows)
        }
    }

    /// An offset is missing: retention was faster than the reader, or the file is damaged.
    fn hole(&self, at: Cursor, missing: i64) -> ReadError {
        let (first, end) = self.tail.bounds(at.topic);
        if at.offset < first {
            return ReadError::gone(at, first, end);
        }
        ReadError::Fatal {
            reason: format!("{} has no record at offset {missing}", at.topic),
        }
    }
}

impl Reader for TailReader {
    fn next(
        &mut self,
        limit: Limit,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Read>, ReadError>> {
        self.read(limit, wait).boxed()
    }
}

/// Resolves when any of the topics has grown.
async fn grown(watches: &mut [watch::Receiver<i64>]) {
    if watches.is_empty() {
        std::future::pending::<()>().await;
    }
    select_all(watches.iter_mut().map(|watch| watch.changed().boxed()))
        .await
        .0
        .ok();
}

/// Takes records of one batch up to the limit; answers with the next offset.
fn take(row: &Row, at: Cursor, left: &mut Limit, found: &mut Vec<Read>) -> i64 {
    let skip = usize::try_from(at.offset - row.base).unwrap_or_default();
    let mut offset = at.offset;
    for entry in decode_each(row.body.clone(), row.count, skip) {
        let size = match &entry {
            Ok(record) => record.size(),
            Err((raw, _)) => raw.len(),
        };
        if left.records == 0 || (size > left.bytes && !found.is_empty()) {
            left.bytes = 0;
            break;
        }
        left.records -= 1;
        left.bytes = left.bytes.saturating_sub(size);
        let position = Position {
            partition: at.partition,
            offset,
        };
        let (topic, appended_at) = (at.topic, row.appended_at);
        found.push(match entry {
            Ok(record) => Read::Ok(Stored {
                topic,
                position,
                appended_at,
                record,
            }),
            Err((raw, reason)) => {
                let reason = reason.to_string();
                telemetry::broken(topic, position.partition, offset, &reason);
                Read::Broken {
                    topic,
                    position,
                    appended_at,
                    raw,
                    reason,
                }
            }
        });
        offset += 1;
    }
    offset
}
