//! When to try again: retry plans that a legal deadline hurries, and jitter that a replay repeats.
//!
//! ```text
//!  steps ─▶ step of this attempt ─▶ at most a quarter of the budget ─▶ at least Retry-After ─▶ jitter
//!                                    (never below the first step)       (up to the last step)
//! ```
//!
//! Everything is a pure function of its arguments: no clock, no randomness, no I/O. A plan never
//! gives up because a deadline has passed; only used-up attempts end it.

mod jitter;
mod plan;

pub use jitter::{jittered, seed};
pub use plan::{InvalidPlan, RetryPlan};
