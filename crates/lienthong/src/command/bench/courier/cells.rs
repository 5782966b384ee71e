//! Deliveries a second at each delay: the courier, the bare loop and the gRPC streams, in turns.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use runtime::Tasks;

use super::{
    CourierBench, bare,
    drive::{self, Driven, own_cpu, until_answered},
    endpoint::Counts,
    ground::Ground,
    load::Load,
    report::{Beside, Row},
};
use crate::{
    command::bench::figure::{Figure, median},
    output,
};

/// Who delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Contender {
    /// The courier over HTTP.
    Courier,
    Bare,
    /// The courier over one gRPC stream per destination.
    Stream,
}

/// One contender at one delay in one round.
struct Sample {
    rate: f64,
    cpu_micros: f64,
    records: u64,
    counts: Option<Counts>,
}

type Samples = BTreeMap<(u64, Contender), Vec<Sample>>;

/// So long the physical limit may take for one cell.
const LONGEST_CELL: u64 = 15;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Below this delay the courier's own work counts more.
const SLOW_MILLIS: u64 = 100;

/// Measures all delays, round by round.
pub(super) async fn measure(bench: &CourierBench) -> anyhow::Result<Vec<Row>> {
    let mut samples = Samples::new();
    for round in 0..bench.rounds {
        for &millis in &bench.delays {
            output::note(format_args!(
                "courier: round {} of {}, {millis} ms",
                round + 1,
                bench.rounds
            ));
            for (contender, sample) in in_turns(bench, round, millis).await? {
                samples.entry((millis, contender)).or_default().push(sample);
            }
        }
    }
    let rows = bench.delays.iter().flat_map(|&millis| {
        [Contender::Courier, Contender::Stream]
            .into_iter()
            .filter_map(|contender| row(bench, &samples, millis, contender))
            .collect::<Vec<_>>()
    });
    Ok(rows.collect())
}

/// One after the other at one delay, over the same topic; over one each where appending is part of the
/// run, or where somebody else counts.
async fn in_turns(
    bench: &CourierBench,
    round: u32,
    millis: u64,
) -> anyhow::Result<Vec<(Contender, Sample)>> {
    let contenders: &[Contender] = match (&bench.far, bench.bare_too) {
        (Some(_), _) => &[Contender::Courier, Contender::Bare, Contender::Stream],
        (None, true) => &[Contender::Courier, Contender::Bare],
        (None, false) => &[Contender::Courier],
    };
    let is_shared = bench.far.is_some() && bench.rate.is_none();
    let mut ground: Option<(Ground, Load)> = None;
    let mut samples = Vec::new();
    for (turn, &contender) in contenders.iter().enumerate() {
        let (mut at, load) = match ground.take() {
            Some(ground) => ground,
            None => prepare(bench, &format!("r{round}_{millis}_{turn}"), millis).await?,
        };
        let cell = format!("{contender:?}-{round}-{millis}");
        let sample = run(bench, &mut at, &load, contender, millis, &cell).await?;
        samples.push((contender, sample));
        if is_shared && turn + 1 < contenders.len() {
            ground = Some((at, load));
        } else {
            at.remove().await?;
        }
    }
    Ok(samples)
}

async fn prepare(bench: &CourierBench, name: &str, millis: u64) -> anyhow::Result<(Ground, Load)> {
    let ground = Ground::open(&bench.settings, name).await?;
    let limit = bench.limit(millis);
    let most = limit.map_or(u64::MAX, |limit| (limit * LONGEST_CELL as f64) as u64);
    let load = Load {
        prefix: name.replace('_', "-"),
        records: bench.records.min(most).max(1),
        ..bench.load()
    };
    if bench.rate.is_none() {
        load.append(&ground.log).await?;
    }
    Ok((ground, load))
}

async fn run(
    bench: &CourierBench,
    ground: &mut Ground,
    load: &Load,
    contender: Contender,
    millis: u64,
    cell: &str,
) -> anyhow::Result<Sample> {
    let base = match (&bench.far, &bench.endpoint) {
        (Some(far), _) => far.base(cell, &millis.to_string()),
        (None, Some(url)) => url.clone(),
        (None, None) => anyhow::bail!("there is no endpoint to deliver to"),
    };
    if let (Some(far), Contender::Stream) = (&bench.far, contender) {
        far.stream(cell, Duration::from_millis(millis)).await?;
    }
    let (took, cpu) = match contender {
        Contender::Bare => bare_loop(bench, ground, load, base).await?,
        Contender::Courier | Contender::Stream => {
            let is_stream = contender == Contender::Stream;
            courier(bench, ground, load, is_stream, &base, cell).await?
        }
    };
    let counts = match &bench.far {
        Some(far) => Some(far.counts(cell).await?),
        None => None,
    };
    Ok(Sample {
        rate: load.records as f64 / took.as_secs_f64(),
        cpu_micros: 1e6 * cpu / load.records as f64,
        records: load.records,
        counts,
    })
}

async fn bare_loop(
    bench: &CourierBench,
    ground: &Ground,
    load: &Load,
    base: String,
) -> anyhow::Result<(Duration, f64)> {
    let in_flight = usize::try_from(bench.in_flight)?;
    let (begun, cpu) = (Instant::now(), own_cpu());
    let appending = append_meanwhile(bench, ground, load);
    let delivering = bare::run(ground, base, in_flight, load.records);
    tokio::try_join!(appending, delivering)?;
    Ok((begun.elapsed(), own_cpu() - cpu))
}

/// Until every verdict is durable and its outcome published.
async fn courier(
    bench: &CourierBench,
    ground: &mut Ground,
    load: &Load,
    is_stream: bool,
    base: &str,
    cell: &str,
) -> anyhow::Result<(Duration, f64)> {
    let each = (bench.in_flight / bench.destinations).max(1);
    let destinations = (0..bench.destinations).map(|number| {
        let endpoint = match &bench.far {
            Some(far) if is_stream => format!("grpc://{}", far.addresses.grpc),
            _ => format!("{base}/{}", super::load::destination_id(number)),
        };
        drive::destination(number, &endpoint, each, TIMEOUT)
    });
    let config = drive::config(destinations.collect::<anyhow::Result<_>>()?)?;
    let fresh = ground.store().await?;
    let before = ground.outcomes().await?;
    let driven = Driven::start(config, ground, fresh).await?;
    let delivering = async {
        if let Some(far) = &bench.far {
            until_answered(far, cell, load.records).await?;
        }
        driven.until_outcomes(ground, before + load.records).await
    };
    tokio::try_join!(append_meanwhile(bench, ground, load), delivering)?;
    let took = (driven.begun.elapsed(), driven.cpu());
    driven.stop().await?;
    Ok(took)
}

/// Appends at the rate that was asked for; without one everything is there already.
async fn append_meanwhile(
    bench: &CourierBench,
    ground: &Ground,
    load: &Load,
) -> anyhow::Result<()> {
    let Some(rate) = bench.rate else {
        return Ok(());
    };
    let tasks = Tasks::default();
    let (log, load) = (ground.log.clone(), load.clone());
    tasks
        .spawn_brief(async move { load.append_at(&log, rate).await })
        .await?
}

/// The row of a contender: its figure beside the bare loop of the same rounds.
fn row(bench: &CourierBench, samples: &Samples, millis: u64, contender: Contender) -> Option<Row> {
    let own = samples.get(&(millis, contender))?;
    let bare = samples.get(&(millis, Contender::Bare));
    let what = match contender {
        Contender::Courier => "courier",
        Contender::Bare => "bare",
        Contender::Stream => "stream",
    };
    let place = if bench.far.is_some() {
        format!("{millis}ms")
    } else {
        "endpoint".to_owned()
    };
    let name = format!("{what}.{place}.{}", bench.ground);
    let rates: Vec<f64> = own.iter().map(|sample| sample.rate).collect();
    let mut figure = match bare {
        Some(bare) => {
            let pairs: Vec<(f64, f64)> = own
                .iter()
                .zip(bare)
                .map(|(own, bare)| (own.rate, bare.rate))
                .collect();
            Figure::at_least_ratio(
                name,
                &pairs,
                "deliveries/s",
                bench.target(millis >= SLOW_MILLIS),
            )
        }
        None => Figure::plain(name, median(&rates), "deliveries/s"),
    };
    // What is asked for depends on the delay, which only our own endpoints tell.
    if contender == Contender::Stream || bench.far.is_none() {
        (figure.target, figure.met) = (None, None);
    }
    let beside = beside(bench, own, bare, millis, figure.value);
    if !beside.is_clean() {
        figure.met = Some(false);
    }
    Some(Row {
        figure,
        beside: Some(beside),
    })
}

fn beside(
    bench: &CourierBench,
    own: &[Sample],
    bare: Option<&Vec<Sample>>,
    millis: u64,
    value: f64,
) -> Beside {
    let cpu = |samples: &[Sample]| {
        let micros: Vec<f64> = samples.iter().map(|sample| sample.cpu_micros).collect();
        median(&micros)
    };
    let sum = |of: fn(&Sample, &Counts) -> u64| {
        let parts = own
            .iter()
            .map(|sample| sample.counts.as_ref().map(|counts| of(sample, counts)));
        parts.sum::<Option<u64>>()
    };
    let p99 = |samples: &[Sample]| {
        bench.rate?;
        let all = samples.iter().filter_map(|sample| sample.counts.as_ref());
        let millis: Vec<f64> = all.map(|counts| counts.p99_micros as f64 / 1e3).collect();
        (!millis.is_empty()).then(|| median(&millis))
    };
    let limit = bench.limit(millis);
    Beside {
        records: own.first().map_or(0, |sample| sample.records),
        limit,
        share_of_limit: limit.map(|limit| value / limit),
        cpu_micros: cpu(own),
        baseline_cpu_micros: bare.map(|bare| cpu(bare)),
        lost: sum(|sample, counts| sample.records.saturating_sub(counts.distinct)),
        duplicates: sum(|_, counts| counts.duplicates),
        out_of_order: sum(|_, counts| counts.out_of_order),
        p99_millis: p99(own),
        baseline_p99_millis: bare.and_then(|bare| p99(bare)),
    }
}
