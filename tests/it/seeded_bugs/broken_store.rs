use std::{collections::HashMap, sync::Arc, time::Duration};

use store::{
    Backend, BoxFuture, CommitError, Committed, Kind, MigrateError, Offsets, Outgoing, Probe,
    ReadError, Row, Schema, Store, Table, Value, Write,
};

/// A promise of the store that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Offsets move in a transaction of their own, ahead of the state.
    OffsetOutside,
    /// No id is remembered.
    NoInbox,
}

/// A store with a bug.
pub(super) struct Broken {
    inner: Arc<dyn Backend>,
    bug: Bug,
}

// === impl Broken ===

impl Broken {
    pub(super) fn wrap(store: &Store, bug: Bug) -> Store {
        Store::wrap(Self {
            inner: store.backend(),
            bug,
        })
    }
}

impl Backend for Broken {
    fn commit(&self, mut write: Write) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async move {
            match self.bug {
                Bug::OffsetOutside if !write.fence.moves.is_empty() => {
                    let offsets = Write::new(write.fence.clone(), write.at);
                    self.inner.commit(offsets).await?;
                    // Two commits take longer than one, so that a kill may come between them.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    write.fence.moves.clear();
                }
                Bug::OffsetOutside => {}
                Bug::NoInbox => write.inbox.clear(),
            }
            self.inner.commit(write).await
        })
    }

    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> BoxFuture<'_, Result<HashMap<[u8; 16], i64>, ReadError>> {
        match self.bug {
            Bug::NoInbox => Box::pin(std::future::ready(Ok(HashMap::new()))),
            Bug::OffsetOutside => self.inner.seen(group, ids),
        }
    }

    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>> {
        self.inner.migrate(schemas)
    }

    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>> {
        self.inner.take_over(group)
    }

    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.published(group, ids)
    }

    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.prune_inbox(group, before, limit)
    }

    fn offsets(&self, group: &'static str) -> BoxFuture<'_, Result<Offsets, ReadError>> {
        self.inner.offsets(group)
    }

    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        self.inner.get(table, keys)
    }

    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>> {
        self.inner.query(sql, params, kinds)
    }

    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>> {
        self.inner.outbox(group, limit)
    }

    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>> {
        self.inner.probe(group)
    }
}
