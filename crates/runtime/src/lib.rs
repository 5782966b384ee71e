//! What every role needs and no role owns: settings, the clock, supervised tasks, work that
//! gives way, telemetry, health.
//!
//! Knows nothing of the domain.

mod admin;
mod background;
mod clock;
pub mod config;
mod error;
mod health;
mod tasks;
mod telemetry;

pub use admin::{Admin, AdminError};
pub use background::{Background, BackgroundThreads};
pub use clock::Clock;
pub use error::ErrorChain;
pub use health::{Health, Readiness};
pub use tasks::{Tasks, UncleanStop};
pub use telemetry::{LogFormat, Metrics, MetricsError, init_logs};
