use std::{collections::BTreeMap, process::Stdio};

use anyhow::Context;
use serde_json::Value;
use tokio::process::Command;

use super::figure::{Figure, median};
use crate::output;

const PAIRS: u32 = 5;
const SPEED: &str = "1200";
const DEAD: &str = "demo-social-insurance";
const TARGET: f64 = 1.2;

/// The other destinations' p99 with one destination dead all day, by the p99 of a day without a fault: the
/// median ratio over pairs that alternate, and, to tell the noise, over pairs without any fault.
pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut faulty: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut plain: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut last: Option<BTreeMap<String, f64>> = None;
    for pair in 0..PAIRS {
        output::note(format_args!("isolation: pair {} of {PAIRS}", pair + 1));
        let without = day(pair, false).await?;
        let with = day(pair, true).await?;
        for (destination, p99) in with.iter().filter(|(id, _)| *id != DEAD) {
            let base = without.get(destination).copied().unwrap_or(f64::NAN);
            faulty
                .entry(destination.clone())
                .or_default()
                .push(p99 / base);
            values.entry(destination.clone()).or_default().push(*p99);
            if let Some(before) = last.as_ref().and_then(|last| last.get(destination)) {
                plain
                    .entry(destination.clone())
                    .or_default()
                    .push(base / before);
            }
        }
        last = Some(without);
    }
    let figures = faulty.into_iter().flat_map(|(destination, ratios)| {
        let value = values.get(&destination).map_or(0.0, |all| median(all));
        let noise = plain.get(&destination).cloned().unwrap_or_default();
        let name = format!("isolation.p99.{destination}");
        let quiet = format!("isolation.noise.{destination}");
        [
            Figure::ratios(name, value, "s", &ratios, Some(TARGET)),
            Figure::ratios(quiet, value, "s", &noise, None),
        ]
    });
    Ok(figures.collect())
}

/// The p99 per destination, in seconds of the pipeline's clock, of one demo day.
async fn day(seed: u32, is_dead: bool) -> anyhow::Result<BTreeMap<String, f64>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        "demo",
        "-o",
        "json",
        "--speed",
        SPEED,
        "--seed",
        &(seed + 1).to_string(),
    ]);
    if is_dead {
        command.args(["--dead", DEAD]);
    }
    let run = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .await?;
    let report: Value = serde_json::from_slice(&run.stdout).context("the demo gave no report")?;
    anyhow::ensure!(
        report["unaccounted"] == 0,
        "the demo lost something: {report}"
    );
    let destinations = report["destinations"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let p99 = destinations.iter().filter_map(|one| {
        Some((
            one["id"].as_str()?.to_owned(),
            one["latency_p99_seconds"].as_f64()?,
        ))
    });
    Ok(p99.collect())
}
