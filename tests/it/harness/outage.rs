use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use log::{AppendError, Backend, Bounds, Cursor, Limit, Log, Position, Read, ReadError, Reader};
use log::{Record, Topic};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{World, free_port};

/// A log that goes away and comes back.
#[derive(Clone)]
pub(crate) struct AwayLog {
    inner: Log,
    away: Arc<AtomicBool>,
}

struct AwayReader {
    inner: Box<dyn Reader>,
    log: AwayLog,
}

/// A door to a server that can be shut: connections break and new ones are refused.
pub(crate) struct Door {
    address: std::net::SocketAddr,
    open: watch::Sender<bool>,
}

// === impl AwayLog ===

impl AwayLog {
    pub(crate) fn over(inner: Log) -> Self {
        let away = Arc::default();
        Self { inner, away }
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), ReadError> {
        let reason = || "away".to_owned();
        match self.is_away() {
            true => Err(ReadError::Transient { reason: reason() }),
            false => Ok(()),
        }
    }
}

impl Backend for AwayLog {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        Box::pin(async move {
            if self.is_away() {
                let reason = "away".to_owned();
                return Err(AppendError::NotWritten { reason });
            }
            self.inner.append(topic, records).await
        })
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        Box::pin(async move {
            self.check()?;
            let reader = AwayReader {
                inner: self.inner.reader(from).await?,
                log: self.clone(),
            };
            Ok(Box::new(reader) as Box<dyn Reader>)
        })
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>> {
        Box::pin(async move {
            self.check()?;
            self.inner.bounds(topic).await
        })
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.inner.committed(group, offsets);
    }

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        Box::pin(async move {
            self.check()?;
            self.inner.oldest_unread(at).await
        })
    }
}

// === impl AwayReader ===

impl Reader for AwayReader {
    fn next(
        &mut self,
        limit: Limit,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Read>, ReadError>> {
        Box::pin(async move {
            self.log.check()?;
            self.inner.next(limit, wait).await
        })
    }
}

// === impl Door ===

impl Door {
    /// A door to the server of a URL.
    pub(crate) fn before(url: &str, world: &World) -> Self {
        let (_, target, _) = parts(url);
        let target = target.to_owned();
        let (open, mut is_open) = watch::channel(true);
        let (address, tasks) = (free_port(), world.tasks().clone());
        world.tasks().spawn_brief(async move {
            while is_open.wait_for(|open| *open).await.is_ok() {
                let listener = TcpListener::bind(address).await.unwrap();
                let watched = is_open.clone();
                let serve = async {
                    while let Ok((inner, _)) = listener.accept().await {
                        tasks.spawn_brief(pass(inner, target.clone(), watched.clone()));
                    }
                };
                tokio::select! {
                    () = serve => {}
                    _ = is_open.wait_for(|open| !open) => {}
                }
            }
        });
        Self { address, open }
    }

    /// The same URL through the door.
    pub(crate) fn through(&self, url: &str) -> String {
        let (before, _, after) = parts(url);
        format!("{before}@{}/{after}", self.address)
    }

    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

/// What stands before, in and behind the `host:port` of a URL with a user.
fn parts(url: &str) -> (&str, &str, &str) {
    let (before, rest) = url.split_once('@').unwrap();
    let (server, after) = rest.split_once('/').unwrap();
    (before, server, after)
}

async fn pass(mut inner: TcpStream, target: String, mut open: watch::Receiver<bool>) {
    let Ok(mut outer) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut inner, &mut outer) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
