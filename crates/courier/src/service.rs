use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use consumer::{Consumer, Outbox, Start};
use domain::{Destination, DestinationId, Endpoint};
use log::Log;
use proto::v1::{courier_server::CourierServer, pull_server::PullServer};
use runtime::{Clock, Health, Readiness, Tasks};
use serde_json::Value;
use store::{ReadError, Store};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::api::Api;
use crate::config::Config;
use crate::engine::{Arrival, Input, Shared};
use crate::entry::Place;
use crate::fold::{Deliveries, GROUP, give_orders, ordered};
use crate::jobs::Runner;
use crate::lanes::Lanes;
use crate::link::{Ways, pull::Shelves};
use crate::orders::Gate;
use crate::payload::Budget;
use crate::pull_service::{self, PullApi, Pulls};
use crate::tables::State;
use crate::verdicts::{self, Verdicts};
use crate::{Error, StartError, tables, telemetry};

/// The courier of one process.
pub struct Service;

/// Reaches a running courier. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    lanes: Lanes,
    pulls: Pulls,
    log: Log,
    store: Store,
    clock: Clock,
    gate: Gate,
}

const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// Of a puller.
const LARGEST_REQUEST: usize = 512 << 10;

// === impl Service ===

impl Service {
    /// Takes over the courier's work: everything undelivered goes into the lanes, then the deliveries
    /// topic is read on. All tasks run under `tasks`. Waits for a store that is away, at most until the
    /// stop.
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
        start
            .migrate(&store, &[&consumer::SCHEMA, &tables::SCHEMA])
            .await?;
        let epoch = start.take_over(&store, GROUP).await?;
        let verdict_epoch = start.take_over(&store, verdicts::GROUP).await?;

        let outbox = Outbox::new(verdicts::GROUP, store.clone(), log.clone(), health.clone())
            .until(tasks.stop_token());
        let (verdicts, verdict_sender) = Verdicts::new(outbox, verdict_epoch, clock.clone());
        write_verdicts(verdicts, verdict_sender.clone(), tasks, health.clone());
        let shared = Shared {
            store: store.clone(),
            clock: clock.clone(),
            budget: Budget::new(config.cached_bytes),
            verdicts: verdict_sender,
            last_answers: config.last_answers,
        };
        let shortest = config.shortest_timeout;
        let shelves = Shelves::new(&config.destinations, epoch, &clock, shortest);
        let ways = Ways {
            shelves: shelves.clone(),
            log: log.clone(),
            stop: tasks.stop_token(),
        };
        let lanes = Lanes::start(&config, bound, &shared, &ways, tasks);
        // Before the deliveries: nothing goes out that an order keeps from it.
        load_orders(&start, &store, &lanes, &gate).await?;
        load(&start, &store, &lanes).await?;

        let jobs = Arc::new(Notify::new());
        let fold = Deliveries::new(
            lanes.clone(),
            shared.budget.clone(),
            store.clone(),
            tasks.clone(),
            gate.clone(),
            jobs.clone(),
        );
        let consumer = Consumer::new(
            fold,
            log.clone(),
            store.clone(),
            epoch,
            clock.clone(),
            health.clone(),
            config.consumer,
        );
        tasks.spawn("courier consumer", |stop| async move {
            consumer.run(stop).await.map_err(Error::from)
        });
        let runner = Runner::new(store.clone(), log.clone(), clock.clone(), jobs);
        tasks.spawn("courier jobs", |stop| runner.run(stop));
        show_figures(&lanes, tasks, &health);
        Ok(Handle {
            lanes,
            pulls: Pulls::new(shelves, tasks.clone()),
            log,
            store,
            clock,
            gate,
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
        Api::new(
            self.lanes.clone(),
            self.log.clone(),
            self.store.clone(),
            self.clock.clone(),
            self.gate.clone(),
        )
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

/// Tells the lanes what operators ordered that still holds.
async fn load_orders(
    start: &Start,
    store: &Store,
    lanes: &Lanes,
    gate: &Gate,
) -> Result<(), StartError> {
    let mut tries = start.tries();
    loop {
        let read = ordered(store).await;
        if let Some(orders) = tries.settle(read, ReadError::is_transient).await? {
            give_orders(orders, lanes, &gate.destinations);
            return Ok(());
        }
    }
}

/// Puts everything undelivered into the lanes, in the order of the log. After a fault it goes on behind
/// the last place, so that no lane gets anything twice.
async fn load(start: &Start, store: &Store, lanes: &Lanes) -> Result<(), StartError> {
    load_kept(start, store, lanes).await?;
    let mut after = Place {
        partition: -1,
        offset: -1,
    };
    let mut loaded = 0;
    let mut tries = start.tries();
    loop {
        let read = tables::undelivered(store, after).await;
        let Some(page) = tries.settle(read, ReadError::is_transient).await? else {
            continue;
        };
        let Some(last) = page.last() else {
            break;
        };
        after = last.entry.place;
        loaded += page.len();
        for one in page {
            // Rows are written from valid ids only.
            let Ok(destination) = one.destination.parse::<DestinationId>() else {
                continue;
            };
            let input = match one.state {
                State::Dead => Input::Dead(vec![(one.entry.id, one.entry.opened_at)]),
                State::Claimed => Input::Interrupted(one.entry),
                State::Pending | State::Unknown | State::Delivered | State::Discarded => {
                    Input::Arrived(vec![Arrival {
                        entry: one.entry,
                        payload: None,
                    }])
                }
            };
            lanes.give(&destination, input);
        }
    }
    telemetry::loaded(loaded);
    Ok(())
}

/// Tells the lanes how an earlier process left them.
async fn load_kept(start: &Start, store: &Store, lanes: &Lanes) -> Result<(), StartError> {
    let mut tries = start.tries();
    loop {
        let read = tables::kept(store).await;
        let Some(kept) = tries.settle(read, ReadError::is_transient).await? else {
            continue;
        };
        for (destination, kept) in kept {
            lanes.give_known(&destination, Input::Kept(kept));
        }
        return Ok(());
    }
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
