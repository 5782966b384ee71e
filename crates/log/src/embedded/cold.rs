//! The thread that reads what is no longer in memory.

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::file;
use crate::backend::Limit;
use crate::error::ReadError;
use crate::record::Topic;
use crate::tail::{Cold, Row};

/// The most bytes that one read brings into memory.
const MOST_BYTES: usize = 4 << 20;

/// A handle on the thread; it ends when the last handle is gone.
pub(super) struct ColdThread(mpsc::Sender<Ask>);

struct Ask {
    topic: Topic,
    offset: i64,
    limit: Limit,
    answer: oneshot::Sender<Result<Vec<Row>, ReadError>>,
}

// === impl ColdThread ===

impl ColdThread {
    pub(super) fn start(path: &Path) -> Result<Self, String> {
        let file = file::open_to_read(path).map_err(|error| error.to_string())?;
        let (sender, asks) = mpsc::channel();
        thread::Builder::new()
            .name("log-reader".into())
            .spawn(move || serve(&file, &asks))
            .map_err(|error| error.to_string())?;
        Ok(Self(sender))
    }
}

impl Cold for ColdThread {
    fn rows(
        &self,
        topic: Topic,
        offset: i64,
        limit: Limit,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        let limit = Limit {
            bytes: limit.bytes.min(MOST_BYTES),
            ..limit
        };
        let (answer, rows) = oneshot::channel();
        let asked = self.0.send(Ask {
            topic,
            offset,
            limit,
            answer,
        });
        async move {
            let ended = || ReadError::Fatal {
                reason: "the reading thread has ended".into(),
            };
            asked.map_err(|_| ended())?;
            rows.await.map_err(|_| ended())?
        }
        .boxed()
    }
}

fn serve(file: &Connection, asks: &mpsc::Receiver<Ask>) {
    while let Ok(ask) = asks.recv() {
        if ask.answer.is_closed() {
            continue;
        }
        let rows = file::rows(file, ask.topic, ask.offset, ask.limit).map_err(|e| classify(&e));
        // The reader may have been dropped meanwhile; it has taken nothing.
        ask.answer.send(rows).ok();
    }
}

fn classify(error: &rusqlite::Error) -> ReadError {
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ReadError::Transient { reason }
        }
        _ => ReadError::Fatal { reason },
    }
}
