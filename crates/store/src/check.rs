//! What no back end should be asked to do. Both would refuse most of it, but each in its own way.

use std::collections::HashSet;

use crate::error::Invalid;
use crate::schema::{Column, Table};
use crate::value::{Row, Value, mismatch};
use crate::write::{Fence, Guard, Op, Write};

/// Whether a write is well formed.
pub(crate) fn write(write: &Write) -> Result<(), Invalid> {
    moved_once(&write.fence)?;
    write.guards.iter().try_for_each(guard)?;
    write.ops.iter().try_for_each(op)
}

/// Whether keys fit a table; `Ok` is their common length.
pub(crate) fn keys(table: &'static Table, keys: &[Row]) -> Result<usize, Invalid> {
    let length = keys.first().map_or(table.key, |key| key.0.len());
    let even = keys.iter().all(|key| key.0.len() == length);
    if !even || !(1..=table.key).contains(&length) {
        return Err(Invalid::Keys {
            table: table.name,
            key: table.key,
        });
    }
    for key in keys {
        row(table, &table.columns[..length], key)?;
    }
    Ok(length)
}

/// The column that a guard looks at.
pub(crate) fn guard_column(guard: &Guard) -> Result<&'static Column, Invalid> {
    let (table, column) = (guard.table, guard.column);
    table.column(column).ok_or(Invalid::NoColumn {
        table: table.name,
        column,
    })
}

/// Whether parameters can be stored at all.
pub(crate) fn params(params: &[Value]) -> Result<(), Invalid> {
    let nul = |value: &Value| matches!(value, Value::Text(text) if text.contains('\0'));
    if params.iter().any(nul) {
        Err(Invalid::Nul)
    } else {
        Ok(())
    }
}

/// The columns that a row of an update holds: the key's, then the named ones.
pub(crate) fn update_columns(
    table: &'static Table,
    columns: &'static [&'static str],
) -> Result<Vec<&'static Column>, Invalid> {
    let named = columns.iter().map(|&name| {
        let column = table.column(name).filter(|_| !is_key(table, name));
        column.ok_or(Invalid::Column {
            table: table.name,
            column: name,
        })
    });
    table.key_columns().iter().map(Ok).chain(named).collect()
}

fn op(op: &Op) -> Result<(), Invalid> {
    match op {
        Op::Insert { table, rows } | Op::Upsert { table, rows } => {
            let columns: Vec<_> = table.columns.iter().collect();
            rows.iter()
                .try_for_each(|values| fits(table, &columns, values))
        }
        Op::Update {
            table,
            columns,
            rows,
        } => {
            let columns = update_columns(table, columns)?;
            rows.iter()
                .try_for_each(|values| fits(table, &columns, values))
        }
        Op::Delete { table, keys: rows } => keys(table, rows).map(drop),
        Op::Sql { params: values, .. } => params(values),
    }
}

fn guard(guard: &Guard) -> Result<(), Invalid> {
    let Guard {
        table,
        key,
        expected,
        ..
    } = guard;
    row(table, table.key_columns(), key)?;
    let expected = Row(vec![expected.clone()]);
    fits(table, &[guard_column(guard)?], &expected)
}

fn row(table: &'static Table, columns: &'static [Column], row: &Row) -> Result<(), Invalid> {
    fits(table, &columns.iter().collect::<Vec<_>>(), row)
}

fn fits(table: &'static Table, columns: &[&'static Column], row: &Row) -> Result<(), Invalid> {
    let (expected, found) = (columns.len(), row.0.len());
    if expected != found {
        return Err(Invalid::Width {
            table: table.name,
            expected,
            found,
        });
    }
    params(&row.0)?;
    for (index, (column, value)) in columns.iter().zip(&row.0).enumerate() {
        let fits = value
            .kind()
            .map_or(column.nullable, |kind| kind == column.kind);
        if !fits {
            let source = mismatch(index, column.kind, value);
            return Err(Invalid::Value {
                table: table.name,
                source,
            });
        }
    }
    Ok(())
}

fn is_key(table: &Table, name: &str) -> bool {
    table.key_columns().iter().any(|column| column.name == name)
}

fn moved_once(fence: &Fence) -> Result<(), Invalid> {
    let mut moved = HashSet::new();
    match fence
        .moves
        .iter()
        .find(|step| !moved.insert((&step.topic, step.partition)))
    {
        None => Ok(()),
        Some(twice) => Err(Invalid::MovedTwice {
            topic: twice.topic.clone(),
            partition: twice.partition,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row;
    use crate::write::Move;

    static TABLE: Table = Table {
        name: "lanes",
        columns: &[
            Column::text("name"),
            Column::int("shard"),
            Column::blob("state").nullable(),
        ],
        key: 2,
    };

    #[track_caller]
    fn check(change: Op, message: Option<&str>) {
        assert_eq!(
            op(&change)
                .map_err(|invalid| invalid.to_string())
                .err()
                .as_deref(),
            message
        );
    }

    #[test]
    fn rows_must_fit_their_table() {
        let insert = |row| Op::Insert {
            table: &TABLE,
            rows: vec![row],
        };
        check(insert(row!["a", 1, None::<i64>]), None);
        check(
            insert(row!["a", 1]),
            Some("a row for `lanes` has 2 values, expected 3"),
        );
        check(
            insert(row!["a", "b", [1_u8]]),
            Some("a value for `lanes` does not fit"),
        );
        check(
            insert(row!["a", None::<i64>, [1_u8]]),
            Some("a value for `lanes` does not fit"),
        );
        check(
            insert(row!["\0", 1, [1_u8]]),
            Some("text with a NUL character cannot be stored"),
        );
    }

    #[test]
    fn an_update_sets_columns_outside_the_key() {
        let rows = || vec![row!["a", 1, [1_u8]]];
        let update = |columns| Op::Update {
            table: &TABLE,
            columns,
            rows: rows(),
        };
        check(update(&["state"]), None);
        let refusal = |column| format!("`lanes` has no column `{column}` that an update may set");
        check(update(&["shard"]), Some(&refusal("shard")));
        check(update(&["colour"]), Some(&refusal("colour")));
    }

    #[test]
    fn a_guard_names_one_value_of_one_row() {
        #[track_caller]
        fn check(key: Row, column: &'static str, expected: Value, message: Option<&str>) {
            let own = Guard {
                table: &TABLE,
                key,
                column,
                expected,
            };
            let invalid = guard(&own).map_err(|invalid| invalid.to_string()).err();
            assert_eq!(invalid.as_deref(), message);
        }
        check(row!["a", 1], "state", Value::Null, None);
        check(row!["a", 1], "shard", 1.into(), None);
        let width = "a row for `lanes` has 1 values, expected 2";
        check(row!["a"], "state", Value::Null, Some(width));
        let none = "`lanes` has no column `colour`";
        check(row!["a", 1], "colour", 1.into(), Some(none));
        let unfit = "a value for `lanes` does not fit";
        check(row!["a", 1], "state", 1.into(), Some(unfit));
    }

    #[test]
    fn keys_have_one_length() {
        let delete = |keys| Op::Delete {
            table: &TABLE,
            keys,
        };
        let uneven = "keys for `lanes` must all have the same length, from 1 to 2 values";
        check(delete(vec![row!["a"], row!["b"]]), None);
        check(delete(vec![row!["a"], row!["b", 1]]), Some(uneven));
        check(delete(vec![row!["a", 1, [1_u8]]]), Some(uneven));
    }

    #[test]
    fn an_offset_moves_once_per_write() {
        let step = Move {
            topic: "events".into(),
            partition: 3,
            expected: 0,
            next: 1,
        };
        let fence = Fence {
            group: "router",
            epoch: 1,
            moves: vec![step.clone(), step],
        };
        let twice = Invalid::MovedTwice {
            topic: "events".into(),
            partition: 3,
        };
        assert_eq!(write(&Write::new(fence, 0)), Err(twice));
    }
}
