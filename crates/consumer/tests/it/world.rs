//! A fold that counts, over a store and a log whose faults the test orders.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use consumer::{Consumer, Decision, Error, Fold, Fresh, Options, Unreadable};
use jiff::Timestamp;
use log::{AppendError, Bounds, Cursor, Limit, Log, Position, Read, Reader, Record, Topic};
use runtime::{Clock, Health};
use store::{
    Backend, BoxFuture, Column, CommitError, Committed, Kind, MigrateError, Migration, Offsets, Op,
    Outgoing, Probe, ReadError, Row, Schema, Step, Store, Table, Write, row,
};
use tokio_util::sync::CancellationToken;

pub(crate) const GROUP: &str = "counter";

static COUNTS: Table = Table {
    name: "counts",
    columns: &[Column::text("key"), Column::int("count")],
    key: 1,
};

static SCHEMA: Schema = Schema {
    role: "counter",
    migrations: &[Migration {
        version: 1,
        steps: &[Step::Create(&COUNTS)],
    }],
};

/// What a store does with the next commit or read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Refused, and nothing is written.
    Commit,
    /// Written, and the answer is lost.
    Answer,
    /// A read fails.
    Read,
}

/// What a log says to the next append.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    NotWritten,
    /// Written, and the answer is lost.
    Unknown,
    Fatal,
}

/// What the fold was told.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) committed: usize,
    pub(crate) rolled_back: usize,
    pub(crate) conflicts: usize,
}

/// Counts records by key, and passes each on under an id derived from its own.
struct Counter(Arc<Mutex<Told>>, usize);

struct FaultyStore {
    inner: Arc<dyn Backend>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

struct FaultyLog {
    inner: Log,
    refusals: Arc<Mutex<VecDeque<Refusal>>>,
}

pub(crate) struct World {
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) faults: Arc<Mutex<VecDeque<Fault>>>,
    pub(crate) refusals: Arc<Mutex<VecDeque<Refusal>>>,
    pub(crate) told: Arc<Mutex<Told>>,
    pub(crate) health: Health,
    _directory: tempfile::TempDir,
}

// === impl Counter ===

impl Fold for Counter {
    fn group(&self) -> &'static str {
        GROUP
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::Events]
    }

    async fn decide(&mut self, batch: &[Fresh], store: &Store) -> Result<Decision, ReadError> {
        let mut decision = Decision::default();
        let mut counts: HashMap<String, i64> = HashMap::new();
        self.1 = batch.iter().filter(|fresh| fresh.conflict).count();
        for fresh in batch.iter().filter(|fresh| !fresh.conflict) {
            let record = &fresh.stored.record;
            if record.value.starts_with(b"?") {
                let unreadable = Unreadable::of(&fresh.stored, "begins with a question mark");
                decision.unreadable.push(unreadable);
                continue;
            }
            *counts.entry(record.key.clone()).or_default() += 1;
            let mut outgoing = record.clone();
            outgoing.headers[1].1 = format!("out-{}", record.header("id").unwrap());
            decision.outgoing.push((Topic::Deliveries, outgoing));
        }
        let keys: Vec<Row> = counts.keys().map(|key| row![key.as_str()]).collect();
        for stored in store.get(&COUNTS, keys).await? {
            *counts.get_mut(stored.text(0)?).unwrap() += stored.int(1)?;
        }
        let rows: Vec<Row> = counts.into_iter().map(|(k, n)| row![k, n]).collect();
        decision.ops.push(Op::Upsert {
            table: &COUNTS,
            rows,
        });
        Ok(decision)
    }

    fn committed(&mut self) {
        let mut told = self.0.lock().unwrap();
        told.committed += 1;
        told.conflicts += std::mem::take(&mut self.1);
    }

    fn rolled_back(&mut self) {
        self.0.lock().unwrap().rolled_back += 1;
        self.1 = 0;
    }
}

// === impl FaultyStore ===

impl FaultyStore {
    fn next(&self, kinds: &[Fault]) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let is_next = faults.front().is_some_and(|fault| kinds.contains(fault));
        if is_next { faults.pop_front() } else { None }
    }
}

impl Backend for FaultyStore {
    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        self.inner.migrate(schemas)
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        self.inner.take_over(group)
    }

    fn commit(&self, write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
        let fault = self.next(&[Fault::Commit, Fault::Answer]);
        let source = Arc::new(std::io::Error::other("ordered by the test"));
        Box::pin(async move {
            match fault {
                None | Some(Fault::Read) => self.inner.commit(write).await,
                Some(Fault::Commit) => Err(CommitError::Transient {
                    unknown: false,
                    source,
                }),
                Some(Fault::Answer) => {
                    self.inner.commit(write).await?;
                    Err(CommitError::Transient {
                        unknown: true,
                        source,
                    })
                }
            }
        })
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
        if self.next(&[Fault::Read]).is_some() {
            let source = Arc::new(std::io::Error::other("ordered by the test"));
            return Box::pin(async { Err(ReadError::Transient(source)) });
        }
        self.inner.get(table, keys)
    }

    fn query(
        &self,
        sql: String,
        params: Vec<store::Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        self.inner.query(sql, params, kinds)
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        self.inner.outbox(group, limit)
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        self.inner.probe(group)
    }
}

// === impl FaultyLog ===

impl log::Backend for FaultyLog {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        let refusal = self.refusals.lock().unwrap().pop_front();
        let reason = "ordered by the test".to_owned();
        Box::pin(async move {
            match refusal {
                None => self.inner.append(topic, records).await,
                Some(Refusal::NotWritten) => Err(AppendError::NotWritten { reason }),
                Some(Refusal::Fatal) => Err(AppendError::Fatal { reason }),
                Some(Refusal::Unknown) => {
                    self.inner.append(topic, records).await?;
                    Err(AppendError::Unknown { reason })
                }
            }
        })
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, log::ReadError>> {
        Box::pin(self.inner.reader(from))
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, log::ReadError>> {
        Box::pin(self.inner.bounds(topic))
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.inner.committed(group, offsets);
    }

    fn oldest_unread(
        &self,
        at: Cursor,
    ) -> BoxFuture<'_, Result<Option<Timestamp>, log::ReadError>> {
        Box::pin(self.inner.oldest_unread(at))
    }
}

// === impl World ===

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let inner = Store::open(store::Config::sqlite(directory.path().join("s.db")));
        let inner = inner.await.unwrap();
        inner.migrate(&[&consumer::SCHEMA, &SCHEMA]).await.unwrap();
        let faults = Arc::default();
        let store = Store::wrap(FaultyStore {
            inner: inner.backend(),
            faults: Arc::clone(&faults),
        });
        Self {
            log: Log::memory(Arc::new(|| Timestamp::UNIX_EPOCH)),
            store,
            faults,
            refusals: Arc::default(),
            told: Arc::default(),
            health: Health::default(),
            _directory: directory,
        }
    }

    pub(crate) fn order(&self, faults: &[Fault], refusals: &[Refusal]) {
        self.faults.lock().unwrap().extend(faults);
        self.refusals.lock().unwrap().extend(refusals);
    }

    pub(crate) async fn append(&self, records: Vec<Record>) {
        self.log.append(Topic::Events, records).await.unwrap();
    }

    /// A consumer that owns the group from now on.
    pub(crate) async fn start(&self, stop: &CancellationToken) -> Result<(), Error> {
        let epoch = self.store.take_over(GROUP).await.unwrap();
        let log = Log::wrap(FaultyLog {
            inner: self.log.clone(),
            refusals: Arc::clone(&self.refusals),
        });
        let options = Options {
            limit: Limit {
                records: 3,
                bytes: 1 << 20,
            },
            ..Options::default()
        };
        let (fold, store) = (Counter(Arc::clone(&self.told), 0), self.store.clone());
        let (clock, health) = (Clock::system(), self.health.clone());
        Consumer::new(fold, log, store, epoch, clock, health, options)
            .run(stop.clone())
            .await
    }

    /// Runs a consumer until everything is consumed and every order is used up.
    pub(crate) async fn run(&self) -> Result<(), Error> {
        let stop = CancellationToken::new();
        let done = async {
            self.consumed().await;
            stop.cancel();
        };
        let (ran, ()) = tokio::join!(
            async {
                let ran = self.start(&stop).await;
                // An end of its own need not be waited for.
                self.faults.lock().unwrap().clear();
                self.refusals.lock().unwrap().clear();
                stop.cancel();
                ran
            },
            async {
                tokio::select! { () = done => {}, () = stop.cancelled() => {} }
            }
        );
        ran
    }

    async fn consumed(&self) {
        let end = self.log.bounds(Topic::Events).await.unwrap()[0].end;
        let key = (Topic::Events.label().to_owned(), 0);
        loop {
            let offsets = self.store.offsets(GROUP).await.unwrap();
            let ordered = !self.faults.lock().unwrap().is_empty()
                || !self.refusals.lock().unwrap().is_empty();
            if offsets.get(&key) == Some(&end) && !ordered {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the group's offset is this.
    pub(crate) async fn consumed_up_to(&self, offset: i64) {
        let key = (Topic::Events.label().to_owned(), 0);
        while self.store.offsets(GROUP).await.unwrap().get(&key) != Some(&offset) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn count(&self, key: &str) -> i64 {
        let rows = self.store.get(&COUNTS, vec![row![key]]).await.unwrap();
        rows.first().map_or(0, |row| row.int(1).unwrap())
    }

    /// What was passed on, as it lies in the log.
    pub(crate) async fn passed_on(&self) -> Vec<Record> {
        let end = self.log.bounds(Topic::Deliveries).await.unwrap()[0].end as usize;
        let mut reader = self.log.reader_from_start(Topic::Deliveries).await.unwrap();
        let limit = Limit {
            records: 10_000,
            bytes: 1 << 30,
        };
        let mut records = Vec::new();
        while records.len() < end {
            for read in reader.next(limit, Duration::from_secs(1)).await.unwrap() {
                let Read::Ok(stored) = read else {
                    panic!("{read:?}")
                };
                records.push(stored.record);
            }
        }
        records
    }

    /// What a reader with an inbox sees: repeats dropped, which must have the same bytes.
    pub(crate) async fn distinct(&self) -> Vec<String> {
        let mut seen: HashMap<String, Record> = HashMap::new();
        let mut ids = Vec::new();
        for record in self.passed_on().await {
            let id = record.header("id").unwrap().to_owned();
            match seen.get(&id) {
                Some(first) => assert_eq!(*first, record, "a repeat has the same bytes"),
                None => {
                    seen.insert(id.clone(), record);
                    ids.push(id);
                }
            }
        }
        ids
    }
}

pub(crate) fn record(id: &str, key: &str, value: &str) -> Record {
    Record {
        key: key.to_owned(),
        headers: vec![
            ("source".into(), "desk".to_owned()),
            ("id".into(), id.to_owned()),
        ],
        value: value.to_owned().into(),
    }
}

/// Records of two keys by turns.
pub(crate) fn records(count: usize) -> Vec<Record> {
    let one = |number: usize| record(&number.to_string(), ["a", "b"][number % 2], "invented");
    (0..count).map(one).collect()
}

pub(crate) fn passed(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("out-{number}")).collect()
}
