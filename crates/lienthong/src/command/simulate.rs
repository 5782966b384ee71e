//! Placeholder.
use crate::{
    cli::{DemoArgs, Output},
    exit::Failure,
    settings::Settings,
};
/// Runs the command.
pub async fn run(_args: DemoArgs, _settings: Settings, _format: Output) -> Result<(), Failure> {
    Ok(())
}
