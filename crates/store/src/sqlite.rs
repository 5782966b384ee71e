//! One file: a writer thread that commits waiting writes together, and a few reader threads.

mod apply;
mod connection;
mod copying;
mod failure;
mod migrate;
mod reader;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use crate::backend::{Backend, BoxFuture, Offsets, Probe};
use crate::check;
use crate::config::SqliteConfig;
use crate::error::{CommitError, MigrateError, OpenError, ReadError};
use crate::schema::{Schema, Table};
use crate::system;
use crate::value::{Kind, Row, Value};
use crate::write::{Committed, Outgoing, Write};

use reader::Reader;
use writer::Writer;

/// A store in one file.
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Writer,
    /// Short reads by key, of the roles' own work.
    lookups: Reader,
    /// Lists of any length, which must not hold up the lookups.
    lists: Reader,
    pruned: system::Pruned,
    /// Held as long as the file is open; dropped last.
    _lock: File,
}

// === impl Sqlite ===

impl Sqlite {
    const LOOKUP_THREADS: usize = 1;
    const LIST_THREADS: usize = 2;

    /// Opens the file, creates it if it is missing, and prepares the store's own tables.
    pub(crate) async fn open(config: &SqliteConfig) -> Result<Self, OpenError> {
        let lock = connection::lock(&config.path)?;
        let writer = Writer::start(connection::open_writer(config)?);
        let store = Self {
            path: config.path.clone(),
            lookups: Reader::start(config, Self::LOOKUP_THREADS)?,
            lists: Reader::start(config, Self::LIST_THREADS)?,
            writer,
            pruned: system::Pruned::default(),
            _lock: lock,
        };
        store
            .migrate(vec![&system::SCHEMA])
            .await
            .map_err(OpenError::Migrate)?;
        Ok(store)
    }
}

impl Backend for Sqlite {
    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        Box::pin(
            self.writer
                .run(move |connection| migrate::run(connection, &schemas)),
        )
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        Box::pin(self.writer.run(move |connection| {
            let mut statement = connection.prepare_cached(&apply::text(system::TAKE_OVER))?;
            Ok(statement.query_row(params![group], |row| row.get(0))?)
        }))
    }

    fn commit(&self, write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            check::write(&write).map_err(CommitError::fatal)?;
            self.writer
                .run(move |connection| apply::write(connection, &write))
                .await
        })
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(
            self.writer
                .run(move |connection| apply::published(connection, group, &ids)),
        )
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            let after = self.pruned.after(group);
            let pruned = self.writer.run(move |connection| {
                let mut window = connection.prepare_cached(&apply::text(system::INBOX_WINDOW))?;
                let last: Option<Vec<u8>> = window
                    .query_row(params![group, after, limit], |row| row.get(0))
                    .optional()?;
                let Some(last) = last else {
                    return Ok((0, None));
                };
                let mut gone = connection.prepare_cached(&apply::text(system::PRUNE_INBOX))?;
                let count = gone.execute(params![group, after, last, before])? as u64;
                Ok((count, Some(last)))
            });
            let (count, last) = pruned.await?;
            self.pruned.to(group, last);
            Ok(count)
        })
    }

    fn offsets(&self, group: &'static str) -> BoxFuture<'_, Result<Offsets, ReadError>> {
        Box::pin(async move {
            let rows = self.get(&system::OFFSETS, vec![crate::row![group]]).await?;
            system::offsets(&rows)
        })
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> BoxFuture<'_, Result<HashMap<[u8; 16], i64>, ReadError>> {
        Box::pin(
            self.lookups
                .run(move |connection| reader::seen(connection, group, &ids)),
        )
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        Box::pin(async move {
            let length = check::keys(table, &keys).map_err(|e| ReadError::Fatal(Arc::new(e)))?;
            self.lookups
                .run(move |connection| reader::get(connection, table, length, &keys))
                .await
        })
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        let sql = apply::text(&sql);
        Box::pin(
            self.lists
                .run(move |connection| reader::query(connection, &sql, &params, &kinds)),
        )
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        Box::pin(async move {
            let params = vec![group.into(), limit.into()];
            let sql = apply::text(system::OUTBOX);
            let kinds = [Kind::Int, Kind::Text, Kind::Blob];
            let read = move |connection: &_| reader::query(connection, &sql, &params, &kinds);
            system::outgoing(&self.lookups.run(read).await?)
        })
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        let path = self.path.clone();
        let probe = move |connection: &_| {
            let free_bytes = connection::free_bytes(&path);
            Ok(Probe {
                free_bytes,
                ..reader::probe(connection, group)?
            })
        };
        Box::pin(self.lists.run(probe))
    }
}
