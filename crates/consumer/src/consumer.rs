use std::{
    mem,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use log::{Cursor, Limit, Log, Read, Reader, Topic};
use runtime::{Clock, Health, Readiness};
use store::{Fence, Move, Offsets, Store, Write};
use tokio::{join, select, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Decision, Error, Fold, Outbox, Publisher, Unreadable, batch,
    outbox::{Carried, by_topic, commit_error},
    tables, telemetry,
};

/// Reads a group's topics and folds them, one transaction per batch.
pub struct Consumer<F> {
    fold: F,
    log: Log,
    store: Store,
    epoch: i64,
    clock: Clock,
    health: Health,
    options: Options,
    decided: Decided,
    /// Records since old inbox entries were last looked for.
    unpruned: usize,
}

/// How much a consumer takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most of one batch.
    pub limit: Limit,
    /// How long, in real time, a batch that is not full waits for more: for folds that write less when
    /// records of one dossier come together, and whose results nobody waits for.
    pub linger: Duration,
    /// How long inbox entries are kept: at least the longest of topic retention, outbox age and
    /// oldest restorable backup.
    pub inbox_retention: Duration,
}

struct Position {
    offsets: Offsets,
    reader: Box<dyn Reader>,
}

/// What the fold was told of its last decision.
#[derive(Default)]
enum Decided {
    /// Everything.
    #[default]
    Nothing,
    /// Nothing yet, and no commit was tried.
    Open,
    /// Nothing yet: the answer to the commit was lost, the store's offsets will tell.
    InDoubt(Landing),
}

/// What follows once a batch's transaction has landed.
struct Landing {
    moves: Vec<Move>,
    unreadable: Vec<Unreadable>,
    records: usize,
    conflicts: usize,
    begun: Instant,
    at: Timestamp,
}

const WAIT: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Two entries are looked at for each new one, so the inbox stays below twice what it must hold.
const PRUNE_AFTER: usize = 2_000;
const PRUNE_ROWS: u32 = 4_000;

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: Limit {
                records: 1_000,
                bytes: 4 << 20,
            },
            linger: Duration::ZERO,
            inbox_retention: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

// === impl Consumer ===

impl<F: Fold> Consumer<F> {
    /// A consumer that owns its group under `epoch`, as [`Store::take_over`] answered.
    pub fn new(
        fold: F,
        log: Log,
        store: Store,
        epoch: i64,
        clock: Clock,
        health: Health,
        options: Options,
    ) -> Self {
        Self {
            fold,
            log,
            store,
            epoch,
            clock,
            health,
            options,
            decided: Decided::Nothing,
            unpruned: 0,
        }
    }

    /// Works until the stop, through passing faults of log and store.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let group = self.fold.group();
        let (store, log, health) = (self.store.clone(), self.log.clone(), self.health.clone());
        let outbox = Outbox::new(group, store, log, health).until(stop.clone());
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            let Err(error) = self.work(&outbox, &stop, &mut pause).await else {
                break;
            };
            let reason = Readiness::NotReady(error.to_string());
            self.health.set(group, reason);
            if !error.is_transient() {
                return Err(error);
            }
            if let Decided::Open = self.decided {
                self.decided = Decided::Nothing;
                self.fold.rolled_back();
            }
            telemetry::retrying(group, "step", &error);
            let _ = stop.run_until_cancelled(sleep(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        match outbox.settle().await {
            // What is not marked is published once more by the next start.
            Err(error) if error.is_transient() => {
                telemetry::retrying(group, "settle", &error);
                Ok(())
            }
            settled => settled,
        }
    }

    /// Works until the stop or the first fault; every fault leaves the truth in the store.
    async fn work(
        &mut self,
        outbox: &Outbox,
        stop: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), Error> {
        outbox.recover().await?;
        let position = self.position().await?;
        self.health.set(self.fold.group(), Readiness::Ready);
        let (publisher, queue) = Outbox::queue();
        let steps = async {
            let worked = self.steps(position, outbox, &publisher, stop, pause).await;
            drop(publisher);
            worked
        };
        let (worked, published) = join!(steps, outbox.publish_all(queue));
        published.and(worked)
    }

    /// Folds batch after batch until the stop, the first fault, or the end of publishing.
    async fn steps(
        &mut self,
        mut position: Position,
        outbox: &Outbox,
        publisher: &Publisher,
        stop: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), Error> {
        loop {
            let reads = select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = publisher.ended() => return Ok(()),
                reads = self.options.batch(position.reader.as_mut()) => reads.map_err(Error::Log)?,
            };
            if !reads.is_empty() {
                let (ids, outgoing) = self.step(reads, &mut position.offsets, outbox).await?;
                if !publisher.publish(ids, outgoing).await {
                    return Ok(());
                }
                *pause = FIRST_PAUSE;
            }
            if self.unpruned >= PRUNE_AFTER {
                self.unpruned = 0;
                self.prune().await?;
            }
        }
    }

    async fn position(&mut self) -> Result<Position, Error> {
        let group = self.fold.group();
        let mut offsets = self.store.offsets(group).await.map_err(Error::Read)?;
        if let Decided::InDoubt(landing) = mem::take(&mut self.decided) {
            if landing.is_in(&offsets) {
                self.landed(landing, &mut offsets);
            } else {
                self.fold.rolled_back();
            }
        }
        let mut cursors = Vec::new();
        for topic in self.fold.topics() {
            for bounds in self.log.bounds(*topic).await.map_err(Error::Log)? {
                let key = (topic.label().to_owned(), bounds.partition);
                let offset = *offsets.entry(key).or_insert(bounds.first);
                cursors.push(Cursor {
                    topic: *topic,
                    partition: bounds.partition,
                    offset,
                });
            }
        }
        let reader = self.log.patient_reader(cursors, self.options.linger);
        let reader = reader.await.map_err(Error::Log)?;
        Ok(Position { offsets, reader })
    }

    async fn step(
        &mut self,
        reads: Vec<Read>,
        offsets: &mut Offsets,
        outbox: &Outbox,
    ) -> Result<Carried, Error> {
        let begun = Instant::now();
        let at = self.clock.now();
        let known = batch::identify(reads);
        let keys: Vec<_> = known.iter().map(|known| known.key).collect();
        let seen = self.store.seen(self.fold.group(), keys);
        let seen = seen.await.map_err(Error::Read)?;
        let batch = batch::sift(known, seen, offsets, at.as_millisecond());
        self.decided = Decided::Open;
        let decision = if batch.fresh.is_empty() {
            Decision::default()
        } else {
            let decision = self.fold.decide(&batch.fresh, &self.store).await;
            decision.map_err(Error::Read)?
        };
        let mut unreadable = batch.unreadable;
        unreadable.extend(decision.unreadable);
        let landing = Landing {
            moves: batch.moves,
            unreadable,
            records: batch.fresh.len(),
            conflicts: batch.fresh.iter().filter(|fresh| fresh.conflict).count(),
            begun,
            at,
        };
        let mut write = Write::new(self.fence(&landing), at.as_millisecond());
        write.inbox = batch.inbox;
        write.ops = decision.ops;
        let kept = tables::keep(self.fold.group(), &landing.unreadable);
        write.ops.extend(kept);
        let outgoing = by_topic(decision.outgoing);
        match outbox.commit(write, &outgoing).await {
            Ok(ids) => {
                self.landed(landing, offsets);
                Ok((ids, outgoing))
            }
            Err(error) => {
                if error.is_transient() {
                    self.decided = Decided::InDoubt(landing);
                }
                Err(commit_error(error))
            }
        }
    }

    fn fence(&self, landing: &Landing) -> Fence {
        Fence {
            group: self.fold.group(),
            epoch: self.epoch,
            moves: landing.moves.clone(),
        }
    }

    /// Tells the fold, the metrics and the log's own group that a batch is durable.
    fn landed(&mut self, landing: Landing, offsets: &mut Offsets) {
        self.decided = Decided::Nothing;
        self.fold.committed();
        self.unpruned += landing.records;
        let group = self.fold.group();
        for one in &landing.unreadable {
            telemetry::unreadable(group, one);
        }
        let took = landing.begun.elapsed();
        telemetry::folded(group, landing.records, landing.conflicts, took);
        let mut cursors = Vec::with_capacity(landing.moves.len());
        for step in landing.moves {
            let known = Topic::ALL.into_iter().find(|t| t.label() == step.topic);
            if let Some(topic) = known {
                telemetry::progressed(group, topic, landing.at);
                cursors.push(Cursor {
                    topic,
                    partition: step.partition,
                    offset: step.next,
                });
            }
            offsets.insert((step.topic, step.partition), step.next);
        }
        self.log.committed(group, &cursors);
    }

    /// Forgets old inbox entries, some at a time.
    async fn prune(&self) -> Result<(), Error> {
        let group = self.fold.group();
        let keep = i64::try_from(self.options.inbox_retention.as_millis()).unwrap_or(i64::MAX);
        let before = self.clock.now().as_millisecond().saturating_sub(keep);
        let pruned = self.store.prune_inbox(group, before, PRUNE_ROWS).await;
        pruned.map(drop).map_err(commit_error)
    }
}

// === impl Options ===

impl Options {
    /// What the reader gives, and what follows within the linger. Dropping it loses nothing: whatever was
    /// taken is read again from the store's offsets.
    async fn batch(&self, reader: &mut dyn Reader) -> Result<Vec<Read>, log::ReadError> {
        let mut reads = reader.next(self.limit, WAIT).await?;
        let end = Instant::now() + self.linger;
        while !reads.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            let rest = Limit {
                records: self.limit.records.saturating_sub(reads.len()),
                bytes: self.limit.bytes.saturating_sub(bytes(&reads)),
            };
            if left.is_zero() || rest.records == 0 || rest.bytes == 0 {
                break;
            }
            reads.extend(reader.next(rest, left).await?);
        }
        Ok(reads)
    }
}

fn bytes(reads: &[Read]) -> usize {
    let sizes = reads.iter().map(|read| match read {
        Read::Ok(stored) => stored.record.size(),
        Read::Broken { raw, .. } => raw.len(),
    });
    sizes.sum()
}

// === impl Landing ===

impl Landing {
    /// Whether the store's offsets show that it landed. Read under the same epoch, so nobody else
    /// can have moved them.
    fn is_in(&self, offsets: &Offsets) -> bool {
        self.moves.iter().all(|step| {
            let stored = offsets.get(&(step.topic.clone(), step.partition));
            stored.is_some_and(|stored| *stored >= step.next)
        })
    }
}
