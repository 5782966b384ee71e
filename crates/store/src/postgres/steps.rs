//! The statements of one write: one per change, however many rows it has.

use std::collections::HashMap;

use super::guards::Guards;
use super::params::{Param, arrays, scalars};
use crate::check;
use crate::error::{CommitError, Invalid};
use crate::schema::{Column, Table};
use crate::sql::{self, Dialect, OnConflict};
use crate::value::{Row, Value};
use crate::write::{Fence, InboxEntry, Op, Outgoing, Write};

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

/// One statement with its parameters.
pub(super) struct Step<'a> {
    pub(super) sql: String,
    pub(super) params: Vec<Param<'a>>,
}

/// All statements of a write: the fence first, the guards behind it, the outbox last.
pub(super) fn of<'a>(
    write: &'a Write,
    guards: &'a Guards<'_>,
) -> Result<Vec<Step<'a>>, CommitError> {
    let group = write.fence.group;
    let mut steps = vec![fence(&write.fence)];
    steps.extend(guards.steps());
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
        Op::Update { columns: [], .. } => None,
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
