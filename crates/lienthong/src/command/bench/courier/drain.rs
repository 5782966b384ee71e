//! How a backlog leaves once its destination is back: within the time that the contract rate allows, and
//! without spikes.

use std::time::{Duration, Instant};

use domain::Destination;

use super::{
    CourierBench, dead_port,
    drive::{self, Driven, until_answered},
    far::Far,
    ground::Ground,
    load::{Load, destination_id},
    report::Row,
};
use crate::command::bench::figure::Figure;

const CELL: &str = "drain";
const RATE: u64 = 5_000;
const TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(2);
const TARGET: f64 = 1.1;

/// What is left out while destinations have no contract rate.
pub(super) const NO_RATE: &str =
    "drain by the contract rate: a destination has none yet, so it drains without a limit";

/// Gives a destination its contract rate; whether it has such a thing.
pub(super) fn limit(_destination: &mut Destination, _rate: u64) -> bool {
    false
}

/// Parks deliveries for a dead destination, lets it come back, and looks at the arrivals.
pub(super) async fn measure(bench: &CourierBench, far: &Far) -> anyhow::Result<Vec<Row>> {
    let rate = bench.rate.unwrap_or(RATE);
    let mut ground = Ground::open(&bench.settings, CELL).await?;
    let port = dead_port()?;
    let endpoint = format!("http://127.0.0.1:{port}/{CELL}/1/{}", destination_id(0));
    let mut destination = drive::destination(0, &endpoint, bench.in_flight, TIMEOUT)?;
    let is_limited = limit(&mut destination, rate);
    let mut config = drive::config(vec![destination])?;
    config.longest_rest = LONGEST_REST;
    let fresh = ground.store().await?;
    let driven = Driven::start(config, &ground, fresh).await?;
    let load = Load {
        prefix: CELL.to_owned(),
        destinations: 1,
        records: bench.parked,
        ..bench.load()
    };
    load.append(&ground.log).await?;
    driven.until_parked(0, bench.parked).await?;
    let back = Instant::now();
    far.listen(port).await?;
    until_answered(far, CELL, 1).await?;
    let noticed = back.elapsed().as_secs_f64();
    until_answered(far, CELL, bench.parked).await?;
    let counts = far.counts(CELL).await?;
    driven.stop().await?;
    ground.remove().await?;
    let seconds = counts.span_millis as f64 / 1e3;
    let name = |what: &str| format!("drain.{what}.{}", bench.ground);
    let mut took = Figure::plain(name("time"), seconds, "s");
    let highest = counts.highest_tenth as f64;
    let mut spike = Figure::plain(name("highest-tenth"), highest, "deliveries");
    if is_limited {
        let own = bench.parked as f64 / rate as f64;
        took = Figure::ratios(name("time"), seconds, "s", &[seconds / own], Some(TARGET));
        took.baseline = Some(own);
        let even = rate as f64 / 10.0;
        spike = Figure::ratios(
            name("highest-tenth"),
            highest,
            "deliveries",
            &[highest / even],
            None,
        );
        spike.baseline = Some(even);
    }
    if counts.duplicates + counts.out_of_order > 0 {
        took.met = Some(false);
    }
    let noticed = Figure::plain(name("noticed-after"), noticed, "s");
    Ok(vec![took.into(), spike.into(), noticed.into()])
}
