//! The guards of one write: one statement per guarded column, in an order that all writers share.

use std::collections::BTreeMap;

use tokio_postgres::Row as Found;

use super::failure;
use super::params;
use super::steps::Step;
use crate::check;
use crate::error::CommitError;
use crate::schema::{Column, Table};
use crate::sql::{self, Dialect};
use crate::value::Row;
use crate::write::Guard;

/// Guards by table and column.
pub(super) struct Guards<'a> {
    count: usize,
    statements: BTreeMap<(&'a str, &'a str), Statement>,
}

struct Statement {
    table: &'static Table,
    column: &'static Column,
    /// Places in the write's list of guards.
    places: Vec<usize>,
    /// The key's values, then the expected one.
    rows: Vec<Row>,
}

// === impl Guards ===

impl<'a> Guards<'a> {
    pub(super) fn of(guards: &'a [Guard]) -> Result<Self, CommitError> {
        let mut statements = BTreeMap::new();
        for (place, guard) in guards.iter().enumerate() {
            let column = check::guard_column(guard).map_err(CommitError::fatal)?;
            let statement = statements
                .entry((guard.table.name, column.name))
                .or_insert_with(|| Statement {
                    table: guard.table,
                    column,
                    places: Vec::new(),
                    rows: Vec::new(),
                });
            let values = guard.key.0.iter().chain([&guard.expected]);
            statement.places.push(place);
            statement.rows.push(values.cloned().collect());
        }
        Ok(Self {
            count: guards.len(),
            statements,
        })
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        self.statements.values().map(|statement| {
            let Statement { table, column, .. } = statement;
            let columns: Vec<_> = table.key_columns().iter().chain([*column]).collect();
            let rows: Vec<_> = statement.rows.iter().collect();
            Step {
                sql: sql::guard(table, column, Dialect::Postgres),
                params: params::arrays(&columns, &rows),
            }
        })
    }

    /// The places of the guards that do not hold, from the answers of [`Guards::steps`].
    pub(super) fn failed(&self, answers: &[Vec<Found>]) -> Result<Vec<usize>, CommitError> {
        let mut holds = vec![false; self.count];
        for (statement, rows) in self.statements.values().zip(answers) {
            for row in rows {
                let number: i64 = row.try_get(0).map_err(failure::before_commit)?;
                let index = usize::try_from(number - 1).ok();
                if let Some(&place) = index.and_then(|index| statement.places.get(index)) {
                    holds[place] = true;
                }
            }
        }
        let failed = (0..self.count).filter(|&place| !holds[place]);
        Ok(failed.collect())
    }
}
