//! Prints what a bare append costs: records of 1 KiB by 1, 64 and 1,000 an append.
//!
//! ```text
//! cargo run --release -p eventlog --example append_cost -- [SECONDS] [BROKERS]
//! ```
//!
//! The embedded log is measured always, Kafka when an address is given. The columns are appended
//! records a second, median and 99th percentile of one append, and how much CPU time of all cores
//! the machine's host took away meanwhile; runs of different logs alternate.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own, with the real clock"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlog::{Config, Embedded, Kafka, Log, Record, Topic};
use futures_util::future::join_all;
use jiff::Timestamp;

const APPENDERS: [usize; 2] = [1, 8];
const SIZES: [usize; 3] = [1, 64, 1000];
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let embedded = Embedded::new(dir.path(), Arc::new(Timestamp::now));
    let mut logs = vec![("embedded", Log::open(Config::Embedded(embedded)).await?)];
    if let Some(brokers) = arguments.next() {
        let prefix = format!("append-cost-{}", std::process::id());
        let config = Kafka::new(brokers, prefix);
        logs.push(("kafka", Log::open(Config::Kafka(config)).await?));
    }
    println!("log       appenders  per append  records/s  append p50 ms  p99 ms  steal %");
    for appenders in APPENDERS {
        for size in SIZES {
            for _ in 0..ROUNDS {
                for (name, log) in &logs {
                    let line = measure(log, appenders, size, seconds).await?;
                    println!("{name:9} {appenders:9}  {size:10}  {line}");
                }
            }
        }
    }
    Ok(())
}

async fn measure(
    log: &Log,
    appenders: usize,
    size: usize,
    seconds: f64,
) -> Result<String, eventlog::AppendError> {
    let steal = steal();
    let started = Instant::now();
    let until = started + Duration::from_secs_f64(seconds);
    let work = (0..appenders).map(|appender| append(log, appender, size, until));
    let mut times = Vec::new();
    for took in join_all(work).await {
        times.extend(took?);
    }
    let elapsed = started.elapsed().as_secs_f64();
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    let rate = (times.len() * size) as f64 / elapsed;
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let stolen = (self::steal() - steal) / 100.0 / elapsed / cores * 100.0;
    Ok(format!(
        "{rate:9.0}  {:13.2}  {:6.2}  {stolen:7.1}",
        at(0.5),
        at(0.99)
    ))
}

async fn append(
    log: &Log,
    appender: usize,
    size: usize,
    until: Instant,
) -> Result<Vec<Duration>, eventlog::AppendError> {
    let mut times = Vec::new();
    let mut number = 0_usize;
    while Instant::now() < until {
        let records = (0..size).map(|_| {
            number += 1;
            record(appender, number)
        });
        let records = records.collect();
        let begun = Instant::now();
        log.append(Topic::Events, records).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// A record of 1 KiB with the usual attributes.
fn record(appender: usize, number: usize) -> Record {
    let headers = vec![
        ("id".into(), format!("{appender}-{number}")),
        (
            "source".into(),
            "spiffe://example/agency/civil-registry".into(),
        ),
        ("type".into(), "lienthong.dossier.received".into()),
        ("time".into(), "2026-01-05T07:30:00Z".into()),
        ("datacontenttype".into(), "application/json".into()),
    ];
    let mut record = Record {
        key: format!("dossier-{}", number % 997),
        headers,
        ..Record::default()
    };
    // Text that compresses neither to nothing nor not at all.
    let filler = (0..).map(|n: usize| b'a' + ((n * n + number) % 26) as u8);
    record.value = filler.take(1024 - record.size()).collect::<Vec<_>>().into();
    record
}

/// Hundredths of seconds that the host took away, all cores together.
fn steal() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let total = stat
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(8));
    total.and_then(|text| text.parse().ok()).unwrap_or_default()
}
