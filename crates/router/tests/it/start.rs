//! A router that starts while its store is away.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex},
};

use log::{Log, Topic};
use router::{Config, Error, GROUP, Service};
use runtime::{Clock, ErrorChain, Health};
use store::{
    Backend, BoxFuture, CommitError, Committed, Kind, MigrateError, Offsets, Outgoing, Probe,
    ReadError, Row, Schema, Source, Store, Table, Value, Write,
};
use tokio_util::sync::CancellationToken;

use crate::world::{accepted, at, built_in};

/// What the first calls of each kind meet.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// So many pass; of a take-over only the answer is lost.
    Passing(usize),
    /// A take-over never succeeds.
    Fatal,
}

struct Faulty {
    inner: Arc<dyn Backend>,
    fault: Fault,
    calls: Arc<Mutex<HashMap<&'static str, usize>>>,
}

// === impl Faulty ===

impl Faulty {
    /// Counts a call; tells whether it fails.
    fn fails(&self, call: &'static str) -> bool {
        let mut calls = self.calls.lock().unwrap();
        let number = calls.entry(call).or_default();
        *number += 1;
        match self.fault {
            Fault::Passing(most) => *number <= most,
            Fault::Fatal => false,
        }
    }
}

fn source() -> Source {
    Arc::new(io::Error::other("ordered by the test"))
}

fn away(unknown: bool) -> CommitError {
    let source = source();
    CommitError::Transient { unknown, source }
}

impl Backend for Faulty {
    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        if self.fails("migrate") {
            return Box::pin(async { Err(away(false).into()) });
        }
        self.inner.migrate(schemas)
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        let fails = self.fails("take_over");
        Box::pin(async move {
            if self.fault == Fault::Fatal {
                return Err(CommitError::Fatal(source()));
            }
            let epoch = self.inner.take_over(group).await?;
            if fails { Err(away(true)) } else { Ok(epoch) }
        })
    }

    fn commit(&self, write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
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
        if self.fails("query") {
            return Box::pin(async { Err(ReadError::Transient(source())) });
        }
        self.inner.query(sql, params, kinds)
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        if self.fails("outbox") {
            return Box::pin(async { Err(ReadError::Transient(source())) });
        }
        self.inner.outbox(group, limit)
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        self.inner.probe(group)
    }
}

struct World {
    log: Log,
    store: Store,
    calls: Arc<Mutex<HashMap<&'static str, usize>>>,
    health: Health,
    _directory: tempfile::TempDir,
}

// === impl World ===

impl World {
    async fn new(fault: Fault) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(store::Config::sqlite(directory.path().join("s.db")));
        let calls = Arc::default();
        let store = Store::wrap(Faulty {
            inner: store.await.unwrap().backend(),
            fault,
            calls: Arc::clone(&calls),
        });
        Self {
            log: Log::memory(Arc::new(|| at("2026-09-21T09:00:00+07:00"))),
            store,
            calls,
            health: Health::default(),
            _directory: directory,
        }
    }

    async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let config = Config {
            plan: built_in(),
            options: consumer::Options::default(),
        };
        let (log, store) = (self.log.clone(), self.store.clone());
        let service = Service::new(config, log, store, Clock::system(), self.health.clone());
        service.run(stop).await
    }

    fn calls(&self, call: &str) -> usize {
        self.calls.lock().unwrap().get(call).copied().unwrap_or(0)
    }
}

/// S8: every step of the start finds the store away, and is taken again.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_starts_when_its_store_comes_back() {
    let world = World::new(Fault::Passing(2)).await;
    let event = accepted();
    let data = event.data.clone();
    let record = consumer::record(&event.dossier, event.attributes(), data);
    world.log.append(Topic::Events, vec![record]).await.unwrap();
    let stop = CancellationToken::new();
    let (ran, ()) = tokio::join!(world.run(stop.clone()), async {
        while world.log.bounds(Topic::Deliveries).await.unwrap()[0].end == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    ran.unwrap();
    assert_eq!((world.calls("migrate"), world.calls("take_over")), (3, 3));
    assert_eq!(world.health.not_ready(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_failed_for_good_ends_the_start() {
    let world = World::new(Fault::Fatal).await;
    let error = world.run(CancellationToken::new()).await.unwrap_err();
    let text = "cannot take over the router's work: the store cannot commit: ordered by the test";
    assert_eq!(ErrorChain(&error).to_string(), text);
    assert_eq!(world.calls("take_over"), 1);
}

/// What the store refuses until the stop is no failure.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_a_start_that_waits_for_the_store() {
    let world = World::new(Fault::Passing(usize::MAX)).await;
    let stop = CancellationToken::new();
    let (ran, ()) = tokio::join!(world.run(stop.clone()), async {
        let is_told = |not_ready: &[(_, String)]| {
            let reason = not_ready.first().map(|(role, reason)| (*role, reason));
            reason.is_some_and(|(role, reason)| {
                role == GROUP && reason.contains("ordered by the test")
            })
        };
        while !is_told(&world.health.not_ready()) {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    ran.unwrap();
    assert_eq!(world.calls("take_over"), 0);
}
