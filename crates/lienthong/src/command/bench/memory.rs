use std::time::{Duration, Instant};

use anyhow::Context;
use runtime::{Clock, Tasks};
use simulator::{InstantInbox, Measure};
use tokio::time;

use super::{
    Bench,
    child::{Backend, Child},
    figure::Figure,
    load::{DEAD, Load, QUICK},
    machine::memory_mib,
};

const IDLE_TARGET: f64 = 80.0;
const PARKED_TARGET: f64 = 100.0;

/// Resident memory when idle, and what deliveries parked for a dead destination add to a warm process.
pub(crate) async fn measure(bench: &Bench, backend: &Backend) -> anyhow::Result<Vec<Figure>> {
    let tasks = Tasks::default();
    let any = ([127, 0, 0, 1], 0).into();
    let inbox = InstantInbox::start(any, Measure::Count, Clock::system(), &tasks)?;
    let child = Child::start(backend, "memory", inbox.address()).await?;
    time::sleep(Duration::from_secs(2)).await;
    let idle = resident(&child)?;
    // The same traffic to a living destination first, so that only what is parked is counted.
    Load::publish_all(&child.gateway, "warm", QUICK, bench.parked).await?;
    let deadline = Instant::now() + Duration::from_secs(120);
    while inbox.taken() < bench.parked && Instant::now() < deadline {
        time::sleep(Duration::from_millis(50)).await;
    }
    let warm = settled(&child).await?;
    Load::publish_all(&child.gateway, "parked", DEAD, bench.parked).await?;
    let parked = settled(&child).await?;
    child.stop().await;
    let _ = tasks.drain(Duration::from_secs(1)).await;
    Ok(vec![
        Figure::at_most(
            format!("memory.idle.{}", backend.name),
            idle,
            "MiB",
            IDLE_TARGET,
        ),
        Figure::plain(format!("memory.warm.{}", backend.name), warm, "MiB"),
        Figure::at_most(
            format!("memory.parked.{}.{}", bench.parked, backend.name),
            parked - warm,
            "MiB",
            PARKED_TARGET,
        ),
    ])
}

/// Resident memory once it has stood still for three seconds.
async fn settled(child: &Child) -> anyhow::Result<f64> {
    let mut last = resident(child)?;
    let mut still = 0;
    let deadline = Instant::now() + Duration::from_secs(120);
    while still < 6 && Instant::now() < deadline {
        time::sleep(Duration::from_millis(500)).await;
        let now = resident(child)?;
        still = if (now - last).abs() < 0.5 {
            still + 1
        } else {
            0
        };
        last = now;
    }
    Ok(last)
}

fn resident(child: &Child) -> anyhow::Result<f64> {
    memory_mib(child.pid)
        .map(|(now, _)| now)
        .context("the system under test is gone")
}
