//! The one thread that writes. It takes all waiting writes, runs each in a savepoint, and commits
//! them together: one fsync for all. While nothing waits it copies the write-ahead file back.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::copying::Copying;
use super::failure::Failure;
use crate::error::CommitError;
use crate::telemetry::Chain;

/// The handle of the writer thread. Dropping it waits for the work in hand, so that whoever opens
/// the file next finds it closed.
pub(super) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// The writer thread has ended.
#[derive(Debug, thiserror::Error)]
#[error("the store's writer has stopped")]
struct Stopped;

/// One write on its way: runs in its savepoint, is answered after the commit.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> Outcome;
    fn answer(self: Box<Self>, commit: Result<(), CommitError>);
}

enum Outcome {
    Keep,
    Undo,
    UndoGroup(CommitError),
    Stop(CommitError),
}

/// Why a group was not committed, or the write-ahead file not copied back.
enum GroupError {
    Passing(CommitError),
    Lasting(CommitError),
}

/// The file until it fails, and then why nothing may be tried on it any more.
struct File<C> {
    connection: Connection,
    broken: Option<CommitError>,
    copying: Copying,
    copy_back: C,
}

/// Copies the write-ahead file back as far as no reader needs it.
trait CopyBack: Fn(&Connection) -> Result<(), GroupError> + Send + 'static {}

impl<F: Fn(&Connection) -> Result<(), GroupError> + Send + 'static> CopyBack for F {}

struct Task<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

// === impl Writer ===

impl Writer {
    /// The most writes in one commit: bounds how long the first of them waits.
    const GROUP: usize = 128;

    pub(super) fn start(connection: Connection) -> Self {
        Self::copying_by(connection, copy_back)
    }

    fn copying_by(connection: Connection, copy_back: impl CopyBack) -> Self {
        let (jobs, queue) = channel();
        let file = File {
            connection,
            broken: None,
            copying: Copying::default(),
            copy_back,
        };
        let thread = thread::spawn(move || Self::serve(file, &queue));
        Self {
            jobs: Some(jobs),
            thread: Some(thread),
        }
    }

    /// Runs the work inside a savepoint on the writer thread; answers after the commit.
    pub(super) async fn run<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CommitError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Failure<E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task = Task {
            work: Some(work),
            result: None,
            reply,
        };
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(Box::new(task)).is_ok());
        match answer.await {
            Ok(result) if sent => result,
            _ => Err(CommitError::fatal(Stopped).into()),
        }
    }

    fn serve(mut file: File<impl CopyBack>, queue: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = queue.try_recv().or_else(|_| {
            file.rest();
            queue.recv()
        }) {
            let mut group = vec![first];
            group.extend(queue.try_iter().take(Self::GROUP - 1));
            let commit = file.commit(&mut group);
            for job in group {
                job.answer(commit.clone());
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // An error is a panic of the thread, which was reported when it happened.
            let _ = thread.join();
        }
    }
}

// === impl File ===

impl<C: CopyBack> File<C> {
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), CommitError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.copying.committed();
        commit_group(&self.connection, group).map_err(|error| match error {
            GroupError::Passing(error) => error,
            GroupError::Lasting(error) => self.fail(error),
        })
    }

    /// Nothing waits to be written.
    fn rest(&mut self) {
        let begun = Instant::now();
        if self.broken.is_some() || !self.copying.is_due(begun) {
            return;
        }
        // What passes is tried again, and commits tell it where they suffer from it.
        if let Err(GroupError::Lasting(error)) = (self.copy_back)(&self.connection) {
            self.fail(error);
        }
        self.copying.ended(begun, Instant::now());
    }

    fn fail(&mut self, error: CommitError) -> CommitError {
        tracing::error!(error = %Chain(&error), "the store's file has failed");
        self.broken = Some(error.clone());
        error
    }
}

/// Runs all jobs and commits those that succeeded.
fn commit_group(connection: &Connection, group: &mut [Box<dyn Job>]) -> Result<(), GroupError> {
    let result = run_group(connection, group);
    if result.is_err() && !connection.is_autocommit() {
        // Either it works or the next `begin` tells.
        let _ = connection.execute_batch("rollback");
    }
    result
}

fn run_group(connection: &Connection, group: &mut [Box<dyn Job>]) -> Result<(), GroupError> {
    execute(connection, "begin immediate")?;
    // A savepoint copies every page that is touched; a write that waits alone has nobody to spare.
    let is_alone = group.len() == 1;
    for job in group {
        if !is_alone {
            execute(connection, "savepoint one")?;
        }
        match job.run(connection) {
            Outcome::Keep => {}
            Outcome::Undo if is_alone => return execute(connection, "rollback"),
            Outcome::Undo => execute(connection, "rollback to one")?,
            Outcome::UndoGroup(error) => return Err(GroupError::Passing(error)),
            Outcome::Stop(error) => return Err(GroupError::Lasting(error)),
        }
        if !is_alone {
            execute(connection, "release one")?;
        }
    }
    execute(connection, "commit")
}

fn execute(connection: &Connection, sql: &str) -> Result<(), GroupError> {
    let run = || connection.prepare_cached(sql)?.execute([]).map(drop);
    run().map_err(GroupError::from)
}

/// An error of the copying within a commit is told to nobody; one of this is.
fn copy_back(connection: &Connection) -> Result<(), GroupError> {
    let run = || {
        connection
            .prepare_cached("pragma wal_checkpoint(passive)")?
            .query_row([], |_| Ok(()))
    };
    run().map_err(GroupError::from)
}

// === impl GroupError ===

impl From<rusqlite::Error> for GroupError {
    fn from(error: rusqlite::Error) -> Self {
        match Failure::<CommitError>::from(error) {
            Failure::Group(error) => Self::Passing(error),
            Failure::Refused(error) | Failure::Broken(error) => Self::Lasting(error),
        }
    }
}

// === impl Task ===

impl<F, T, E> Job for Task<F, T, E>
where
    T: Send,
    E: From<CommitError> + Send,
    F: FnOnce(&Connection) -> Result<T, Failure<E>> + Send,
{
    fn run(&mut self, connection: &Connection) -> Outcome {
        let Some(work) = self.work.take() else {
            return Outcome::Undo;
        };
        match work(connection) {
            Ok(value) => {
                self.result = Some(Ok(value));
                Outcome::Keep
            }
            Err(Failure::Refused(error)) => {
                self.result = Some(Err(error));
                Outcome::Undo
            }
            Err(Failure::Group(error)) => Outcome::UndoGroup(error),
            Err(Failure::Broken(error)) => Outcome::Stop(error),
        }
    }

    fn answer(self: Box<Self>, commit: Result<(), CommitError>) {
        let result = match (self.result, commit) {
            (Some(Err(refused)), _) => Err(refused),
            (_, Err(error)) => Err(error.into()),
            (Some(done), Ok(())) => done,
            (None, Ok(())) => Err(CommitError::fatal(Stopped).into()),
        };
        // The caller may have gone; the write is what it is.
        let _ = self.reply.send(result);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::connection::open_writer;
    use super::*;

    /// S5, rule 10: nothing is tried on a file that has failed once.
    #[tokio::test]
    async fn after_a_failed_write_everything_is_refused() {
        let writer = Writer::start(Connection::open_in_memory().unwrap());
        let good = |connection: &Connection| -> Result<(), Failure> {
            Ok(connection.execute_batch("create table if not exists t (n)")?)
        };
        writer.run(good).await.unwrap();

        let eio = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        let eio = rusqlite::Error::SqliteFailure(eio, None);
        let bad = |_: &Connection| -> Result<(), Failure> { Err(eio.into()) };
        let errors = [writer.run(bad).await, writer.run(good).await];

        for error in errors {
            assert!(matches!(error, Err(CommitError::Fatal(_))), "{error:?}");
        }
    }

    /// The same where it fails while nothing is written.
    #[tokio::test]
    async fn after_a_failed_copy_everything_is_refused() {
        let (copied, copies) = channel();
        let fails = move |_: &Connection| {
            copied.send(()).unwrap();
            let eio = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE);
            Err(rusqlite::Error::SqliteFailure(eio, None).into())
        };
        let writer = Writer::copying_by(Connection::open_in_memory().unwrap(), fails);
        let good = |_: &Connection| -> Result<(), Failure> { Ok(()) };
        writer.run(good).await.unwrap();

        copies.recv().unwrap();
        let error = writer.run(good).await;

        assert!(matches!(error, Err(CommitError::Fatal(_))), "{error:?}");
    }

    /// What passes, such as a full disk, is tried again once something more is written.
    #[tokio::test]
    async fn after_a_copy_that_found_no_room_writing_goes_on() {
        let (copied, copies) = channel();
        let finds_no_room = move |_: &Connection| {
            copied.send(()).unwrap();
            let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            Err(rusqlite::Error::SqliteFailure(full, None).into())
        };
        let writer = Writer::copying_by(Connection::open_in_memory().unwrap(), finds_no_room);
        let good = |_: &Connection| -> Result<(), Failure> { Ok(()) };
        writer.run(good).await.unwrap();
        copies.recv().unwrap();
        writer.run(good).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_written_is_copied_back_once_nothing_waits() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("store.db");
        let config = crate::config::SqliteConfig {
            path: path.clone(),
            read_limit: Duration::from_secs(5),
            max_pages: None,
        };
        let writer = Writer::start(open_writer(&config).unwrap());
        let length = || std::fs::metadata(&path).unwrap().len();
        let before = length();
        let written = |connection: &Connection| -> Result<(), Failure> {
            Ok(connection.execute_batch("create table t (n); insert into t values (1)")?)
        };
        writer.run(written).await.unwrap();

        let copied = async {
            while length() == before {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), copied)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_panic_in_one_write_refuses_the_next_ones() {
        let writer = Writer::start(Connection::open_in_memory().unwrap());
        let bad = |_: &Connection| -> Result<(), Failure> { panic!("on purpose") };
        let good = |_: &Connection| -> Result<(), Failure> { Ok(()) };
        let errors = [writer.run(bad).await, writer.run(good).await];
        for error in errors {
            assert!(matches!(error, Err(CommitError::Fatal(_))), "{error:?}");
        }
    }
}
