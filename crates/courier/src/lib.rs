//! Hands deliveries over to agencies that are slow, overloaded or away.
//!
//! ```text
//!                       ┌─▶ lane ⇄ link ⇄ justice           one task each; none waits for another
//! [deliveries] ─▶ fold ─┼─▶ lane ⇄ link ⇄ police
//!                  │    └─▶ lane ⇄ link ⇄ social insurance
//!                  ▼          └──────▶ verdicts ─▶ one transaction for all that wait ─▶ [outcomes]
//!                store ◀───────────────────┘
//! ```
//!
//! A lane keeps the order of each dossier, takes the delivery with the least remaining legal time
//! first, spaces attempts by the retry plan, and rests while its destination is to blame: then it
//! holds everything, charges no attempt and probes. Only a permanent refusal or used-up attempts make
//! a dead letter; a deadline that has passed never does. A dead letter lets the next delivery of its
//! dossier pass.
//!
//! After a failure between an answer and its verdict the same delivery is sent again, with the same
//! id and the same bytes: destinations drop repeats by id.
//!
//! An agency that cannot be called pulls: its link lays deliveries on a shelf, and `pull_service` hands
//! them out on leases, over gRPC and HTTP.
//!
//! Several couriers may share a PostgreSQL schema and a log: each lane is leased by one of them, and so is
//! the reading of the deliveries topic. The one that reads gives its own lanes what comes at once; the
//! others find it in the store.
//!
//! It refuses to look into payloads, to follow redirects, to choose a destination, and to forget a
//! delivery whose destination the configuration does not have.

mod answer;
mod api;
mod boundary;
mod cloud_event;
mod config;
mod controls;
mod crew;
mod dead;
mod engine;
mod entry;
mod error;
mod fold;
mod groups;
mod holding;
mod horizons;
mod jobs;
mod lane;
mod lanes;
mod leases;
mod link;
mod news;
mod orders;
mod payload;
mod pull_service;
mod service;
mod sidelines;
mod stored;
mod tables;
mod telemetry;
mod verdicts;
mod view;

pub use api::Api;
pub use boundary::Boundary;
pub use config::{Config, ConfigError};
pub use error::{Error, StartError};
pub use horizons::{Away, HorizonError, HorizonRow, compare_horizons};
pub use link::{InvalidTemplate, InvalidWay};
pub use pull_service::PullApi;
pub use service::{Handle, Service};
pub use telemetry::describe_metrics;
