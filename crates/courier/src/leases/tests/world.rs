//! Where one test's couriers meet.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use store::{Config, Store};
use tempfile::TempDir;

use super::execute;
use crate::leases::tables;

/// One database, opened once for each courier where its kind allows that.
pub(super) struct World {
    config: Config,
    _directory: Option<TempDir>,
    pub(super) schema: Option<String>,
    /// Of each store that is opened.
    pub(super) wrap: fn(Store) -> Store,
}

impl World {
    pub(super) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            config: Config::sqlite(directory.path().join("store.db")),
            _directory: Some(directory),
            schema: None,
            wrap: |store| store,
        }
    }

    pub(super) fn postgres() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        #[expect(clippy::disallowed_methods, reason = "tests have no settings file")]
        let url = std::env::var("LIENTHONG_TEST_POSTGRES").ok();
        if url.is_none() {
            // Straight to the terminal: the test harness would swallow a print.
            let line = "SKIPPED: PostgreSQL, because LIENTHONG_TEST_POSTGRES is not set\n";
            std::io::stderr().lock().write_all(line.as_bytes()).unwrap();
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let schema = format!("leases_{}_{number}", std::process::id());
        Some(Self {
            config: Config::postgres(url?, schema.clone()),
            _directory: None,
            schema: Some(schema),
            wrap: |store| store,
        })
    }

    /// A store for each courier, with the tables of leases.
    pub(super) async fn stores(&self, count: usize) -> Vec<Store> {
        let first = Store::open(self.config.clone()).await.unwrap();
        first.migrate(&[&tables::SCHEMA]).await.unwrap();
        let mut stores = vec![first];
        while stores.len() < count {
            stores.push(match self.schema {
                Some(_) => Store::open(self.config.clone()).await.unwrap(),
                None => stores[0].clone(),
            });
        }
        stores.into_iter().map(self.wrap).collect()
    }

    /// The same, and from now on time stands still but for [`tick`], and the store counts as shared.
    pub(super) async fn with_clock(&self, count: usize) -> Vec<Store> {
        let stores = self.stores(count).await;
        for sql in [
            "create table test_clock (now_ms bigint not null, shared bigint not null)",
            "insert into test_clock (now_ms, shared) values (1000000, 1)",
            "drop view courier_clock",
            "create view courier_clock as select now_ms, shared from test_clock limit 1",
            "create table test_verdicts (destination text not null, token bigint not null, \
             writer text not null, true_token bigint not null, true_owner text not null)",
        ] {
            execute(&stores[0], sql, vec![]).await;
        }
        stores
    }

    pub(super) async fn remove(&self) {
        if let Some(schema) = &self.schema {
            let store = Store::open(self.config.clone()).await.unwrap();
            let sql = format!("drop schema {schema} cascade");
            execute(&store, &sql, vec![]).await;
        }
    }
}
