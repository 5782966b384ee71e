//! `lienthong bench`: throughput, latency and memory of `lienthong up`, each beside a baseline of the same
//! run, because a shared machine swings by a factor of two from minute to minute.

mod baseline;
mod child;
mod courier;
mod echo;
mod figure;
mod isolation;
mod latency;
mod load;
mod machine;
mod memory;
mod throughput;

use std::time::Duration;

use crate::{
    cli::{BenchArgs, BenchRole, Output},
    command::up::any_signal,
    exit::Failure,
    output,
    settings::Settings,
};
use child::Backend;
use figure::{Figure, Report};

/// What every measurement needs to know.
pub(crate) struct Bench {
    pub(crate) seconds: u64,
    pub(crate) parked: u64,
}

/// Runs the command.
///
/// # Errors
/// The system under test cannot be started, or a figure misses its target.
pub async fn run(args: BenchArgs, settings: Settings, format: Output) -> Result<(), Failure> {
    match &args.role {
        None => {}
        Some(BenchRole::Courier(args)) => return courier::run(args, settings, format).await,
        Some(BenchRole::CourierEndpoint) => return Ok(courier::serve_endpoints().await?),
    }
    tokio::select! {
        report = measure(&args, &settings) => finish(report?, format),
        signal = any_signal() => {
            signal?;
            Err(Failure::Other(anyhow::anyhow!("stopped before all figures were there")))
        }
    }
}

fn finish(report: Report, format: Output) -> Result<(), Failure> {
    match format {
        Output::Json => output::json(&report)?,
        Output::Table => report.print(),
    }
    judge(&report.figures)
}

/// A finding when a figure misses its target.
fn judge<'a>(figures: impl IntoIterator<Item = &'a Figure>) -> Result<(), Failure> {
    let missed: Vec<&str> = figures
        .into_iter()
        .filter(|figure| figure.met == Some(false))
        .map(|figure| figure.name.as_str())
        .collect();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::Finding(format!("missed: {}", missed.join(", "))))
}

async fn measure(args: &BenchArgs, settings: &Settings) -> Result<Report, Failure> {
    let bench = Bench {
        seconds: args.seconds.max(3),
        parked: args.parked,
    };
    let mut backends = vec![Backend::embedded()];
    if let (Some(brokers), Some(postgres)) = (&args.brokers, &args.postgres) {
        backends.push(Backend::real(brokers, postgres, settings));
    } else {
        output::note("Kafka and PostgreSQL are not measured: name --brokers and --postgres");
    }
    let steal = machine::Steal::begin();
    let mut figures: Vec<Figure> = Vec::new();
    let wanted = |name: &str| {
        args.only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    };
    if wanted("baseline") {
        figures.extend(baseline::measure(&backends, Duration::from_secs(5)).await?);
    }
    for backend in &backends {
        if wanted("throughput") {
            figures.extend(throughput::measure(&bench, backend).await?);
        }
        if wanted("latency") {
            figures.extend(latency::measure(&bench, backend).await?);
        }
    }
    if wanted("memory") {
        figures.extend(memory::measure(&bench, &backends[0]).await?);
    }
    // Ten days of the demo: only when asked for by name.
    if args.only.as_deref() == Some("isolation") {
        figures.extend(isolation::measure().await?);
    }
    Ok(Report {
        machine: machine::describe(steal),
        figures,
    })
}
