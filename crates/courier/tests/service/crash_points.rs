//! A courier that dies at every point at which it waits for its store or its log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use calendar::Calendars;
use courier::{Config, Service};
use domain::{Delivery, Destination, OutcomeKind, Terms};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use log::{AppendError, Bounds, Cursor, Log, Position, ReadError, Reader, Record, Topic};
use runtime::{Health, Tasks};
use store::{
    Backend, CommitError, Committed, Kind, MigrateError, Offsets, Outgoing, Probe, Row, Schema,
    Store, Table, Value, Write,
};
use tokio::sync::watch;

use crate::agency::{self, Arrival, Reply};
use crate::harness::*;

/// Counts the points that a life passes; from the fatal one on nothing ends any more, as in a process
/// that is gone.
#[derive(Clone)]
struct Life {
    fatal: usize,
    passed: Arc<AtomicUsize>,
    died: Arc<watch::Sender<Option<&'static str>>>,
}

struct Mortal<T> {
    inner: T,
    life: Life,
    /// A planted bug: what was claimed is not kept.
    forgets_claims: bool,
}

/// No point is the fatal one.
const NEVER: usize = usize::MAX;
const DOSSIERS: usize = 3;
/// Two steps each: the order within a dossier counts too.
const DELIVERIES: usize = 2 * DOSSIERS;
const TIMES: usize = 3;

// === impl Life ===

impl Life {
    fn new(fatal: usize) -> Self {
        Self {
            fatal,
            passed: Arc::default(),
            died: Arc::new(watch::Sender::default()),
        }
    }

    async fn passes(&self, point: &'static str) {
        let number = self.passed.fetch_add(1, Ordering::SeqCst);
        if number == self.fatal {
            self.died.send_replace(Some(point));
        }
        if number >= self.fatal {
            pending::<()>().await;
        }
    }

    async fn end(&self) -> &'static str {
        let mut died = self.died.subscribe();
        let found = died.wait_for(Option::is_some).await.unwrap();
        found.unwrap()
    }
}

// === impl Mortal ===

impl Backend for Mortal<Arc<dyn Backend>> {
    fn commit(&self, mut write: Write) -> store::BoxFuture<'_, Result<Committed, CommitError>> {
        let of_verdicts = write.fence.group == "courier-verdicts";
        let (before, after) = match (of_verdicts, write.outbox.is_empty()) {
            (true, true) => ("before a claim", "after a claim"),
            (true, false) => ("before a verdict", "after a verdict"),
            (false, _) => ("before taking in", "after taking in"),
        };
        if self.forgets_claims && before == "before a claim" {
            write.ops.clear();
        }
        Box::pin(async move {
            self.life.passes(before).await;
            let committed = self.inner.commit(write).await;
            self.life.passes(after).await;
            committed
        })
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> store::BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            self.life.passes("before a mark").await;
            let marked = self.inner.published(group, ids).await;
            self.life.passes("after a mark").await;
            marked
        })
    }

    fn migrate(
        &self,
        schemas: Vec<&'static Schema>,
    ) -> store::BoxFuture<'_, Result<(), MigrateError>> {
        self.inner.migrate(schemas)
    }

    fn take_over(&self, group: &'static str) -> store::BoxFuture<'_, Result<i64, CommitError>> {
        self.inner.take_over(group)
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> store::BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.prune_inbox(group, before, limit)
    }

    fn offsets(
        &self,
        group: &'static str,
    ) -> store::BoxFuture<'_, Result<Offsets, store::ReadError>> {
        self.inner.offsets(group)
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> store::BoxFuture<'_, Result<HashMap<[u8; 16], i64>, store::ReadError>> {
        self.inner.seen(group, ids)
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> store::BoxFuture<'_, Result<Vec<Row>, store::ReadError>> {
        self.inner.get(table, keys)
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> store::BoxFuture<'_, Result<Vec<Row>, store::ReadError>> {
        self.inner.query(sql, params, kinds)
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> store::BoxFuture<'_, Result<Vec<(i64, Outgoing)>, store::ReadError>> {
        self.inner.outbox(group, limit)
    }

    fn probe(&self, group: &'static str) -> store::BoxFuture<'_, Result<Probe, store::ReadError>> {
        self.inner.probe(group)
    }
}

impl log::Backend for Mortal<Log> {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        Box::pin(async move {
            self.life.passes("before publishing").await;
            let positions = self.inner.append(topic, records).await;
            self.life.passes("after publishing").await;
            positions
        })
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        Box::pin(self.inner.reader(from))
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>> {
        Box::pin(self.inner.bounds(topic))
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.inner.committed(group, offsets);
    }

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        Box::pin(self.inner.oldest_unread(at))
    }
}

async fn start(
    world: &World,
    life: &Life,
    destination: &Destination,
    forgets_claims: bool,
) -> Courier {
    let (log, life) = (world.log.clone(), life.clone());
    let store = Store::wrap(Mortal {
        inner: world.store.backend(),
        life: life.clone(),
        forgets_claims,
    });
    let log = Log::wrap(Mortal {
        inner: log,
        life,
        forgets_claims,
    });
    let calendars = Arc::new(Calendars::built_in().unwrap());
    let config = Config::new(vec![destination.clone()], calendars);
    let (tasks, health) = (Tasks::default(), Health::default());
    let clock = world.clock.clone();
    let handle = Service::start(config, log, store, clock, &tasks, health.clone()).await;
    Courier {
        handle: handle.unwrap(),
        tasks,
        health,
    }
}

/// Whether every delivery was delivered or waits for a person, or behind one of its dossier that does.
async fn settled(world: &World) -> Option<()> {
    let (mut arrived, mut doubtful) = (BTreeSet::new(), BTreeSet::new());
    for outcome in world.outcomes().await {
        match outcome.kind {
            OutcomeKind::Delivered { delivery, .. } => arrived.insert(delivery),
            OutcomeKind::Unknown { delivery, .. } => doubtful.insert(delivery),
            _ => false,
        };
    }
    let is_settled = |n| {
        let [first, second] = steps(n).map(|delivery| delivery.id);
        doubtful.contains(&first)
            || arrived.contains(&first) && (arrived.contains(&second) || doubtful.contains(&second))
    };
    (0..DOSSIERS).all(is_settled).then_some(())
}

fn steps(dossier: usize) -> [Delivery; 2] {
    let dossier = format!("d-{dossier}");
    ["a", "b"].map(|step| delivery(&dossier, step, "justice"))
}

/// One life that dies at a point, or never, and one after it; answers at which.
async fn lives(
    fatal: usize,
    idempotent: bool,
    forgets_claims: bool,
) -> (Option<&'static str>, Vec<Arrival>) {
    // The points are counted over one process; couriers that share a store wait at others.
    let world = World::of_one_process().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let destination = Destination {
        terms: Terms {
            idempotent,
            ..Terms::default()
        },
        max_in_flight: 2,
        ..grpc("justice", address)
    };
    let life = Life::new(fatal);
    let first = start(&world, &life, &destination, forgets_claims).await;
    world.append((0..DOSSIERS).flat_map(steps)).await;
    // The tasks of a life that died go on as far as they can: nothing that they know is written any more.
    let lived = async {
        eventually(|| settled(&world)).await;
        first.stop().await;
    };
    let died = tokio::select! {
        point = life.end() => Some(point),
        () = lived => None,
    };
    if died.is_some() {
        let second = start(&world, &Life::new(NEVER), &destination, forgets_claims).await;
        eventually(|| settled(&world)).await;
        second.stop().await;
    }
    (died, seen.all())
}

/// What must not be seen, if it is.
fn violation(arrivals: &[Arrival], idempotent: bool) -> Option<&'static str> {
    let mut bytes = BTreeMap::<_, BTreeSet<_>>::new();
    let mut times = BTreeMap::<_, usize>::new();
    let mut steps = BTreeMap::<_, Vec<_>>::new();
    for arrival in arrivals {
        bytes.entry(&arrival.id).or_default().insert(&arrival.bytes);
        *times.entry(&arrival.id).or_default() += 1;
        let steps = steps.entry(&arrival.dossier).or_default();
        if !steps.contains(&arrival.step.as_str()) {
            steps.push(arrival.step.as_str());
        }
    }
    let found = [
        ("altered", bytes.values().any(|all| all.len() > 1)),
        (
            "out of order",
            !steps.values().all(|steps| steps.is_sorted()),
        ),
        ("lost", idempotent && times.len() < DELIVERIES),
        ("sent again", !idempotent && times.values().any(|n| *n > 1)),
    ];
    found
        .into_iter()
        .find(|(_, is_so)| *is_so)
        .map(|(what, _)| what)
}

/// C3, C6: a courier that ends before or after any of its commits, publications and marks loses nothing and
/// alters nothing; where a repeat harms, nothing is sent again. Ends once every expected point was fatal
/// often enough; one that is never reached is its caller's time-out.
async fn dies_everywhere(idempotent: bool, expected: &[&str]) {
    let mut points = BTreeMap::<_, usize>::new();
    let often = |points: &BTreeMap<_, usize>| {
        let times = |point| points.get(point).copied().unwrap_or_default();
        expected.iter().all(|point| times(point) >= TIMES)
    };
    // How many verdicts share a commit differs from life to life, and so how often a life publishes.
    while !often(&points) {
        for fatal in 0.. {
            let (point, arrivals) = lives(fatal, idempotent, false).await;
            assert_eq!(violation(&arrivals, idempotent), None, "{point:?}");
            match point {
                Some(point) => *points.entry(point).or_default() += 1,
                None => break,
            }
        }
    }
}

const POINTS: [&str; 6] = [
    "before taking in",
    "after taking in",
    "before a verdict",
    "after a verdict",
    "before publishing",
    "after publishing",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_a_crash_at_any_point_of_taking_in_and_verdicts_loses_nothing() {
    let all = tokio::time::timeout(Duration::from_secs(300), dies_everywhere(true, &POINTS));
    all.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_a_crash_at_any_point_of_a_claim_sends_nothing_twice() {
    let points = [&POINTS[..], &["before a claim", "after a claim"]].concat();
    let all = tokio::time::timeout(Duration::from_secs(300), dies_everywhere(false, &points));
    all.await.unwrap();
}

/// T8, of these tests themselves: a courier whose claims are not kept resends blindly, and that is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_a_blind_resend_after_an_unknown_outcome_is_caught() {
    let mut found = None;
    let mut fatal = 0;
    while found.is_none() {
        let (point, arrivals) = lives(fatal, false, true).await;
        assert_ne!(point, None, "not caught at any of {fatal} points");
        found = violation(&arrivals, false);
        fatal += 1;
    }
    assert_eq!(found, Some("sent again"));
}
