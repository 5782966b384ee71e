//! The one writer of what lanes learn: everything that waits goes into one transaction.
//!
//! Couriers that share a store write beside one another, each lane's reports under the guard of its
//! lease. Reports of a lane that another courier has claimed meanwhile change nothing: their deliveries
//! are the other's. What this one heard of them is kept as a fact: see [`late()`].
//!
//! All couriers share one outbox. Each publishes what it wrote itself; what one leaves behind, because
//! it was killed between commit and publishing, is published by any of the others: rows that stood there at
//! two looks, one length of a lease apart. Nobody needs to know who is alive for that, and what a slow
//! one publishes as well is dropped by every reader, for the ids are the same.

mod gather;
mod late;
mod outcomes;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use consumer::{Outbox, Publisher, Start};
use domain::{Attempt, DestinationId, DossierKey, StepId};
use jiff::Timestamp;
use log::{Record, Topic};
use runtime::Clock;
use store::{CommitError, Fence, Guard, Write};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tokio::{join, select};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::entry::{Entry, Millis, Place};
use crate::lane::{Kept, Ruling};
use crate::leases::{Lease, Token};
use crate::telemetry;

use gather::Gathering;
use late::Late;
pub(crate) use late::late;
pub(crate) use outcomes::outcome_record;

/// What a lane reports, to be made durable.
#[derive(Debug)]
pub(crate) enum Report {
    /// An attempt has ended.
    Verdict(Verdict),
    /// The payload of one whose row has none so far.
    Payload {
        /// Where the delivery stands.
        place: Place,
        /// The encoded message.
        body: Bytes,
    },
    /// These are about to be sent to a destination for which a repeat is not harmless.
    Claimed {
        /// Where they stand.
        places: Vec<Place>,
        /// Told when that is durable.
        done: oneshot::Sender<()>,
    },
    /// An unknown outcome became known.
    Resolved {
        /// The delivery.
        about: About,
        /// Whether the destination has it; otherwise it is sent again.
        arrived: bool,
        /// When that became known.
        at: Millis,
        /// How.
        reason: String,
    },
    /// So much of a delivery's budget is used.
    Alarm {
        /// The delivery.
        about: About,
        /// 50, 80 or 100.
        percent: u8,
        /// When that was.
        at: Millis,
    },
    /// What of a lane the next process should know.
    Kept {
        /// The lane's.
        destination: DestinationId,
        /// How it stands.
        kept: Kept,
    },
    /// Everything before it is durable, be it as a fact alone because the lane is another courier's.
    Settled {
        /// Told then.
        done: oneshot::Sender<()>,
    },
}

/// What a lane reports under its lease.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) lease: Arc<Lease>,
    pub(crate) reports: Vec<Report>,
    /// Dropped once they are written.
    #[expect(dead_code, reason = "its end is what counts")]
    unwritten: Unwritten,
}

/// Verdicts of one lane that are not durable yet: what a kill would have sent again although it was
/// answered.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    verdicts: AtomicUsize,
    written: Notify,
}

/// Some of a [`Backlog`], as long as it lives.
#[derive(Debug)]
pub(crate) struct Unwritten {
    backlog: Arc<Backlog>,
    verdicts: usize,
}

/// The end of one attempt.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The delivery after the attempt.
    pub(crate) about: About,
    pub(crate) attempt: Attempt,
    pub(crate) ruling: Ruling,
}

/// A delivery, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) entry: Entry,
    pub(crate) dossier: DossierKey,
    pub(crate) step: StepId,
    pub(crate) destination: DestinationId,
}

/// Reports on their way to the writer: lanes wait when the store does not keep up.
pub(crate) type Sender = mpsc::Sender<Batch>;
type Receiver = mpsc::Receiver<Batch>;

/// Writes verdicts and publishes their outcomes.
pub(crate) struct Verdicts {
    incoming: Receiver,
    writer: Writer,
}

struct Writer {
    outbox: Outbox,
    ground: Ground,
    clock: Clock,
    is_stuck: watch::Sender<bool>,
}

/// Whether verdicts get out: while they do not, nothing new should come in.
#[derive(Clone)]
pub(crate) struct Flow(watch::Receiver<bool>);

/// What keeps writers of verdicts apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ground {
    /// One process has the store: the group's epoch.
    Alone {
        /// As it was taken over.
        epoch: i64,
    },
    /// Several have it: the lease of each lane.
    Shared {
        /// How long a row of the outbox may stand before somebody else publishes it.
        patience: Duration,
    },
}

/// The group of the verdicts: its own epoch and outbox, apart from the consumer's.
pub(crate) const GROUP: &str = "courier-verdicts";

const BATCHES_WAITING: usize = 256;
/// Each commit costs an fsync of the store and one of the log, for which events that come in wait too.
const PACE: Duration = Duration::from_millis(20);
/// What waits longer than this for the log is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

// === impl Verdict ===

impl Verdict {
    /// When the answer came.
    pub(crate) fn ended_at(&self) -> Timestamp {
        let Attempt {
            started_at, took, ..
        } = self.attempt;
        started_at.saturating_add(took).unwrap_or(started_at)
    }
}

// === impl Flow ===

impl Flow {
    /// Waits until verdicts get out, at most until the stop.
    pub(crate) async fn free(&mut self, stop: &CancellationToken) {
        let free = self.0.wait_for(|is_stuck| !is_stuck);
        let _ = stop.run_until_cancelled(free).await;
    }
}

// === impl Verdicts ===

impl Verdicts {
    pub(crate) fn new(outbox: Outbox, ground: Ground, clock: Clock) -> (Self, Sender, Flow) {
        let (sender, incoming) = mpsc::channel(BATCHES_WAITING);
        let (is_stuck, flow) = watch::channel(false);
        let writer = Writer {
            outbox,
            ground,
            clock,
            is_stuck,
        };
        let verdicts = Self { incoming, writer };
        (verdicts, sender, Flow(flow))
    }

    /// Publishes what an earlier run left, then works until the stop, and then until every lane has
    /// ended. `own` keeps the channel open until the stop, for there may be no lane at all.
    pub(crate) async fn run(
        self,
        own: Sender,
        start: &Start,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let Self { incoming, writer } = self;
        writer.recover(start).await?;
        start.ready();
        let (publisher, queue) = Outbox::queue();
        let writing = async {
            let gathering = Gathering::new(incoming, writer.ground.pace());
            let written = writer.write_all(gathering, own, &publisher, stop).await;
            drop(publisher);
            written
        };
        let publishing = async {
            select! {
                published = writer.outbox.publish_all(queue) => published.map_err(Error::from),
                swept = writer.sweep(stop) => swept,
            }
        };
        let (written, published) = join!(writing, publishing);
        published?;
        written?;
        Ok(writer.outbox.settle().await?)
    }
}

// === impl Ground ===

impl Ground {
    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Self::Shared { .. })
    }

    /// How long the writer leaves between the starts of two commits. Where others may take a lane over, an
    /// attempt takes up room until its verdict is durable, so no verdict waits for others.
    fn pace(self) -> Duration {
        match self {
            Self::Alone { .. } => PACE,
            Self::Shared { .. } => Duration::ZERO,
        }
    }
}

// === impl Writer ===

impl Writer {
    /// Publishes what is left of earlier runs. Where others write too, there is always something left.
    async fn recover(&self, start: &Start) -> Result<(), Error> {
        let mut tries = start.tries();
        loop {
            let tried = match self.ground {
                Ground::Alone { .. } => self.outbox.recover().await,
                Ground::Shared { .. } => self.recover_once().await,
            };
            let passes = consumer::Error::is_transient;
            if let Some(()) = tries.settle(tried, passes).await? {
                return Ok(());
            }
        }
    }

    async fn recover_once(&self) -> Result<(), consumer::Error> {
        let standing = self.outbox.sweep(&BTreeSet::new()).await?;
        self.outbox.sweep(&standing).await.map(drop)
    }

    async fn write_all(
        &self,
        mut gathering: Gathering,
        own: Sender,
        publisher: &Publisher,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let mut own = Some(own);
        loop {
            select! {
                batches = gathering.next() => {
                    let Some(batches) = batches else {
                        return Ok(());
                    };
                    if !self.write(batches, publisher).await? {
                        return Ok(());
                    }
                }
                () = publisher.ended() => return Ok(()),
                () = stop.cancelled(), if own.is_some() => own = None,
            }
        }
    }

    /// Publishes what a courier that was killed left behind.
    async fn sweep(&self, stop: &CancellationToken) -> Result<(), Error> {
        let Ground::Shared { patience } = self.ground else {
            return pending().await;
        };
        let mut standing = BTreeSet::new();
        loop {
            if stop.run_until_cancelled(sleep(patience)).await.is_none() {
                return pending().await;
            }
            match self.outbox.sweep(&standing).await {
                Ok(left) => standing = left,
                Err(error) if error.is_transient() => telemetry::sweep_again(&error),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn write(&self, mut batches: Vec<Batch>, publisher: &Publisher) -> Result<bool, Error> {
        let mut late = Late::default();
        let (ids, outgoing) = loop {
            let outcomes: Vec<Record> = reports(&batches).filter_map(outcomes::of).collect();
            let outgoing = if outcomes.is_empty() {
                Vec::new()
            } else {
                vec![(Topic::Outcomes, outcomes)]
            };
            match self.commit(&batches, &late, &outgoing).await? {
                Ok(ids) => break (ids, outgoing),
                Err(refused) => late.take_out(&mut batches, &refused),
            }
        };
        late.written();
        let mut ended = telemetry::Ended::default();
        for report in batches.into_iter().flat_map(|batch| batch.reports) {
            match report {
                Report::Verdict(verdict) => telemetry::ruled(&verdict, &mut ended),
                Report::Alarm { about, percent, .. } => telemetry::budget_used(&about, percent),
                Report::Resolved { about, arrived, .. } => telemetry::resolved(&about, arrived),
                Report::Claimed { done, .. } | Report::Settled { done } => {
                    let _ = done.send(());
                }
                Report::Kept { .. } | Report::Payload { .. } => {}
            }
        }
        ended.count();
        Ok(self.publish(ids, outgoing, publisher).await)
    }

    async fn publish(
        &self,
        ids: Vec<i64>,
        outgoing: Vec<(Topic, Vec<Record>)>,
        publisher: &Publisher,
    ) -> bool {
        let mut publishing = pin!(publisher.publish(ids, outgoing));
        if let Ok(done) = timeout(STUCK_AFTER, &mut publishing).await {
            return done;
        }
        telemetry::verdicts_stuck();
        self.is_stuck.send_replace(true);
        let done = publishing.await;
        self.is_stuck.send_replace(false);
        done
    }

    /// Writes the same rows until they are durable: a verdict is never lost because the store was
    /// away, and the delivery is not sent again for that. Writing them twice changes nothing. The inner
    /// error: the leases that are over; nothing was written.
    async fn commit(
        &self,
        batches: &[Batch],
        late: &Late,
        outgoing: &[(Topic, Vec<Record>)],
    ) -> Result<Result<Vec<i64>, Leases>, Error> {
        // In the order of the guarded rows; none where one process has the store.
        let leases = batches.iter();
        let leases = leases.filter_map(|batch| Some((batch.key(), batch.lease.guard()?)));
        let leases: BTreeMap<(DestinationId, Token), Guard> = leases.collect();
        let guards: Vec<Guard> = leases.values().cloned().collect();
        let mut pause = FIRST_PAUSE;
        loop {
            let now = self.clock.now().as_millisecond();
            let mut write = Write::new(self.fence(), now);
            write.ops = rows::ops(reports(batches));
            write.ops.extend(late.ops(now));
            write.guards = guards.clone();
            match self.outbox.commit(write, outgoing).await {
                Ok(ids) => return Ok(Ok(ids)),
                Err(CommitError::Guarded { failed }) => {
                    let refused = leases.into_keys().enumerate();
                    let refused = refused.filter(|(place, _)| failed.contains(place));
                    return Ok(Err(refused.map(|(_, lease)| lease).collect()));
                }
                Err(error @ CommitError::Transient { .. }) => telemetry::write_again(&error),
                Err(error @ (CommitError::Fenced { .. } | CommitError::Fatal(_))) => {
                    return Err(Error::Verdicts(error));
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn fence(&self) -> Fence {
        match self.ground {
            Ground::Alone { epoch } => Fence {
                group: GROUP,
                epoch,
                moves: Vec::new(),
            },
            Ground::Shared { .. } => Fence::shared(GROUP),
        }
    }
}

type Leases = BTreeSet<(DestinationId, Token)>;

fn reports(batches: &[Batch]) -> impl Iterator<Item = &Report> {
    batches.iter().flat_map(|batch| &batch.reports)
}

// === impl Backlog ===

impl Backlog {
    pub(crate) fn verdicts(&self) -> usize {
        self.verdicts.load(Ordering::Acquire)
    }

    /// Waits until some have been written.
    pub(crate) async fn written(&self) {
        self.written.notified().await;
    }
}

// === impl Unwritten ===

impl Drop for Unwritten {
    fn drop(&mut self) {
        self.backlog
            .verdicts
            .fetch_sub(self.verdicts, Ordering::AcqRel);
        self.backlog.written.notify_one();
    }
}

// === impl Batch ===

impl Batch {
    pub(crate) fn new(lease: Arc<Lease>, reports: Vec<Report>, backlog: &Arc<Backlog>) -> Self {
        let is_verdict = |report: &&Report| matches!(report, Report::Verdict(_));
        let verdicts = reports.iter().filter(is_verdict).count();
        backlog.verdicts.fetch_add(verdicts, Ordering::AcqRel);
        let unwritten = Unwritten {
            backlog: backlog.clone(),
            verdicts,
        };
        Self {
            lease,
            reports,
            unwritten,
        }
    }

    /// Whether somebody waits until it is written.
    fn is_awaited(&self) -> bool {
        let is_awaited =
            |report: &Report| matches!(report, Report::Claimed { .. } | Report::Settled { .. });
        self.reports.iter().any(is_awaited)
    }

    fn key(&self) -> (DestinationId, Token) {
        (self.lease.destination.clone(), self.lease.token)
    }
}
