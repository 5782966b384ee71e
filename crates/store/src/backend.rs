use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use crate::error::{CommitError, MigrateError, ReadError};
use crate::schema::{Schema, Table};
use crate::value::{Kind, Row, Value};
use crate::write::{Committed, Outgoing, Write};

/// A boxed future, so that a back end can be a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The next offset per topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// What a store must be able to do. [`crate::Store`] adds the counting; tests wrap one back end in
/// another to break a promise on purpose.
pub trait Backend: Send + Sync + 'static {
    /// Brings the tables of these schemas up to date.
    fn migrate(&self, schemas: Vec<&'static Schema>) -> BoxFuture<'_, Result<(), MigrateError>>;

    /// Makes the caller the owner of the group; answers its epoch.
    fn take_over(&self, group: &'static str) -> BoxFuture<'_, Result<i64, CommitError>>;

    /// Commits one write.
    fn commit(&self, write: Write) -> BoxFuture<'_, Result<Committed, CommitError>>;

    /// Deletes outbox rows; answers how many were still there.
    fn published(
        &self,
        group: &'static str,
        ids: Vec<i64>,
    ) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// Looks at the next `limit` inbox entries and deletes those older than `before`; answers how many.
    fn prune_inbox(
        &self,
        group: &'static str,
        before: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// The group's offsets.
    fn offsets(&self, group: &'static str) -> BoxFuture<'_, Result<Offsets, ReadError>>;

    /// Those of the ids that are in the inbox, with their digests.
    fn seen(
        &self,
        group: &'static str,
        ids: Vec<[u8; 16]>,
    ) -> BoxFuture<'_, Result<HashMap<[u8; 16], i64>, ReadError>>;

    /// Whole rows by key or by a prefix of the key.
    fn get(
        &self,
        table: &'static Table,
        keys: Vec<Row>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>>;

    /// Rows of any query.
    fn query(
        &self,
        sql: String,
        params: Vec<Value>,
        kinds: Vec<Kind>,
    ) -> BoxFuture<'_, Result<Vec<Row>, ReadError>>;

    /// Unpublished rows, oldest first.
    fn outbox(
        &self,
        group: &'static str,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(i64, Outgoing)>, ReadError>>;

    /// Figures for the dashboard.
    fn probe(&self, group: &'static str) -> BoxFuture<'_, Result<Probe, ReadError>>;
}

/// Figures for the dashboard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Size of the whole database.
    pub size_bytes: u64,
    /// Free space on its disk; `None` where only the server knows.
    pub free_bytes: Option<u64>,
    /// Unpublished rows of the group.
    pub pending: u64,
    /// When the oldest of them was written, in Unix milliseconds.
    pub oldest_pending: Option<i64>,
}
