use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use consumer::{Outbox, Start};
use domain::{Destination, Endpoint};
use log::Log;
use proto::v1::{courier_server::CourierServer, pull_server::PullServer};
use runtime::{Clock, Health, Readiness, Tasks};
use serde_json::Value;
use store::{ReadError, Schema, Store};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::api::Api;
use crate::config::Config;
use crate::crew::{Crew, Reading, Workplace};
use crate::engine::Shared;
use crate::fold::GROUP;
use crate::lanes::Lanes;
use crate::leases::{self, INTAKE, Leases, Member, Owners};
use crate::link::{Ways, pull::Shelves};
use crate::orders::Gate;
use crate::payload::{Budget, Resting};
use crate::pull_service::{self, PullApi, Pulls};
use crate::verdicts::{self, Ground, Verdicts};
use crate::{Error, StartError, tables, telemetry};

/// The courier of one process.
pub struct Service;

/// Reaches a running courier. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    lanes: Lanes,
    pulls: Pulls,
    api: Api,
}

const SCHEMAS: [&Schema; 3] = [&consumer::SCHEMA, &tables::SCHEMA, &leases::tables::SCHEMA];
const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// Of a puller.
const LARGEST_REQUEST: usize = 512 << 10;

// === impl Service ===

impl Service {
    /// Takes over the courier's work, or its share of it beside others: what is undelivered goes into the
    /// lanes, then the deliveries topic is read on. All tasks run under `tasks`. Waits for a store that is
    /// away, at most until the stop.
    pub async fn start(
        config: Config,
        log: Log,
        store: Store,
        clock: Clock,
        tasks: &Tasks,
        health: Health,
    ) -> Result<Handle, StartError> {
        health.set(GROUP, Readiness::Starting);
        let bound = config.bind()?;
        let gate = Gate::of(&config);
        prepare_topics(&log, &config.destinations).await?;
        let start = Start::new(GROUP, health.clone(), tasks.stop_token());
        start.migrate(&store, &SCHEMAS).await?;
        let ground = ground(&start, &store, config.lease).await?;
        let outbox = Outbox::new(verdicts::GROUP, store.clone(), log.clone(), health.clone());
        let outbox = outbox.until(tasks.stop_token());
        let (verdicts, verdict_sender, flow) = Verdicts::new(outbox, ground, clock.clone());
        write_verdicts(verdicts, verdict_sender.clone(), tasks, health.clone());
        let shared = Shared {
            store: store.clone(),
            clock: clock.clone(),
            budget: Budget::new(config.cached_bytes),
            resting: Resting::default(),
            verdicts: verdict_sender,
            stored_after: config.stored_after,
            last_answers: config.last_answers,
        };
        let (number, shortest) = (number_of_this_start(), config.shortest_timeout);
        let shelves = Shelves::new(&config.destinations, number, &clock, shortest);
        let ways = Ways {
            shelves: shelves.clone(),
            log: log.clone(),
            stop: tasks.stop_token(),
        };
        let (leases, changes, hands) = Leases::new(member(&config, &store));
        let owners = leases.owners();
        let known = gate.destinations.as_ref().clone();
        let lanes = Lanes::new(known, owners.clone(), clock.clone(), tasks.clone());
        let reading = Reading {
            lanes: lanes.clone(),
            budget: shared.budget.clone(),
            resting: shared.resting.clone(),
            log: log.clone(),
            store: store.clone(),
            clock: clock.clone(),
            health: health.clone(),
            tasks: tasks.clone(),
            gate: gate.clone(),
            flow,
            options: config.consumer,
            is_shared: ground.is_shared(),
        };
        let workplace = Workplace::new(&config, bound, shared, ways, tasks.clone());
        let crew = Crew::new(workplace, reading, changes, hands);
        set_to_work(crew, leases, &start, owners, tasks).await?;
        show_figures(&lanes, tasks, &health);
        Ok(Handle {
            lanes: lanes.clone(),
            pulls: Pulls::new(shelves, tasks.clone()),
            api: Api::new(lanes, log, store, clock, gate),
        })
    }
}

// === impl Handle ===

impl Handle {
    /// The `Courier` service for operators, ready to be served.
    pub fn grpc(&self) -> CourierServer<Api> {
        CourierServer::new(self.api())
    }

    /// The `Pull` service for agencies that cannot be called, ready to be served.
    pub fn pull_grpc(&self) -> PullServer<PullApi> {
        PullServer::new(PullApi(self.pulls.clone())).max_decoding_message_size(LARGEST_REQUEST)
    }

    /// The same over HTTP, ready to be served; may share a port with the other.
    pub fn pull_http(&self) -> axum::Router {
        pull_service::router(self.pulls.clone())
    }

    /// The `Courier` service for callers in this process.
    pub fn api(&self) -> Api {
        self.api.clone()
    }

    /// How every lane stands, as `/status` shows it.
    pub async fn lanes(&self) -> Value {
        let views = self.lanes.views().await;
        views.iter().map(crate::view::LaneView::to_json).collect()
    }
}

/// Makes the topics of agencies that have their own.
async fn prepare_topics(log: &Log, destinations: &[Destination]) -> Result<(), StartError> {
    let topics = destinations.iter().filter_map(|one| match &one.endpoint {
        Endpoint::Topic(topic) => Some(topic.clone()),
        Endpoint::GrpcStream(_) | Endpoint::GrpcUnary(_) | Endpoint::Http(_) | Endpoint::Pull => {
            None
        }
    });
    let topics: Vec<_> = topics.collect();
    if topics.is_empty() {
        return Ok(());
    }
    log.prepare_named(topics).await.map_err(StartError::Topics)
}

fn write_verdicts(verdicts: Verdicts, own: verdicts::Sender, tasks: &Tasks, health: Health) {
    tasks.spawn("courier verdicts", |stop| async move {
        let start = Start::new(verdicts::GROUP, health, stop.clone());
        match verdicts.run(own, &start, &stop).await {
            // What store or log refuse until the stop stays in the outbox for the next start.
            Err(Error::Consumer(error)) if stop.is_cancelled() && error.is_transient() => Ok(()),
            ended => ended,
        }
    });
}

async fn set_to_work(
    mut crew: Crew,
    leases: Leases,
    start: &Start,
    owners: watch::Receiver<Owners>,
    tasks: &Tasks,
) -> Result<(), StartError> {
    tasks.spawn("courier leases", |stop| async move {
        leases
            .run(stop)
            .await
            .map_err(|error| Error::Leases(error.into()))
    });
    crew.begin(start, owners, &tasks.stop_token()).await?;
    tasks.spawn("courier lanes", |stop| crew.run(stop));
    Ok(())
}

/// What keeps this process's verdicts apart from those of others.
async fn ground(start: &Start, store: &Store, patience: Duration) -> Result<Ground, StartError> {
    let mut tries = start.tries();
    loop {
        let read = leases::tables::is_shared(store).await;
        match tries.settle(read, ReadError::is_transient).await? {
            Some(true) => return Ok(Ground::Shared { patience }),
            Some(false) => {
                let epoch = start.take_over(store, verdicts::GROUP).await?;
                return Ok(Ground::Alone { epoch });
            }
            None => {}
        }
    }
}

fn member(config: &Config, store: &Store) -> Member {
    let lanes = config.destinations.iter().map(|one| one.id.clone());
    let intake = INTAKE.parse().ok();
    Member {
        store: store.clone(),
        id: format!(
            "{}-{:08x}",
            config.name,
            number_of_this_start() & 0xffff_ffff
        ),
        length: config.lease,
        destinations: lanes.chain(intake).collect(),
    }
}

/// Another one for every start, in every process.
fn number_of_this_start() -> i64 {
    let random = RandomState::new().hash_one(std::process::id());
    i64::try_from(random >> 1).unwrap_or(i64::MAX)
}

/// Keeps gauges and `/status` up to date.
fn show_figures(lanes: &Lanes, tasks: &Tasks, health: &Health) {
    let latest: Arc<Mutex<Value>> = Arc::default();
    let shown = latest.clone();
    health.register(GROUP, move || {
        shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    });
    let lanes = lanes.clone();
    tasks.spawn("courier figures", |stop| async move {
        let mut ticks = interval(FIGURES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let views = lanes.views().await;
            views.iter().for_each(telemetry::lane);
            let json = views.iter().map(crate::view::LaneView::to_json).collect();
            *latest.lock().unwrap_or_else(PoisonError::into_inner) = json;
        }
        Ok::<(), Infallible>(())
    });
}
