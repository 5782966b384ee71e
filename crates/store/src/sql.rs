//! Statement texts. SQLite gets one row per execution, PostgreSQL one array per column.

use std::fmt::Write as _;

use crate::schema::{Column, Table};
use crate::value::Kind;

/// Which of the two languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// What happens to a row whose key exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnConflict {
    /// The old row stays.
    Keep,
    /// The other columns are replaced.
    Replace,
}

/// Adds whole rows.
pub(crate) fn insert(table: &Table, conflict: OnConflict, dialect: Dialect) -> String {
    let columns: Vec<_> = table.columns.iter().collect();
    let names = list(&columns, |column| quoted(column.name));
    let source = match dialect {
        Dialect::Sqlite => format!("values ({})", numbered(1, columns.len())),
        Dialect::Postgres => format!("select * from {}", unnest(&columns)),
    };
    let key = list(&table.key_columns().iter().collect::<Vec<_>>(), |c| {
        quoted(c.name)
    });
    let others: Vec<_> = table.other_columns().iter().collect();
    let action = if conflict == OnConflict::Keep || others.is_empty() {
        "nothing".to_owned()
    } else {
        let set = list(&others, |c| format!("{0} = excluded.{0}", quoted(c.name)));
        format!("update set {set}")
    };
    let table = quoted(table.name);
    format!("insert into {table} ({names}) {source} on conflict ({key}) do {action}")
}

/// Sets columns by key; `columns` are the key's, then those to set.
pub(crate) fn update(table: &Table, columns: &[&Column], dialect: Dialect) -> String {
    let (key, set) = columns.split_at(table.key);
    let name = quoted(table.name);
    match dialect {
        Dialect::Sqlite => {
            let set = enumerated(
                set,
                table.key,
                |c, n| format!("{} = ?{n}", quoted(c.name)),
                ", ",
            );
            format!(
                "update {name} set {set} where {}",
                matches_placeholders(key)
            )
        }
        Dialect::Postgres => {
            let first = table.key;
            let set = enumerated(
                set,
                first,
                |c, n| format!("{} = u.c{n}", quoted(c.name)),
                ", ",
            );
            let (source, names) = (unnest(columns), source_names(columns.len()));
            let on = matches_source(key);
            format!("update {name} t set {set} from {source} as u({names}) where {on}")
        }
    }
}

/// Deletes by the first `length` columns of the key.
pub(crate) fn delete(table: &Table, length: usize, dialect: Dialect) -> String {
    let key: Vec<_> = table.columns[..length].iter().collect();
    let name = quoted(table.name);
    match dialect {
        Dialect::Sqlite => format!("delete from {name} where {}", matches_placeholders(&key)),
        Dialect::Postgres => {
            let (source, names) = (unnest(&key), source_names(length));
            format!(
                "delete from {name} t using {source} as u({names}) where {}",
                matches_source(&key)
            )
        }
    }
}

/// Whole rows by the first `length` columns of the key.
pub(crate) fn get(table: &Table, length: usize, dialect: Dialect) -> String {
    let all: Vec<_> = table.columns.iter().collect();
    let key: Vec<_> = table.columns[..length].iter().collect();
    let names = list(&all, |column| format!("t.{}", quoted(column.name)));
    let name = quoted(table.name);
    let rest = table.columns[length..table.key].iter().collect::<Vec<_>>();
    let mut order: Vec<_> = rest
        .iter()
        .map(|c| format!("t.{}", quoted(c.name)))
        .collect();
    let source = match dialect {
        Dialect::Sqlite => format!("from {name} t where {}", matches_placeholders(&key)),
        Dialect::Postgres => {
            order.insert(0, "u.n".to_owned());
            let (source, keys) = (unnest(&key), source_names(length));
            let on = matches_source(&key);
            format!("from {source} with ordinality as u({keys}, n) join {name} t on {on}")
        }
    };
    let order = if order.is_empty() {
        String::new()
    } else {
        format!(" order by {}", order.join(", "))
    };
    format!("select {names} {source}{order}")
}

/// Whether a row holds a value: a row of any content (SQLite), or the numbers of those that do, whose
/// rows stay locked against change until the end of the transaction (PostgreSQL).
pub(crate) fn guard(table: &Table, column: &Column, dialect: Dialect) -> String {
    let key: Vec<_> = table.key_columns().iter().collect();
    let (name, own, n) = (quoted(table.name), quoted(column.name), table.key + 1);
    match dialect {
        Dialect::Sqlite => {
            let key = matches_placeholders(&key);
            format!("select 1 from {name} where {key} and {own} is ?{n}")
        }
        Dialect::Postgres => {
            let columns: Vec<_> = key.iter().copied().chain([column]).collect();
            let (source, names) = (unnest(&columns), source_names(columns.len()));
            let (on, order) = (
                matches_source(&key),
                list(&key, |c| format!("t.{}", quoted(c.name))),
            );
            format!(
                "select u.n from {source} with ordinality as u({names}, n) join {name} t on {on} \
                 where t.{own} is not distinct from u.c{n} order by {order} for share of t"
            )
        }
    }
}

/// The same text with SQLite's numbered placeholders: `$1` would be a name there.
pub(crate) fn numbered_placeholders(sql: &str) -> String {
    let mut quote = None;
    sql.chars()
        .map(|c| match (quote, c) {
            (None, '$') => '?',
            (None, '\'' | '"') => {
                quote = Some(c);
                c
            }
            (Some(open), _) if c == open => {
                quote = None;
                c
            }
            _ => c,
        })
        .collect()
}

/// A name in quotes, so that it may be a word of the language.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

// === impl Dialect ===

impl Dialect {
    pub(crate) fn type_of_column(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Sqlite, Kind::Int) => "integer",
            (Self::Sqlite, Kind::Text) => "text",
            (Self::Sqlite, Kind::Blob) => "blob",
            (Self::Postgres, Kind::Int) => "bigint",
            // Ordered by bytes as in SQLite, and independent of the server's locale.
            (Self::Postgres, Kind::Text) => "text collate \"C\"",
            (Self::Postgres, Kind::Blob) => "bytea",
        }
    }
}

fn array_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "bigint[]",
        Kind::Text => "text[]",
        Kind::Blob => "bytea[]",
    }
}

fn list(columns: &[&Column], render: impl Fn(&Column) -> String) -> String {
    columns
        .iter()
        .map(|column| render(column))
        .collect::<Vec<_>>()
        .join(", ")
}

fn enumerated(
    columns: &[&Column],
    before: usize,
    render: impl Fn(&Column, usize) -> String,
    separator: &str,
) -> String {
    let numbered = columns.iter().zip(before + 1..);
    numbered
        .map(|(column, n)| render(column, n))
        .collect::<Vec<_>>()
        .join(separator)
}

fn numbered(first: usize, count: usize) -> String {
    (first..first + count)
        .map(|n| format!("?{n}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn matches_placeholders(key: &[&Column]) -> String {
    enumerated(key, 0, |c, n| format!("{} = ?{n}", quoted(c.name)), " and ")
}

fn matches_source(key: &[&Column]) -> String {
    enumerated(
        key,
        0,
        |c, n| format!("t.{} = u.c{n}", quoted(c.name)),
        " and ",
    )
}

fn source_names(count: usize) -> String {
    (1..=count)
        .map(|n| format!("c{n}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn unnest(columns: &[&Column]) -> String {
    let mut sql = "unnest(".to_owned();
    for (column, n) in columns.iter().zip(1..) {
        let comma = if n == 1 { "" } else { ", " };
        let _ = write!(sql, "{comma}${n}::{}", array_of(column.kind));
    }
    sql + ")"
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Table = Table {
        name: "lanes",
        columns: &[
            Column::text("name"),
            Column::int("shard"),
            Column::blob("state"),
        ],
        key: 2,
    };

    #[test]
    fn sqlite_takes_rows_and_postgresql_arrays() {
        assert_eq!(
            insert(&TABLE, OnConflict::Keep, Dialect::Sqlite),
            "insert into \"lanes\" (\"name\", \"shard\", \"state\") values (?1, ?2, ?3) \
             on conflict (\"name\", \"shard\") do nothing"
        );
        assert_eq!(
            insert(&TABLE, OnConflict::Replace, Dialect::Postgres),
            "insert into \"lanes\" (\"name\", \"shard\", \"state\") \
             select * from unnest($1::text[], $2::bigint[], $3::bytea[]) \
             on conflict (\"name\", \"shard\") do update set \"state\" = excluded.\"state\""
        );
        let columns: Vec<_> = TABLE.columns.iter().collect();
        assert_eq!(
            update(&TABLE, &columns, Dialect::Sqlite),
            "update \"lanes\" set \"state\" = ?3 where \"name\" = ?1 and \"shard\" = ?2"
        );
        assert_eq!(
            update(&TABLE, &columns, Dialect::Postgres),
            "update \"lanes\" t set \"state\" = u.c3 \
             from unnest($1::text[], $2::bigint[], $3::bytea[]) as u(c1, c2, c3) \
             where t.\"name\" = u.c1 and t.\"shard\" = u.c2"
        );
        assert_eq!(
            delete(&TABLE, 1, Dialect::Postgres),
            "delete from \"lanes\" t using unnest($1::text[]) as u(c1) where t.\"name\" = u.c1"
        );
    }

    #[test]
    fn a_get_keeps_the_order_of_its_keys() {
        assert_eq!(
            get(&TABLE, 1, Dialect::Sqlite),
            "select t.\"name\", t.\"shard\", t.\"state\" from \"lanes\" t where \"name\" = ?1 \
             order by t.\"shard\""
        );
        assert_eq!(
            get(&TABLE, 2, Dialect::Postgres),
            "select t.\"name\", t.\"shard\", t.\"state\" \
             from unnest($1::text[], $2::bigint[]) with ordinality as u(c1, c2, n) \
             join \"lanes\" t on t.\"name\" = u.c1 and t.\"shard\" = u.c2 order by u.n"
        );
    }

    #[test]
    fn a_guard_locks_in_key_order() {
        let state = &TABLE.columns[2];
        assert_eq!(
            guard(&TABLE, state, Dialect::Sqlite),
            "select 1 from \"lanes\" where \"name\" = ?1 and \"shard\" = ?2 and \"state\" is ?3"
        );
        assert_eq!(
            guard(&TABLE, state, Dialect::Postgres),
            "select u.n from unnest($1::text[], $2::bigint[], $3::bytea[]) \
             with ordinality as u(c1, c2, c3, n) \
             join \"lanes\" t on t.\"name\" = u.c1 and t.\"shard\" = u.c2 \
             where t.\"state\" is not distinct from u.c3 \
             order by t.\"name\", t.\"shard\" for share of t"
        );
    }

    #[test]
    fn placeholders_inside_quotes_stay() {
        assert_eq!(
            numbered_placeholders("select '$1', \"a$\" from t where a = $1 and b = $12"),
            "select '$1', \"a$\" from t where a = ?1 and b = ?12"
        );
    }
}
