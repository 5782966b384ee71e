//! What a faulty destination does to its neighbours: their p99 with it by their p99 without it.

use std::time::Duration;

use tokio::time;

use super::{
    CourierBench, dead_port,
    drive::{self, Driven, until_answered},
    far::Far,
    ground::Ground,
    load::{Load, destination_id},
    report::Row,
};
use crate::{
    command::bench::figure::{Figure, median},
    output,
};

/// What is wrong with the first destination.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Nothing,
    /// Connections to it are refused.
    Dead,
    /// It takes requests and never answers.
    Hangs,
}

const RATE: u64 = 1_000;
const WORK: &str = "10";
const TIMEOUT: Duration = Duration::from_secs(1);
const WARM: Duration = Duration::from_secs(1);
const TARGET: f64 = 1.1;

/// In turns: nothing, dead, nothing, hangs; the two without a fault tell the noise.
pub(super) async fn measure(bench: &CourierBench, far: &Far) -> anyhow::Result<Vec<Row>> {
    anyhow::ensure!(
        bench.destinations > 1,
        "one destination has no neighbours: name more with --destinations"
    );
    let mut runs: [Vec<f64>; 4] = Default::default();
    for pair in 0..bench.pairs {
        output::note(format_args!(
            "healthy: pair {} of {}",
            pair + 1,
            bench.pairs
        ));
        let faults = [Fault::Nothing, Fault::Dead, Fault::Nothing, Fault::Hangs];
        for (turn, (fault, runs)) in faults.into_iter().zip(&mut runs).enumerate() {
            let name = format!("healthy_{pair}_{turn}");
            runs.push(p99(bench, far, fault, &name).await?);
        }
    }
    let [first, dead, second, hangs] = runs;
    let figure = |what: &str, with: &[f64], without: &[f64], target: Option<f64>| {
        let ratios: Vec<f64> = with.iter().zip(without).map(|(a, b)| a / b).collect();
        let name = format!("healthy.p99.{what}.{}", bench.ground);
        let mut figure = Figure::ratios(name, median(with), "ms", &ratios, target);
        figure.baseline = Some(median(without));
        Row::from(figure)
    };
    Ok(vec![
        figure("one-dead", &dead, &first, Some(TARGET)),
        figure("one-hangs", &hangs, &second, Some(TARGET)),
        figure("no-fault", &second, &first, None),
    ])
}

/// From the due append to the arrival at the healthy ones, in milliseconds; the first second is left out.
async fn p99(bench: &CourierBench, far: &Far, fault: Fault, cell: &str) -> anyhow::Result<f64> {
    let rate = bench.rate.unwrap_or(RATE);
    let mut ground = Ground::open(&bench.settings, cell).await?;
    let load = Load {
        prefix: cell.replace('_', "-"),
        records: rate * bench.seconds,
        ..bench.load()
    };
    let each = (bench.in_flight / bench.destinations).max(1);
    let faulty = match fault {
        Fault::Nothing => far.base(&format!("{cell}-first"), WORK),
        Fault::Dead => format!("http://127.0.0.1:{}", dead_port()?),
        Fault::Hangs => far.base(&format!("{cell}-first"), "hang"),
    };
    let destinations = (0..bench.destinations).map(|number| {
        let base = if number == 0 {
            faulty.clone()
        } else {
            far.base(cell, WORK)
        };
        let endpoint = format!("{base}/{}", destination_id(number));
        drive::destination(number, &endpoint, each, TIMEOUT)
    });
    let config = drive::config(destinations.collect::<anyhow::Result<_>>()?)?;
    let fresh = ground.store().await?;
    let driven = Driven::start(config, &ground, fresh).await?;
    let warming = async {
        time::sleep(WARM).await;
        far.forget_latencies(cell).await
    };
    tokio::try_join!(load.append_at(&ground.log, rate), warming)?;
    let is_healthy = |n: &u64| !(n % load.keys).is_multiple_of(load.destinations);
    let healthy = (0..load.records).filter(is_healthy).count() as u64;
    until_answered(far, cell, healthy).await?;
    let counts = far.counts(cell).await?;
    anyhow::ensure!(
        (counts.distinct, counts.duplicates, counts.out_of_order) == (healthy, 0, 0),
        "the healthy destinations got something twice or out of order: {counts:?}"
    );
    driven.stop().await?;
    ground.remove().await?;
    Ok(counts.p99_micros as f64 / 1e3)
}
