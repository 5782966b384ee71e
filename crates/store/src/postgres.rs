//! A server: a small pool of connections, and one statement per change however many rows it has.

mod apply;
mod failure;
mod migrate;
mod params;
mod pool;
mod read;
mod steps;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::{Backend, BoxFuture, Offsets, Probe};
use crate::check;
use crate::config::PostgresConfig;
use crate::error::{CommitError, MigrateError, OpenError, ReadError};
use crate::row;
use crate::schema::{Schema, Table};
use crate::sql::{self, Dialect};
use crate::system;
use crate::value::{Kind, Row, Value};
use crate::write::{Committed, Outgoing, Write};

use params::Param;
use pool::Pool;
use steps::Step;

/// A store on a PostgreSQL server.
pub(crate) struct Postgres {
    pool: Pool,
    pruned: system::Pruned,
}

// === impl Postgres ===

impl Postgres {
    /// Connects, creates the schema if it is missing, and prepares the store's own tables.
    pub(crate) async fn open(config: &PostgresConfig) -> Result<Self, OpenError> {
        let store = Self {
            pool: Pool::open(config).await?,
            pruned: system::Pruned::default(),
        };
        store
            .migrate(vec![&system::SCHEMA])
            .await
            .map_err(OpenError::Migrate)?;
        Ok(store)
    }

    /// Drops the schema with everything in it.
    pub(crate) async fn discard(config: &PostgresConfig) -> Result<(), OpenError> {
        Pool::open(config).await?.drop_schema().await
    }

    async fn get(&self, table: &'static Table, keys: &[Row]) -> Result<Vec<Row>, ReadError> {
        let length = check::keys(table, keys).map_err(|error| ReadError::Fatal(Arc::new(error)))?;
        let sql = sql::get(table, length, Dialect::Postgres);
        let columns: Vec<_> = table.columns[..length].iter().collect();
        let kinds: Vec<_> = table.columns.iter().map(|column| column.kind).collect();
        let rows: Vec<_> = keys.iter().collect();
        read::rows(&self.pool, &sql, &params::arrays(&columns, &rows), &kinds).await
    }

    /// Runs one statement in a transaction of its own and answers the rows.
    async fn change(
        &self,
        sql: &str,
        params: &[Value],
    ) -> Result<Vec<tokio_postgres::Row>, CommitError> {
        let step = Step {
            sql: sql.to_owned(),
            params: params::scalars(params),
        };
        let mut rows = apply::transaction(&self.pool, &[step]).await?;
        Ok(rows.pop().unwrap_or_default())
    }
}

impl Backend for Postgres {
    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        Box::pin(async move { migrate::run(&self.pool, &schemas).await })
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        Box::pin(async move {
            let rows = self.change(system::TAKE_OVER, &[group.into()]).await?;
            apply::int(&rows)
        })
    }

    fn commit(&self, write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            check::write(&write).map_err(CommitError::fatal)?;
            apply::write(&self.pool, &write).await
        })
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            let params: Vec<Param<'_>> = vec![Box::new(group), Box::new(ids)];
            let sql = format!(
                "with gone as ({} returning 1) select count(*) from gone",
                steps::PUBLISHED
            );
            let rows = apply::transaction(&self.pool, &[Step { sql, params }]).await?;
            Ok(apply::int(rows.last().map_or(&[], Vec::as_slice))?.unsigned_abs())
        })
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            let after = Bytes::from(self.pruned.after(group));
            let window = [group.into(), after.clone().into(), limit.into()];
            let rows = self.change(system::INBOX_WINDOW, &window).await?;
            let Some(row) = rows.first() else {
                self.pruned.to(group, None);
                return Ok(0);
            };
            let last: Vec<u8> = row.try_get(0).map_err(failure::before_commit)?;
            let sql = format!(
                "with gone as ({} returning 1) select count(*) from gone",
                system::PRUNE_INBOX
            );
            let bounds = [
                group.into(),
                after.into(),
                Bytes::from(last.clone()).into(),
                before.into(),
            ];
            let rows = self.change(&sql, &bounds).await?;
            self.pruned.to(group, Some(last));
            Ok(apply::int(&rows)?.unsigned_abs())
        })
    }

    fn offsets(&self, group: &'static str) -> BoxFuture<'_, Result<Offsets, ReadError>> {
        Box::pin(async move {
            let rows = self.get(&system::OFFSETS, &[row![group]]).await?;
            system::offsets(&rows)
        })
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> BoxFuture<'_, Result<HashMap<[u8; 16], i64>, ReadError>> {
        Box::pin(async move {
            let keys: Vec<_> = ids.iter().map(|id| row![group, id]).collect();
            let rows = self.get(&system::INBOX, &keys).await?;
            rows.iter()
                .map(|row| Ok((row.array(1)?, row.int(2)?)))
                .collect()
        })
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        Box::pin(async move { self.get(table, &keys).await })
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        Box::pin(
            async move { read::rows(&self.pool, &sql, &params::scalars(&params), &kinds).await },
        )
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        Box::pin(async move {
            let params = [group.into(), limit.into()];
            let kinds = [Kind::Int, Kind::Text, Kind::Blob];
            let params = params::scalars(&params);
            let rows = read::rows(&self.pool, system::OUTBOX, &params, &kinds).await?;
            system::outgoing(&rows)
        })
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        Box::pin(async move {
            let sql = format!(
                "select pg_database_size(current_database()), p.* from ({}) p",
                system::PENDING
            );
            let params = [group.into()];
            let kinds = [Kind::Int; 3];
            let rows = read::rows(&self.pool, &sql, &params::scalars(&params), &kinds).await?;
            let Some(row) = rows.first() else {
                return Ok(Probe::default());
            };
            Ok(Probe {
                size_bytes: row.int(0)?.unsigned_abs(),
                free_bytes: None,
                pending: row.int(1)?.unsigned_abs(),
                oldest_pending: row.opt_int(2)?,
            })
        })
    }
}
