//! A store of one test's own, and what most tests write into it.

use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use store::{
    Column, Config, Fence, Migration, Move, Op, Outgoing, PostgresConfig, Row, Schema, Step, Store,
    Table, Write,
};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Runs every named contract on both back ends.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&$crate::scratch::Scratch::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(scratch) = $crate::scratch::Scratch::postgres() {
                    super::$name(&scratch).await;
                    scratch.remove().await;
                }
            })*
        }
    };
}
pub(crate) use on_both;

pub(crate) const GROUP: &str = "router";

/// Deliveries by lane and number; `order` is a word of SQL on purpose.
pub(crate) static LANES: Table = Table {
    name: "lanes",
    columns: &[
        Column::text("lane"),
        Column::int("order"),
        Column::text("note").nullable(),
        Column::blob("body").nullable(),
        Column::int("due"),
    ],
    key: 2,
};

pub(crate) static MEMBERS: Table = Table {
    name: "members",
    columns: &[Column::blob("id"), Column::int("shard")],
    key: 2,
};

pub(crate) static SCHEMA: Schema = Schema {
    role: "router",
    migrations: &[Migration {
        version: 1,
        steps: &[Step::Create(&LANES), Step::CreateClustered(&MEMBERS)],
    }],
};

/// Where one test's store is.
pub(crate) struct Scratch {
    config: Config,
    _directory: Option<TempDir>,
}

// === impl Scratch ===

impl Scratch {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Config::sqlite(directory.path().join("store.db"));
        Self {
            config,
            _directory: Some(directory),
        }
    }

    /// `None`, and a loud line, when there is no server to test with.
    pub(crate) fn postgres() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let url = postgres_url()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let schema = format!("contract_{}_{number}", std::process::id());
        Some(Self {
            config: Config::postgres(url, schema),
            _directory: None,
        })
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.config()).await.unwrap()
    }

    /// The store with the tables of these tests, and the epoch of its new owner.
    pub(crate) async fn start(&self) -> (Store, i64) {
        let store = self.open().await;
        store.migrate(&[&SCHEMA]).await.unwrap();
        let epoch = store.take_over(GROUP).await.unwrap();
        (store, epoch)
    }

    /// Lets the server count a table's rows.
    pub(crate) async fn analyze(&self, table: &str) {
        if let Config::Postgres(PostgresConfig { url, schema, .. }) = &self.config {
            execute(url, &format!("analyze {schema}.{table}")).await;
        }
    }

    /// Drops the schema on the server.
    pub(crate) async fn remove(&self) {
        if let Config::Postgres(PostgresConfig { url, schema, .. }) = &self.config {
            execute(url, &format!("drop schema if exists {schema} cascade")).await;
        }
    }
}

/// Runs statements outside any store.
pub(crate) async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let work = async {
        client.batch_execute(sql).await.unwrap();
        drop(client);
    };
    let (ended, ()) = tokio::join!(connection, work);
    ended.unwrap();
}

pub(crate) fn postgres_url() -> Option<String> {
    static SAY_SO: Once = Once::new();
    #[expect(clippy::disallowed_methods, reason = "tests have no settings file")]
    let url = std::env::var("LIENTHONG_TEST_POSTGRES").ok();
    if url.is_none() {
        let line = "SKIPPED: PostgreSQL, because LIENTHONG_TEST_POSTGRES is not set\n";
        SAY_SO.call_once(|| {
            // Straight to the terminal: the test harness would swallow a print.
            let mut terminal = std::io::stderr().lock();
            terminal.write_all(line.as_bytes()).unwrap();
        });
    }
    url
}

pub(crate) fn step(topic: &str, partition: i32, expected: i64, next: i64) -> Move {
    Move {
        topic: topic.to_owned(),
        partition,
        expected,
        next,
    }
}

pub(crate) fn fence(epoch: i64, moves: Vec<Move>) -> Fence {
    Fence {
        group: GROUP,
        epoch,
        moves,
    }
}

/// A write that only the epoch fences.
pub(crate) fn write(epoch: i64, ops: Vec<Op>) -> Write {
    Write {
        ops,
        ..Write::new(fence(epoch, vec![]), 1_000)
    }
}

pub(crate) fn outgoing(payload: &'static str) -> Outgoing {
    Outgoing {
        topic: "deliveries".to_owned(),
        payload: payload.into(),
    }
}

/// A row of [`LANES`].
pub(crate) fn lane(name: &str, order: i64, due: i64) -> Row {
    store::row![name, order, None::<&str>, None::<&[u8]>, due]
}

/// All of [`LANES`].
pub(crate) async fn lanes(store: &Store) -> Vec<Row> {
    let kinds: Vec<_> = LANES.columns.iter().map(|column| column.kind).collect();
    let sql = "select lane, \"order\", note, body, due from lanes order by lane, \"order\"";
    store.query(sql, vec![], &kinds).await.unwrap()
}
