//! A store that cannot be relied upon.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use store::{
    Backend, BoxFuture, CommitError, Committed, Kind, MigrateError, Offsets, Outgoing, Probe,
    ReadError, Row, Schema, Table, Value, Write,
};

/// A store that loses the answers of some commits, of which every other one landed.
pub(super) struct Unsure {
    pub(super) below: Arc<dyn Backend>,
    pub(super) commits: AtomicUsize,
}

impl Backend for Unsure {
    fn commit(&self, write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            let lost = || CommitError::Transient {
                unknown: true,
                source: Arc::new(std::io::Error::other("connection reset")),
            };
            match self.commits.fetch_add(1, Ordering::Relaxed) % 4 {
                1 => self.below.commit(write).await.and_then(|_| Err(lost())),
                3 => Err(lost()),
                _ => self.below.commit(write).await,
            }
        })
    }

    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        self.below.migrate(schemas)
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        self.below.take_over(group)
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.below.published(group, ids)
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.below.prune_inbox(group, before, limit)
    }

    fn offsets(&self, group: &'static str) -> BoxFuture<'_, Result<Offsets, ReadError>> {
        self.below.offsets(group)
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> BoxFuture<'_, Result<HashMap<[u8; 16], i64>, ReadError>> {
        self.below.seen(group, ids)
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        self.below.get(table, keys)
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        self.below.query(sql, params, kinds)
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        self.below.outbox(group, limit)
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        self.below.probe(group)
    }
}
