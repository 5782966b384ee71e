//! `lienthong bench courier`: what the courier alone makes of slow endpoints, beside a bare loop that does
//! the same without its promises, in the same run.

mod bare;
mod cells;
mod drain;
mod drive;
mod endpoint;
mod far;
mod ground;
mod healthy;
mod horizons;
mod intake;
mod load;
mod moves;
mod parked;
mod report;

use crate::{
    cli::{BenchCourierArgs, Output},
    command::up::any_signal,
    exit::Failure,
    output,
    settings::{LogKind, Settings, StoreKind},
};
pub(crate) use endpoint::serve as serve_endpoints;
use far::Far;
use load::Load;
use report::{Report, Row, Setting};

use super::{child::Backend, machine::Steal};

/// What every part needs to know.
struct CourierBench {
    settings: Settings,
    ground: &'static str,
    keys: u64,
    destinations: u64,
    records: u64,
    rate: Option<u64>,
    in_flight: u64,
    delays: Vec<u64>,
    rounds: u32,
    pairs: u32,
    seconds: u64,
    parked: u64,
    /// Our endpoints, unless there is somebody else's.
    far: Option<Far>,
    endpoint: Option<String>,
    bare_too: bool,
    only: Vec<String>,
}

const ROUNDS: u32 = 3;
const NO_MOVES: &str = "move: lanes move between couriers that share a PostgreSQL schema; name one";

const NO_INTAKE: &str =
    "intake: a whole system is measured on the embedded log and SQLite, or on Kafka and PostgreSQL";

/// Runs the command.
///
/// # Errors
/// The courier cannot be started, does not deliver, or a figure misses its target.
pub(super) async fn run(
    args: &BenchCourierArgs,
    settings: Settings,
    format: Output,
) -> Result<(), Failure> {
    let bench = CourierBench::new(args, settings).await?;
    let report = tokio::select! {
        report = bench.measure() => report?,
        signal = any_signal() => {
            signal?;
            return Err(Failure::Other(anyhow::anyhow!("stopped before all figures were there")));
        }
    };
    match format {
        Output::Json => output::json(&report)?,
        Output::Table => report.print(),
    }
    super::judge(report.figures.iter().map(|row| &row.figure))
}

/// A port on which nobody listens.
fn dead_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

// === impl CourierBench ===

impl CourierBench {
    async fn new(args: &BenchCourierArgs, settings: Settings) -> Result<Self, Failure> {
        let settings = ground::settings(args, settings);
        let endpoint = args
            .endpoint
            .as_ref()
            .map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = &endpoint {
            url.parse::<domain::Endpoint>()
                .map_err(|error| Failure::Usage(error.into()))?;
        }
        let is_outside = endpoint.is_some();
        Ok(Self {
            ground: ground::name(&settings),
            settings,
            keys: args.keys,
            destinations: args.destinations,
            records: args.records,
            rate: args.rate,
            in_flight: args.in_flight,
            delays: if is_outside {
                vec![0]
            } else {
                args.delays.clone()
            },
            rounds: args.rounds.unwrap_or(if is_outside { 1 } else { ROUNDS }),
            pairs: args.pairs,
            seconds: args.seconds,
            parked: args.parked,
            far: if is_outside {
                None
            } else {
                Some(Far::start().await?)
            },
            endpoint,
            bare_too: args.bare,
            only: args.only.clone(),
        })
    }

    async fn measure(&self) -> anyhow::Result<Report> {
        let steal = Steal::begin();
        let (mut figures, mut skipped): (Vec<Row>, Vec<String>) = (Vec::new(), Vec::new());
        let wants = |part: &str| self.only.is_empty() || self.only.iter().any(|only| only == part);
        if let Some(far) = &self.far {
            // The memory of a process that has done nothing else yet.
            if wants("parked") {
                figures.extend(parked::measure(self).await?);
            }
            if wants("drain") {
                figures.extend(drain::measure(self, far).await?);
            }
            match (wants("intake"), self.backend()) {
                (true, Some(backend)) => {
                    figures.extend(intake::measure(self, &backend, far).await?);
                }
                (true, None) => skipped.push(NO_INTAKE.to_owned()),
                (false, _) => {}
            }
            if wants("healthy") {
                figures.extend(healthy::measure(self, far).await?);
            }
            if wants("move") && self.settings.store.kind == StoreKind::Postgres {
                figures.extend(moves::measure(self, far).await?);
            } else if wants("move") {
                skipped.push(NO_MOVES.to_owned());
            }
        }
        if wants("throughput") {
            figures.splice(0..0, cells::measure(self).await?);
        }
        let mut horizons = Vec::new();
        if self.far.is_some() && wants("horizons") {
            horizons = horizons::compare()?;
            figures.extend(horizons::figures(&horizons));
        }
        Ok(Report {
            machine: super::machine::describe(steal),
            setting: Setting {
                ground: self.ground,
                keys: self.keys,
                destinations: self.destinations,
                in_flight: self.in_flight,
                payload_bytes: load::PAYLOAD.len(),
                rounds: self.rounds,
                rate: self.rate,
            },
            figures,
            horizons,
            skipped,
        })
    }

    /// All records over all dossiers and destinations.
    fn load(&self) -> Load {
        Load {
            prefix: String::new(),
            keys: self.keys,
            destinations: self.destinations,
            first: 0,
            records: self.records,
            from: 0,
        }
    }

    /// The same for a whole system in a process of its own.
    fn backend(&self) -> Option<Backend> {
        let Settings { log, store, .. } = &self.settings;
        match (log.kind, store.kind) {
            (LogKind::Embedded, StoreKind::Sqlite) => Some(Backend::embedded()),
            (LogKind::Kafka, StoreKind::Postgres) => {
                let (brokers, url) = (&log.kafka.brokers, &store.postgres.url);
                Some(Backend::real(brokers, url, &self.settings))
            }
            (LogKind::Embedded, StoreKind::Postgres) | (LogKind::Kafka, StoreKind::Sqlite) => None,
        }
    }

    /// Deliveries a second that nobody can exceed; none where the work time is not known.
    fn limit(&self, millis: u64) -> Option<f64> {
        let at_once = self.keys.min(self.in_flight) as f64;
        (self.far.is_some() && millis > 0).then(|| 1e3 * at_once / millis as f64)
    }

    /// The share of the bare loop that is asked for, at slow endpoints and at quick ones.
    fn target(&self, is_slow: bool) -> f64 {
        let is_embedded = self.settings.log.kind == LogKind::Embedded
            && self.settings.store.kind == StoreKind::Sqlite;
        match (is_embedded, is_slow) {
            (true, true) => 0.8,
            (true, false) => 0.5,
            (false, true) => 0.6,
            (false, false) => 0.3,
        }
    }
}
