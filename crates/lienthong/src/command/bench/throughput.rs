use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use runtime::{Clock, Tasks};
use simulator::{InstantInbox, Measure};
use tokio::{sync::Semaphore, time};

use super::{
    Bench,
    child::{Backend, Child},
    echo::Echo,
    figure::Figure,
    load::{self, Load, Pace, QUICK},
    machine::{cpu_seconds, memory_mib},
};

const ROUNDS: u64 = 3;
const STREAMS: u64 = 4;
const ECHO_IN_FLIGHT: usize = 64;
const ECHO_SECONDS: u64 = 5;
/// How far publishing may run ahead of delivery: what is measured must be sustained, not parked.
const AHEAD: usize = 8_000;

/// From publish to delivered, in rounds that alternate with the echo.
pub(crate) async fn measure(bench: &Bench, backend: &Backend) -> anyhow::Result<Vec<Figure>> {
    let echo = Echo::start().await?;
    let tasks = Tasks::default();
    let any = ([127, 0, 0, 1], 0).into();
    let inbox = InstantInbox::start(any, Measure::Count, Clock::system(), &tasks)?;
    let child = Child::start(backend, "throughput", inbox.address()).await?;
    let sample = load::event("echo", 0, QUICK, &Clock::system());
    let mut rounds = Vec::new();
    let mut peak: f64 = 0.0;
    let cpu_before = cpu_seconds(child.pid).unwrap_or(0.0);
    for round in 0..ROUNDS {
        let before = echo
            .unary_rate(ECHO_IN_FLIGHT, &sample, Duration::from_secs(ECHO_SECONDS))
            .await;
        let span = Duration::from_secs(bench.seconds / ROUNDS);
        let rate = one_round(&child, &inbox, round, span).await?;
        let after = echo
            .unary_rate(ECHO_IN_FLIGHT, &sample, Duration::from_secs(ECHO_SECONDS))
            .await;
        rounds.push((rate, (before + after) / 2.0));
        peak = peak.max(memory_mib(child.pid).map_or(0.0, |(_, peak)| peak));
    }
    let cpu = cpu_seconds(child.pid).unwrap_or(0.0) - cpu_before;
    let micros = 1e6 * cpu / inbox.taken().max(1) as f64;
    child.stop().await;
    echo.stop().await;
    let _ = tasks.drain(Duration::from_secs(1)).await;
    let name = format!("throughput.{}", backend.name);
    let mut figures = vec![Figure::at_least_ratio(
        name,
        &rounds,
        "events/s",
        backend.target,
    )];
    let name = format!("memory.peak.{}", backend.name);
    figures.push(Figure::at_most(name, peak, "MiB", 300.0));
    let name = format!("cpu.{}", backend.name);
    figures.push(Figure::plain(name, micros, "µs/event"));
    Ok(figures)
}

/// Deliveries a second over the span, after a short warm-up; then waits until nothing is under way.
async fn one_round(
    child: &Child,
    inbox: &InstantInbox,
    round: u64,
    span: Duration,
) -> anyhow::Result<f64> {
    let tasks = Tasks::default();
    let room = Arc::new(Semaphore::new(AHEAD));
    let run = format!("r{round}");
    let base = inbox.taken();
    let pace = Pace::Room(Arc::clone(&room));
    let load = Load::start(
        &child.gateway,
        &run,
        QUICK,
        STREAMS,
        u64::MAX / 2,
        pace,
        &tasks,
    )
    .await?;
    let mut given = base;
    let mut mark: Option<(Instant, u64)> = None;
    let begun = Instant::now();
    let warm = Duration::from_secs(2);
    loop {
        time::sleep(Duration::from_millis(10)).await;
        let taken = inbox.taken();
        room.add_permits(usize::try_from(taken - given)?);
        given = taken;
        match mark {
            None if begun.elapsed() >= warm => mark = Some((Instant::now(), taken)),
            Some((since, from)) if since.elapsed() >= span => {
                let rate = (taken - from) as f64 / since.elapsed().as_secs_f64();
                room.close();
                settle(&load, inbox, base).await;
                let _ = tasks.drain(Duration::from_millis(100)).await;
                return Ok(rate);
            }
            _ => {}
        }
    }
}

/// Waits until everything that was sent has arrived, at most for a while.
async fn settle(load: &Load, inbox: &InstantInbox, base: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while inbox.taken() - base < load.accepted.load(Ordering::Relaxed) && Instant::now() < deadline
    {
        time::sleep(Duration::from_millis(20)).await;
    }
}
