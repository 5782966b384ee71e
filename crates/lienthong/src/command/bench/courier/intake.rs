//! What a release does to the intake: the p99 that an agency sees when it publishes while a backlog of another
//! destination is let go, by its p99 while that backlog is held.
//!
//! ```text
//! this process (publishes) ──▶ `lienthong up`: all roles, one log, one store ──▶ the endpoints' process
//! ```

use std::time::{Duration, Instant};

use anyhow::Context;
use proto::v1::{
    GetLaneRequest, LaneOrder, OrderLaneRequest, PauseLane, PublishRequest, ResumeLane,
    courier_client::CourierClient, gateway_client::GatewayClient, lane_order::Action,
};
use runtime::{Clock, Tasks};
use simulator::{InstantInbox, Measure};
use tokio::time;
use tonic::transport::{Channel, Endpoint};

use super::{CourierBench, drive::PATIENCE, far::Far, report::Row};
use crate::{
    command::bench::{
        child::{Backend, Child, OTHER, Other},
        figure::{Figure, median},
        latency::steady,
        load::{self, DEAD, Load, QUICK},
        machine::{Steal, cpu_seconds},
    },
    output,
};

/// A whole system at work, and an agency that publishes to it.
struct Intake<'a> {
    cell: String,
    /// What the backlog's destination takes by contract, deliveries a second.
    rate: u64,
    child: Child,
    gateway: GatewayClient<Channel>,
    courier: CourierClient<Channel>,
    far: &'a Far,
    tasks: Tasks,
}

/// Whether the backlog is let go meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backlog {
    Held,
    Released,
}

/// Held, released, held: the two that are held tell the noise.
struct Triple {
    spells: Vec<Spell>,
    /// Of the processors' time, in per cent, by the host.
    stolen: f64,
}

/// What one spell showed.
struct Spell {
    p99_millis: f64,
    /// Deliveries of the backlog a second.
    released: f64,
    /// Processors that the system was busy on.
    processors: f64,
}

/// Deliveries a second that a contract allows: what a large public bus allows a destination by default (quotas of
/// Amazon EventBridge), and what two cores carry besides.
const RATES: [u64; 2] = [300, 1_000];
/// Events a second.
const PUBLISHED: u64 = 100;
/// A backlog is at least so long.
const BACKLOG: u64 = 100_000;
/// A 99th percentile takes so many times the calls that other figures take.
const LONGER: u64 = 3;
const CELL: &str = "intake";
const WARM: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_millis(250);
const TARGET: f64 = 1.1;
/// Of the contract's rate: a backlog that leaves more slowly is none that is let go.
const LEAST_RELEASED: f64 = 0.9;

/// The turns of a triple.
const TURNS: [Backlog; 3] = [Backlog::Held, Backlog::Released, Backlog::Held];
const FIRST: usize = 0;
const RELEASE: usize = 1;
const SECOND: usize = 2;
/// What the host may take, in per cent, of a triple that counts.
const UNDISTURBED: f64 = 2.0;
/// So many times as many triples as were asked for are measured at most, until enough are undisturbed.
const TRIES: u32 = 2;

/// A system for each rate; counts the triples that the host disturbed least.
pub(super) async fn measure(
    bench: &CourierBench,
    backend: &Backend,
    far: &Far,
) -> anyhow::Result<Vec<Row>> {
    let mut all = Vec::new();
    for rate in RATES {
        let triples = measure_at(rate, bench, backend, far).await?;
        all.extend(rows(bench.ground, rate, &triples));
    }
    Ok(all)
}

async fn measure_at(
    rate: u64,
    bench: &CourierBench,
    backend: &Backend,
    far: &Far,
) -> anyhow::Result<Vec<Triple>> {
    let tasks = Tasks::default();
    let seconds = LONGER * bench.seconds;
    let mut intake = Intake::start(rate, backend, far, tasks.clone()).await?;
    intake.park(bench.pairs * TRIES, seconds).await?;
    let mut triples: Vec<Triple> = Vec::new();
    while triples.len() < (bench.pairs * TRIES) as usize {
        let quiet = triples.iter().filter(|triple| triple.is_undisturbed());
        let quiet = quiet.count();
        if quiet == bench.pairs as usize {
            break;
        }
        output::note(format_args!(
            "intake: {quiet} of {} pairs, {PUBLISHED} events/s, {rate} deliveries/s released",
            bench.pairs
        ));
        triples.push(intake.triple(triples.len(), seconds).await?);
    }
    intake.child.stop().await;
    let _ = tasks.drain(Duration::from_secs(1)).await;
    Ok(least_disturbed(triples, bench.pairs))
}

fn least_disturbed(mut triples: Vec<Triple>, pairs: u32) -> Vec<Triple> {
    triples.sort_by(|one, other| one.stolen.total_cmp(&other.stolen));
    triples.truncate(pairs as usize);
    triples
}

fn rows(ground: &str, rate: u64, triples: &[Triple]) -> Vec<Row> {
    let name = |what: &str| format!("intake.{rate}.{what}.{ground}");
    let all = |turn: usize, of: fn(&Spell) -> f64| {
        let spells = triples.iter().map(|triple| of(&triple.spells[turn]));
        spells.collect::<Vec<_>>()
    };
    let p99 = |turn| median(&all(turn, |spell| spell.p99_millis));
    let released: Vec<f64> = triples.iter().map(Triple::of_release).collect();
    let noise: Vec<f64> = triples.iter().map(Triple::of_no_release).collect();
    let mut release = Figure::ratios(
        name("p99.release"),
        p99(RELEASE),
        "ms",
        &released,
        Some(TARGET),
    );
    release.baseline = Some(p99(FIRST).midpoint(p99(SECOND)));
    let mut no_release = Figure::ratios(name("p99.no-release"), p99(SECOND), "ms", &noise, None);
    no_release.baseline = Some(p99(FIRST));
    let mut pace = Figure::plain(
        name("released"),
        median(&all(RELEASE, |spell| spell.released)),
        "deliveries/s",
    );
    pace.baseline = Some(rate as f64);
    pace.met = Some(pace.value >= LEAST_RELEASED * rate as f64);
    let mut processors = Figure::plain(
        name("processors"),
        median(&all(RELEASE, |spell| spell.processors)),
        "busy",
    );
    processors.baseline = Some(median(&all(FIRST, |spell| spell.processors)));
    let most = triples
        .iter()
        .map(|triple| triple.stolen)
        .fold(0.0, f64::max);
    let stolen = Figure::at_most(name("stolen"), most, "%", UNDISTURBED);
    let figures = [release, no_release, pace, processors, stolen];
    figures.map(Row::from).into()
}

// === impl Triple ===

impl Triple {
    fn is_undisturbed(&self) -> bool {
        self.stolen <= UNDISTURBED
    }

    /// By what there was before and after it.
    fn of_release(&self) -> f64 {
        let held = self.p99(FIRST).midpoint(self.p99(SECOND));
        self.p99(RELEASE) / held
    }

    fn of_no_release(&self) -> f64 {
        self.p99(SECOND) / self.p99(FIRST)
    }

    fn p99(&self, turn: usize) -> f64 {
        self.spells[turn].p99_millis
    }
}

// === impl Intake ===

impl<'a> Intake<'a> {
    async fn start(
        rate: u64,
        backend: &Backend,
        far: &'a Far,
        tasks: Tasks,
    ) -> anyhow::Result<Self> {
        let any = ([127, 0, 0, 1], 0).into();
        let inbox = InstantInbox::start(any, Measure::Count, Clock::system(), &tasks)?;
        let cell = format!("{CELL}-{rate}");
        let endpoint = format!("{}/{OTHER}", far.base(&cell, "1"));
        let other = Other {
            endpoint: &endpoint,
            per_second: Some(rate),
        };
        let child = Child::start_beside(backend, &cell, inbox.address(), other).await?;
        let connect = async |address: &str| -> anyhow::Result<Channel> {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
            Ok(endpoint.tcp_nodelay(true).connect().await?)
        };
        Ok(Self {
            cell,
            rate,
            gateway: GatewayClient::new(connect(&child.gateway).await?),
            courier: CourierClient::new(connect(&child.courier).await?),
            child,
            far,
            tasks,
        })
    }

    /// Parks enough for all spells, and waits until the system has nothing left to do.
    async fn park(&mut self, pairs: u32, seconds: u64) -> anyhow::Result<()> {
        // As a release may make up for what it missed, and ends a little after its spell.
        let number = u64::from(pairs) * (seconds + 1) * self.rate * 11 / 10;
        let number = number.max(BACKLOG).next_multiple_of(load::STREAMS);
        self.order(Backlog::Held).await?;
        output::note(format_args!("intake: {number} deliveries are parked"));
        Load::publish_all(&self.child.gateway, "parked", DEAD, number).await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = GetLaneRequest {
                destination: OTHER.to_owned(),
            };
            let lane = self.courier.get_lane(request).await?.into_inner().lane;
            let lane = lane.context("the courier shows no lane")?;
            if lane.queued >= number && self.busy(NAP).await? < 0.1 {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} of {number} deliveries were parked in {PATIENCE:?}",
                lane.queued
            );
        }
    }

    /// Processors that the system is busy on for so long.
    async fn busy(&self, span: Duration) -> anyhow::Result<f64> {
        let (begun, before) = (Instant::now(), self.cpu()?);
        time::sleep(span).await;
        Ok((self.cpu()? - before) / begun.elapsed().as_secs_f64())
    }

    fn cpu(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.child.pid).context("the system under test is gone")
    }

    async fn order(&mut self, backlog: Backlog) -> anyhow::Result<()> {
        let action = match backlog {
            Backlog::Held => Action::Pause(PauseLane {}),
            Backlog::Released => Action::Resume(ResumeLane {}),
        };
        let request = OrderLaneRequest {
            order: Some(LaneOrder {
                destination: OTHER.to_owned(),
                action: Some(action),
            }),
            by: "bench".to_owned(),
            reason: "measurement".to_owned(),
        };
        self.courier.order_lane(request).await?;
        Ok(())
    }

    async fn triple(&mut self, number: usize, seconds: u64) -> anyhow::Result<Triple> {
        let steal = Steal::begin();
        let mut spells = Vec::new();
        for (turn, backlog) in TURNS.into_iter().enumerate() {
            let run = format!("{CELL}-{number}-{turn}");
            spells.push(self.spell(backlog, &run, seconds).await?);
        }
        Ok(Triple {
            spells,
            stolen: steal.percent(),
        })
    }

    /// Publishes for a second that does not count, then for the spell; a release begins with the latter.
    async fn spell(&mut self, backlog: Backlog, run: &str, seconds: u64) -> anyhow::Result<Spell> {
        self.publish(&format!("{run}-warm"), WARM).await?;
        if backlog == Backlog::Released {
            self.order(backlog).await?;
        }
        let before = self.far.counts(&self.cell).await?.arrived;
        let (begun, cpu) = (Instant::now(), self.cpu()?);
        let p99_millis = self.publish(run, Duration::from_secs(seconds)).await?;
        let (took, cpu) = (begun.elapsed().as_secs_f64(), self.cpu()? - cpu);
        let arrived = self.far.counts(&self.cell).await?.arrived - before;
        self.order(Backlog::Held).await?;
        Ok(Spell {
            p99_millis,
            released: arrived as f64 / took,
            processors: cpu / took,
        })
    }

    /// The p99 from when a call was due to its answer.
    async fn publish(&self, run: &str, span: Duration) -> anyhow::Result<f64> {
        let micros = steady(&self.tasks, PUBLISHED, span, |number| {
            let mut gateway = self.gateway.clone();
            let event = load::event(run, number, QUICK, &Clock::system());
            async move {
                let request = PublishRequest { event: Some(event) };
                gateway.publish(request).await?;
                Ok(())
            }
        });
        Ok(micros.await?.value_at_quantile(0.99) as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn triple(p99s: [f64; 3], stolen: f64) -> Triple {
        let spell = |p99_millis| Spell {
            p99_millis,
            released: 300.0,
            processors: 0.2,
        };
        Triple {
            spells: p99s.map(spell).into(),
            stolen,
        }
    }

    #[test]
    fn a_release_is_judged_by_what_was_before_and_after_it() {
        let triples = [[2.0, 3.0, 4.0], [1.0, 2.5, 1.0], [2.0, 2.0, 2.0]];
        let triples = triples.map(|p99s| triple(p99s, 0.0));
        let rows = rows("embedded", 300, &triples);
        let ratios: Vec<_> = rows.iter().take(2).map(|row| row.figure.ratio).collect();
        assert_eq!(ratios, [Some(1.0), Some(1.0)]);
        let spread = rows[0].figure.spread;
        assert_eq!(spread, Some((1.0, 2.5)));
    }

    #[test]
    fn the_least_disturbed_count() {
        let triple = |stolen| triple([1.0; 3], stolen);
        let counted = least_disturbed([9.0, 1.5, 40.0, 2.5].map(triple).into(), 2);
        let stolen: Vec<f64> = counted.iter().map(|triple| triple.stolen).collect();
        assert_eq!(stolen, [1.5, 2.5]);
        let undisturbed = counted.iter().map(Triple::is_undisturbed);
        assert_eq!(undisturbed.collect::<Vec<_>>(), [true, false]);
    }
}
