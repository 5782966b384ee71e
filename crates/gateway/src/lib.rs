//! gRPC in: takes events from agency systems, validates them, and answers once they are durable.
//!
//! ```text
//! agency ──Publish / PublishStream──▶ check ──▶ append ──▶ accepted (with the position)
//!                                       │         └──────▶ unknown (send again with the same id)
//!                                       └────────────────▶ refused (field and reason)
//! ```
//!
//! Stateless. It refuses to route, to remember ids, and to listen off the loopback interface without
//! being told so, as long as it speaks plaintext.

mod check;
mod config;
mod connections;
mod error;
mod quota;
mod serve;
mod service;
mod stack;
mod status;
mod stream;
mod telemetry;

pub use config::{Config, Limits};
pub use error::Error;
pub use serve::{Bound, Gateway};
pub use telemetry::describe_metrics;
