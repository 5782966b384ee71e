//! A real courier in this process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use calendar::Calendars;
use courier::{Config, Handle, Service};
use domain::{Destination, RetrySteps};
use runtime::{Clock, Health, Tasks};
use tokio::time;

use super::{
    far::Far,
    ground::{FreshStore, Ground},
    load::destination_id,
};
use crate::command::bench::machine::cpu_seconds;

/// A courier at work.
pub(super) struct Driven {
    handle: Handle,
    tasks: Tasks,
    pub(super) begun: Instant,
    cpu: f64,
}

/// The first thing that must happen, at most so long from now.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);
const NAP: Duration = Duration::from_millis(10);
const GRACE: Duration = Duration::from_secs(10);

/// A destination of the measurement.
pub(super) fn destination(
    number: u64,
    endpoint: &str,
    max_in_flight: u64,
    timeout: Duration,
) -> anyhow::Result<Destination> {
    Ok(Destination {
        id: destination_id(number).parse()?,
        agency: "bench".parse()?,
        endpoint: endpoint.parse()?,
        calendar: "national-office".parse()?,
        max_in_flight: u32::try_from(max_in_flight)?,
        timeout,
        retry: RetrySteps {
            steps: vec![Duration::from_secs(60)],
            max_attempts: 12,
        },
    })
}

/// The courier's usual settings; it does not wait long for endpoints that never answer when it stops.
pub(super) fn config(destinations: Vec<Destination>) -> anyhow::Result<Config> {
    let mut config = Config::new(destinations, Arc::new(Calendars::built_in()?));
    config.last_answers = Duration::from_millis(100);
    Ok(config)
}

/// The processor time of this process so far, in seconds.
pub(super) fn own_cpu() -> f64 {
    cpu_seconds(std::process::id()).unwrap_or(0.0)
}

/// Waits until the endpoints have answered so many in a cell.
pub(super) async fn until_answered(far: &Far, cell: &str, number: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answered = far.counts(cell).await?.answered;
        if answered >= number {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "{answered} of {number} deliveries were answered in {PATIENCE:?}"
        );
        time::sleep(NAP).await;
    }
}

// === impl Driven ===

impl Driven {
    /// Starts it; the time counts from when it reads.
    pub(super) async fn start(
        mut config: Config,
        ground: &Ground,
        fresh: FreshStore,
    ) -> anyhow::Result<Self> {
        let (tasks, clock) = (Tasks::default(), Clock::system());
        config.consumer = fresh.consumer;
        let log = ground.log.clone();
        let health = Health::default();
        let handle = Service::start(config, log, fresh.store, clock, &tasks, health).await?;
        Ok(Self {
            handle,
            tasks,
            begun: Instant::now(),
            cpu: own_cpu(),
        })
    }

    /// The processor time since the start, in seconds.
    pub(super) fn cpu(&self) -> f64 {
        own_cpu() - self.cpu
    }

    /// Waits until the log holds so many outcomes: until verdicts are durable and published.
    pub(super) async fn until_outcomes(&self, ground: &Ground, number: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while ground.outcomes().await? < number {
            anyhow::ensure!(
                !self.tasks.stop_token().is_cancelled(),
                "the courier ended by itself"
            );
            anyhow::ensure!(
                Instant::now() < deadline,
                "there were no {number} outcomes in {PATIENCE:?}"
            );
            time::sleep(NAP).await;
        }
        Ok(())
    }

    /// Waits until a lane holds so many.
    pub(super) async fn until_parked(&self, lane: u64, number: u64) -> anyhow::Result<()> {
        let (deadline, id) = (Instant::now() + PATIENCE, destination_id(lane));
        loop {
            let lanes = self.handle.lanes().await;
            let lanes = lanes.as_array().context("the courier shows no lanes")?;
            let lane = lanes.iter().find(|lane| lane["destination"] == id);
            let lane = lane.context("a lane is not shown")?;
            let held: u64 = ["queued", "in_flight", "waiting"]
                .iter()
                .filter_map(|state| lane[*state].as_u64())
                .sum();
            if held >= number {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{held} of {number} deliveries were parked in {PATIENCE:?}"
            );
            time::sleep(5 * NAP).await;
        }
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        drop(self.handle);
        Ok(self.tasks.drain(GRACE).await?)
    }
}
