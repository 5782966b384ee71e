//! The only place that decides: folds a dossier's events, opens the steps that are due, computes their
//! legal deadlines, and emits deliveries.
//!
//! ```text
//! [events] ─▶ read ─▶ decide(dossier, event, plan) ─▶ dossier', deliveries, orders ─▶ [deliveries]
//!                     pure: no clock, no I/O          └▶ outcomes ─────────────────▶ [outcomes]
//! ```
//!
//! A decision depends on the event, the dossier's state, and the configuration that the event's own
//! dates choose; never on now. What cannot be routed is held with its reason, and released by itself
//! when a later start brings the missing route, unit or destination. Nothing is dropped.

mod config;
mod decide;
mod dossier;
mod encode;
mod error;
mod fold;
mod open;
mod prove;
mod recheck;
mod service;
mod tables;
mod telemetry;

pub use config::{Config, Plan};
pub use decide::{Effects, decide, reopen};
pub use dossier::{Dossier, Held, Receipt, Step};
pub use error::Error;
pub use service::{GROUP, Service};
pub use tables::SCHEMA;
pub use telemetry::describe_metrics;
