use std::fmt::Write as _;

use crate::sql::{Dialect, quoted};
use crate::value::Kind;

/// A table of one role. Its first `key` columns are the primary key.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// The name, unique among all roles: they may share one database.
    pub name: &'static str,
    /// All columns, the key's first.
    pub columns: &'static [Column],
    /// How many columns form the key; at least one.
    pub key: usize,
}

/// One column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may hold null. Key columns may not.
    pub nullable: bool,
}

/// All migrations of one role, oldest first. The newest one's version is the schema's.
#[derive(Debug)]
pub struct Schema {
    /// The role that owns the tables.
    pub role: &'static str,
    /// In rising order of version. Never change one that was released: add another.
    pub migrations: &'static [Migration],
}

/// One step from a schema version to the next; it runs in one transaction.
#[derive(Debug)]
pub struct Migration {
    /// The version after it, from 1.
    pub version: u32,
    /// What it does, in this order.
    pub steps: &'static [Step],
}

/// One statement of a migration.
#[derive(Debug)]
pub enum Step {
    /// Creates a table as it is declared. A table that changes later keeps its first declaration
    /// here, under a name such as `LANES_V1`.
    Create(&'static Table),
    /// The same, and SQLite keeps the rows in the key's own tree (`without rowid`): for small rows
    /// that are found by key. Rows of half a kilobyte and more are slower this way.
    CreateClustered(&'static Table),
    /// Statements that both back ends understand, such as an index.
    Sql(&'static str),
    /// Statements that differ.
    Each {
        /// For SQLite.
        sqlite: &'static str,
        /// For PostgreSQL.
        postgres: &'static str,
    },
}

// === impl Table ===

impl Table {
    /// The columns of the primary key.
    #[must_use]
    pub fn key_columns(&self) -> &'static [Column] {
        &self.columns[..self.key]
    }

    /// The other columns.
    #[must_use]
    pub fn other_columns(&self) -> &'static [Column] {
        &self.columns[self.key..]
    }

    pub(crate) fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn create(&self, dialect: Dialect, clustered: bool) -> String {
        let mut sql = format!("create table {} (", quoted(self.name));
        for column in self.columns {
            let null = if column.nullable { "" } else { " not null" };
            let kind = dialect.type_of_column(column.kind);
            let _ = write!(sql, "{} {kind}{null}, ", quoted(column.name));
        }
        let key: Vec<_> = self
            .key_columns()
            .iter()
            .map(|column| quoted(column.name))
            .collect();
        let _ = write!(sql, "primary key ({}))", key.join(", "));
        match (dialect, clustered) {
            (Dialect::Sqlite, true) => sql.push_str(" strict, without rowid"),
            (Dialect::Sqlite, false) => sql.push_str(" strict"),
            (Dialect::Postgres, _) => {}
        }
        sql
    }
}

// === impl Column ===

impl Column {
    /// A column that always holds a whole number.
    #[must_use]
    pub const fn int(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Int,
            nullable: false,
        }
    }

    /// A column that always holds text.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Text,
            nullable: false,
        }
    }

    /// A column that always holds bytes.
    #[must_use]
    pub const fn blob(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Blob,
            nullable: false,
        }
    }

    /// The same column, which may hold null.
    #[must_use]
    pub const fn nullable(self) -> Self {
        Self {
            nullable: true,
            ..self
        }
    }
}

// === impl Schema ===

impl Schema {
    /// The version that this binary knows.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.migrations
            .last()
            .map_or(0, |migration| migration.version)
    }

    pub(crate) fn after(&self, version: u32) -> Option<&'static Migration> {
        self.migrations
            .iter()
            .find(|migration| migration.version > version)
    }
}

// === impl Migration ===

impl Migration {
    /// Its statements in one dialect.
    pub(crate) fn sql(&self, dialect: Dialect) -> String {
        let mut sql = String::new();
        for step in self.steps {
            let text = match (step, dialect) {
                (Step::Create(table), _) => table.create(dialect, false),
                (Step::CreateClustered(table), _) => table.create(dialect, true),
                (Step::Sql(text), _)
                | (Step::Each { sqlite: text, .. }, Dialect::Sqlite)
                | (Step::Each { postgres: text, .. }, Dialect::Postgres) => (*text).to_owned(),
            };
            sql.push_str(text.trim().trim_end_matches(';'));
            sql.push_str(";\n");
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LANES: Table = Table {
        name: "lanes",
        columns: &[
            Column::text("name"),
            Column::blob("state").nullable(),
            Column::int("due"),
        ],
        key: 1,
    };
    const FIRST: Migration = Migration {
        version: 1,
        steps: &[
            Step::Create(&LANES),
            Step::CreateClustered(&LANES),
            Step::Each {
                sqlite: "select 1;",
                postgres: "select 2",
            },
        ],
    };

    #[test]
    fn a_table_is_rendered_in_both_dialects() {
        let columns = |int, text, blob| {
            format!(
                "create table \"lanes\" (\"name\" {text} not null, \"state\" {blob}, \
                 \"due\" {int} not null, primary key (\"name\"))"
            )
        };
        let sqlite = columns("integer", "text", "blob");
        let postgres = columns("bigint", "text collate \"C\"", "bytea");
        assert_eq!(
            FIRST.sql(Dialect::Sqlite),
            format!("{sqlite} strict;\n{sqlite} strict, without rowid;\nselect 1;\n")
        );
        assert_eq!(
            FIRST.sql(Dialect::Postgres),
            format!("{postgres};\n{postgres};\nselect 2;\n")
        );
    }
}
