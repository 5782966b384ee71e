use std::sync::atomic::Ordering;

use bytes::Bytes;
use log::{Record, Topic};
use store::Kind;

use crate::agency::{self, Reply};
use crate::flaky::flaky;
use crate::harness::*;

/// S9: a verdict waits for the store; the delivery is not sent again for that. No more than the cap: where
/// lanes can move, what has no durable verdict counts as in flight.
#[tokio::test]
async fn a_verdict_outlives_a_store_that_is_away() {
    let world = World::new().await;
    let (store, faults) = flaky(&world);
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world
        .courier_on(store, vec![grpc("justice", address)])
        .await;
    faults.refuse.store(true, Ordering::SeqCst);
    world
        .append((0..16).map(|n| delivery(&format!("d-{n}"), "a", "justice")))
        .await;
    seen.at_least(16).await;
    eventually(|| async { (faults.refused.load(Ordering::SeqCst) >= 2).then_some(()) }).await;
    assert!(world.outcomes().await.is_empty());

    faults.refuse.store(false, Ordering::SeqCst);
    world.outcomes_with(16, delivered).await;
    courier.stop().await;
    assert_eq!(seen.all().len(), 16);
}

/// C3, P3: killed between the answer and the verdict, the courier sends the same id and bytes again.
#[tokio::test]
async fn a_delivery_whose_verdict_was_never_written_comes_again_unchanged() {
    let world = World::new().await;
    let (store, faults) = flaky(&world);
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let killed = world
        .courier_on(store, vec![grpc("justice", address)])
        .await;
    faults.hang.store(true, Ordering::SeqCst);
    world.append([delivery("d-1", "a", "justice")]).await;
    seen.at_least(1).await;
    assert!(world.outcomes().await.is_empty());
    faults.dead.store(true, Ordering::SeqCst);

    let courier = world.courier(vec![grpc("justice", address)]).await;
    let arrivals = seen.at_least(2).await;
    assert_eq!(
        (&arrivals[0].id, &arrivals[0].bytes),
        (&arrivals[1].id, &arrivals[1].bytes)
    );
    world.outcomes_with(1, delivered).await;
    courier.stop().await;
    drop(killed);
}

/// S8: the answer to a commit is lost although it landed; its deliveries still go out, once.
#[tokio::test]
async fn a_commit_whose_answer_was_lost_leaves_nothing_behind() {
    let world = World::new().await;
    let (store, faults) = flaky(&world);
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world
        .courier_on(store, vec![grpc("justice", address)])
        .await;
    faults.lose_answers.store(1, Ordering::SeqCst);
    world
        .append((0..5).map(|n| delivery(&format!("d-{n}"), "a", "justice")))
        .await;
    seen.at_least(5).await;
    assert_eq!(world.outcomes_with(5, delivered).await.len(), 5);
    courier.stop().await;
    assert_eq!(seen.all().len(), 5);
}

/// O4: on a store of one process the newest courier owns the work; the older one stops at its next write.
#[tokio::test]
async fn an_older_courier_is_fenced() {
    let world = World::new().await;
    if world.is_shared() {
        return; // there they share the lanes
    }
    let older = world.courier(vec![]).await;
    // It has its offsets: one that reads them later stands behind the record and need not notice.
    eventually(async || older.health.not_ready().is_empty().then_some(())).await;
    let newer = world.courier(vec![]).await;
    world.append([delivery("d-1", "a", "justice")]).await;
    soon(older.tasks.stopping()).await;
    assert!(!newer.tasks.stop_token().is_cancelled());
    newer.stop().await;
}

/// B9, G3: what cannot be read is kept with its reason, another body under a known id is left out,
/// and the rest goes on.
#[tokio::test]
async fn a_bad_record_disturbs_nothing_else() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let headers = |kind: &str, id: &str| {
        vec![
            ("source".into(), "lienthong".to_owned()),
            ("id".into(), id.to_owned()),
            ("type".into(), kind.to_owned()),
        ]
    };
    let record = |kind, id, value| Record {
        key: "d-1".to_owned(),
        headers: headers(kind, id),
        value,
    };
    let bad = vec![
        record(proto::DELIVERY_TYPE, "1", Bytes::from_static(b"\xff\xff")),
        record("vn.lienthong.unheard-of.v1", "2", Bytes::new()),
        record(proto::REDRIVE_TYPE, "3", Bytes::from_static(b"no id")),
    ];
    world.log.append(Topic::Deliveries, bad).await.unwrap();
    let good = delivery("d-1", "a", "justice");
    let mut altered = good.clone();
    altered.task = "something else".to_owned();
    world.append([good.clone(), altered, good]).await;
    world.append([delivery("d-2", "a", "justice")]).await;

    seen.at_least(2).await;
    world.outcomes_with(2, delivered).await;
    let sql = "select record_offset from unreadable_records where grp = 'courier' order by 1";
    let rows = world.store.query(sql, [], &[Kind::Int]).await.unwrap();
    let offsets: Vec<_> = rows.iter().map(|row| row.int(0).unwrap()).collect();
    assert_eq!(offsets, [0, 1, 2]);
    courier.stop().await;
    assert_eq!(seen.all().len(), 2);
}
