//! The binary's parts: settings, the command line, and the wiring of roles. No decisions of the domain.

pub mod boundary;
pub mod cli;
pub mod command;
pub mod exit;
pub mod output;
pub mod pipeline;
pub mod plan;
pub mod settings;
