//! A store that passes over guards, and whether that is caught (T8).

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use store::{
    Backend, BoxFuture, MigrateError, Offsets, Outgoing, Probe, ReadError, Row, Schema, Table,
};

use super::*;

/// A verdict is written whoever holds the lane.
struct Unguarded(Arc<dyn Backend>);

impl Backend for Unguarded {
    fn commit(&self, mut write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
        write.guards.clear();
        self.0.commit(write)
    }

    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        self.0.migrate(schemas)
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        self.0.take_over(group)
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.0.published(group, ids)
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.0.prune_inbox(group, before, limit)
    }

    fn offsets(&self, group: &'static str) -> BoxFuture<'_, Result<Offsets, ReadError>> {
        self.0.offsets(group)
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> BoxFuture<'_, Result<HashMap<[u8; 16], i64>, ReadError>> {
        self.0.seen(group, ids)
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        self.0.get(table, keys)
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        self.0.query(sql, params, kinds)
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        self.0.outbox(group, limit)
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        self.0.probe(group)
    }
}

/// The test of row O6 fails with such a store, at the verdict that should have been refused.
#[tokio::test]
async fn t8_a_verdict_without_the_guard_is_caught() {
    let mut world = World::sqlite();
    world.wrap = |store| Store::wrap(Unguarded(store.backend()));
    let test = o6_a_late_verdict_is_refused_and_the_next_owners_passes(&world);
    let panic = AssertUnwindSafe(test).catch_unwind().await;
    let panic = panic.expect_err("the bug is not caught");
    let said = panic.downcast_ref::<String>().expect("it says why");
    assert!(said.contains("Ok("), "caught for another reason: {said}");
}
