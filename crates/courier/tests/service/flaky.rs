//! A store that fails as a test orders.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use store::{
    Backend, BoxFuture, CommitError, Committed, Kind, MigrateError, Offsets, Outgoing, Probe,
    ReadError, Row, Schema, Source, Store, Table, Value, Write,
};

use crate::harness::World;

/// A store whose verdicts cannot be written for a while, or never are.
pub(crate) struct Flaky {
    inner: Arc<dyn Backend>,
    faults: Arc<Faults>,
}

#[derive(Default)]
pub(crate) struct Faults {
    /// Commits of verdicts fail, as when the database is away.
    pub(crate) refuse: AtomicBool,
    /// Commits of verdicts never end, as when the process dies in them.
    pub(crate) hang: AtomicBool,
    /// No commit ends any more, that of a lease neither: the process is dead.
    pub(crate) dead: AtomicBool,
    /// So many commits of the consumer land while their answer is lost.
    pub(crate) lose_answers: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    pub(crate) start: Mutex<StartFaults>,
}

/// What the steps of a start meet.
#[derive(Default)]
pub(crate) struct StartFaults {
    /// These calls of each kind fail, counted from 1: as when the database is away.
    pub(crate) away: BTreeMap<&'static str, Range<usize>>,
    /// Taking over fails for good.
    pub(crate) is_broken: bool,
    pub(crate) calls: BTreeMap<&'static str, usize>,
}

// === impl StartFaults ===

impl StartFaults {
    /// Counts a call; tells whether it fails.
    fn fails(&mut self, call: &'static str) -> bool {
        let number = self.calls.entry(call).or_default();
        *number += 1;
        let away = self.away.get(call);
        away.is_some_and(|away| away.contains(number))
    }
}

// === impl Flaky ===

impl Flaky {
    fn fails(&self, call: &'static str) -> bool {
        self.faults.start.lock().unwrap().fails(call)
    }
}

fn scripted() -> Source {
    Arc::new(std::io::Error::other("scripted"))
}

fn away(unknown: bool) -> CommitError {
    let source = scripted();
    CommitError::Transient { unknown, source }
}

impl Backend for Flaky {
    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        if self.fails("migrate") {
            return Box::pin(async { Err(away(false).into()) });
        }
        self.inner.migrate(schemas)
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        let is_lost = self.fails(group);
        if self.faults.start.lock().unwrap().is_broken {
            return Box::pin(async { Err(CommitError::Fatal(scripted())) });
        }
        Box::pin(async move {
            let epoch = self.inner.take_over(group).await?;
            if is_lost { Err(away(true)) } else { Ok(epoch) }
        })
    }

    fn commit(&self, write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
        let verdicts = write.fence.group == "courier-verdicts";
        let dead = self.faults.dead.load(Ordering::SeqCst);
        if dead || verdicts && self.faults.hang.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        if verdicts && self.faults.refuse.load(Ordering::SeqCst) {
            self.faults.refused.fetch_add(1, Ordering::SeqCst);
            return Box::pin(async move { Err(away(false)) });
        }
        let less = |left: usize| left.checked_sub(1);
        let lost = &self.faults.lose_answers;
        if !verdicts
            && lost
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                .is_ok()
        {
            return Box::pin(async move {
                self.inner.commit(write).await?;
                Err(away(true))
            });
        }
        self.inner.commit(write)
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.published(group, ids)
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.prune_inbox(group, before, limit)
    }

    fn offsets(&self, group: &'static str) -> BoxFuture<'_, Result<Offsets, ReadError>> {
        self.inner.offsets(group)
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> BoxFuture<'_, Result<HashMap<[u8; 16], i64>, ReadError>> {
        self.inner.seen(group, ids)
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        self.inner.get(table, keys)
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        let call = match &sql {
            sql if sql.contains("payload is null") => "unstored",
            sql if sql.contains("state <> 1") => "undelivered",
            _ => "other",
        };
        if self.fails(call) {
            return Box::pin(async { Err(ReadError::Transient(scripted())) });
        }
        self.inner.query(sql, params, kinds)
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        if group == "courier-verdicts" && self.fails("outbox") {
            return Box::pin(async { Err(ReadError::Transient(scripted())) });
        }
        self.inner.outbox(group, limit)
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        self.inner.probe(group)
    }
}

/// The world's store, and what it is told to do.
pub(crate) fn flaky(world: &World) -> (Store, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let store = Store::wrap(Flaky {
        inner: world.store.backend(),
        faults: faults.clone(),
    });
    (store, faults)
}
