//! Migrations: each in its own transaction under one lock, so that of two starters one works and
//! the other waits, and a killed process leaves none half done.

use std::sync::Arc;

use tokio_postgres::Error;

use super::failure;
use super::pool::{Connection, Pool};
use crate::error::{CommitError, MigrateError};
use crate::schema::{Migration, Schema};
use crate::sql::{Dialect, quoted};
use crate::system;

/// Brings all schemas up to date.
pub(super) async fn run(pool: &Pool, schemas: &[&'static Schema]) -> Result<(), MigrateError> {
    let lease = pool.lease().await;
    let mut lease = lease.map_err(|error| MigrateError::Commit(failure::before_commit(error)))?;
    for schema in schemas {
        while step(pool, lease.connection(), schema).await? {}
    }
    lease.give_back();
    Ok(())
}

/// Runs the next migration that is due; `false` when there is none.
async fn step(
    pool: &Pool,
    connection: &mut Connection,
    schema: &'static Schema,
) -> Result<bool, MigrateError> {
    let (role, known) = (schema.role, schema.version());
    let version = begin(pool, connection, role).await;
    let found = version.map_err(|error| MigrateError::Version {
        role,
        source: failure::source(error),
    })?;
    if found > known {
        rollback(connection).await;
        return Err(MigrateError::Newer { role, found, known });
    }
    let Some(migration) = schema.after(found) else {
        commit(connection).await?;
        return Ok(false);
    };
    let version = migration.version;
    if let Err(error) = apply(connection, role, migration).await {
        rollback(connection).await;
        return Err(MigrateError::failed(role, version, failure::source(error)));
    }
    commit(connection).await?;
    tracing::info!(role, version, "tables migrated");
    Ok(true)
}

/// Opens the transaction, takes the lock, and reads the version.
async fn begin(pool: &Pool, connection: &Connection, role: &str) -> Result<u32, Error> {
    let client = &connection.client;
    client
        .batch_execute(&format!(
            "begin; set local statement_timeout = 0; set local lock_timeout = 0; \
             select pg_advisory_xact_lock(hashtext('lienthong-store'), hashtext('{schema}')); \
             create schema if not exists {name}; {table}",
            schema = pool.schema(),
            name = quoted(pool.schema()),
            table = system::CREATE_SCHEMAS,
        ))
        .await?;
    let row = client.query_opt(system::READ_SCHEMA, &[&role]).await?;
    let version: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

async fn apply(connection: &Connection, role: &str, migration: &Migration) -> Result<(), Error> {
    let client = &connection.client;
    client
        .batch_execute(&migration.sql(Dialect::Postgres))
        .await?;
    client
        .execute(
            system::WRITE_SCHEMA,
            &[&role, &i64::from(migration.version)],
        )
        .await?;
    Ok(())
}

async fn commit(connection: &Connection) -> Result<(), CommitError> {
    connection
        .client
        .batch_execute("commit")
        .await
        .map_err(failure::in_commit)
}

/// After an error the connection is dropped, which rolls back too; this is only quicker.
async fn rollback(connection: &Connection) {
    if let Err(error) = connection.client.batch_execute("rollback").await {
        tracing::debug!(error = %Arc::new(error), "rollback after a failed migration");
    }
}
