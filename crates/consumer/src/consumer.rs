use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use log::{Cursor, Limit, Log, Read, Reader, Topic};
use runtime::{Clock, Health, Readiness};
use store::{CommitError, Fence, Offsets, Store, Write};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{Decision, Error, Fold, Outbox, batch, outbox::by_topic, tables, telemetry};

/// Reads a group's topics and folds them, one transaction per batch.
pub struct Consumer<F> {
    fold: F,
    log: Log,
    store: Store,
    epoch: i64,
    clock: Clock,
    health: Health,
    options: Options,
}

/// How much a consumer takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most of one batch.
    pub limit: Limit,
    /// How long inbox entries are kept: at least the longest of topic retention, outbox age and
    /// oldest restorable backup.
    pub inbox_retention: Duration,
}

struct Position {
    offsets: Offsets,
    reader: Box<dyn Reader>,
}

const WAIT: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const PRUNE_EVERY: Duration = Duration::from_secs(60);
const PRUNE_ROWS: u32 = 10_000;

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: Limit {
                records: 1_000,
                bytes: 4 << 20,
            },
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
        }
    }

    /// Works until the stop, through passing faults of log and store.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let group = self.fold.group();
        let mut outbox = Outbox::new(
            group,
            self.store.clone(),
            self.log.clone(),
            self.health.clone(),
        );
        let mut pause = FIRST_PAUSE;
        while !stop.is_cancelled() {
            match self.work(&mut outbox, &stop, &mut pause).await {
                Ok(()) => break,
                Err(error) if is_passing(&error) => {
                    self.fold.rolled_back();
                    telemetry::retrying(group, "step", &error);
                    self.health
                        .set(group, Readiness::NotReady(error.to_string()));
                    let _ = stop.run_until_cancelled(sleep(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    self.health
                        .set(group, Readiness::NotReady(error.to_string()));
                    return Err(error);
                }
            }
        }
        outbox.settle().await
    }

    /// Works until the stop or the first fault; every fault leaves the truth in the store.
    async fn work(
        &mut self,
        outbox: &mut Outbox,
        stop: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), Error> {
        outbox.settle().await?;
        outbox.recover().await?;
        let mut position = self.position().await?;
        let mut pruned = Instant::now();
        self.health.set(self.fold.group(), Readiness::Ready);
        loop {
            let next = position.reader.next(self.options.limit, WAIT);
            let Some(reads) = stop.run_until_cancelled(next).await else {
                return Ok(());
            };
            let reads = reads.map_err(Error::Log)?;
            if !reads.is_empty() {
                self.step(reads, &mut position.offsets, outbox).await?;
                *pause = FIRST_PAUSE;
            }
            if pruned.elapsed() > PRUNE_EVERY {
                pruned = Instant::now();
                self.prune().await?;
            }
        }
    }

    async fn position(&self) -> Result<Position, Error> {
        let mut offsets = self
            .store
            .offsets(self.fold.group())
            .await
            .map_err(Error::Read)?;
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
        let reader = self.log.reader(cursors).await.map_err(Error::Log)?;
        Ok(Position { offsets, reader })
    }

    async fn step(
        &mut self,
        reads: Vec<Read>,
        offsets: &mut Offsets,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let group = self.fold.group();
        let at = self.clock.now();
        let known = batch::identify(reads);
        let ids: Vec<_> = known.iter().map(|known| known.id).collect();
        let seen = self.store.seen(group, ids).await.map_err(Error::Read)?;
        let batch = batch::sift(known, seen, offsets, at.as_millisecond());
        let decision = if batch.fresh.is_empty() {
            Decision::default()
        } else {
            self.fold
                .decide(&batch.fresh, &self.store)
                .await
                .map_err(Error::Read)?
        };

        let fence = Fence {
            group,
            epoch: self.epoch,
            moves: batch.moves,
        };
        let moves = fence.moves.clone();
        let mut write = Write::new(fence, at.as_millisecond());
        let mut unreadable = batch.unreadable;
        unreadable.extend(decision.unreadable);
        write.inbox = batch.inbox;
        write.ops = decision.ops;
        write.ops.extend(tables::keep(group, &unreadable));
        let outgoing = by_topic(decision.outgoing);
        let ids = outbox
            .commit(write, &outgoing)
            .await
            .map_err(commit_error)?;

        self.fold.committed();
        for one in &unreadable {
            telemetry::unreadable(group, one);
        }
        let conflicts = batch.fresh.iter().filter(|fresh| fresh.conflict).count();
        telemetry::folded(group, batch.fresh.len(), conflicts, begun.elapsed());
        self.moved(moves, offsets, at);
        outbox.publish(ids, outgoing).await
    }

    fn moved(&self, moves: Vec<store::Move>, offsets: &mut Offsets, at: jiff::Timestamp) {
        let group = self.fold.group();
        let mut cursors: BTreeMap<(Topic, i32), i64> = BTreeMap::new();
        for store::Move {
            topic,
            partition,
            next,
            ..
        } in moves
        {
            if let Some(known) = Topic::ALL.into_iter().find(|known| known.label() == topic) {
                telemetry::progressed(group, known, at);
                cursors.insert((known, partition), next);
            }
            offsets.insert((topic, partition), next);
        }
        let cursors: Vec<Cursor> = cursors
            .into_iter()
            .map(|((topic, partition), offset)| Cursor {
                topic,
                partition,
                offset,
            })
            .collect();
        self.log.committed(group, &cursors);
    }

    async fn prune(&self) -> Result<(), Error> {
        let group = self.fold.group();
        let keep = i64::try_from(self.options.inbox_retention.as_millis()).unwrap_or(i64::MAX);
        let before = self.clock.now().as_millisecond().saturating_sub(keep);
        self.store
            .prune_inbox(group, before, PRUNE_ROWS)
            .await
            .map(drop)
            .map_err(commit_error)
    }
}

fn commit_error(error: CommitError) -> Error {
    match error {
        CommitError::Fenced { .. } => Error::Fenced(error),
        CommitError::Transient { .. } | CommitError::Fatal(_) => Error::Commit(error),
    }
}

/// Whether the same step may succeed later. After a lost commit answer the store's offsets tell
/// whether it landed, and the outbox is published from its rows.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Commit(CommitError::Transient { .. })
        | Error::Read(store::ReadError::Transient(_) | store::ReadError::TooLong { .. })
        | Error::Log(log::ReadError::Transient { .. }) => true,
        Error::Fenced(_)
        | Error::Commit(CommitError::Fenced { .. } | CommitError::Fatal(_))
        | Error::Read(store::ReadError::Row(_) | store::ReadError::Fatal(_))
        | Error::Log(log::ReadError::Gone { .. } | log::ReadError::Fatal { .. })
        | Error::Append(_)
        | Error::Outbox { .. } => false,
    }
}
