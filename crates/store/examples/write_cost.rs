//! What a write costs: rows per second with 10, 100 and 1,000 rows of 1 KiB in one write, from one
//! and from eight writers, on SQLite and, with a URL as the argument, on PostgreSQL.
//!
//! ```text
//! cargo run --release -p store --example write_cost -- [postgres://user@host:port/database]
//! ```
//!
//! Each figure is the median of five runs. The machine's other work shows in it: compare lines of
//! one run, never of two days.

#![expect(clippy::print_stdout, reason = "an example reports to its reader")]
#![expect(clippy::unwrap_used, reason = "an example stops at the first error")]

use std::time::Instant;

use store::{
    Column, Config, Fence, Migration, Move, Op, Outgoing, Row, Schema, Step, Store, Table, Write,
    row,
};
use tokio::task::JoinSet;

const GROUP: &str = "cost";
const RUNS: usize = 5;
const ROWS: i64 = 20_000;

static ITEMS: Table = Table {
    name: "items",
    columns: &[Column::int("id"), Column::blob("body")],
    key: 1,
};
static SCHEMA: Schema = Schema {
    role: "cost",
    migrations: &[Migration {
        version: 1,
        steps: &[Step::Create(&ITEMS)],
    }],
};

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Store::open(Config::sqlite(directory.path().join("cost.db")))
        .await
        .unwrap();
    measure("SQLite", &sqlite).await;
    if let Some(url) = std::env::args().nth(1) {
        let postgres = Store::open(Config::postgres(url, "write_cost"))
            .await
            .unwrap();
        measure("PostgreSQL", &postgres).await;
    }
}

async fn measure(name: &str, store: &Store) {
    store.migrate(&[&SCHEMA]).await.unwrap();
    for writers in [1, 8] {
        for rows in [10, 100, 1_000] {
            let mut rates = Vec::new();
            for _ in 0..RUNS {
                rates.push(run(store, writers, rows).await);
            }
            rates.sort_by(f64::total_cmp);
            let (low, median, high) = (rates[0], rates[RUNS / 2], rates[RUNS - 1]);
            println!(
                "{name}: {writers} writers, {rows} rows a write: \
                 {median:.0} rows/s ({low:.0} to {high:.0})"
            );
        }
    }
}

/// Writes all rows; each writer owns a partition and a share of the rows.
async fn run(store: &Store, writers: i64, rows: i64) -> f64 {
    let epoch = store.take_over(GROUP).await.unwrap();
    let clear = Op::Sql {
        sql: "delete from items".into(),
        params: vec![],
    };
    let fence = Fence {
        group: GROUP,
        epoch,
        moves: vec![],
    };
    store
        .commit(Write {
            ops: vec![clear],
            ..Write::new(fence, 0)
        })
        .await
        .unwrap();
    let offsets = store.offsets(GROUP).await.unwrap();

    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let partition = i32::try_from(writer).unwrap();
        let from = offsets
            .get(&("events".to_owned(), partition))
            .copied()
            .unwrap_or(0);
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0..ROWS / writers / rows {
                let first = writer * ROWS + n * rows;
                let step = Move {
                    topic: "events".into(),
                    partition,
                    expected: from + n,
                    next: from + n + 1,
                };
                let fence = Fence {
                    group: GROUP,
                    epoch,
                    moves: vec![step],
                };
                store.commit(plan(fence, first, rows)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    (ROWS / writers / rows * rows * writers) as f64 / start.elapsed().as_secs_f64()
}

fn plan(fence: Fence, first: i64, rows: i64) -> Write {
    let body = vec![7_u8; 1024];
    let rows: Vec<Row> = (first..first + rows)
        .map(|id| row![id, body.clone()])
        .collect();
    let outgoing = Outgoing {
        topic: "deliveries".into(),
        payload: body.into(),
    };
    Write {
        ops: vec![Op::Insert {
            table: &ITEMS,
            rows,
        }],
        outbox: vec![outgoing],
        ..Write::new(fence, 0)
    }
}
