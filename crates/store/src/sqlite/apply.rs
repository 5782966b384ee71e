//! One write, inside its savepoint.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};

use super::failure::Failure;
use crate::check;
use crate::error::{CommitError, FenceBreach};
use crate::schema::Table;
use crate::sql::{self, Dialect, OnConflict};
use crate::value::{Row, Value};
use crate::write::{Committed, Fence, Guard, InboxEntry, Move, Op, Outgoing, Write};

const EPOCH: &str = "select epoch from store_epochs where grp = ?1";
const MOVE: &str = "update store_offsets set next_offset = ?5 \
     where grp = ?1 and topic = ?2 and partition_no = ?3 and next_offset = ?4";
const OFFSET: &str =
    "select next_offset from store_offsets where grp = ?1 and topic = ?2 and partition_no = ?3";
const FIRST_OFFSET: &str = "insert into store_offsets values (?1, ?2, ?3, ?4)";
const SEE: &str =
    "insert into store_inbox values (?1, ?2, ?3, ?4) on conflict (grp, id) do nothing";
const SEND: &str =
    "insert into store_outbox (grp, topic, payload, written_at) values (?1, ?2, ?3, ?4)";
const PUBLISHED: &str = "delete from store_outbox where grp = ?1 and id = ?2";

/// Applies all of a write, or says why not.
pub(super) fn write(connection: &Connection, write: &Write) -> Result<Committed, Failure> {
    fence(connection, &write.fence)?;
    guards(connection, &write.guards)?;
    let group = write.fence.group;
    inbox(connection, group, &write.inbox)?;
    write.ops.iter().try_for_each(|op| apply(connection, op))?;
    published(connection, group, &write.published)?;
    let outbox_ids = outbox(connection, group, write.at, &write.outbox)?;
    Ok(Committed { outbox_ids })
}

/// Deletes published rows; answers how many were there.
pub(super) fn published(connection: &Connection, group: &str, ids: &[i64]) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached(PUBLISHED)?;
    let mut deleted = 0;
    for id in ids {
        deleted += statement.execute(params![group, id])? as u64;
    }
    Ok(deleted)
}

/// A text of common SQL in SQLite's dialect.
pub(super) fn text(sql: &str) -> String {
    sql::numbered_placeholders(sql)
}

fn fence(connection: &Connection, fence: &Fence) -> Result<(), Failure> {
    let mut epoch = connection.prepare_cached(EPOCH)?;
    let found: Option<i64> = epoch
        .query_row(params![fence.group], |row| row.get(0))
        .optional()?;
    if !fence.allows(found) {
        return Err(fenced(
            fence,
            FenceBreach::Epoch {
                held: fence.epoch,
                found,
            },
        ));
    }
    fence
        .moves
        .iter()
        .try_for_each(|step| move_offset(connection, fence, step))
}

fn move_offset(connection: &Connection, fence: &Fence, step: &Move) -> Result<(), Failure> {
    let Move {
        topic,
        partition,
        expected,
        next,
    } = step;
    let mut update = connection.prepare_cached(MOVE)?;
    if update.execute(params![fence.group, topic, partition, expected, next])? == 1 {
        return Ok(());
    }
    let mut read = connection.prepare_cached(OFFSET)?;
    let found: Option<i64> = read
        .query_row(params![fence.group, topic, partition], |row| row.get(0))
        .optional()?;
    if found.is_some() {
        let (topic, partition, expected) = (topic.clone(), *partition, *expected);
        return Err(fenced(
            fence,
            FenceBreach::Offset {
                topic,
                partition,
                expected,
                found,
            },
        ));
    }
    let mut insert = connection.prepare_cached(FIRST_OFFSET)?;
    insert.execute(params![fence.group, topic, partition, next])?;
    Ok(())
}

fn fenced(fence: &Fence, breach: FenceBreach) -> Failure {
    Failure::Refused(CommitError::Fenced {
        group: fence.group,
        breach,
    })
}

fn guards(connection: &Connection, guards: &[Guard]) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for (index, guard) in guards.iter().enumerate() {
        let column = check::guard_column(guard)
            .map_err(|invalid| Failure::Refused(CommitError::fatal(invalid)))?;
        let sql = sql::guard(guard.table, column, Dialect::Sqlite);
        let mut statement = connection.prepare_cached(&sql)?;
        let values = guard.key.0.iter().chain([&guard.expected]);
        if !statement.exists(params_from_iter(values))? {
            failed.push(index);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Refused(CommitError::Guarded { failed }))
    }
}

fn inbox(connection: &Connection, group: &str, entries: &[InboxEntry]) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(SEE)?;
    for entry in entries {
        statement.execute(params![group, &entry.id[..], entry.digest, entry.seen_at])?;
    }
    Ok(())
}

fn outbox(
    connection: &Connection,
    group: &str,
    at: i64,
    outbox: &[Outgoing],
) -> Result<Vec<i64>, Failure> {
    let mut statement = connection.prepare_cached(SEND)?;
    let mut ids = Vec::with_capacity(outbox.len());
    for outgoing in outbox {
        statement.execute(params![group, outgoing.topic, &outgoing.payload[..], at])?;
        ids.push(connection.last_insert_rowid());
    }
    Ok(ids)
}

fn apply(connection: &Connection, op: &Op) -> Result<(), Failure> {
    let dialect = Dialect::Sqlite;
    match op {
        Op::Insert { table, rows } => each(
            connection,
            &sql::insert(table, OnConflict::Keep, dialect),
            rows,
        ),
        Op::Upsert { table, rows } => each(
            connection,
            &sql::insert(table, OnConflict::Replace, dialect),
            rows,
        ),
        Op::Update {
            table,
            columns,
            rows,
        } if !columns.is_empty() => {
            let columns = check::update_columns(table, columns)
                .map_err(|invalid| Failure::Refused(CommitError::fatal(invalid)))?;
            each(connection, &sql::update(table, &columns, dialect), rows)
        }
        Op::Update { .. } => Ok(()),
        Op::Delete { table, keys } => delete(connection, table, keys),
        Op::Sql { sql, params } => {
            let mut statement = connection.prepare_cached(&text(sql))?;
            statement.execute(params_from_iter(params))?;
            Ok(())
        }
    }
}

fn delete(connection: &Connection, table: &Table, keys: &[Row]) -> Result<(), Failure> {
    let length = keys.first().map_or(table.key, |key| key.0.len());
    each(
        connection,
        &sql::delete(table, length, Dialect::Sqlite),
        keys,
    )
}

fn each(connection: &Connection, sql: &str, rows: &[Row]) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    for row in rows {
        statement.execute(params_from_iter(&row.0))?;
    }
    Ok(())
}

// === impl Value ===

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(int) => ValueRef::Integer(*int),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}
