//! How a backlog leaves once its destination is back: within the time that the contract rate allows, and
//! without spikes.

use std::num::NonZeroU32;
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
/// Most arrivals in a tenth of a second by an even release's. The courier lets at most 1.4 times as many begin; the
/// rest is for what reaches the far end late and together on a machine that it shares. An uneven release has twice
/// as many, the tenth's worth that may be made up for beside the tenth's own.
const SPIKE: f64 = 1.5;

/// Gives a destination its contract rate.
fn limit(destination: &mut Destination, rate: u64) {
    let per_second = u32::try_from(rate).ok().and_then(NonZeroU32::new);
    destination.terms.rate.per_second = per_second;
}

/// Parks deliveries for a dead destination, lets it come back, and looks at the arrivals.
pub(super) async fn measure(bench: &CourierBench, far: &Far) -> anyhow::Result<Vec<Row>> {
    let rate = bench.rate.unwrap_or(RATE);
    let mut ground = Ground::open(&bench.settings, CELL).await?;
    let port = dead_port()?;
    let endpoint = format!("http://127.0.0.1:{port}/{CELL}/1/{}", destination_id(0));
    let mut destination = drive::destination(0, &endpoint, bench.in_flight, TIMEOUT)?;
    limit(&mut destination, rate);
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
    let own = bench.parked as f64 / rate as f64;
    let mut took = Figure::ratios(name("time"), seconds, "s", &[seconds / own], Some(TARGET));
    took.baseline = Some(own);
    let (highest, even) = (counts.highest_tenth as f64, rate as f64 / 10.0);
    let spikes = [highest / even];
    let mut spike = Figure::ratios(
        name("highest-tenth"),
        highest,
        "deliveries",
        &spikes,
        Some(SPIKE),
    );
    spike.baseline = Some(even);
    if counts.duplicates + counts.out_of_order > 0 {
        took.met = Some(false);
    }
    let noticed = Figure::plain(name("noticed-after"), noticed, "s");
    Ok(vec![took.into(), spike.into(), noticed.into()])
}
