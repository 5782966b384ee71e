//! What tracking costs: records a second, and processor time per record, for dossiers with one event,
//! one delivery and one outcome each, payloads of 1 KiB, on SQLite and, with a URL as the argument, on
//! PostgreSQL.
//!
//! ```text
//! cargo run --release -p tracker --example fold_cost -- [postgres://user@host:port/database]
//! ```
//!
//! The log lies in memory and is full before the clock starts; its reading and the inbox are included.
//! Compare lines of one run only: the machine's other work shows in them.

#![expect(clippy::print_stdout, reason = "an example reports to its reader")]
#![expect(clippy::unwrap_used, reason = "an example stops at the first error")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use calendar::Calendars;
use consumer::Options;
use domain::{
    Attempt, AttemptClass, Classification, Delivery, DeliveryId, DossierKey, Event, EventKind,
    Outcome, OutcomeKind, RecordId, RouteId, Status, UnitRef,
};
use jiff::{Timestamp, civil::date};
use log::{Limit, Log, Topic};
use runtime::{Clock, Health, Tasks};
use store::Store;
use tracker::{Config, Handle, Service};

const DOSSIERS: u64 = 30_000;
const APPEND: u64 = 500;

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1);
    println!(
        "{:<9} {:>6} {:>10} {:>14}",
        "store", "batch", "records/s", "us CPU/record"
    );
    for records in [100, 300, 1_000] {
        let dir = tempfile::TempDir::new().unwrap();
        let store = store::Config::sqlite(dir.path().join("tracker.db"));
        measure("sqlite", store, records).await;
        if let Some(url) = &url {
            let schema = format!("fold_cost_{records}_{}", std::process::id());
            measure(
                "postgres",
                store::Config::postgres(url.clone(), schema),
                records,
            )
            .await;
        }
    }
}

async fn measure(name: &str, store: store::Config, records: usize) {
    let store = Store::open(store).await.unwrap();
    let clock = Clock::scaled("2026-09-21T03:00:00Z".parse().unwrap(), 1.0);
    let told = clock.clone();
    let log = Log::memory(Arc::new(move || told.now()));
    fill(&log, clock.now()).await;
    let tasks = Tasks::default();
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        allow_plaintext: false,
        calendars: Arc::new(Calendars::built_in().unwrap()),
        destinations: std::iter::empty().collect(),
        routes: std::iter::empty().collect(),
        options: Options {
            limit: Limit {
                records,
                bytes: 4 << 20,
            },
            ..Options::default()
        },
    };
    let (begun, used) = (Instant::now(), processor_time());
    let handle = Service::start(config, log, store, clock, &tasks, &Health::default())
        .await
        .unwrap();
    caught_up(&handle).await;
    let (took, used) = (begun.elapsed(), processor_time() - used);
    let all = (DOSSIERS * 3) as f64;
    let per_record = used.as_secs_f64() * 1e6 / all;
    println!(
        "{name:<9} {records:>6} {:>10.0} {per_record:>14.1}",
        all / took.as_secs_f64()
    );
    tasks.drain(Duration::from_secs(30)).await.unwrap();
}

async fn caught_up(handle: &Handle) {
    loop {
        let summary = handle.summary().await.unwrap();
        let done = summary
            .destinations
            .iter()
            .any(|d| d.delivered == DOSSIERS && d.pending == 0);
        if summary.events == DOSSIERS && done {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// User and system time of this process so far, in hundredths of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(") ").next().unwrap();
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// In portions, so that the topics race as they do in life.
async fn fill(log: &Log, now: Timestamp) {
    for first in (0..DOSSIERS).step_by(usize::try_from(APPEND).unwrap()) {
        let numbers = first..first + APPEND;
        let events = numbers.clone().map(|number| {
            let event = event(number, now);
            consumer::record(&event.dossier, event.attributes(), event.data.clone())
        });
        log.append(Topic::Events, events.collect()).await.unwrap();
        let deliveries = numbers.clone().map(|number| {
            let delivery = delivery(event(number, now));
            let dossier = delivery.dossier.clone();
            let (attributes, data) = proto::encode_delivery(delivery);
            consumer::record(&dossier, attributes, data)
        });
        log.append(Topic::Deliveries, deliveries.collect())
            .await
            .unwrap();
        let outcomes = numbers.map(|number| {
            let outcome = outcome(delivery(event(number, now)));
            let dossier = outcome.dossier.clone();
            let (attributes, data) = proto::encode_outcome(outcome);
            consumer::record(&dossier, attributes, data)
        });
        log.append(Topic::Outcomes, outcomes.collect())
            .await
            .unwrap();
    }
}

fn event(number: u64, now: Timestamp) -> Event {
    // Keys in no order, as agencies choose them.
    let key = RecordId::of("dossier", &[&number.to_string()]).to_string();
    Event {
        id: format!("e-{number}").parse().unwrap(),
        source: "sample-desk".parse().unwrap(),
        kind: EventKind::Status(Status::Accepted),
        time: now,
        dossier: key.parse::<DossierKey>().unwrap(),
        code: Some(format!("H56.14-260921-{number:06}").parse().unwrap()),
        procedure: "1.004222".parse().unwrap(),
        unit: UnitRef {
            code: "14797".parse().unwrap(),
            valid_on: date(2026, 9, 21),
        },
        step: None,
        classification: Classification::Personal,
        content_type: "application/json".to_owned(),
        traceparent: None,
        data: vec![b'x'; 1_024].into(),
    }
}

fn delivery(event: Event) -> Delivery {
    let route: RouteId = "permanent-residence@2026-01-01".parse().unwrap();
    let step = "residence".parse().unwrap();
    let due_at = "2026-09-25T10:00:00Z".parse().unwrap();
    Delivery {
        id: DeliveryId::derive(&event.dossier, &route, &step, 0),
        dossier: event.dossier,
        code: event.code,
        procedure: event.procedure,
        route,
        step,
        agency: "sample-police".parse().unwrap(),
        destination: "police-38".parse().unwrap(),
        unit: event.unit,
        province: None,
        classification: event.classification,
        received_at: event.time,
        opened_at: event.time,
        due_at,
        dossier_due_at: due_at,
        task: "Xác nhận thông tin và đăng ký thường trú".to_owned(),
        product: "Thông báo kết quả đăng ký cư trú".to_owned(),
        legal_basis: "Law 68/2020/QH14, Art. 22".to_owned(),
        cause: (event.source, event.id),
        content_type: event.content_type,
        data: event.data,
    }
}

fn outcome(delivery: Delivery) -> Outcome {
    let attempt = Attempt {
        number: 1,
        started_at: delivery.opened_at,
        took: Duration::from_millis(3),
        class: AttemptClass::Accepted,
        detail: String::new(),
    };
    Outcome {
        id: RecordId::of("outcome", &[&delivery.id.to_string()]),
        dossier: delivery.dossier,
        at: delivery.opened_at,
        kind: OutcomeKind::Delivered {
            delivery: delivery.id,
            step: delivery.step,
            destination: delivery.destination,
            attempt,
        },
    }
}
