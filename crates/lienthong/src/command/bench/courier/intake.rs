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
        machine::cpu_seconds,
    },
    output,
};

/// A whole system at work, and an agency that publishes to it.
struct Intake<'a> {
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

/// What one spell showed.
struct Spell {
    p99_millis: f64,
    /// Deliveries of the backlog a second.
    released: f64,
    /// Processors that the system was busy on.
    processors: f64,
}

/// Two cores carry so many deliveries a second besides.
const RELEASED: u64 = 1_000;
/// Events a second.
const PUBLISHED: u64 = 100;
const CELL: &str = "intake";
const WARM: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_millis(250);
const TARGET: f64 = 1.1;
/// Of the contract's rate: a backlog that leaves more slowly is none that is let go.
const LEAST_RELEASED: f64 = 0.9;

/// In turns: held, released, held; the two that are held tell the noise.
pub(super) async fn measure(
    bench: &CourierBench,
    backend: &Backend,
    far: &Far,
) -> anyhow::Result<Vec<Row>> {
    let tasks = Tasks::default();
    let mut intake = Intake::start(backend, far, tasks.clone()).await?;
    intake.park(bench.pairs, bench.seconds).await?;
    let mut spells: [Vec<Spell>; 3] = Default::default();
    for pair in 0..bench.pairs {
        output::note(format_args!(
            "intake: pair {} of {}, {PUBLISHED} events/s, {RELEASED} deliveries/s released",
            pair + 1,
            bench.pairs
        ));
        let turns = [Backlog::Held, Backlog::Released, Backlog::Held];
        for (turn, (backlog, spells)) in turns.into_iter().zip(&mut spells).enumerate() {
            let run = format!("{CELL}-{pair}-{turn}");
            spells.push(intake.spell(backlog, &run, bench.seconds).await?);
        }
    }
    intake.child.stop().await;
    let _ = tasks.drain(Duration::from_secs(1)).await;
    Ok(rows(bench.ground, &spells))
}

fn rows(ground: &str, [first, released, second]: &[Vec<Spell>; 3]) -> Vec<Row> {
    let all = |spells: &[Spell], of: fn(&Spell) -> f64| spells.iter().map(of).collect::<Vec<_>>();
    let figure = |what: &str, with: &[Spell], target: Option<f64>| {
        let p99 = |spells: &[Spell]| all(spells, |spell| spell.p99_millis);
        let (with, without) = (p99(with), p99(first));
        let ratios: Vec<f64> = with.iter().zip(&without).map(|(a, b)| a / b).collect();
        let name = format!("intake.p99.{what}.{ground}");
        let mut figure = Figure::ratios(name, median(&with), "ms", &ratios, target);
        figure.baseline = Some(median(&without));
        figure
    };
    let mut rate = Figure::plain(
        format!("intake.released.{ground}"),
        median(&all(released, |spell| spell.released)),
        "deliveries/s",
    );
    rate.baseline = Some(RELEASED as f64);
    rate.met = Some(rate.value >= LEAST_RELEASED * RELEASED as f64);
    let mut processors = Figure::plain(
        format!("intake.processors.{ground}"),
        median(&all(released, |spell| spell.processors)),
        "busy",
    );
    processors.baseline = Some(median(&all(first, |spell| spell.processors)));
    let figures = [
        figure("release", released, Some(TARGET)),
        figure("no-release", second, None),
        rate,
        processors,
    ];
    figures.map(Row::from).into()
}

// === impl Intake ===

impl<'a> Intake<'a> {
    async fn start(backend: &Backend, far: &'a Far, tasks: Tasks) -> anyhow::Result<Self> {
        let any = ([127, 0, 0, 1], 0).into();
        let inbox = InstantInbox::start(any, Measure::Count, Clock::system(), &tasks)?;
        let endpoint = format!("{}/{OTHER}", far.base(CELL, "1"));
        let other = Other {
            endpoint: &endpoint,
            per_second: Some(RELEASED),
        };
        let child = Child::start_beside(backend, CELL, inbox.address(), other).await?;
        let connect = async |address: &str| -> anyhow::Result<Channel> {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
            Ok(endpoint.tcp_nodelay(true).connect().await?)
        };
        Ok(Self {
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
        let number = u64::from(pairs) * (seconds + 1) * RELEASED * 11 / 10;
        let number = number.next_multiple_of(load::STREAMS);
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

    /// Publishes for a second that does not count, then for the spell; a release begins with the latter.
    async fn spell(&mut self, backlog: Backlog, run: &str, seconds: u64) -> anyhow::Result<Spell> {
        self.publish(&format!("{run}-warm"), WARM).await?;
        if backlog == Backlog::Released {
            self.order(backlog).await?;
        }
        let before = self.far.counts(CELL).await?.arrived;
        let (begun, cpu) = (Instant::now(), self.cpu()?);
        let p99_millis = self.publish(run, Duration::from_secs(seconds)).await?;
        let (took, cpu) = (begun.elapsed().as_secs_f64(), self.cpu()? - cpu);
        let arrived = self.far.counts(CELL).await?.arrived - before;
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
