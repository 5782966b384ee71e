//! One module per command.

pub mod bench;
pub mod client;
pub mod conformance;
pub mod consent;
pub mod dead;
pub mod delivery;
pub mod demo;
pub mod destination;
pub mod destinations;
pub mod dossier;
pub mod publish;
pub mod replay;
pub mod sideline;
pub mod simulate;
pub mod simulate_agency;
pub mod status;
pub mod up;
