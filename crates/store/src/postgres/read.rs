//! Reads: one statement, all rows.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time;
use tokio_postgres::types::Type;

use super::failure::{self, NoAnswer};
use super::params::{Param, borrowed};
use super::pool::Pool;
use crate::error::ReadError;
use crate::value::{Kind, Row, RowError, Value};

/// The rows of a query, each column of the kind asked for.
pub(super) async fn rows(
    pool: &Pool,
    sql: &str,
    params: &[Param<'_>],
    kinds: &[Kind],
) -> Result<Vec<Row>, ReadError> {
    let mut lease = pool.lease().await.map_err(failure::in_read)?;
    let connection = lease.connection();
    let ask = async {
        let statement = connection.statement(sql).await?;
        connection.client.query(&statement, &borrowed(params)).await
    };
    let found = time::timeout(pool.patience, ask).await;
    let found = found.map_err(|_| ReadError::Transient(Arc::new(NoAnswer(pool.patience))))?;
    let found = found.map_err(failure::in_read)?;
    lease.give_back();
    found.iter().map(|row| decode(row, kinds)).collect()
}

fn decode(row: &tokio_postgres::Row, kinds: &[Kind]) -> Result<Row, ReadError> {
    kinds
        .iter()
        .enumerate()
        .map(|(column, kind)| value(row, column, *kind))
        .collect()
}

fn value(row: &tokio_postgres::Row, column: usize, kind: Kind) -> Result<Value, ReadError> {
    let Some(found) = row.columns().get(column) else {
        return Err(RowError::Missing {
            column,
            width: row.len(),
        }
        .into());
    };
    let value = match (kind, found.type_()) {
        (Kind::Int, &Type::INT8) => row.try_get::<_, Option<i64>>(column).map(Value::from),
        (Kind::Int, &Type::INT4) => row.try_get::<_, Option<i32>>(column).map(Value::from),
        (Kind::Int, &Type::BOOL) => row.try_get::<_, Option<bool>>(column).map(Value::from),
        (Kind::Text, &(Type::TEXT | Type::VARCHAR)) => {
            row.try_get::<_, Option<&str>>(column).map(Value::from)
        }
        (Kind::Blob, &Type::BYTEA) => {
            let blob = row.try_get::<_, Option<&[u8]>>(column);
            blob.map(|blob| blob.map(Bytes::copy_from_slice).into())
        }
        _ => {
            let (expected, found) = (kind.name(), name(found.type_()));
            return Err(RowError::Kind {
                column,
                expected,
                found,
            }
            .into());
        }
    };
    value.map_err(|error| ReadError::Fatal(failure::source(error)))
}

fn name(found: &Type) -> &'static str {
    match *found {
        Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL => "int",
        Type::TEXT | Type::VARCHAR => "text",
        Type::BYTEA => "blob",
        Type::NUMERIC => "a decimal",
        _ => "another type",
    }
}
