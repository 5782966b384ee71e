//! The one mechanism that router, courier and tracker share.
//!
//! ```text
//! read batch ─▶ drop repeats (inbox) ─▶ Fold::decide ─▶ ONE transaction ─▶ publish outbox ─▶ mark
//!                                                       inbox + state + outbox + offsets
//! ```
//!
//! What one batch sends is published in order while the next batch is decided; when two commits wait for
//! the log, reading stops.
//!
//! The store's offsets are the truth and its fence decides who owns the group; the log's own group
//! offsets are a later copy for lag tools. Outgoing ids are derived from their causes, so publishing
//! twice is harmless: the reader's inbox drops the second. A record that cannot be read is kept with
//! its reason in the transaction that moves past it.
//!
//! It refuses to know what a record means, and to go on when another instance has taken over.

mod batch;
mod consumer;
mod error;
mod fold;
mod outbox;
mod start;
mod tables;
mod telemetry;

pub use consumer::{Consumer, Options};
pub use error::Error;
pub use fold::{Decision, Fold, Fresh, Unreadable, record};
pub use outbox::{Outbox, Publisher, Unpublished, by_topic};
pub use start::{Start, Tries};
pub use tables::{SCHEMA, UNREADABLE};
pub use telemetry::describe_metrics;
