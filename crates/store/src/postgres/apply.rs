//! One write: every statement is sent at once, then `commit`. Two round trips, whatever it holds.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::time;
use tokio_postgres::{Error, Row as Found};

use super::failure::{self, NoAnswer};
use super::guards::Guards;
use super::params::borrowed;
use super::pool::{Connection, Pool};
use super::steps::{self, Step};
use crate::backend::BoxFuture;
use crate::error::{CommitError, FenceBreach};
use crate::write::{Committed, Fence, Write};

const OFFSETS: &str = "select topic, partition_no, next_offset from store_offsets where grp = $1";

/// An answer that the statement cannot give.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL answered without the expected row")]
struct NoRow;

/// Commits one write.
pub(super) async fn write(pool: &Pool, write: &Write) -> Result<Committed, CommitError> {
    let guards = Guards::of(&write.guards)?;
    let steps = steps::of(write, &guards)?;
    let mut lease = pool.lease().await.map_err(failure::before_commit)?;
    let answers = send(pool, lease.connection(), &steps).await?;
    if let Err(breach) = check_fence(&write.fence, &answers[0])? {
        let breach = rolled_back(pool, lease.connection(), &write.fence, breach).await?;
        lease.give_back();
        return Err(CommitError::Fenced {
            group: write.fence.group,
            breach,
        });
    }
    let failed = guards.failed(&answers[1..])?;
    if !failed.is_empty() {
        roll_back(pool, lease.connection()).await?;
        lease.give_back();
        return Err(CommitError::Guarded { failed });
    }
    commit(pool, lease.connection()).await?;
    lease.give_back();
    let outbox = if write.outbox.is_empty() {
        None
    } else {
        answers.last()
    };
    let ids: Result<Vec<i64>, Error> = outbox
        .into_iter()
        .flatten()
        .map(|row| row.try_get(0))
        .collect();
    let mut outbox_ids = ids.map_err(failure::before_commit)?;
    outbox_ids.sort_unstable(); // handed out in row order, returned in any
    Ok(Committed { outbox_ids })
}

/// Runs statements in one transaction; answers the rows of each.
pub(super) async fn transaction(
    pool: &Pool,
    steps: &[Step<'_>],
) -> Result<Vec<Vec<Found>>, CommitError> {
    let mut lease = pool.lease().await.map_err(failure::before_commit)?;
    let answers = send(pool, lease.connection(), steps).await?;
    commit(pool, lease.connection()).await?;
    lease.give_back();
    Ok(answers)
}

/// The whole number in the only row.
pub(super) fn int(rows: &[Found]) -> Result<i64, CommitError> {
    let row = rows.first().ok_or_else(|| CommitError::fatal(NoRow))?;
    row.try_get(0).map_err(failure::before_commit)
}

/// Sends `begin` and all statements; answers the rows of each statement.
///
/// After an error the caller drops the connection, and with it the transaction.
async fn send(
    pool: &Pool,
    connection: &mut Connection,
    steps: &[Step<'_>],
) -> Result<Vec<Vec<Found>>, CommitError> {
    let run = async {
        let mut prepared = Vec::with_capacity(steps.len());
        for step in steps {
            prepared.push((
                connection.statement(&step.sql).await?,
                borrowed(&step.params),
            ));
        }
        let client = &connection.client;
        let mut sent: Vec<BoxFuture<'_, Result<Vec<Found>, Error>>> = Vec::new();
        sent.push(Box::pin(async {
            client.batch_execute("begin").await.map(|()| Vec::new())
        }));
        for (statement, params) in &prepared {
            sent.push(Box::pin(client.query(statement, params)));
        }
        let mut answers = in_order(sent).await?;
        answers.remove(0);
        Ok(answers)
    };
    match time::timeout(pool.patience, run).await {
        Ok(result) => result.map_err(failure::before_commit),
        Err(_) => Err(CommitError::transient(NoAnswer(pool.patience))),
    }
}

/// Commits. The answer may get lost; then nobody knows, and it is not sent again.
async fn commit(pool: &Pool, connection: &Connection) -> Result<(), CommitError> {
    let commit = connection.client.batch_execute("commit");
    match time::timeout(pool.patience, commit).await {
        Ok(result) => result.map_err(failure::in_commit),
        Err(_) => {
            let source = Arc::new(NoAnswer(pool.patience));
            Err(CommitError::Transient {
                unknown: true,
                source,
            })
        }
    }
}

async fn roll_back(pool: &Pool, connection: &Connection) -> Result<(), CommitError> {
    let roll_back = connection.client.batch_execute("rollback");
    match time::timeout(pool.patience, roll_back).await {
        Ok(result) => result.map_err(failure::before_commit),
        Err(_) => Err(CommitError::transient(NoAnswer(pool.patience))),
    }
}

/// Polls all requests in order, so that they go out in order, and waits for all answers. The error
/// is the first one's: those behind it only say that the transaction was aborted.
async fn in_order<T>(mut sent: Vec<BoxFuture<'_, Result<T, Error>>>) -> Result<Vec<T>, Error> {
    let mut answers: Vec<Option<Result<T, Error>>> = sent.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut all = true;
        for (request, answer) in sent.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                match request.as_mut().poll(context) {
                    Poll::Ready(result) => *answer = Some(result),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}

fn check_fence(fence: &Fence, answer: &[Found]) -> Result<Result<(), FenceBreach>, CommitError> {
    let row = answer.first().ok_or_else(|| CommitError::fatal(NoRow))?;
    let epoch: Option<i64> = row.try_get(0).map_err(failure::before_commit)?;
    let moved: i64 = row.try_get(1).map_err(failure::before_commit)?;
    if !fence.allows(epoch) {
        return Ok(Err(FenceBreach::Epoch {
            held: fence.epoch,
            found: epoch,
        }));
    }
    let first = fence
        .moves
        .first()
        .filter(|_| moved != fence.moves.len() as i64);
    Ok(first.map_or(Ok(()), |step| {
        let (topic, partition, expected) = (step.topic.clone(), step.partition, step.expected);
        Err(FenceBreach::Offset {
            topic,
            partition,
            expected,
            found: None,
        })
    }))
}

/// Rolls back, then finds out which offset it was.
async fn rolled_back(
    pool: &Pool,
    connection: &mut Connection,
    fence: &Fence,
    breach: FenceBreach,
) -> Result<FenceBreach, CommitError> {
    let look = async {
        connection.client.batch_execute("rollback").await?;
        let statement = connection.statement(OFFSETS).await?;
        let rows = connection.client.query(&statement, &[&fence.group]).await?;
        let offset = |row: &Found| -> Result<_, Error> {
            Ok((
                (row.try_get::<_, String>(0)?, row.try_get::<_, i64>(1)?),
                row.try_get(2)?,
            ))
        };
        rows.iter()
            .map(offset)
            .collect::<Result<HashMap<_, i64>, Error>>()
    };
    let found = match time::timeout(pool.patience, look).await {
        Ok(result) => result.map_err(failure::before_commit)?,
        Err(_) => return Err(CommitError::transient(NoAnswer(pool.patience))),
    };
    if let FenceBreach::Epoch { .. } = breach {
        return Ok(breach);
    }
    let stored = |topic: &str, partition: i32| {
        found
            .get(&(topic.to_owned(), i64::from(partition)))
            .copied()
    };
    let moved = fence.moves.iter().find_map(|step| {
        let found = stored(&step.topic, step.partition).filter(|&found| found != step.expected)?;
        let (topic, partition, expected) = (step.topic.clone(), step.partition, step.expected);
        Some(FenceBreach::Offset {
            topic,
            partition,
            expected,
            found: Some(found),
        })
    });
    Ok(moved.unwrap_or(breach))
}
