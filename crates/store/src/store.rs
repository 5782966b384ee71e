use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::backend::{Backend, Offsets, Probe};
use crate::config::Config;
use crate::error::{CommitError, MigrateError, OpenError, ReadError};
use crate::postgres::Postgres;
use crate::schema::{Schema, Table};
use crate::sqlite::Sqlite;
use crate::telemetry;
use crate::value::{Kind, Row, Value};
use crate::write::{Committed, Outgoing, Write};

/// A handle on an open store; cheap to clone. The last one closes it.
#[derive(Clone)]
pub struct Store(Arc<dyn Backend>);

// === impl Store ===

impl Store {
    /// Opens the store and prepares its own tables.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        Ok(match config {
            Config::Sqlite(config) => Self::wrap(Sqlite::open(&config).await?),
            Config::Postgres(config) => Self::wrap(Postgres::open(&config).await?),
        })
    }

    /// Removes a store on a server with everything in it: its whole schema. For those who made it for a
    /// while only, such as measurements. Of a file it removes nothing; delete the file.
    pub async fn discard(config: &Config) -> Result<(), OpenError> {
        match config {
            Config::Sqlite(_) => Ok(()),
            Config::Postgres(config) => Postgres::discard(config).await,
        }
    }

    /// A store over any back end.
    #[must_use]
    pub fn wrap(backend: impl Backend) -> Self {
        Self(Arc::new(backend))
    }

    /// The back end below, for one that wraps it.
    #[must_use]
    pub fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.0)
    }

    /// Brings the tables of these schemas up to date. Safe to repeat, and to run twice at once.
    pub async fn migrate(&self, schemas: &[&'static Schema]) -> Result<(), MigrateError> {
        self.0.migrate(schemas.to_vec()).await
    }

    /// Makes the caller the owner of the group and answers its epoch. From now on every write with
    /// an older epoch is refused: the newest starter wins.
    pub async fn take_over(&self, group: &'static str) -> Result<i64, CommitError> {
        let epoch = self.0.take_over(group).await?;
        telemetry::taken_over(group, epoch);
        Ok(epoch)
    }

    /// Commits one write, durably.
    ///
    /// After [`CommitError::Transient`] read [`Store::offsets`] again and decide anew: the write may
    /// have been committed if the answer was lost, and is never sent twice from here.
    pub async fn commit(&self, write: Write) -> Result<Committed, CommitError> {
        let group = write.fence.group;
        let start = Instant::now();
        let result = self.0.commit(write).await;
        telemetry::committed(group, &result, start.elapsed());
        result
    }

    /// Marks outbox rows as published, which deletes them. [`Write::published`] does the same
    /// within the next write.
    pub async fn published(
        &self,
        group: &'static str,
        ids: impl Into<Vec<i64>>,
    ) -> Result<(), CommitError> {
        let ids = ids.into();
        if ids.is_empty() {
            return Ok(());
        }
        let all = ids.len() as u64;
        let first = self.0.published(group, ids).await?;
        telemetry::published(group, first, all.saturating_sub(first));
        Ok(())
    }

    /// Looks at the next `limit` inbox entries in the order of their ids, behind where the last call
    /// ended, and deletes those seen before `before` (Unix milliseconds); answers how many it deleted.
    /// Looking at two entries for each new one keeps the inbox below twice what must be remembered.
    pub async fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> Result<u64, CommitError> {
        self.0.prune_inbox(group, before, limit).await
    }

    /// The next offset to read, per topic and partition: the truth, not the log's group offset.
    pub async fn offsets(&self, group: &'static str) -> Result<Offsets, ReadError> {
        self.0.offsets(group).await
    }

    /// Those of the ids that were seen before, with the digest of then. Counts them as duplicates.
    pub async fn seen(
        &self,
        group: &'static str,
        ids: impl Into<Vec<[u8; 16]>>,
    ) -> Result<HashMap<[u8; 16], i64>, ReadError> {
        let ids = ids.into();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let seen = self.0.seen(group, ids).await?;
        telemetry::duplicates(group, seen.len() as u64);
        Ok(seen)
    }

    /// Whole rows by key, or by a prefix of the key (all keys of one length). They come in the
    /// order of the keys asked for, below that in key order; a key without a row gives none.
    pub async fn get(
        &self,
        table: &'static Table,
        keys: impl Into<Vec<Row>>,
    ) -> Result<Vec<Row>, ReadError> {
        let keys = keys.into();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.0.get(table, keys).await
    }

    /// Rows of any query that both back ends understand, with placeholders `$1`, `$2`, … and one
    /// kind per column. Write `cast(sum(x) as bigint)`: PostgreSQL's sums are decimals.
    pub async fn query(
        &self,
        sql: impl Into<String>,
        params: impl Into<Vec<Value>>,
        kinds: &[Kind],
    ) -> Result<Vec<Row>, ReadError> {
        self.0
            .query(sql.into(), params.into(), kinds.to_vec())
            .await
    }

    /// Unpublished rows with their ids, oldest first.
    pub async fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> Result<Vec<(i64, Outgoing)>, ReadError> {
        self.0.outbox(group, limit).await
    }

    /// Asks the database for its figures and shows them in the metrics; an error shows it as down.
    pub async fn probe(&self, group: &'static str) -> Result<Probe, ReadError> {
        let result = self.0.probe(group).await;
        telemetry::probed(group, &result);
        result
    }

    /// Counts outbox rows that the log refused; they stay in the outbox.
    pub fn publish_failed(&self, group: &'static str, rows: usize) {
        telemetry::publish_failed(group, rows as u64);
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
