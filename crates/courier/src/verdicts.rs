//! The one writer of verdicts: everything that waits goes into one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use consumer::{Outbox, Publisher, Start};
use domain::{Attempt, DestinationId, DossierKey, Outcome, OutcomeKind, RecordId, StepId};
use jiff::Timestamp;
use log::{Record, Topic};
use runtime::Clock;
use store::{CommitError, Fence, Op, Row, Value, Write, row};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio::{join, select};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::entry::Entry;
use crate::lane::Ruling;
use crate::tables::{ATTEMPTS, DELIVERED, DELIVERIES, FAILED, State};
use crate::telemetry;

/// The end of one attempt, to be made durable.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The delivery after the attempt.
    pub(crate) entry: Entry,
    pub(crate) dossier: DossierKey,
    pub(crate) step: StepId,
    pub(crate) destination: DestinationId,
    pub(crate) attempt: Attempt,
    pub(crate) ruling: Ruling,
}

/// Verdicts on their way to the writer: lanes wait when the store does not keep up.
pub(crate) type Sender = mpsc::Sender<Vec<Verdict>>;
type Receiver = mpsc::Receiver<Vec<Verdict>>;

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
                    let verdicts: Vec<Verdict> = batches.drain(..).flatten().collect();
                    if !self.write(&verdicts, publisher).await? {
                        return Ok(());
                    }
                }
                () = publisher.ended() => return Ok(()),
                () = stop.cancelled(), if own.is_some() => own = None,
            }
        }
    }

    async fn write(&self, verdicts: &[Verdict], publisher: &Publisher) -> Result<bool, Error> {
        let outgoing = vec![(Topic::Outcomes, verdicts.iter().map(outcome).collect())];
        let ids = self.commit(verdicts, &outgoing).await?;
        for verdict in verdicts {
            telemetry::ruled(verdict);
        }
        Ok(publisher.publish(ids, outgoing).await)
    }

    /// Writes the same rows until they are durable: a verdict is never lost because the store was
    /// away, and the delivery is not sent again for that. Writing them twice changes nothing.
    async fn commit(
        &self,
        verdicts: &[Verdict],
        outgoing: &[(Topic, Vec<Record>)],
    ) -> Result<Vec<i64>, Error> {
        let ops = ops(verdicts);
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

/// One state row per delivery, that of its last verdict: a failed try and the success after it may wait
/// for the same transaction. Every failed attempt is kept.
fn ops(verdicts: &[Verdict]) -> Vec<Op> {
    let (mut delivered, mut failed) = (Vec::new(), Vec::new());
    let mut last = BTreeMap::new();
    for verdict in verdicts {
        last.insert(verdict.entry.place, verdict);
    }
    for verdict in last.into_values() {
        match verdict.ruling {
            Ruling::Delivered => delivered.push(delivered_row(verdict)),
            Ruling::Again { .. } | Ruling::Dead => failed.push(failed_row(verdict)),
        }
    }
    let attempts: Vec<Row> = verdicts
        .iter()
        .filter(|verdict| verdict.ruling != Ruling::Delivered)
        .map(attempt_row)
        .collect();
    let update = |columns, rows| Op::Update {
        table: &DELIVERIES,
        columns,
        rows,
    };
    let mut ops = Vec::new();
    if !delivered.is_empty() {
        ops.push(update(DELIVERED, delivered));
    }
    if !failed.is_empty() {
        ops.push(update(FAILED, failed));
    }
    if !attempts.is_empty() {
        ops.push(Op::Insert {
            table: &ATTEMPTS,
            rows: attempts,
        });
    }
    ops
}

fn delivered_row(verdict: &Verdict) -> Row {
    let Verdict { entry, attempt, .. } = verdict;
    row![
        entry.place.partition,
        entry.place.offset,
        State::Delivered as i32,
        entry.tries,
        attempt.class.as_str(),
        attempt.detail.as_str(),
        attempt.started_at.as_millisecond(),
        millis(attempt.took),
        Value::Null,
    ]
}

fn failed_row(verdict: &Verdict) -> Row {
    let Verdict { entry, attempt, .. } = verdict;
    let state = if verdict.ruling == Ruling::Dead {
        State::Dead
    } else {
        State::Pending
    };
    row![
        entry.place.partition,
        entry.place.offset,
        state as i32,
        entry.tries,
        entry.charged,
        entry.next_at.0,
        attempt.class.as_str(),
        attempt.detail.as_str(),
        attempt.started_at.as_millisecond(),
        millis(attempt.took),
    ]
}

fn attempt_row(verdict: &Verdict) -> Row {
    let Verdict { entry, attempt, .. } = verdict;
    row![
        entry.place.partition,
        entry.place.offset,
        attempt.number,
        attempt.started_at.as_millisecond(),
        millis(attempt.took),
        attempt.class.as_str(),
        attempt.detail.as_str(),
    ]
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn outcome(verdict: &Verdict) -> Record {
    let (delivery, step) = (verdict.entry.id, verdict.step.clone());
    let (destination, attempt) = (verdict.destination.clone(), verdict.attempt.clone());
    let (word, kind) = match verdict.ruling {
        Ruling::Delivered => (
            "delivered",
            OutcomeKind::Delivered {
                delivery,
                step,
                destination,
                attempt,
            },
        ),
        Ruling::Again { at } => (
            "attempt-failed",
            OutcomeKind::AttemptFailed {
                delivery,
                step,
                destination,
                attempt,
                next_at: at.timestamp(),
            },
        ),
        Ruling::Dead => (
            "dead-lettered",
            OutcomeKind::DeadLettered {
                delivery,
                step,
                destination,
                attempt,
            },
        ),
    };
    let number = verdict.attempt.number.to_string();
    outcome_record(Outcome {
        id: RecordId::of("outcome", &[&delivery.to_string(), word, &number]),
        dossier: verdict.dossier.clone(),
        at: verdict.ended_at(),
        kind,
    })
}

/// The record of an outcome.
pub(crate) fn outcome_record(outcome: Outcome) -> Record {
    let dossier = outcome.dossier.clone();
    let (attributes, data): (_, Bytes) = proto::encode_outcome(outcome);
    consumer::record(&dossier, attributes, data)
}

#[cfg(test)]
mod tests {
    use domain::{AttemptClass, DeliveryId};

    use super::*;
    use crate::entry::{DossierMark, Millis, Place};

    fn verdict(offset: i64, tries: u32, ruling: Ruling) -> Verdict {
        let class = match ruling {
            Ruling::Delivered => AttemptClass::Accepted,
            Ruling::Again { .. } | Ruling::Dead => AttemptClass::Retryable,
        };
        Verdict {
            entry: Entry {
                id: DeliveryId::from([u8::try_from(offset).unwrap(); 16]),
                place: Place {
                    partition: 0,
                    offset,
                },
                dossier: DossierMark(1),
                due_at: Millis(0),
                opened_at: Millis(0),
                next_at: Millis(0),
                tries,
                charged: tries,
            },
            dossier: "d-1".parse().unwrap(),
            step: "work".parse().unwrap(),
            destination: "desk".parse().unwrap(),
            attempt: Attempt {
                number: tries,
                started_at: Timestamp::UNIX_EPOCH,
                took: Duration::ZERO,
                class,
                detail: String::new(),
            },
            ruling,
        }
    }

    fn updated(ops: &[Op], columns: &[&str]) -> Vec<i64> {
        let rows = ops.iter().filter_map(|op| match op {
            Op::Update {
                columns: own, rows, ..
            } if *own == columns => Some(rows),
            _ => None,
        });
        rows.flatten().map(|row| row.int(1).unwrap()).collect()
    }

    #[test]
    fn of_several_verdicts_on_one_delivery_in_one_write_the_last_one_stays() {
        let again = Ruling::Again { at: Millis(1) };
        let verdicts = [
            verdict(1, 1, again),
            verdict(2, 1, again),
            verdict(1, 2, Ruling::Delivered),
            verdict(2, 2, again),
        ];
        let ops = ops(&verdicts);
        assert_eq!(updated(&ops, DELIVERED), [1]);
        assert_eq!(updated(&ops, FAILED), [2]);
        let attempts = ops.iter().filter_map(|op| match op {
            Op::Insert { rows, .. } => Some(rows.len()),
            _ => None,
        });
        assert_eq!(attempts.sum::<usize>(), 3);
    }
}
