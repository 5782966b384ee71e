//! The store's own tables: who owns a group, how far it is, what it has seen, what it must publish.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::backend::Offsets;
use crate::error::ReadError;
use crate::schema::{Column, Migration, Schema, Step, Table};
use crate::value::Row;
use crate::write::Outgoing;

/// Each role's schema version. Created before any migration runs.
pub(crate) const CREATE_SCHEMAS: &str = "create table if not exists store_schemas \
     (role text not null primary key, version bigint not null)";
pub(crate) const READ_SCHEMA: &str = "select version from store_schemas where role = $1";
pub(crate) const WRITE_SCHEMA: &str = "insert into store_schemas (role, version) values ($1, $2) \
     on conflict (role) do update set version = excluded.version";

pub(crate) static EPOCHS: Table = Table {
    name: "store_epochs",
    columns: &[Column::text("grp"), Column::int("epoch")],
    key: 1,
};

pub(crate) static OFFSETS: Table = Table {
    name: "store_offsets",
    columns: &[
        Column::text("grp"),
        Column::text("topic"),
        Column::int("partition_no"),
        Column::int("next_offset"),
    ],
    key: 3,
};

pub(crate) static INBOX: Table = Table {
    name: "store_inbox",
    columns: &[
        Column::text("grp"),
        Column::blob("id"),
        Column::int("digest"),
        Column::int("seen_at"),
    ],
    key: 2,
};

/// The store's own schema, migrated when it is opened.
pub(crate) static SCHEMA: Schema = Schema {
    role: "store",
    migrations: &[Migration {
        version: 1,
        steps: &[
            Step::CreateClustered(&EPOCHS),
            Step::CreateClustered(&OFFSETS),
            Step::CreateClustered(&INBOX),
            // `autoincrement`: an id is never used again, so a late mark cannot hit a new row.
            Step::Each {
                sqlite: "create table store_outbox (id integer primary key autoincrement, \
                         grp text not null, topic text not null, payload blob not null, \
                         written_at integer not null) strict",
                postgres: "create table store_outbox \
                           (id bigint generated always as identity primary key, \
                           grp text not null, topic text not null, payload bytea not null, \
                           written_at bigint not null)",
            },
            Step::Sql("create index store_outbox_order on store_outbox (grp, id)"),
        ],
    }],
};

pub(crate) const TAKE_OVER: &str = "insert into store_epochs (grp, epoch) values ($1, 1) \
     on conflict (grp) do update set epoch = store_epochs.epoch + 1 returning epoch";
pub(crate) const OUTBOX: &str =
    "select id, topic, payload from store_outbox where grp = $1 order by id limit $2";
pub(crate) const PENDING: &str =
    "select count(*), min(written_at) from store_outbox where grp = $1";
/// The last id of the next so many entries behind an id; there is no index by age, because it would
/// cost every insert a second tree.
pub(crate) const INBOX_WINDOW: &str = "select id from (select id from store_inbox \
     where grp = $1 and id > $2 order by id limit $3) as entries order by id desc limit 1";
pub(crate) const PRUNE_INBOX: &str =
    "delete from store_inbox where grp = $1 and id > $2 and id <= $3 and seen_at < $4";

/// Where pruning goes on, per group. Lost at a restart, which only makes it begin anew.
#[derive(Debug, Default)]
pub(crate) struct Pruned(Mutex<HashMap<&'static str, Vec<u8>>>);

// === impl Pruned ===

impl Pruned {
    pub(crate) fn after(&self, group: &'static str) -> Vec<u8> {
        self.lock().get(group).cloned().unwrap_or_default()
    }

    /// Goes on behind `last` the next time; from the beginning after the end.
    pub(crate) fn to(&self, group: &'static str, last: Option<Vec<u8>>) {
        match last {
            Some(last) => self.lock().insert(group, last),
            None => self.lock().remove(group),
        };
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Offsets from rows of [`OFFSETS`].
pub(crate) fn offsets(rows: &[Row]) -> Result<Offsets, ReadError> {
    let offset = |row: &Row| {
        let partition = i32::try_from(row.int(2)?).unwrap_or(i32::MAX);
        Ok(((row.text(1)?.to_owned(), partition), row.int(3)?))
    };
    rows.iter().map(offset).collect()
}

/// Outbox rows from rows of [`OUTBOX`].
pub(crate) fn outgoing(rows: &[Row]) -> Result<Vec<(i64, Outgoing)>, ReadError> {
    let outgoing = |row: &Row| {
        let outgoing = Outgoing {
            topic: row.text(1)?.to_owned(),
            payload: row.blob(2)?.clone(),
        };
        Ok((row.int(0)?, outgoing))
    };
    rows.iter().map(outgoing).collect()
}
