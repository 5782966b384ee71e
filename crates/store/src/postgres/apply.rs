//! One write: every statement is sent at once, then `commit`. Two round trips, whatever it holds.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::time;
use tokio_postgres::{Error, Row as Found};

use super::failure::{self, NoAnswer};
use super::params::{Param, arrays, borrowed, scalars};
use super::pool::{Connection, Pool};
use crate::backend::BoxFuture;
use crate::check;
use crate::error::{CommitError, FenceBreach, Invalid};
use crate::schema::{Column, Table};
use crate::sql::{self, Dialect, OnConflict};
use crate::value::{Row, Value};
use crate::write::{Committed, Fence, InboxEntry, Op, Outgoing, Write};

/// Checks the epoch and holds it until the end of the transaction, so that a take-over waits; moves
/// the offsets from where the writer read them; adds those that have no row yet.
const FENCE: &str = "with
    e as (select epoch from store_epochs where grp = $1 for share),
    m as (select * from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
        as m(topic, partition_no, expected, next)),
    u as (update store_offsets o set next_offset = m.next from m
        where o.grp = $1 and o.topic = m.topic and o.partition_no = m.partition_no
        and o.next_offset = m.expected returning 1),
    i as (insert into store_offsets (grp, topic, partition_no, next_offset)
        select $1, m.topic, m.partition_no, m.next from m where not exists
        (select 1 from store_offsets o where o.grp = $1 and o.topic = m.topic
        and o.partition_no = m.partition_no)
        on conflict do nothing returning 1)
    select (select epoch from e), (select count(*) from u) + (select count(*) from i)";
const SEE: &str = "insert into store_inbox (grp, id, digest, seen_at)
    select $1, * from unnest($2::bytea[], $3::bigint[], $4::bigint[])
    on conflict (grp, id) do nothing";
const SEND: &str = "insert into store_outbox (grp, topic, payload, written_at)
    select $1, u.topic, u.payload, $2
    from unnest($3::text[], $4::bytea[]) with ordinality as u(topic, payload, n)
    order by u.n returning id";
pub(super) const PUBLISHED: &str =
    "delete from store_outbox where grp = $1 and id = any($2::bigint[])";
const OFFSETS: &str = "select topic, partition_no, next_offset from store_offsets where grp = $1";

/// One statement with its parameters.
pub(super) struct Step<'a> {
    pub(super) sql: String,
    pub(super) params: Vec<Param<'a>>,
}

/// An answer that the statement cannot give.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL answered without the expected row")]
struct NoRow;

/// Commits one write.
pub(super) async fn write(pool: &Pool, write: &Write) -> Result<Committed, CommitError> {
    let steps = steps(write)?;
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
    if epoch != Some(fence.epoch) {
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

/// All statements of a write: the fence first, the outbox last.
fn steps(write: &Write) -> Result<Vec<Step<'_>>, CommitError> {
    let group = write.fence.group;
    let mut steps = vec![fence(&write.fence)];
    if !write.inbox.is_empty() {
        steps.push(inbox(group, &write.inbox));
    }
    for op in &write.ops {
        steps.extend(change(op).map_err(CommitError::fatal)?);
    }
    if !write.published.is_empty() {
        let params: Vec<Param<'_>> = vec![Box::new(group), Box::new(&write.published)];
        steps.push(Step {
            sql: PUBLISHED.to_owned(),
            params,
        });
    }
    if !write.outbox.is_empty() {
        steps.push(outbox(group, write.at, &write.outbox));
    }
    Ok(steps)
}

fn fence(fence: &Fence) -> Step<'_> {
    let moves = &fence.moves;
    let params: Vec<Param<'_>> = vec![
        Box::new(fence.group),
        Box::new(
            moves
                .iter()
                .map(|step| step.topic.as_str())
                .collect::<Vec<_>>(),
        ),
        Box::new(
            moves
                .iter()
                .map(|step| i64::from(step.partition))
                .collect::<Vec<_>>(),
        ),
        Box::new(moves.iter().map(|step| step.expected).collect::<Vec<_>>()),
        Box::new(moves.iter().map(|step| step.next).collect::<Vec<_>>()),
    ];
    Step {
        sql: FENCE.to_owned(),
        params,
    }
}

fn inbox<'a>(group: &'static str, entries: &'a [InboxEntry]) -> Step<'a> {
    let params: Vec<Param<'a>> = vec![
        Box::new(group),
        Box::new(
            entries
                .iter()
                .map(|entry| &entry.id[..])
                .collect::<Vec<_>>(),
        ),
        Box::new(entries.iter().map(|entry| entry.digest).collect::<Vec<_>>()),
        Box::new(
            entries
                .iter()
                .map(|entry| entry.seen_at)
                .collect::<Vec<_>>(),
        ),
    ];
    Step {
        sql: SEE.to_owned(),
        params,
    }
}

fn outbox<'a>(group: &'static str, at: i64, outbox: &'a [Outgoing]) -> Step<'a> {
    let params: Vec<Param<'a>> = vec![
        Box::new(group),
        Box::new(at),
        Box::new(
            outbox
                .iter()
                .map(|outgoing| outgoing.topic.as_str())
                .collect::<Vec<_>>(),
        ),
        Box::new(
            outbox
                .iter()
                .map(|outgoing| &outgoing.payload[..])
                .collect::<Vec<_>>(),
        ),
    ];
    Step {
        sql: SEND.to_owned(),
        params,
    }
}

fn change(op: &Op) -> Result<Option<Step<'_>>, Invalid> {
    let dialect = Dialect::Postgres;
    let step = match op {
        Op::Insert { table, rows } => {
            let rows: Vec<_> = rows.iter().collect();
            bulk(
                sql::insert(table, OnConflict::Keep, dialect),
                all(table),
                &rows,
            )
        }
        Op::Upsert { table, rows } => {
            let sql = sql::insert(table, OnConflict::Replace, dialect);
            bulk(sql, all(table), &last_per_key(rows, table.key))
        }
        Op::Update { columns, .. } if columns.is_empty() => None,
        Op::Update {
            table,
            columns,
            rows,
        } => {
            let columns = check::update_columns(table, columns)?;
            let sql = sql::update(table, &columns, dialect);
            bulk(sql, columns, &last_per_key(rows, table.key))
        }
        Op::Delete { table, keys } => {
            let length = check::keys(table, keys)?;
            let columns = table.columns[..length].iter().collect();
            bulk(
                sql::delete(table, length, dialect),
                columns,
                &keys.iter().collect::<Vec<_>>(),
            )
        }
        Op::Sql { sql, params } => Some(Step {
            sql: sql.to_string(),
            params: scalars(params),
        }),
    };
    Ok(step)
}

fn bulk<'a>(sql: String, columns: Vec<&'static Column>, rows: &[&'a Row]) -> Option<Step<'a>> {
    if rows.is_empty() {
        None
    } else {
        Some(Step {
            sql,
            params: arrays(&columns, rows),
        })
    }
}

fn all(table: &'static Table) -> Vec<&'static Column> {
    table.columns.iter().collect()
}

/// The rows without those that a later one of the same key replaces: one statement may touch a row
/// only once.
fn last_per_key(rows: &[Row], key: usize) -> Vec<&Row> {
    let mut last: HashMap<&[Value], usize> = HashMap::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        last.insert(&row.0[..key], index);
    }
    let is_last = |&(index, row): &(usize, &Row)| last[&row.0[..key]] == index;
    rows.iter()
        .enumerate()
        .filter(is_last)
        .map(|(_, row)| row)
        .collect()
}
