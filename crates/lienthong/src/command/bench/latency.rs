use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use runtime::{Clock, Tasks};
use simulator::{InstantInbox, Measure};
use tokio::time;

use super::{
    Bench,
    child::{Backend, Child},
    echo::Echo,
    figure::Figure,
    load::{self, Load, Pace, QUICK},
};

const RATE: u64 = 500;
const ROUNDS: u64 = 3;
const SECONDS: u64 = 10;
const STREAMS: u64 = 2;
const TARGET_MILLIS: f64 = 100.0;

/// From microseconds to a minute, three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

/// Microseconds of calls that begin at a steady rate, from when each was due to its answer. They do not keep a
/// beat: it would meet the ticks of every timer on the way in one phase, another one in each run.
pub(crate) async fn steady<F>(
    tasks: &Tasks,
    rate: u64,
    span: Duration,
    mut call: impl FnMut(u64) -> F,
) -> anyhow::Result<Histogram<u64>>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let begun = time::Instant::now();
    let mut calls = Vec::new();
    for number in 0..rate * span.as_secs() {
        let due = begun + offset(number, rate);
        time::sleep_until(due).await;
        let call = call(number);
        calls.push(tasks.spawn_brief(async move { call.await.map(|()| due.elapsed()) }));
    }
    let mut histogram = histogram();
    for took in try_join_all(calls).await? {
        histogram.saturating_record(u64::try_from(took?.as_micros())?);
    }
    Ok(histogram)
}

/// Each in its own share of the time, and all over it: steps of the golden ratio come to every phase alike.
fn offset(number: u64, rate: u64) -> Duration {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let phase = (number as f64 * GOLDEN).fract();
    Duration::from_secs_f64((number as f64 + phase) / rate as f64)
}

/// 99th percentiles from publish to first attempt, in rounds that alternate with the bare echo; the best
/// round counts, for one neighbour on the machine spoils a round.
pub(crate) async fn measure(_bench: &Bench, backend: &Backend) -> anyhow::Result<Vec<Figure>> {
    let echo = Echo::start().await?;
    let tasks = Tasks::default();
    let any = ([127, 0, 0, 1], 0).into();
    let inbox = InstantInbox::start(any, Measure::Latency, Clock::system(), &tasks)?;
    let child = Child::start(backend, "latency", inbox.address()).await?;
    let sample = load::event("echo", 0, QUICK, &Clock::system());
    let span = Duration::from_secs(SECONDS);
    let (mut ours, mut bare, mut medians) = (Vec::new(), Vec::new(), Vec::new());
    one_round(&child, &inbox, "warm", 2).await?;
    inbox.take_latencies();
    for round in 0..ROUNDS {
        let base = echo.unary_latency(RATE, &sample, span).await?;
        bare.push(base.value_at_quantile(0.99) as f64 / 1000.0);
        one_round(&child, &inbox, &format!("l{round}"), SECONDS).await?;
        let micros = inbox.take_latencies();
        ours.push(micros.value_at_quantile(0.99) as f64 / 1000.0);
        medians.push(micros.value_at_quantile(0.5) as f64 / 1000.0);
    }
    child.stop().await;
    echo.stop().await;
    let _ = tasks.drain(Duration::from_secs(1)).await;
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let name = format!("latency.p99.{}", backend.name);
    let mut p99 = Figure::at_most(name, least(&ours), "ms", TARGET_MILLIS);
    p99.baseline = Some(least(&bare));
    p99.spread = Some((least(&ours), most(&ours)));
    let p50 = Figure::plain(
        format!("latency.p50.{}", backend.name),
        least(&medians),
        "ms",
    );
    Ok(vec![p99, p50])
}

async fn one_round(
    child: &Child,
    inbox: &InstantInbox,
    run: &str,
    seconds: u64,
) -> anyhow::Result<()> {
    let tasks = Tasks::default();
    let count = RATE * seconds;
    let before = inbox.distinct() as u64;
    let pace = Pace::Rate(RATE);
    let _load = Load::start(&child.gateway, run, QUICK, STREAMS, count, pace, &tasks).await?;
    let deadline = Instant::now() + Duration::from_secs(seconds + 30);
    while (inbox.distinct() as u64) < before + count {
        anyhow::ensure!(
            Instant::now() < deadline,
            "not everything arrived within {seconds} + 30 s"
        );
        time::sleep(Duration::from_millis(20)).await;
    }
    let _ = tasks.drain(Duration::from_millis(100)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_keep_the_rate_and_come_in_every_phase() {
        let mut phases = [0; 10];
        for number in 0..1_000 {
            let micros = offset(number, 100).as_micros() as u64;
            assert_eq!(micros / 10_000, number);
            phases[(micros % 10_000 / 1_000) as usize] += 1;
        }
        assert!(
            phases.iter().all(|count| (95..=105).contains(count)),
            "{phases:?}"
        );
    }
}
