//! The one thread that writes: all appends that wait become one transaction and one fsync.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::file;
use crate::config::{Clock, Embedded};
use crate::error::AppendError;
use crate::record::Topic;
use crate::tail::{Row, Tail};
use crate::telemetry;

/// The most that one transaction takes.
const GROUP_BYTES: usize = 8 << 20;

/// The write-ahead file is copied back when this much was written to it.
const CHECKPOINT_BYTES: usize = 4 << 20;

/// Housekeeping happens at least this often when nothing is appended.
const IDLE: Duration = Duration::from_secs(1);

/// Under load, retention takes its turn after this many transactions.
const TURNS: u32 = 16;

/// The most appends that retention removes in one transaction.
const EXPIRE_ROWS: usize = 1024;

/// One append that waits to be written.
pub(super) struct Append {
    pub(super) topic: Topic,
    pub(super) count: usize,
    pub(super) body: Bytes,
    pub(super) answer: oneshot::Sender<Result<i64, AppendError>>,
    pub(super) _room: OwnedSemaphorePermit,
}

/// The writer's state. It owns the only connection that writes.
pub(super) struct Writer {
    file: Connection,
    tail: Arc<Tail>,
    clock: Clock,
    retention: SignedDuration,
    ends: [i64; 3],
    /// The append time of the oldest rows; `None` where a topic is empty.
    oldest: [Option<Timestamp>; 3],
    last_at: Timestamp,
    unchecked: usize,
    turns: u32,
    full: bool,
    failed: Option<AppendError>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        file: Connection,
        config: &Embedded,
        tail: Arc<Tail>,
        bounds: [(i64, i64); 3],
    ) -> rusqlite::Result<Self> {
        let mut oldest = [None; 3];
        for topic in Topic::ALL {
            oldest[topic.index()] = file::oldest(&file, topic, 1)?.first().map(|row| row.1);
        }
        let retention = SignedDuration::try_from(config.retention).unwrap_or(SignedDuration::MAX);
        Ok(Self {
            file,
            tail,
            clock: Arc::clone(&config.clock),
            retention,
            ends: bounds.map(|(_, end)| end),
            oldest,
            last_at: Timestamp::MIN,
            unchecked: 0,
            turns: 0,
            full: false,
            failed: None,
        })
    }

    /// Writes until nobody can append any more.
    pub(super) fn run(mut self, appends: &Receiver<Append>) {
        loop {
            match appends.recv_timeout(IDLE) {
                Ok(first) => self.write(group(first, appends)),
                Err(RecvTimeoutError::Timeout) => self.idle(),
                Err(RecvTimeoutError::Disconnected) => return self.idle(),
            }
        }
    }

    fn write(&mut self, group: Vec<Append>) {
        if let Some(failed) = &self.failed {
            let failed = failed.clone();
            return answer_all(group, &failed);
        }
        let mut written = self.commit(&group);
        if written.as_ref().is_err_and(file::is_full) && self.expire() {
            written = self.commit(&group);
        }
        match written {
            Ok(rows) => self.publish(group, rows),
            Err(error) => self.refuse(group, &error),
        }
        self.turns += 1;
        if self.turns >= TURNS {
            self.turns = 0;
            self.expire();
        }
        if self.unchecked >= CHECKPOINT_BYTES {
            self.checkpoint();
        }
    }

    /// One transaction for the whole group; nothing else changes when it fails.
    fn commit(&mut self, group: &[Append]) -> rusqlite::Result<Vec<(Topic, Row)>> {
        let now = (self.clock)().max(self.last_at);
        // As precise as it is stored, so that a reader sees one time from memory and from disk.
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        let mut ends = self.ends;
        let mut rows = Vec::with_capacity(group.len());
        let transaction = self
            .file
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for append in group {
            let end = &mut ends[append.topic.index()];
            let (base, count, body) = (*end, append.count, append.body.clone());
            *end += count as i64;
            let row = Row {
                base,
                count,
                appended_at: now,
                body,
            };
            file::insert(&transaction, append.topic, &row)?;
            rows.push((append.topic, row));
        }
        transaction.commit()?;
        self.last_at = now;
        self.ends = ends;
        Ok(rows)
    }

    fn publish(&mut self, group: Vec<Append>, rows: Vec<(Topic, Row)>) {
        if std::mem::take(&mut self.full) {
            telemetry::roomy();
        }
        let bases: Vec<i64> = rows.iter().map(|(_, row)| row.base).collect();
        for (topic, row) in &rows {
            self.unchecked += row.body.len() + 256;
            self.oldest[topic.index()].get_or_insert(row.appended_at);
        }
        self.tail.push(rows);
        for (append, base) in group.into_iter().zip(bases) {
            // Whoever asked may be gone; the append is durable all the same.
            append.answer.send(Ok(base)).ok();
        }
    }

    fn refuse(&mut self, group: Vec<Append>, error: &rusqlite::Error) {
        if file::is_full(error) && !std::mem::replace(&mut self.full, true) {
            telemetry::full(&error.to_string());
        }
        let verdict = self.judge(error);
        answer_all(group, &verdict);
    }

    /// Classifies an error; one that cannot be trusted past stops every further append.
    fn judge(&mut self, error: &rusqlite::Error) -> AppendError {
        let verdict = file::classify(error);
        if matches!(verdict, AppendError::Fatal { .. }) {
            telemetry::failed(&error.to_string());
            self.failed = Some(verdict.clone());
        }
        verdict
    }

    fn idle(&mut self) {
        if self.failed.is_some() {
            return;
        }
        self.expire();
        if self.unchecked > 0 {
            self.checkpoint();
        }
    }

    fn checkpoint(&mut self) {
        match file::checkpoint(&self.file) {
            Ok(()) => self.unchecked = 0,
            // Without room for the main file, the write-ahead file keeps what it has.
            Err(error) if file::is_full(&error) => telemetry::full(&error.to_string()),
            Err(error) => _ = self.judge(&error),
        }
    }

    /// Removes what is older than the retention; true if anything was removed.
    fn expire(&mut self) -> bool {
        let Ok(before) = (self.clock)().checked_sub(self.retention) else {
            return false;
        };
        let mut removed = false;
        for topic in Topic::ALL {
            if self.oldest[topic.index()].is_some_and(|oldest| oldest < before) {
                match self.expire_topic(topic, before) {
                    Ok(any) => removed |= any,
                    Err(error) => _ = self.judge(&error),
                }
            }
        }
        removed
    }

    /// Removes whole rows in one small transaction. The last row that is looked at stays, and with
    /// it the newest of all, which keeps the offsets.
    fn expire_topic(&mut self, topic: Topic, before: Timestamp) -> rusqlite::Result<bool> {
        let rows = file::oldest(&self.file, topic, EXPIRE_ROWS)?;
        let stays = rows.iter().find(|row| row.1 >= before).or(rows.last());
        let (Some(&(start, _)), Some(&(first, at))) = (rows.first(), stays) else {
            return Ok(false);
        };
        self.oldest[topic.index()] = Some(at);
        if first == start {
            return Ok(false);
        }
        // Readers first: one that comes too late must see that it is late, not a hole.
        self.tail.set_first(topic, first);
        file::remove(&self.file, topic, first)
            .inspect_err(|_| self.tail.set_first(topic, start))?;
        telemetry::expired(topic, first - start, first);
        Ok(true)
    }
}

/// The first append and whatever else waits already.
fn group(first: Append, appends: &Receiver<Append>) -> Vec<Append> {
    let mut bytes = first.body.len();
    let mut group = vec![first];
    while bytes < GROUP_BYTES {
        let Ok(next) = appends.try_recv() else { break };
        bytes += next.body.len();
        group.push(next);
    }
    group
}

fn answer_all(group: Vec<Append>, error: &AppendError) {
    for append in group {
        append.answer.send(Err(error.clone())).ok();
    }
}
