//! Scenarios over the whole pipeline.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod faults;
mod harness;
mod kill;
mod processes;
mod rows;
mod scenarios;
mod seams;
mod seeded_bugs;
