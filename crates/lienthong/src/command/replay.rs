//! Placeholder.
use crate::{
    cli::{Output, ReplayArgs},
    exit::Failure,
    settings::Settings,
};
/// Runs the command.
pub async fn run(_args: ReplayArgs, _settings: Settings, _format: Output) -> Result<(), Failure> {
    Ok(())
}
