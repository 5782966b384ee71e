//! Values as parameters: one by one, or one array per column.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::schema::Column;
use crate::value::{Kind, Row, Value};

/// One parameter of a statement.
pub(super) type Param<'a> = Box<dyn ToSql + Send + Sync + 'a>;

/// A single value; it adapts to the type that the server inferred.
#[derive(Debug)]
struct Scalar<'a>(&'a Value);

/// A value does not fit the type that the server inferred for its placeholder.
#[derive(Debug, thiserror::Error)]
#[error("{found} given where the statement wants {wanted}")]
struct WrongType {
    found: &'static str,
    wanted: String,
}

/// One parameter per value.
pub(super) fn scalars(values: &[Value]) -> Vec<Param<'_>> {
    values
        .iter()
        .map(|value| Box::new(Scalar(value)) as Param<'_>)
        .collect()
}

/// One array per column; rows and kinds were checked before.
pub(super) fn arrays<'a>(columns: &[&'static Column], rows: &[&'a Row]) -> Vec<Param<'a>> {
    let array = |(index, column): (usize, &&'static Column)| array(column.kind, index, rows);
    columns.iter().enumerate().map(array).collect()
}

/// The same as references, as the driver wants them.
pub(super) fn borrowed<'a>(params: &'a [Param<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params
        .iter()
        .map(|param| &**param as &(dyn ToSql + Sync))
        .collect()
}

fn array<'a>(kind: Kind, index: usize, rows: &[&'a Row]) -> Param<'a> {
    let values = rows.iter().map(|row| &row.0[index]);
    match kind {
        Kind::Int => Box::new(values.map(as_int).collect::<Vec<_>>()),
        Kind::Text => Box::new(values.map(as_text).collect::<Vec<_>>()),
        Kind::Blob => Box::new(values.map(as_blob).collect::<Vec<_>>()),
    }
}

fn as_int(value: &Value) -> Option<i64> {
    if let Value::Int(int) = value {
        Some(*int)
    } else {
        None
    }
}

fn as_text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value {
        Some(text)
    } else {
        None
    }
}

fn as_blob(value: &Value) -> Option<&[u8]> {
    if let Value::Blob(blob) = value {
        Some(blob)
    } else {
        None
    }
}

// === impl Scalar ===

impl ToSql for Scalar<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let wrong = || {
            let found = self.0.kind().map_or("null", Kind::name);
            WrongType {
                found,
                wanted: ty.to_string(),
            }
        };
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(int) => match *ty {
                Type::INT8 => int.to_sql(ty, out),
                Type::INT4 => i32::try_from(*int)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*int)?.to_sql(ty, out),
                Type::BOOL => (*int != 0).to_sql(ty, out),
                _ => Err(wrong().into()),
            },
            Value::Text(text) if <&str as ToSql>::accepts(ty) => text.to_sql(ty, out),
            Value::Blob(blob) if *ty == Type::BYTEA => blob.as_ref().to_sql(ty, out),
            Value::Text(_) | Value::Blob(_) => Err(wrong().into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true // `to_sql` refuses with both types named
    }

    to_sql_checked!();
}
