//! SQLite and PostgreSQL behind one trait, and the step that router, courier and tracker share.
//!
//! ```text
//! seen + get + offsets ──▶ the role decides (pure) ──▶ Write ──▶ commit ──▶ outbox ids ──▶ publish ──▶ published
//!        reads                                    inbox, ops, outbox, offsets in ONE transaction
//! ```
//!
//! A transaction is a value: a [`Write`] is complete before the database hears of it, so nothing can
//! await the network, or anything else, while a transaction is open. The offset rows are the fence
//! (`… where next_offset = $expected`), and so is the group's epoch: an instance that lost its group
//! or its partition gets [`CommitError::Fenced`] and has changed nothing. Where several instances of
//! a group write side by side, a [`Guard`] is the fence of what each of them holds.
//!
//! What this crate refuses to do: look inside payloads, know the log or the domain, retry a commit
//! whose answer was lost (read [`Store::offsets`] instead), jump over a fence, trust a file after a
//! failed write or fsync.
//!
//! # Promises of both back ends
//!
//! * [`Store::commit`] answers after the transaction is durable (SQLite: WAL, `synchronous=FULL`;
//!   PostgreSQL: `synchronous_commit=on`).
//! * A read that starts after a commit was answered sees it.
//! * The outbox is read in row order and a published row is deleted; never "id greater than last",
//!   because PostgreSQL hands out ids before commit.
//! * One contract suite, `tests/contract/`, runs over both.
//!
//! # Why rusqlite and tokio-postgres, not sqlx
//!
//! One thread that loops a cached statement over rows switches no task per row, and one `unnest`
//! statement per change is a thing that sqlx would only pass through. Rows of 1 KiB into SQLite
//! (WAL, `synchronous=FULL`) in one transaction, medians of five interleaved runs, 2 cores, Debian 12:
//!
//! | rows a commit | rusqlite 0.41 | sqlx 0.9 |
//! |--:|--:|--:|
//! | 100 | 122,000 rows/s | 36,000 rows/s |
//! | 1,000 | 136,000 rows/s | 37,000 rows/s |
//! | CPU a row | 5 µs | 24 µs |
//!
//! The same rows keyed by random bytes in a `without rowid` table made 11,000 rows/s at best:
//! [`Step::CreateClustered`] is for small rows. `examples/write_cost.rs` measures this crate itself.

mod backend;
mod check;
mod config;
mod error;
mod postgres;
mod schema;
mod sql;
mod sqlite;
mod store;
mod system;
mod telemetry;
mod value;
mod write;

pub use backend::{Backend, BoxFuture, Offsets, Probe};
pub use config::{Config, PostgresConfig, SqliteConfig};
pub use error::{CommitError, FenceBreach, Invalid, MigrateError, OpenError, ReadError, Source};
pub use schema::{Column, Migration, Schema, Step, Table};
pub use store::Store;
pub use telemetry::describe_metrics;
pub use value::{Kind, Row, RowError, Value};
pub use write::{Committed, Fence, Guard, InboxEntry, Move, Op, Outgoing, Write};
