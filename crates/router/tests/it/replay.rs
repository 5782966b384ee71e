//! The same events give the same bytes, however they are cut into batches and wherever it was stopped.

use std::sync::Arc;

use consumer::Options;
use log::{Limit, Log, Record, Topic};
use router::{Config, Plan, Service};
use runtime::{Clock, Health};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::{
    properties::results,
    world::{at, built_in},
};

const DOSSIERS: usize = 7;

/// Events of some dossiers mixed, each dossier's in another order, with repeats, a conflict and two
/// records that are no events.
fn records() -> Vec<Record> {
    let mut records = Vec::new();
    let length = results().len();
    for place in 0..length {
        for number in 0..DOSSIERS {
            let mut event = results()[(place * 2 + number) % length].clone();
            event.dossier = format!("d-{number}").parse().unwrap();
            event.id = format!("{}-{number}", event.id).parse().unwrap();
            let headers = event.attributes().into_iter();
            let record = Record {
                key: event.dossier.to_string(),
                headers: headers.map(|(name, value)| (name.into(), value)).collect(),
                value: event.data.clone(),
            };
            if number == place % DOSSIERS {
                records.push(record.clone());
            }
            records.push(record);
        }
    }
    let mut conflict = records[0].clone();
    conflict.value = "other".into();
    let mut no_event = records[1].clone();
    no_event.headers.retain(|(name, _)| name != "unit");
    no_event.headers[1].1 = "e-no-unit".to_owned();
    let mut wrong_key = records[2].clone();
    wrong_key.headers[1].1 = "e-wrong-key".to_owned();
    wrong_key.key = "d-other".to_owned();
    records.insert(20, conflict);
    records.insert(30, no_event);
    records.insert(40, wrong_key);
    records
}

async fn append(log: &Log, records: Vec<Record>) {
    log.append(Topic::Events, records).await.unwrap();
}

/// Runs a router until it has taken every event of the log, at most `records` at a time.
async fn run(log: &Log, store: &Store, records: usize) {
    run_with(log, store, records, built_in()).await;
}

async fn run_with(log: &Log, store: &Store, records: usize, plan: Plan) {
    let options = Options {
        limit: Limit {
            records,
            bytes: 1 << 20,
        },
        ..Options::default()
    };
    let config = Config { plan, options };
    let (clock, health) = (Clock::system(), Health::default());
    let service = Service::new(config, log.clone(), store.clone(), clock, health);
    let stop = CancellationToken::new();
    let (ran, ()) = tokio::join!(service.run(stop.clone()), async {
        let end = log.bounds(Topic::Events).await.unwrap()[0].end;
        let key = (Topic::Events.label().to_owned(), 0);
        while store.offsets(router::GROUP).await.unwrap().get(&key) != Some(&end) {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    });
    ran.unwrap();
}

async fn read(log: &Log, topic: Topic) -> Vec<Record> {
    let end = log.bounds(topic).await.unwrap()[0].end as usize;
    let mut reader = log.reader_from_start(topic).await.unwrap();
    let mut records = Vec::new();
    let limit = Limit {
        records: 10_000,
        bytes: 1 << 30,
    };
    while records.len() < end {
        let reads = reader.next(limit, std::time::Duration::from_secs(1)).await;
        records.extend(reads.unwrap().into_iter().map(|read| match read {
            log::Read::Ok(stored) => stored.record,
            broken @ log::Read::Broken { .. } => panic!("{broken:?}"),
        }));
    }
    records
}

struct World {
    log: Log,
    store: Store,
    _directory: tempfile::TempDir,
}

async fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(store::Config::sqlite(directory.path().join("s.db"))).await;
    World {
        log: Log::memory(Arc::new(|| at("2026-09-21T09:00:00+07:00"))),
        store: store.unwrap(),
        _directory: directory,
    }
}

async fn outgoing(world: &World) -> [Vec<Record>; 2] {
    [
        read(&world.log, Topic::Deliveries).await,
        read(&world.log, Topic::Outcomes).await,
    ]
}

/// O8, and the promise P8: rebuilt from the log alone.
#[tokio::test(flavor = "multi_thread")]
async fn other_batches_and_restarts_give_the_same_bytes() {
    let [deliveries, _] = same_in_any_batches(built_in()).await;
    assert_eq!(deliveries.len(), 4 * DOSSIERS);
}

/// D14: where repeats harm, what later events prove is among them.
#[tokio::test(flavor = "multi_thread")]
async fn d14_other_batches_and_restarts_give_the_same_proofs() {
    let mut plan = built_in();
    let mut routes = (*plan.routes).clone();
    for destination in plan.routes.destinations() {
        let mut harmed = destination.clone();
        harmed.agency = "justice".parse().unwrap();
        harmed.terms.idempotent = false;
        routes = routes.with_destination(&harmed);
    }
    plan.routes = Arc::new(routes);
    let [deliveries, _] = same_in_any_batches(plan).await;
    let is_proof = |record: &&Record| record.header("type").is_some_and(proto::is_order);
    let proofs = deliveries.iter().filter(is_proof).count();
    assert!(proofs > DOSSIERS, "{proofs}");
    assert_eq!(deliveries.len(), 4 * DOSSIERS + proofs);
}

async fn same_in_any_batches(plan: Plan) -> [Vec<Record>; 2] {
    let whole = world().await;
    append(&whole.log, records()).await;
    run_with(&whole.log, &whole.store, 1_000, plan.clone()).await;
    let expected = outgoing(&whole).await;

    for size in [1, 2, 7, 31] {
        let parts = world().await;
        let records = records();
        let (first, second) = records.split_at(records.len() / 2);
        append(&parts.log, first.to_vec()).await;
        run_with(&parts.log, &parts.store, size, plan.clone()).await;
        append(&parts.log, second.to_vec()).await;
        run_with(&parts.log, &parts.store, size, plan.clone()).await;
        assert_eq!(outgoing(&parts).await, expected, "batches of {size}");
    }
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_kept_with_its_reason_and_passed() {
    let world = world().await;
    append(&world.log, records()).await;
    run(&world.log, &world.store, 10).await;
    let sql = "select reason from unreadable_records order by record_offset";
    let rows = world.store.query(sql, vec![], &[store::Kind::Text]).await;
    let reasons: Vec<String> = rows
        .unwrap()
        .iter()
        .map(|row| row.text(0).unwrap().to_owned())
        .collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("`unit`"), "{}", reasons[0]);
    assert!(reasons[1].contains("d-other"), "{}", reasons[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_its_deliveries_is_kept_and_passed() {
    let world = world().await;
    let mut large = records()[0].clone();
    large.value = vec![0; log::MAX_RECORD_BYTES - 50_000].into();
    append(&world.log, vec![large]).await;
    run(&world.log, &world.store, 10).await;
    let sql = "select record_offset from unreadable_records";
    let rows = world.store.query(sql, vec![], &[store::Kind::Int]).await;
    assert_eq!(rows.unwrap().len(), 1);
}

/// A start with a plan that covers what the last one did not.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_releases_what_waited() {
    let world = world().await;
    let accepted = records()
        .into_iter()
        .find(|record| record.header("type").unwrap().contains("accepted"))
        .unwrap();
    append(&world.log, vec![accepted]).await;
    let empty = crate::holds::other_plan();
    run_with(&world.log, &world.store, 10, empty).await;
    let [deliveries, outcomes] = outgoing(&world).await;
    assert_eq!((deliveries.len(), outcomes.len()), (0, 1));

    run(&world.log, &world.store, 10).await;
    let [deliveries, outcomes] = outgoing(&world).await;
    assert_eq!((deliveries.len(), outcomes.len()), (1, 2));
}
