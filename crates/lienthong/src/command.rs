//! One module per command.

pub mod bench;
pub mod client;
pub mod dead;
pub mod demo;
pub mod destinations;
pub mod dossier;
pub mod publish;
pub mod replay;
pub mod simulate;
pub mod status;
pub mod up;
