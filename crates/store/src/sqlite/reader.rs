//! Threads that read, each on its own read-only connection, each read with a time limit.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, params, params_from_iter};
use tokio::sync::oneshot;

use super::apply::text;
use super::{connection, failure};
use crate::backend::Probe;
use crate::config::SqliteConfig;
use crate::error::{OpenError, ReadError};
use crate::schema::Table;
use crate::sql::{self, Dialect};
use crate::system;
use crate::value::{Kind, Row, Value, mismatch};

/// A few threads that share one queue.
pub(super) struct Reader {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    limit: Duration,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The reader threads have ended.
#[derive(Debug, thiserror::Error)]
#[error("the store's readers have stopped")]
struct Stopped;

/// Steps of SQLite's machine between two looks at the clock: a few microseconds.
const STEPS_PER_LOOK: i32 = 10_000;

// === impl Reader ===

impl Reader {
    pub(super) fn start(config: &SqliteConfig, threads: usize) -> Result<Self, OpenError> {
        let connections: Result<Vec<_>, _> = (0..threads)
            .map(|_| connection::open_reader(config))
            .collect();
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let start = |mut connection| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                while let Some(job) = next(&queue) {
                    job(&mut connection);
                }
            })
        };
        let threads = connections?.into_iter().map(start).collect();
        Ok(Self {
            jobs: Some(jobs),
            threads,
            limit: config.read_limit,
        })
    }

    /// Runs a read on one of the threads; cuts it at the limit.
    pub(super) async fn run<T, F>(&self, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let limit = self.limit;
        let job: Job = Box::new(move |connection| {
            if !reply.is_closed() {
                // The caller may have gone meanwhile.
                let _ = reply.send(limited(connection, limit, read));
            }
        });
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok());
        match answer.await {
            Ok(result) if sent => result,
            _ => Err(ReadError::Fatal(Arc::new(Stopped))),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.jobs.take());
        for thread in self.threads.drain(..) {
            // An error is a panic of the thread, which was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn next(queue: &Mutex<Receiver<Job>>) -> Option<Job> {
    queue
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}

fn limited<T>(
    connection: &mut Connection,
    limit: Duration,
    read: impl FnOnce(&Connection) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let end = Instant::now() + limit;
    connection.progress_handler(STEPS_PER_LOOK, Some(move || Instant::now() > end))?;
    read(connection).map_err(|error| match error {
        ReadError::TooLong { .. } => ReadError::TooLong { limit },
        other => other,
    })
}

/// Those of the ids that the inbox holds.
pub(super) fn seen(
    connection: &Connection,
    group: &str,
    ids: &[[u8; 16]],
) -> Result<HashMap<[u8; 16], i64>, ReadError> {
    const SEEN: &str = "select digest from store_inbox where grp = ?1 and id = ?2";
    let mut statement = connection.prepare_cached(SEEN)?;
    let mut seen = HashMap::new();
    for id in ids {
        let row = statement.query_row(params![group, &id[..]], |row| row.get(0));
        if let Some(digest) = row.optional()? {
            seen.insert(*id, digest);
        }
    }
    Ok(seen)
}

/// Whole rows by the first `length` columns of the key.
pub(super) fn get(
    connection: &Connection,
    table: &'static Table,
    length: usize,
    keys: &[Row],
) -> Result<Vec<Row>, ReadError> {
    let kinds: Vec<_> = table.columns.iter().map(|column| column.kind).collect();
    let sql = sql::get(table, length, Dialect::Sqlite);
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        rows(
            connection,
            &sql,
            params_from_iter(&key.0),
            &kinds,
            &mut found,
        )?;
    }
    Ok(found)
}

/// Rows of any query.
pub(super) fn query(
    connection: &Connection,
    sql: &str,
    params: &[Value],
    kinds: &[Kind],
) -> Result<Vec<Row>, ReadError> {
    let mut found = Vec::new();
    rows(connection, sql, params_from_iter(params), kinds, &mut found)?;
    Ok(found)
}

/// Figures for the dashboard.
pub(super) fn probe(connection: &Connection, group: &str) -> Result<Probe, ReadError> {
    const SIZE: &str = "select page_count * page_size from pragma_page_count(), pragma_page_size()";
    let size: i64 = connection
        .prepare_cached(SIZE)?
        .query_row([], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(&text(system::PENDING))?;
    let (pending, oldest_pending) = statement.query_row(params![group], |row| {
        Ok((row.get::<_, i64>(0)?, row.get(1)?))
    })?;
    Ok(Probe {
        size_bytes: size.unsigned_abs(),
        free_bytes: None,
        pending: pending.unsigned_abs(),
        oldest_pending,
    })
}

fn rows(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    kinds: &[Kind],
    found: &mut Vec<Row>,
) -> Result<(), ReadError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let value = |(column, kind)| value(row.get_ref(column)?, column, kind);
        let row: Result<Row, ReadError> = kinds.iter().copied().enumerate().map(value).collect();
        found.push(row?);
    }
    Ok(())
}

fn value(found: ValueRef<'_>, column: usize, kind: Kind) -> Result<Value, ReadError> {
    let value = match found {
        ValueRef::Null => return Ok(Value::Null),
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Blob(blob) => Value::Blob(Bytes::copy_from_slice(blob)),
        ValueRef::Text(_) => {
            let text = found
                .as_str()
                .map_err(|error| ReadError::Fatal(Arc::new(error)))?;
            Value::Text(text.to_owned())
        }
        ValueRef::Real(_) => {
            let (expected, found) = (kind.name(), "a decimal");
            return Err(crate::value::RowError::Kind {
                column,
                expected,
                found,
            }
            .into());
        }
    };
    if value.kind() == Some(kind) {
        Ok(value)
    } else {
        Err(mismatch(column, kind, &value).into())
    }
}

// === impl ReadError ===

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return Self::TooLong {
                limit: Duration::ZERO,
            }; // filled in by `limited`
        }
        if failure::is_transient(&error) {
            Self::Transient(Arc::new(error))
        } else {
            Self::Fatal(Arc::new(error))
        }
    }
}
