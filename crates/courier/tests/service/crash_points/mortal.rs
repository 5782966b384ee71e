//! A store and a log that count how often their courier waits for them, and let it die at one of these
//! points.
//!
//! Every method of both back ends passes two points, whether a courier calls it today or not. A new
//! method of the store is missing here and fails the build; the log has methods with defaults, and so a
//! test in `tests/it/seams.rs` compares the names of all of them with those below. That test also holds
//! that a courier has no other way to its store, its log or the network than these and its links.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use log::{
    AppendError, Bounds, Cursor, Limit, Log, OpenError, Position, Read, ReadError, Reader, Record,
    Topic,
};
use store::{
    Backend, CommitError, Committed, Kind, MigrateError, Offsets, Op, Outgoing, Probe, Row, Schema,
    Table, Value, Write,
};
use tokio::sync::watch;

/// Before or after something that a courier waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Point {
    Before(&'static str),
    After(&'static str),
}

/// Counts the points that a life passes; at the fatal one it ends, and nothing that it waits for comes any
/// more.
#[derive(Clone)]
pub(super) struct Life {
    /// Which of the passages, counted from zero; `None`: it is a whole life.
    fatal: Option<(Point, usize)>,
    passed: Arc<Mutex<BTreeMap<Point, usize>>>,
    is_dead: Arc<watch::Sender<bool>>,
}

pub(super) struct Mortal<T> {
    pub(super) inner: T,
    pub(super) life: Life,
    /// A planted bug: what was claimed is not kept.
    pub(super) forgets_claims: bool,
}

// === impl Point ===

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(what) => write!(f, "before {what}"),
            Self::After(what) => write!(f, "after {what}"),
        }
    }
}

// === impl Life ===

impl Life {
    pub(super) fn new(fatal: Option<(Point, usize)>) -> Self {
        Self {
            fatal,
            passed: Arc::default(),
            is_dead: Arc::default(),
        }
    }

    /// Counts the point; `true`: it is the fatal one.
    pub(super) fn ends_at(&self, point: Point) -> bool {
        let mut passed = self.passed.lock().unwrap();
        let number = passed.entry(point).or_default();
        let is_fatal = self.fatal == Some((point, *number));
        *number += 1;
        if is_fatal {
            self.is_dead.send_replace(true);
        }
        is_fatal
    }

    async fn passes(&self, point: Point) {
        self.ends_at(point);
        let mut is_dead = self.is_dead.subscribe();
        is_dead.wait_for(|is_dead| !is_dead).await.unwrap();
    }

    async fn around<T>(&self, what: &'static str, work: impl Future<Output = T>) -> T {
        self.passes(Point::Before(what)).await;
        let done = work.await;
        self.passes(Point::After(what)).await;
        done
    }

    pub(super) async fn ended(&self) {
        let mut is_dead = self.is_dead.subscribe();
        is_dead.wait_for(|is_dead| *is_dead).await.unwrap();
    }

    /// It had only stood still, and everything that it waits for comes after all.
    pub(super) fn goes_on(&self) {
        self.is_dead.send_replace(false);
    }

    /// Which points it passed, and how often.
    pub(super) fn passed(&self) -> BTreeMap<Point, usize> {
        self.passed.lock().unwrap().clone()
    }
}

// === impl Mortal ===

/// The state of a claimed delivery, in the column behind the key.
const CLAIMED: i64 = 5;

/// What a commit is for.
fn purpose(write: &Write) -> &'static str {
    let is_claim = |op: &Op| match op {
        Op::Update { columns, rows, .. } if columns.first() == Some(&"state") => {
            rows.iter().any(|row| row.int(2).unwrap() == CLAIMED)
        }
        _ => false,
    };
    match write.fence.group {
        "courier-verdicts" if !write.outbox.is_empty() => "a verdict",
        "courier-verdicts" if write.ops.iter().any(is_claim) => "a claim",
        "courier-verdicts" => "a note",
        "courier" => "taking in",
        _ => "a lease",
    }
}

/// What a question is about.
fn subject(sql: &str) -> &'static str {
    if sql.contains("courier_lanes") {
        "looking at leases"
    } else if sql.contains("courier_news") {
        "reading the news"
    } else {
        "asking the store"
    }
}

impl Backend for Mortal<Arc<dyn Backend>> {
    fn migrate(
        &self,
        schemas: Vec<&'static Schema>,
    ) -> store::BoxFuture<'_, Result<(), MigrateError>> {
        Box::pin(
            self.life
                .around("making tables", self.inner.migrate(schemas)),
        )
    }

    fn take_over(&self, group: &'static str) -> store::BoxFuture<'_, Result<i64, CommitError>> {
        Box::pin(self.life.around("taking over", self.inner.take_over(group)))
    }

    fn commit(&self, mut write: Write) -> store::BoxFuture<'_, Result<Committed, CommitError>> {
        let purpose = purpose(&write);
        if self.forgets_claims && purpose == "a claim" {
            write.ops.clear();
        }
        Box::pin(self.life.around(purpose, self.inner.commit(write)))
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> store::BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(self.life.around("a mark", self.inner.published(group, ids)))
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> store::BoxFuture<'_, Result<u64, CommitError>> {
        let pruning = self.inner.prune_inbox(group, before, limit);
        Box::pin(self.life.around("forgetting", pruning))
    }

    fn offsets(
        &self,
        group: &'static str,
    ) -> store::BoxFuture<'_, Result<Offsets, store::ReadError>> {
        Box::pin(
            self.life
                .around("reading offsets", self.inner.offsets(group)),
        )
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> store::BoxFuture<'_, Result<HashMap<[u8; 16], i64>, store::ReadError>> {
        Box::pin(
            self.life
                .around("looking for repeats", self.inner.seen(group, ids)),
        )
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> store::BoxFuture<'_, Result<Vec<Row>, store::ReadError>> {
        Box::pin(
            self.life
                .around("reading rows", self.inner.get(table, keys)),
        )
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> store::BoxFuture<'_, Result<Vec<Row>, store::ReadError>> {
        let what = subject(&sql);
        let asking = self.inner.query(sql, params, kinds);
        Box::pin(self.life.around(what, asking))
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> store::BoxFuture<'_, Result<Vec<(i64, Outgoing)>, store::ReadError>> {
        let reading = self.inner.outbox(group, limit);
        Box::pin(self.life.around("reading the outbox", reading))
    }

    fn probe(&self, group: &'static str) -> store::BoxFuture<'_, Result<Probe, store::ReadError>> {
        Box::pin(self.life.around("a figure", self.inner.probe(group)))
    }
}

impl log::Backend for Mortal<Log> {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        Box::pin(
            self.life
                .around("publishing", self.inner.append(topic, records)),
        )
    }

    fn prepare_named(&self, names: Vec<String>) -> BoxFuture<'_, Result<(), OpenError>> {
        Box::pin(
            self.life
                .around("making topics", self.inner.prepare_named(names)),
        )
    }

    fn append_named<'a>(
        &'a self,
        name: &'a str,
        records: Vec<Record>,
    ) -> BoxFuture<'a, Result<Vec<Position>, AppendError>> {
        let appending = self.inner.append_named(name, records);
        Box::pin(self.life.around("sending to a topic", appending))
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        Box::pin(self.open(self.inner.reader(from)))
    }

    fn patient_reader(
        &self,
        from: Vec<Cursor>,
        patience: Duration,
    ) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        Box::pin(self.open(self.inner.patient_reader(from, patience)))
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>> {
        Box::pin(
            self.life
                .around("measuring the log", self.inner.bounds(topic)),
        )
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.inner.committed(group, offsets);
    }

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        Box::pin(self.life.around("a lag", self.inner.oldest_unread(at)))
    }
}

impl Mortal<Log> {
    async fn open(
        &self,
        opening: impl Future<Output = Result<Box<dyn Reader>, ReadError>>,
    ) -> Result<Box<dyn Reader>, ReadError> {
        let inner = self.life.around("opening the log", opening).await?;
        let life = self.life.clone();
        let forgets_claims = self.forgets_claims;
        Ok(Box::new(Mortal {
            inner,
            life,
            forgets_claims,
        }))
    }
}

impl Reader for Mortal<Box<dyn Reader>> {
    fn next(
        &mut self,
        limit: Limit,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Read>, ReadError>> {
        async move {
            self.life.passes(Point::Before("reading the log")).await;
            let reads = self.inner.next(limit, wait).await;
            // A wait in vain is over soon, and how many there are depends on the time.
            if reads.as_ref().is_ok_and(|reads| !reads.is_empty()) {
                self.life.passes(Point::After("reading the log")).await;
            }
            reads
        }
        .boxed()
    }
}
