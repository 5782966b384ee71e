//! What a delivery costs that waits for a dead destination: memory of this process, and files.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::time;

use super::{
    CourierBench, dead_port,
    drive::{self, Driven, until_answered},
    far::Far,
    ground::Ground,
    load::{Load, destination_id},
    report::Row,
};
use crate::command::bench::{figure::Figure, machine::memory_mib};

const CELL: &str = "parked";
const TIMEOUT: Duration = Duration::from_secs(30);
const CHUNK: u64 = 2_000;
const TARGET_BYTES: f64 = 512.0;

/// First the same traffic to a living destination, so that only what is parked is counted.
pub(super) async fn measure(bench: &CourierBench, far: &Far) -> anyhow::Result<Vec<Row>> {
    let mut ground = Ground::open(&bench.settings, CELL).await?;
    let living = format!("{}/{}", far.base(CELL, "0"), destination_id(0));
    let dead = format!("http://127.0.0.1:{}/{}", dead_port()?, destination_id(1));
    let destinations = vec![
        drive::destination(0, &living, bench.in_flight, TIMEOUT)?,
        drive::destination(1, &dead, bench.in_flight, TIMEOUT)?,
    ];
    let fresh = ground.store().await?;
    let (store_files, log_files) = (fresh.files.clone(), ground.log_files());
    let driven = Driven::start(drive::config(destinations)?, &ground, fresh).await?;
    let mut load = Load {
        prefix: "living".to_owned(),
        destinations: 1,
        records: CHUNK.min(bench.parked),
        ..bench.load()
    };
    while load.from < bench.parked {
        load.append(&ground.log).await?;
        load.from += load.records;
        until_answered(far, CELL, load.from).await?;
    }
    driven.until_outcomes(&ground, load.from).await?;
    let before = (settled().await?, size(&store_files), size(&log_files));
    load = Load {
        prefix: "parked".to_owned(),
        first: 1,
        from: 0,
        records: bench.parked,
        ..load
    };
    load.append(&ground.log).await?;
    driven.until_parked(1, bench.parked).await?;
    let after = (settled().await?, size(&store_files), size(&log_files));
    driven.stop().await?;
    ground.remove().await?;
    let each = |before: f64, after: f64| (after - before) / bench.parked as f64;
    let name = |what: &str| format!("parked.{what}.{}", bench.ground);
    let memory = each(before.0, after.0);
    let mut rows = vec![Figure::at_most(name("memory"), memory, "bytes", TARGET_BYTES).into()];
    if let (Some(before), Some(after)) = (before.1, after.1) {
        let figure = Figure::plain(name("disk.store"), each(before, after), "bytes");
        rows.push(figure.into());
    }
    if let (Some(before), Some(after)) = (before.2, after.2) {
        let figure = Figure::plain(name("disk.log"), each(before, after), "bytes");
        rows.push(figure.into());
    }
    Ok(rows)
}

/// Resident memory in bytes, once it has stood still for three seconds.
async fn settled() -> anyhow::Result<f64> {
    const STILL_MIB: f64 = 0.5;
    let resident = || {
        let memory = memory_mib(std::process::id());
        memory.map(|(now, _)| now).context("no memory is shown")
    };
    let (mut last, mut still) = (resident()?, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    while still < 6 && Instant::now() < deadline {
        time::sleep(Duration::from_millis(500)).await;
        let now = resident()?;
        still = if (now - last).abs() < STILL_MIB {
            still + 1
        } else {
            0
        };
        last = now;
    }
    Ok(last * 1024.0 * 1024.0)
}

/// The bytes of all files in a directory; none where there is no such directory.
fn size(directory: &Path) -> Option<f64> {
    let files = fs::read_dir(directory).ok()?.flatten();
    let bytes = files
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len());
    Some(bytes.sum::<u64>() as f64)
}
