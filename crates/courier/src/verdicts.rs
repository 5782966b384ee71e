//! The one writer of what lanes learn: everything that waits goes into one transaction.

mod outcomes;
mod rows;

use std::time::Duration;

use consumer::{Outbox, Publisher, Start};
use domain::{Attempt, DestinationId, DossierKey, StepId};
use jiff::Timestamp;
use log::{Record, Topic};
use runtime::Clock;
use store::{CommitError, Fence, Write};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio::{join, select};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::entry::{Entry, Millis, Place};
use crate::lane::{Kept, Ruling};
use crate::telemetry;

pub(crate) use outcomes::outcome_record;

/// What a lane reports, to be made durable.
#[derive(Debug)]
pub(crate) enum Report {
    /// An attempt has ended.
    Verdict(Verdict),
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
pub(crate) type Sender = mpsc::Sender<Vec<Report>>;
type Receiver = mpsc::Receiver<Vec<Report>>;

/// Writes verdicts and publishes their outcomes.
pub(crate) struct Verdicts {
    incoming: Receiver,
    writer: Writer,
}

struct Writer {
    outbox: Outbox,
    epoch: i64,
    clock: Clock,
}

/// The group of the verdicts: its own epoch and outbox, apart from the consumer's.
pub(crate) const GROUP: &str = "courier-verdicts";

const BATCHES_WAITING: usize = 256;
const BATCHES_AT_ONCE: usize = 256;
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

// === impl Verdicts ===

impl Verdicts {
    pub(crate) fn new(outbox: Outbox, epoch: i64, clock: Clock) -> (Self, Sender) {
        let (sender, incoming) = mpsc::channel(BATCHES_WAITING);
        let writer = Writer {
            outbox,
            epoch,
            clock,
        };
        let verdicts = Self { incoming, writer };
        (verdicts, sender)
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
            let written = writer.write_all(incoming, own, &publisher, stop).await;
            drop(publisher);
            written
        };
        let (written, published) = join!(writing, writer.outbox.publish_all(queue));
        published?;
        written?;
        Ok(writer.outbox.settle().await?)
    }
}

// === impl Writer ===

impl Writer {
    async fn recover(&self, start: &Start) -> Result<(), Error> {
        let mut tries = start.tries();
        loop {
            let tried = self.outbox.recover().await;
            let passes = consumer::Error::is_transient;
            if let Some(()) = tries.settle(tried, passes).await? {
                return Ok(());
            }
        }
    }

    async fn write_all(
        &self,
        mut incoming: Receiver,
        own: Sender,
        publisher: &Publisher,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let mut own = Some(own);
        let mut batches = Vec::new();
        loop {
            select! {
                received = incoming.recv_many(&mut batches, BATCHES_AT_ONCE) => {
                    if received == 0 {
                        return Ok(());
                    }
                    let reports: Vec<Report> = batches.drain(..).flatten().collect();
                    if !self.write(reports, publisher).await? {
                        return Ok(());
                    }
                }
                () = publisher.ended() => return Ok(()),
                () = stop.cancelled(), if own.is_some() => own = None,
            }
        }
    }

    async fn write(&self, reports: Vec<Report>, publisher: &Publisher) -> Result<bool, Error> {
        let outcomes: Vec<Record> = reports.iter().filter_map(outcomes::of).collect();
        let outgoing = if outcomes.is_empty() {
            Vec::new()
        } else {
            vec![(Topic::Outcomes, outcomes)]
        };
        let ids = self.commit(&reports, &outgoing).await?;
        for report in reports {
            match report {
                Report::Verdict(verdict) => telemetry::ruled(&verdict),
                Report::Alarm { about, percent, .. } => telemetry::budget_used(&about, percent),
                Report::Resolved { about, arrived, .. } => telemetry::resolved(&about, arrived),
                Report::Claimed { done, .. } => {
                    let _ = done.send(());
                }
                Report::Kept { .. } => {}
            }
        }
        Ok(publisher.publish(ids, outgoing).await)
    }

    /// Writes the same rows until they are durable: a verdict is never lost because the store was
    /// away, and the delivery is not sent again for that. Writing them twice changes nothing.
    async fn commit(
        &self,
        reports: &[Report],
        outgoing: &[(Topic, Vec<Record>)],
    ) -> Result<Vec<i64>, Error> {
        let ops = rows::ops(reports);
        let mut pause = FIRST_PAUSE;
        loop {
            let fence = Fence {
                group: GROUP,
                epoch: self.epoch,
                moves: Vec::new(),
            };
            let mut write = Write::new(fence, self.clock.now().as_millisecond());
            write.ops = ops.clone();
            match self.outbox.commit(write, outgoing).await {
                Ok(ids) => return Ok(ids),
                Err(error @ CommitError::Transient { .. }) => telemetry::write_again(&error),
                Err(
                    error @ (CommitError::Fenced { .. }
                    | CommitError::Guarded { .. }
                    | CommitError::Fatal(_)),
                ) => {
                    return Err(Error::Verdicts(error));
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
