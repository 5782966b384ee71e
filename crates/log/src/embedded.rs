//! The embedded log: one SQLite file, one thread that writes, one that reads what memory has lost.

mod cold;
mod file;
mod writer;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};

use crate::backend::{Backend, Reader};
use crate::batch::encode_batch;
use crate::config::Embedded;
use crate::error::{AppendError, OpenError, ReadError};
use crate::record::{Bounds, Cursor, Position, Record, Topic, check_sizes};
use crate::tail::{Cold, Tail, TailReader};
use crate::telemetry;

use cold::ColdThread;
use writer::{Append, Writer};

/// How much of the newest stays in memory.
const TAIL_BYTES: usize = 16 << 20;

/// How much may wait to be written, in KiB; more waits outside the queue.
const QUEUE_KIB: u32 = 64 << 10;

/// The embedded log. Dropping it waits for what is being written, and frees the file.
pub(crate) struct EmbeddedLog {
    tail: Arc<Tail>,
    cold: Arc<dyn Cold>,
    room: Arc<Semaphore>,
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Append>>,
    writer: Option<thread::JoinHandle<()>>,
    _lock: File,
}

// === impl EmbeddedLog ===

impl EmbeddedLog {
    /// Opens or makes the log; the blocking work is done on a thread that may block.
    pub(crate) async fn open(config: Embedded) -> Result<Self, OpenError> {
        let open = tokio::task::spawn_blocking(move || Self::open_blocking(&config));
        open.await.map_err(|error| OpenError::Setting {
            reason: error.to_string(),
        })?
    }

    fn open_blocking(config: &Embedded) -> Result<Self, OpenError> {
        let lock = lock(&config.path)?;
        let path = config.path.join("log.db");
        let damaged = |reason: String| OpenError::File {
            path: path.clone(),
            reason,
        };

        let file = file::open(&path, config.max_bytes).map_err(damaged)?;
        let bounds = file::bounds(&file).map_err(|error| damaged(error.to_string()))?;
        let tail = Arc::new(Tail::new(TAIL_BYTES, bounds));
        let cold = ColdThread::start(&path).map_err(damaged)?;
        let writer = Writer::new(file, config, Arc::clone(&tail), bounds);
        let writer = writer.map_err(|error| damaged(error.to_string()))?;

        let (queue, appends) = mpsc::channel();
        let thread = thread::Builder::new().name("log-writer".into());
        let writer = thread.spawn(move || writer.run(&appends));
        Ok(Self {
            tail,
            cold: Arc::new(cold),
            room: Arc::new(Semaphore::new(QUEUE_KIB as usize)),
            queue: Some(queue),
            writer: Some(writer.map_err(|error| damaged(error.to_string()))?),
            _lock: lock,
        })
    }

    async fn write(&self, topic: Topic, records: &[Record]) -> Result<i64, AppendError> {
        let ended = || AppendError::Fatal {
            reason: "the writing thread has ended".into(),
        };
        let body = encode_batch(records);
        let kib = u32::try_from(body.len() >> 10).map_or(QUEUE_KIB, |kib| QUEUE_KIB.min(kib + 1));
        let room = Arc::clone(&self.room)
            .acquire_many_owned(kib)
            .await
            .map_err(|_| ended())?;
        let (answer, base) = oneshot::channel();
        let append = Append {
            topic,
            count: records.len(),
            body,
            answer,
            _room: room,
        };
        self.queue
            .as_ref()
            .ok_or_else(ended)?
            .send(append)
            .map_err(|_| ended())?;
        base.await.map_err(|_| ended())?
    }

    async fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> Result<Vec<Position>, AppendError> {
        check_sizes(&records)?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let waiting = telemetry::Waiting::new(topic.label(), records.len());
        let base = self.write(topic, &records).await;
        waiting.answered(&base);
        Ok(Position::run(base?, records.len()))
    }

    fn reader(&self, from: Vec<Cursor>) -> Result<TailReader, ReadError> {
        TailReader::new(Arc::clone(&self.tail), Some(Arc::clone(&self.cold)), from)
    }
}

impl Backend for EmbeddedLog {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        self.append(topic, records).boxed()
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        let reader = self
            .reader(from)
            .map(|reader| Box::new(reader) as Box<dyn Reader>);
        ready(reader).boxed()
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

    /// Nobody but the roles reads this log, and their offsets are in their stores.
    fn committed(&self, _group: &str, _offsets: &[Cursor]) {}

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        let reader = self.reader(vec![at]);
        async move { reader?.appended_at().await }.boxed()
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so; the file is as its last commit left it.
            writer.join().ok();
        }
    }
}

/// Makes the directory and keeps every other process out of it.
fn lock(path: &Path) -> Result<File, OpenError> {
    let directory = |source| OpenError::Directory {
        path: path.to_owned(),
        source,
    };
    std::fs::create_dir_all(path).map_err(directory)?;
    let options = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .to_owned();
    let file = options.open(path.join("log.lock")).map_err(directory)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(directory(error)),
    }
}
