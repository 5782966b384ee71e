//! The event log: what is appended here is durable, ordered per key, and read again from any offset.
//!
//! ```text
//!  append ──▶ Log ──▶ embedded: one SQLite file, group commit, one partition per topic
//!                └──▶ Kafka:    idempotent producer, CloudEvents headers, n partitions per topic
//!  reader ◀── Log ◀── from the offsets that the caller's store holds, never from a group
//! ```
//!
//! It refuses to know what a record means, to choose offsets for a reader, and to jump over records
//! that retention has removed: a reader whose offset is gone stops with [`ReadError::Gone`].
//!
//! A record that cannot be decoded is an outcome ([`Read::Broken`]), never a stop.

mod backend;
mod batch;
mod config;
mod embedded;
mod error;
mod kafka;
mod memory;
mod record;
mod tail;
mod telemetry;

pub use backend::{Backend, Limit, Log, Read, Reader};
pub use batch::{Undecodable, decode_batch, encode_batch};
pub use config::{Clock, Config, Embedded, Kafka};
pub use error::{AppendError, OpenError, ReadError};
pub use record::{Bounds, Cursor, MAX_RECORD_BYTES, Position, Record, Stored, Topic};
pub use telemetry::describe_metrics;
