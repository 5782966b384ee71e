use std::borrow::Cow;

use bytes::Bytes;

use crate::schema::Table;
use crate::value::{Row, Value};

/// Everything one transaction does. It commits as a whole or not at all.
#[derive(Clone, Debug)]
pub struct Write {
    /// Who writes, and which offsets it moves.
    pub fence: Fence,
    /// What must stand in other rows, and stays there until the commit.
    pub guards: Vec<Guard>,
    /// The instant of the write in Unix milliseconds; dates the outbox rows.
    pub at: i64,
    /// Ids that must be recognised from now on.
    pub inbox: Vec<InboxEntry>,
    /// Changes of the role's own tables, applied in this order.
    pub ops: Vec<Op>,
    /// Records to be published after the commit.
    pub outbox: Vec<Outgoing>,
    /// Outbox rows that were published since: deleted here, which saves a transaction.
    pub published: Vec<i64>,
}

/// One change of one of the role's tables.
#[derive(Clone, Debug)]
pub enum Op {
    /// Adds rows; where the key exists, the old row stays.
    Insert {
        /// The table.
        table: &'static Table,
        /// Whole rows in column order.
        rows: Vec<Row>,
    },
    /// Adds rows; where the key exists, the other columns are replaced.
    Upsert {
        /// The table.
        table: &'static Table,
        /// Whole rows in column order.
        rows: Vec<Row>,
    },
    /// Sets some columns; a key that does not exist is passed over.
    Update {
        /// The table.
        table: &'static Table,
        /// The columns to set.
        columns: &'static [&'static str],
        /// The key's values, then the new values of `columns`.
        rows: Vec<Row>,
    },
    /// Deletes rows by key, or by a prefix of the key.
    Delete {
        /// The table.
        table: &'static Table,
        /// Keys, all of the same length.
        keys: Vec<Row>,
    },
    /// Anything else, such as a retention delete.
    Sql {
        /// SQL that both back ends understand, with `$1`, `$2`, … as placeholders.
        sql: Cow<'static, str>,
        /// The placeholders' values.
        params: Vec<Value>,
    },
}

/// Proof that the writer still owns its group and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The consumer group, for example `router`.
    pub group: &'static str,
    /// What [`crate::Store::take_over`] answered, or [`Fence::SHARED`].
    pub epoch: i64,
    /// Offsets to move. Empty: the epoch alone fences.
    pub moves: Vec<Move>,
}

/// A value that must stand in a row: one that does not refuses the whole write with
/// [`crate::CommitError::Guarded`]. The row cannot change between the look and the commit.
///
/// PostgreSQL locks guarded rows in the order of their keys. Whoever changes several of them in one
/// write does it in that order too, or the two may wait for each other until the server ends one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The table.
    pub table: &'static Table,
    /// The row's whole key.
    pub key: Row,
    /// The column.
    pub column: &'static str,
    /// What it must hold. No row: the guard fails.
    pub expected: Value,
}

/// One partition's offset: moved only if it is still where the writer read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset that the writer read. Where no row exists yet, any value is right.
    pub expected: i64,
    /// The next offset to read.
    pub next: i64,
}

/// An id that was seen, with a digest that tells a repeat from a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    /// The key that the record is recognised by. Neighbouring keys share a page.
    pub id: [u8; 16],
    /// A digest of the record's body.
    pub digest: i64,
    /// Unix milliseconds; [`crate::Store::prune_inbox`] goes by it.
    pub seen_at: i64,
}

/// Something to publish: an encoded batch of records. The store does not look inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic.
    pub topic: String,
    /// The bytes, encoded once; publishing again sends the same bytes.
    pub payload: Bytes,
}

/// What a commit made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Ids of the outbox rows, in the order of [`Write::outbox`].
    pub outbox_ids: Vec<i64>,
}

// === impl Write ===

impl Write {
    /// An empty write: fill in what it does.
    #[must_use]
    pub fn new(fence: Fence, at: i64) -> Self {
        Self {
            fence,
            guards: Vec::new(),
            at,
            inbox: Vec::new(),
            ops: Vec::new(),
            outbox: Vec::new(),
            published: Vec::new(),
        }
    }
}

// === impl Fence ===

impl Fence {
    /// An epoch that every instance holds at all times; [`crate::Store::take_over`] never answers it.
    pub const SHARED: i64 = i64::MIN;

    /// For a group whose instances write beside one another: only [`Write::guards`] keep them apart.
    #[must_use]
    pub fn shared(group: &'static str) -> Self {
        Self {
            group,
            epoch: Self::SHARED,
            moves: Vec::new(),
        }
    }

    pub(crate) fn allows(&self, found: Option<i64>) -> bool {
        self.epoch == Self::SHARED || found == Some(self.epoch)
    }
}
