//! Folds events, deliveries and outcomes into timelines, legal deadlines and figures, and answers
//! where every dossier stands.
//!
//! ```text
//! [events] ──┐
//! [deliveries] ┼▶ arrival ─▶ state (pure) ─▶ deadline ─▶ rows: dossiers, timeline, codes, totals
//! [outcomes] ─┘      └▶ timeline entry          └▶ figures            │
//!                                                  └▶ metrics         └▶ Tracker service
//! ```
//!
//! The three topics race: an outcome may be read before the delivery that it is about. A dossier's
//! state is therefore the same for every interleaving that keeps the order within a topic, and so are
//! the sums over all dossiers, which are written in the transaction of the dossiers themselves.
//!
//! It refuses to decide anything about a dossier (the router does), to keep payloads (only their size
//! and digest), and to read another role's tables: it knows the others by what they put into the log,
//! and their lag by the store's offsets.
//!
//! The legal clock: a step is due as its delivery says, a dossier as its first delivery says, each
//! lengthened by the working time of its own pauses (statuses 5 and 6). It is on time if it ended by
//! then; the time of status 9 counts before that of 10 (Decision 766/QĐ-TTg).

mod api;
mod arrival;
mod body;
mod cache;
mod config;
mod deadline;
mod entry;
mod error;
mod figures;
mod fold;
mod histogram;
mod lag;
mod query;
mod service;
mod shared;
mod state;
mod status;
mod tables;
mod tail;
mod telemetry;
#[cfg(test)]
mod testing;
mod view;
mod watch;

pub use config::Config;
pub use deadline::{Clocks, Deadline, LegalClock, Standing, UnknownCalendar};
pub use error::Error;
pub use fold::GROUP;
pub use lag::{Lag, LagError};
pub use service::{Handle, Service};
pub use telemetry::describe_metrics;
