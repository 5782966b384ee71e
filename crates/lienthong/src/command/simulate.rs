//! `lienthong simulate`: a province's working days against a running system, from outside.

use runtime::{Clock, Tasks};
use simulator::{Demo, DemoPorts, DemoTargets};
use territory::Territory;

use super::{
    demo::{calendars, display, finish, play},
    up::any_signal,
};
use crate::{
    cli::{DemoArgs, Output},
    exit::Failure,
    settings::Settings,
};

/// Runs the command: the agencies of `deploy/destinations/demo.yaml` listen on their ports, the desks
/// publish to `gateway.listen`, and the system runs by its own clock.
///
/// # Errors
/// The system cannot be reached, or something is not accounted for.
pub async fn run(args: DemoArgs, settings: Settings, format: Output) -> Result<(), Failure> {
    let territory = Territory::embedded().map_err(anyhow::Error::from)?;
    let calendars = calendars()?;
    let mut play = play(&args, &territory, DemoPorts::default())?;
    play.live = true;
    let (gateway, tracker) = (
        settings.gateway.listen.to_string(),
        settings.tracker.listen.to_string(),
    );
    super::client::connect("gateway", &gateway).await?;
    let courier = settings.courier.listen.to_string();
    let targets = DemoTargets {
        gateway: &gateway,
        tracker: &tracker,
        courier: Some(&courier),
    };
    let tasks = Tasks::default();
    let demo = Demo::start(play, &territory, &calendars, Clock::system(), &tasks)
        .await
        .map_err(|error| Failure::Usage(error.into()))?;
    let asked = tasks.stop_token().child_token();
    let signalled = asked.clone();
    let done = tasks.stop_token();
    tasks.spawn_brief(async move {
        tokio::select! {
            _ = any_signal() => signalled.cancel(),
            () = done.cancelled() => {}
        }
    });
    let mut progress = display(format);
    let report = demo.run(targets, &tasks, &asked, progress.as_mut()).await;
    progress.close();
    let _ = tasks.drain(settings.grace()).await;
    finish(&report.map_err(anyhow::Error::from)?, format)
}
