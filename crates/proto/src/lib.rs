//! The wire: generated messages and services, and the only conversions between them and [`domain`].
//!
//! The code under `generated` is made by `cargo run -p proto --example generate` from
//! `proto/lienthong/v1`; a test fails when it is stale.

mod cloud_event;
mod delivery;
mod error;
mod event;
mod order;
mod outcome;
mod record;
mod time;

pub use cloud_event::{cloud_event_attributes, cloud_event_headers};
pub use error::InvalidField;
pub use order::{REDRIVE_TYPE, decode_order, encode_order, is_order, lane_action, sideline};
pub use record::{
    DELIVERY_TYPE, Encoded, OUTCOME_TYPE, decode_delivery, decode_outcome, encode_delivery,
    encode_outcome,
};
pub use time::{duration_from_wire, duration_to_wire, timestamp_from_wire, timestamp_to_wire};

/// The messages and services of `lienthong.v1`.
#[expect(clippy::all, clippy::too_many_lines, reason = "generated")]
pub mod v1 {
    include!("generated/lienthong.v1.rs");
}

/// The encoded descriptor set, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
