//! A courier in a scratch directory, and what its log and operators see.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use calendar::Calendars;
use courier::{Config, Handle, Service};
use domain::{
    Classification, Delivery, DeliveryId, Destination, Outcome, OutcomeKind, RetrySteps, Terms,
    UnitRef,
};
use log::{Limit, Log, Read, Topic};
use proto::v1::{self, courier_server::Courier as _};
use runtime::{Clock, Health, Tasks};
use store::Store;
use tempfile::TempDir;
use tokio::time::timeout;

/// Everything around a courier that outlives it.
pub(crate) struct World {
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    /// Of the agencies.
    pub(crate) tasks: Tasks,
    config: store::Config,
    /// Removed with it.
    _scratch: TempDir,
}

/// A courier that can be stopped.
pub(crate) struct Courier {
    pub(crate) handle: Handle,
    pub(crate) tasks: Tasks,
    pub(crate) health: Health,
}

/// Who gives orders.
pub(crate) const OPERATOR: &str = "Người Trực Thử";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that is bound to come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it comes soon")
}

/// Asks again and again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(ask: impl Fn() -> F) -> T {
    soon(async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

pub(crate) fn destination(id: &str, endpoint: &str) -> Destination {
    Destination {
        id: id.parse().unwrap(),
        agency: "justice".parse().unwrap(),
        endpoint: endpoint.parse().unwrap(),
        calendar: "national-office".parse().unwrap(),
        max_in_flight: 16,
        timeout: Duration::from_secs(10),
        retry: RetrySteps {
            steps: vec![Duration::from_millis(10), Duration::from_millis(50)],
            max_attempts: 3,
        },
        terms: Terms::default(),
    }
}

pub(crate) fn grpc(id: &str, address: SocketAddr) -> Destination {
    destination(id, &format!("grpc://{address}"))
}

/// The delivery of a step to a destination.
pub(crate) fn delivery(dossier: &str, step: &str, destination: &str) -> Delivery {
    let (dossier, step) = (dossier.parse().unwrap(), step.parse().unwrap());
    let route = "birth@2026-09-01".parse().unwrap();
    Delivery {
        id: DeliveryId::derive(&dossier, &route, &step, 0),
        dossier,
        code: None,
        procedure: "3.000722".parse().unwrap(),
        route,
        step,
        agency: "justice".parse().unwrap(),
        destination: destination.parse().unwrap(),
        unit: UnitRef {
            code: "14797".parse().unwrap(),
            valid_on: "2026-09-21".parse().unwrap(),
        },
        province: None,
        classification: Classification::Internal,
        received_at: "2026-09-21T02:00:00Z".parse().unwrap(),
        opened_at: "2026-09-21T02:05:00Z".parse().unwrap(),
        due_at: "2026-09-25T10:00:00Z".parse().unwrap(),
        dossier_due_at: "2026-09-25T10:00:00Z".parse().unwrap(),
        task: "Đăng ký thường trú".to_owned(),
        product: "registration".to_owned(),
        legal_basis: "Decree 61/2018/NĐ-CP".to_owned(),
        cause: ("desk".parse().unwrap(), "e-1".parse().unwrap()),
        content_type: "application/json".to_owned(),
        data: Bytes::from_static(br#"{"form":"birth"}"#),
    }
}

/// SQLite in the scratch directory, or PostgreSQL with a schema of its own where
/// `LIENTHONG_TEST_POSTGRES` names a server.
#[expect(
    clippy::disallowed_methods,
    reason = "tests may ask which services there are"
)]
fn store_config(scratch: &Path) -> store::Config {
    match std::env::var("LIENTHONG_TEST_POSTGRES") {
        Ok(url) => {
            let name = scratch
                .file_name()
                .unwrap()
                .to_string_lossy()
                .to_lowercase();
            let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            store::Config::postgres(url, format!("courier_{}_{name}", std::process::id()))
        }
        Err(_) => store::Config::sqlite(scratch.join("store.db")),
    }
}

// === impl World ===

impl World {
    pub(crate) async fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let config = store_config(scratch.path());
        Self::with(scratch, config).await
    }

    /// On SQLite, whatever services there are.
    pub(crate) async fn of_one_process() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let config = store::Config::sqlite(scratch.path().join("store.db"));
        Self::with(scratch, config).await
    }

    async fn with(scratch: tempfile::TempDir, config: store::Config) -> Self {
        let clock = Clock::system();
        let log_clock = clock.clone();
        let now = Arc::new(move || log_clock.now());
        let embedded = log::Embedded::new(scratch.path().join("log"), now);
        let log = Log::open(log::Config::Embedded(embedded)).await.unwrap();
        let store = Store::open(config.clone()).await.unwrap();
        Self {
            log,
            store,
            clock,
            tasks: Tasks::default(),
            config,
            _scratch: scratch,
        }
    }

    /// Whether several couriers may have the store open.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.config, store::Config::Postgres(_))
    }

    pub(crate) fn store_config(&self) -> store::Config {
        self.config.clone()
    }

    pub(crate) async fn append(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        let records = deliveries.into_iter().map(|delivery| {
            let dossier = delivery.dossier.clone();
            let (attributes, data) = proto::encode_delivery(delivery);
            consumer::record(&dossier, attributes, data)
        });
        let records: Vec<_> = records.collect();
        self.log.append(Topic::Deliveries, records).await.unwrap();
    }

    pub(crate) async fn courier(&self, destinations: Vec<Destination>) -> Courier {
        self.courier_on(self.store.clone(), destinations).await
    }

    pub(crate) async fn courier_on(&self, store: Store, destinations: Vec<Destination>) -> Courier {
        self.courier_trusting(None, store, destinations).await
    }

    pub(crate) async fn courier_trusting(
        &self,
        roots: Option<dial::Roots>,
        store: Store,
        destinations: Vec<Destination>,
    ) -> Courier {
        self.start_on(roots, store, destinations).await.unwrap()
    }

    pub(crate) async fn try_courier(
        &self,
        destinations: Vec<Destination>,
    ) -> Result<Courier, courier::StartError> {
        self.start_on(None, self.store.clone(), destinations).await
    }

    async fn start_on(
        &self,
        roots: Option<dial::Roots>,
        store: Store,
        destinations: Vec<Destination>,
    ) -> Result<Courier, courier::StartError> {
        let config = Config {
            roots,
            ..config(destinations)
        };
        self.start_with(config, store).await
    }

    pub(crate) async fn start_with(
        &self,
        config: Config,
        store: Store,
    ) -> Result<Courier, courier::StartError> {
        let (tasks, health) = (Tasks::default(), Health::default());
        let (log, clock) = (self.log.clone(), self.clock.clone());
        let handle = Service::start(config, log, store, clock, &tasks, health.clone()).await;
        Ok(Courier {
            handle: handle?,
            tasks,
            health,
        })
    }

    /// The outcomes so far, in order.
    pub(crate) async fn outcomes(&self) -> Vec<Outcome> {
        let mut reader = self.log.reader_from_start(Topic::Outcomes).await.unwrap();
        let limit = Limit {
            records: 100_000,
            bytes: 1 << 30,
        };
        let mut outcomes = Vec::new();
        loop {
            let reads = reader.next(limit, Duration::from_millis(1)).await.unwrap();
            if reads.is_empty() {
                return outcomes;
            }
            for read in reads {
                let Read::Ok(stored) = read else {
                    panic!("{read:?}");
                };
                outcomes.push(proto::decode_outcome(&stored.record.value).unwrap());
            }
        }
    }

    /// Waits until so many outcomes meet the condition; gives all of them.
    pub(crate) async fn outcomes_with(
        &self,
        number: usize,
        is_it: impl Fn(&OutcomeKind) -> bool,
    ) -> Vec<Outcome> {
        eventually(|| async {
            let outcomes = self.outcomes().await;
            let count = outcomes
                .iter()
                .filter(|outcome| is_it(&outcome.kind))
                .count();
            (count >= number).then_some(outcomes)
        })
        .await
    }
}

/// Settings whose rests are short.
pub(crate) fn config(destinations: Vec<Destination>) -> Config {
    Config {
        first_rest: Duration::from_millis(20),
        longest_rest: Duration::from_millis(100),
        replies: crate::reading::rule_sets(),
        ..Config::new(destinations, Arc::new(Calendars::built_in().unwrap()))
    }
}

pub(crate) fn delivered(kind: &OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Delivered { .. })
}

pub(crate) fn dead(kind: &OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::DeadLettered { .. })
}

// === impl Courier ===

impl Courier {
    pub(crate) async fn stop(self) {
        let stopped = self.tasks.drain(PATIENCE).await;
        assert_eq!(stopped, Ok(()));
    }

    pub(crate) fn api(&self) -> courier::Api {
        self.handle.api()
    }

    pub(crate) async fn lane(&self, destination: &str) -> v1::Lane {
        let request = tonic::Request::new(v1::ListLanesRequest {});
        let lanes = self
            .api()
            .list_lanes(request)
            .await
            .unwrap()
            .into_inner()
            .lanes;
        let found = lanes
            .into_iter()
            .find(|lane| lane.destination == destination);
        found.unwrap_or_default()
    }

    pub(crate) async fn dead_letters(
        &self,
        request: v1::ListDeadLettersRequest,
    ) -> Result<v1::ListDeadLettersResponse, tonic::Status> {
        let request = tonic::Request::new(request);
        Ok(self.api().list_dead_letters(request).await?.into_inner())
    }

    pub(crate) async fn delivery(
        &self,
        id: &str,
    ) -> Result<v1::GetDeliveryResponse, tonic::Status> {
        let request = tonic::Request::new(v1::GetDeliveryRequest {
            delivery: id.to_owned(),
        });
        Ok(self.api().get_delivery(request).await?.into_inner())
    }

    pub(crate) async fn redrive(
        &self,
        deliveries: &[String],
        reason: &str,
    ) -> Result<v1::RedriveResponse, tonic::Status> {
        let request = tonic::Request::new(v1::RedriveRequest {
            deliveries: deliveries.to_vec(),
            by: OPERATOR.to_owned(),
            reason: reason.to_owned(),
        });
        Ok(self.api().redrive(request).await?.into_inner())
    }
}
