//! A log that does not take outcomes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use calendar::Calendars;
use courier::{Config, Service};
use domain::OutcomeKind;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use log::{AppendError, Backend, Bounds, Cursor, Log, Position, ReadError, Reader, Record, Topic};
use runtime::{Health, Tasks};
use store::Kind;

use crate::agency::{self, Reply};
use crate::harness::*;

/// Takes everything but outcomes, while it is told so.
struct Unwritable {
    inner: Log,
    refuses: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
}

impl Backend for Unwritable {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        if topic == Topic::Outcomes && self.refuses.load(Ordering::SeqCst) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            let reason = "scripted".to_owned();
            return Box::pin(async { Err(AppendError::NotWritten { reason }) });
        }
        Box::pin(self.inner.append(topic, records))
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        Box::pin(self.inner.reader(from))
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>> {
        Box::pin(self.inner.bounds(topic))
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.inner.committed(group, offsets);
    }

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        Box::pin(self.inner.oldest_unread(at))
    }
}

const DELIVERIES: usize = 5_000;
const MORE: usize = 1_000;
const GROUP: &str = "courier-verdicts";

async fn refusals(refused: &AtomicUsize, more: usize) {
    let enough = refused.load(Ordering::SeqCst) + more;
    eventually(|| async { (refused.load(Ordering::SeqCst) >= enough).then_some(()) }).await;
}

/// Rule 11: what comes while outcomes do not get out is not read; the lanes still say how they stand.
async fn stops_reading(world: &World, courier: &Courier, refused: &AtomicUsize) {
    refusals(refused, 3).await;
    let more = (0..MORE).map(|n| delivery(&format!("later-{n}"), "a", "justice"));
    world.append(more).await;
    soon(courier.lane("justice")).await;
    refusals(refused, 2).await;
    let sql = "select count(*) from courier_deliveries where dossier like 'later-%'";
    let rows = world.store.query(sql, [], &[Kind::Int]).await.unwrap();
    assert_eq!(rows[0].int(0).unwrap(), 0);
}

/// B11: while the outcomes topic takes nothing, outcomes stay in the outbox, whose rows are few, and the
/// courier says that it is not ready; over a stop too nothing is lost, and all 5,000 come once the topic
/// takes them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_outcomes_wait_in_the_outbox_and_none_is_lost() {
    let world = World::new().await;
    let (refuses, refused) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let log = || {
        Log::wrap(Unwritable {
            inner: world.log.clone(),
            refuses: refuses.clone(),
            refused: refused.clone(),
        })
    };
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let start = || async {
        let calendars = Arc::new(Calendars::built_in().unwrap());
        let config = Config::new(vec![grpc("justice", address)], calendars);
        let (tasks, health) = (Tasks::default(), Health::default());
        let (store, clock) = (world.store.clone(), world.clock.clone());
        let handle = Service::start(config, log(), store, clock, &tasks, health.clone()).await;
        Courier {
            handle: handle.unwrap(),
            tasks,
            health,
        }
    };
    let courier = start().await;
    world
        .append((0..DELIVERIES).map(|n| delivery(&format!("d-{n}"), "a", "justice")))
        .await;
    eventually(|| async { (refused.load(Ordering::SeqCst) >= 5).then_some(()) }).await;
    let unpublished = world.store.outbox(GROUP, 1_000).await.unwrap();
    assert!(
        (1..=3).contains(&unpublished.len()),
        "{}",
        unpublished.len()
    );
    assert_ne!(courier.health.not_ready(), []);
    assert!(world.outcomes().await.is_empty());
    stops_reading(&world, &courier, &refused).await;
    courier.stop().await;
    assert!(world.outcomes().await.is_empty());

    let courier = {
        refuses.store(false, Ordering::SeqCst);
        start().await
    };
    let outcomes = world.outcomes_with(DELIVERIES + MORE, delivered).await;
    let ids = outcomes.iter().filter_map(|outcome| match &outcome.kind {
        OutcomeKind::Delivered { delivery, .. } => Some(*delivery),
        _ => None,
    });
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), DELIVERIES + MORE);
    courier.stop().await;
    assert_eq!(world.store.outbox(GROUP, 10).await.unwrap(), []);
    let arrived: BTreeSet<_> = seen.all().into_iter().map(|arrival| arrival.id).collect();
    assert_eq!(arrived.len(), DELIVERIES + MORE);
}
