//! How much is sent twice when lanes move because their courier was killed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use calendar::Calendars;
use courier::{Config, Handle, Service};
use domain::Destination;
use log::Log;
use runtime::{Clock, Health, Tasks};
use store::Store;
use tokio::{runtime::Runtime, time};

use super::{
    CourierBench,
    drive::{self, PATIENCE, until_answered},
    far::Far,
    ground::Ground,
    load::{Load, destination_id},
    report::Row,
};
use crate::command::bench::figure::{Figure, median};

/// A courier in a runtime of its own: dropping it drops all its tasks wherever they wait.
struct Killable {
    runtime: Option<Runtime>,
    handle: Handle,
}

/// One move of lanes.
struct Moved {
    duplicates: f64,
    /// Under way in the lanes that moved: handed over, and without a durable verdict.
    in_flight: f64,
    lanes: f64,
    /// Until everything had arrived.
    seconds: f64,
}

const LANES: u64 = 8;
const CAP: u64 = 32;
const RECORDS: u64 = 4_000;
const WORK: &str = "100";
const LEASE: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);
const NAP: Duration = Duration::from_millis(20);

/// Kills one of two couriers that are at work, and looks at what arrives again.
pub(super) async fn measure(bench: &CourierBench, far: &Far) -> anyhow::Result<Vec<Row>> {
    let mut moves = Vec::new();
    for round in 0..bench.rounds {
        moves.push(one(bench, far, &format!("move_{round}")).await?);
    }
    let of = |what: fn(&Moved) -> f64| moves.iter().map(what).collect::<Vec<f64>>();
    let name = |what: &str| format!("move.{what}.{}", bench.ground);
    let beyond = |moved: &Moved| moved.duplicates - CAP as f64 * moved.lanes;
    let worst = moves
        .iter()
        .max_by(|one, other| beyond(one).total_cmp(&beyond(other)))
        .context("no round was asked for")?;
    let bound = CAP as f64 * worst.lanes;
    let mut duplicates = Figure::at_most(name("duplicates"), worst.duplicates, "deliveries", bound);
    duplicates.baseline = Some(worst.in_flight);
    let in_flight = Figure::plain(name("in-flight"), worst.in_flight, "deliveries");
    let lanes = Figure::plain(name("lanes"), worst.lanes, "lanes");
    let time = Figure::plain(name("until-all-arrived"), median(&of(|m| m.seconds)), "s");
    Ok(vec![
        duplicates.into(),
        in_flight.into(),
        lanes.into(),
        time.into(),
    ])
}

async fn one(bench: &CourierBench, far: &Far, cell: &str) -> anyhow::Result<Moved> {
    let mut ground = Ground::open(&bench.settings, cell).await?;
    drop(ground.store().await?);
    let destinations = (0..LANES).map(|number| {
        let endpoint = format!("{}/{}", far.base(cell, WORK), destination_id(number));
        drive::destination(number, &endpoint, CAP, TIMEOUT)
    });
    let destinations: Vec<Destination> = destinations.collect::<anyhow::Result<_>>()?;
    let first = Killable::start(&ground, destinations.clone()).await?;
    let second = Killable::start(&ground, destinations).await?;
    let deadline = Instant::now() + PATIENCE;
    while first.lanes().await.0 + second.lanes().await.0 < LANES || second.lanes().await.0 == 0 {
        anyhow::ensure!(Instant::now() < deadline, "the lanes were not shared out");
        time::sleep(NAP).await;
    }
    let load = Load {
        prefix: cell.replace('_', "-"),
        destinations: LANES,
        records: RECORDS,
        ..bench.load()
    };
    load.append(&ground.log).await?;
    until_answered(far, cell, RECORDS / 4).await?;
    let (lanes, in_flight) = first.lanes().await;
    drop(first);
    let killed = Instant::now();
    let deadline = killed + PATIENCE;
    while far.counts(cell).await?.distinct < RECORDS || second.lanes().await != (LANES, 0) {
        anyhow::ensure!(Instant::now() < deadline, "not everything arrived");
        time::sleep(NAP).await;
    }
    let duplicates = far.counts(cell).await?.duplicates;
    drop(second);
    ground.remove().await?;
    Ok(Moved {
        duplicates: duplicates as f64,
        in_flight: in_flight as f64,
        lanes: lanes as f64,
        seconds: killed.elapsed().as_secs_f64(),
    })
}

// === impl Killable ===

impl Killable {
    async fn start(ground: &Ground, destinations: Vec<Destination>) -> anyhow::Result<Self> {
        let mut config = Config::new(destinations, Arc::new(Calendars::built_in()?));
        config.lease = LEASE;
        config.consumer = ground.consumer();
        let store = ground.beside();
        let store = store.ok_or_else(|| anyhow::anyhow!("there is no store to share"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let log: Log = ground.log.clone();
        let started = runtime.spawn(async move {
            let store = Store::open(store).await?;
            let (tasks, clock) = (Tasks::default(), Clock::system());
            let health = Health::default();
            let handle = Service::start(config, log, store, clock, &tasks, health).await?;
            anyhow::Ok(handle)
        });
        Ok(Self {
            handle: started.await??,
            runtime: Some(runtime),
        })
    }

    /// How many lanes are at work here, and how many deliveries are in flight in them.
    async fn lanes(&self) -> (u64, u64) {
        let lanes = self.handle.lanes().await;
        let lanes = lanes.as_array().cloned().unwrap_or_default();
        let in_flight = lanes.iter().filter_map(|lane| lane["in_flight"].as_u64());
        (lanes.len() as u64, in_flight.sum())
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
