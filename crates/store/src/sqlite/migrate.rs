//! Migrations: all that are due run in one savepoint, so a killed process leaves none half done.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::apply::text;
use super::failure::Failure;
use crate::error::MigrateError;
use crate::schema::Schema;
use crate::sql::Dialect;
use crate::system;

/// Brings all schemas up to date.
pub(super) fn run(
    connection: &Connection,
    schemas: &[&'static Schema],
) -> Result<(), Failure<MigrateError>> {
    connection.execute_batch(system::CREATE_SCHEMAS)?;
    schemas
        .iter()
        .try_for_each(|schema| migrate(connection, schema))
}

fn migrate(connection: &Connection, schema: &Schema) -> Result<(), Failure<MigrateError>> {
    let (role, known) = (schema.role, schema.version());
    let mut found = version(connection, role)?;
    if found > known {
        return Err(Failure::Refused(MigrateError::Newer { role, found, known }));
    }
    while let Some(migration) = schema.after(found) {
        found = migration.version;
        let run = connection.execute_batch(&migration.sql(Dialect::Sqlite));
        run.map_err(|error| match Failure::from(error) {
            Failure::Refused(MigrateError::Commit(cause)) => {
                Failure::Refused(MigrateError::failed(role, found, Arc::new(cause)))
            }
            other => other,
        })?;
        let mut write = connection.prepare_cached(&text(system::WRITE_SCHEMA))?;
        write.execute(params![role, found])?;
        tracing::info!(role, version = found, "tables migrated");
    }
    Ok(())
}

fn version(connection: &Connection, role: &str) -> Result<u32, Failure<MigrateError>> {
    let mut read = connection.prepare_cached(&text(system::READ_SCHEMA))?;
    let version: Option<u32> = read.query_row(params![role], |row| row.get(0)).optional()?;
    Ok(version.unwrap_or(0))
}
