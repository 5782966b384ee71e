//! A tracker over an embedded log and an SQLite file, and records of many dossiers.

use std::{collections::BTreeMap, path::Path};

use calendar::Calendars;
use consumer::Options;
use domain::{
    Delivery, DeliveryId, DossierEnd, DossierKey, Event, EventKind, Outcome, OutcomeKind, Status,
};
use log::{Embedded, Record, Topic};
use proto::v1::{
    DossierState, GetDossierRequest, GetDossierResponse, ListDossiersRequest,
    get_dossier_request::Name, tracker_client::TrackerClient,
};
use store::SqliteConfig;
use tokio::sync::broadcast::error::RecvError;
use tonic::transport::Channel;

use super::super::*;
use crate::testing::*;

/// A tracker over an embedded log and an SQLite file.
pub(super) struct House {
    pub(super) log: Log,
    pub(super) tasks: Tasks,
    pub(super) handle: Handle,
    pub(super) client: TrackerClient<Channel>,
}

// === impl House ===

impl House {
    pub(super) async fn open(dir: &Path) -> Self {
        Self::with(dir, |store| store).await
    }

    pub(super) async fn with(dir: &Path, wrap: impl FnOnce(Store) -> Store) -> Self {
        let clock = Clock::scaled(hour(26), 1.0);
        let told = clock.clone();
        let embedded = Embedded::new(dir.join("log"), Arc::new(move || told.now()));
        let log = Log::open(log::Config::Embedded(embedded)).await.unwrap();
        let path = dir.join("tracker.db");
        let config = SqliteConfig {
            path,
            read_limit: Duration::from_secs(30),
            max_pages: None,
        };
        let store = wrap(Store::open(store::Config::Sqlite(config)).await.unwrap());
        let tasks = Tasks::default();
        let health = Health::default();
        let handle = Service::start(
            config_of("127.0.0.1:0"),
            log.clone(),
            store,
            clock,
            &tasks,
            &health,
        )
        .await
        .unwrap();
        let client = TrackerClient::connect(format!("http://{}", handle.address()))
            .await
            .unwrap();
        Self {
            log,
            tasks,
            handle,
            client,
        }
    }

    pub(super) async fn append(&self, topic: Topic, records: Vec<Record>) {
        self.log.append(topic, records).await.unwrap();
    }

    /// Waits until the figures are as wanted.
    pub(super) async fn until(
        &self,
        wanted: impl Fn(&GetSummaryResponse) -> bool,
    ) -> GetSummaryResponse {
        let mut updates = self.handle.api.shared.subscribe();
        loop {
            let summary = self.handle.summary().await.unwrap();
            if wanted(&summary) {
                return summary;
            }
            match updates.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => panic!("the tracker is gone: {summary:?}"),
            }
        }
    }

    pub(super) async fn get(&mut self, name: Name) -> GetDossierResponse {
        let request = GetDossierRequest { name: Some(name) };
        self.client.get_dossier(request).await.unwrap().into_inner()
    }

    pub(super) async fn list(&mut self, request: ListDossiersRequest) -> (Vec<String>, String) {
        let answer = self
            .client
            .list_dossiers(request)
            .await
            .unwrap()
            .into_inner();
        (
            answer.dossiers.into_iter().map(|d| d.key).collect(),
            answer.next_page_token,
        )
    }

    pub(super) async fn stop(self) {
        let Self {
            log,
            tasks,
            handle,
            client,
        } = self;
        drop((log, handle, client));
        tasks.drain(Duration::from_secs(30)).await.unwrap();
    }
}

pub(super) fn config_of(listen: &str) -> Config {
    Config {
        listen: listen.parse().unwrap(),
        allow_plaintext: false,
        calendars: Arc::new(Calendars::built_in().unwrap()),
        destinations: BTreeMap::new(),
        routes: BTreeMap::new(),
        options: Options::default(),
    }
}

pub(super) fn key(number: usize) -> DossierKey {
    format!("d-{number:03}").parse().unwrap()
}

pub(super) fn of_event(event: Event) -> Record {
    let data = event.data.clone();
    consumer::record(&event.dossier, event.attributes(), data)
}

pub(super) fn of_delivery(delivery: Delivery) -> Record {
    let dossier = delivery.dossier.clone();
    let (attributes, data) = proto::encode_delivery(delivery);
    consumer::record(&dossier, attributes, data)
}

pub(super) fn of_outcome(outcome: Outcome) -> Record {
    let dossier = outcome.dossier.clone();
    let (attributes, data) = proto::encode_outcome(outcome);
    consumer::record(&dossier, attributes, data)
}

pub(super) fn accepted(number: usize) -> Event {
    let mut event = event(
        &format!("e-{number}"),
        0,
        EventKind::Status(Status::Accepted),
        None,
    );
    event.dossier = key(number);
    event
}

pub(super) fn opened(number: usize, due: i64) -> Delivery {
    let mut delivery = delivery("residence", 1, due);
    delivery.dossier = key(number);
    delivery.id = id_of(number);
    delivery.dossier_due_at = hour(due);
    delivery
}

pub(super) fn id_of(number: usize) -> DeliveryId {
    let (route, step) = (
        "birth@2026-09-01".parse().unwrap(),
        "residence".parse().unwrap(),
    );
    DeliveryId::derive(&key(number), &route, &step, 0)
}

pub(super) fn arrived(number: usize) -> Outcome {
    let mut kind = delivered("residence", 2);
    if let OutcomeKind::Delivered { delivery, .. } = &mut kind {
        *delivery = id_of(number);
    }
    let mut outcome = outcome(&format!("delivered {number}"), 2, kind);
    outcome.dossier = key(number);
    outcome
}

pub(super) fn completed(number: usize, at: i64) -> Outcome {
    let kind = OutcomeKind::DossierEnded {
        end: DossierEnd::Completed,
        ended_at: hour(at),
    };
    let mut outcome = outcome(&format!("ended {number}"), at, kind);
    outcome.dossier = key(number);
    outcome
}

pub(super) fn count(summary: &GetSummaryResponse, state: DossierState) -> u64 {
    let mut counts = summary.states.iter();
    counts
        .find(|count| count.state == i32::from(state))
        .map_or(0, |count| count.count)
}
