//! A store that cannot be relied upon.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use store::{
    Backend, BoxFuture, CommitError, Committed, Kind, MigrateError, Offsets, Outgoing, Probe,
    ReadError, Row, Schema, Source, Store, Table, Value, Write,
};

/// A store that fails as the test orders.
pub(super) struct Unsure {
    below: Arc<dyn Backend>,
    fault: Fault,
    calls: Arc<Calls>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// Answers of some commits are lost, of which every other one landed.
    Commits,
    /// So many calls of each step of the start fail first; of a take-over only the answer is lost.
    Away(usize),
    /// Taking over fails for good.
    Broken,
}

/// How often each was called.
#[derive(Default)]
pub(super) struct Calls {
    commits: AtomicUsize,
    pub(super) migrate: AtomicUsize,
    pub(super) take_over: AtomicUsize,
    pub(super) get: AtomicUsize,
    pub(super) query: AtomicUsize,
}

// === impl Unsure ===

impl Unsure {
    pub(super) fn over(store: Store, fault: Fault) -> (Store, Arc<Calls>) {
        let calls = Arc::default();
        let unsure = Self {
            below: store.backend(),
            fault,
            calls: Arc::clone(&calls),
        };
        (Store::wrap(unsure), calls)
    }

    /// Counts a call; tells whether it fails.
    fn is_away(&self, call: &AtomicUsize) -> bool {
        let before = call.fetch_add(1, Ordering::Relaxed);
        matches!(self.fault, Fault::Away(calls) if before < calls)
    }
}

fn scripted() -> Source {
    Arc::new(io::Error::other("connection reset"))
}

fn lost() -> CommitError {
    CommitError::Transient {
        unknown: true,
        source: scripted(),
    }
}

impl Backend for Unsure {
    fn commit(&self, write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            let turn = self.calls.commits.fetch_add(1, Ordering::Relaxed) % 4;
            match (self.fault, turn) {
                (Fault::Commits, 1) => self.below.commit(write).await.and_then(|_| Err(lost())),
                (Fault::Commits, 3) => Err(lost()),
                _ => self.below.commit(write).await,
            }
        })
    }

    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        if self.is_away(&self.calls.migrate) {
            return Box::pin(async { Err(lost().into()) });
        }
        self.below.migrate(schemas)
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        let is_lost = self.is_away(&self.calls.take_over);
        Box::pin(async move {
            if self.fault == Fault::Broken {
                return Err(CommitError::Fatal(scripted()));
            }
            let epoch = self.below.take_over(group).await?;
            if is_lost { Err(lost()) } else { Ok(epoch) }
        })
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.below.published(group, ids)
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.below.prune_inbox(group, before, limit)
    }

    fn offsets(&self, group: &'static str) -> BoxFuture<'_, Result<Offsets, ReadError>> {
        self.below.offsets(group)
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> BoxFuture<'_, Result<HashMap<[u8; 16], i64>, ReadError>> {
        self.below.seen(group, ids)
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        if self.is_away(&self.calls.get) {
            return Box::pin(async { Err(ReadError::Transient(scripted())) });
        }
        self.below.get(table, keys)
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        if self.is_away(&self.calls.query) {
            return Box::pin(async { Err(ReadError::Transient(scripted())) });
        }
        self.below.query(sql, params, kinds)
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        self.below.outbox(group, limit)
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        self.below.probe(group)
    }
}
