use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::OutcomeKind;
use store::Kind;

use crate::agency::{self, Reply};
use crate::flaky::flaky;
use crate::harness::*;

/// A port on which nobody listens.
async fn nobody() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// D8, D9, P6: a destination that is away holds back nobody else, costs no attempt and makes no dead
/// letter; when it is back it gets everything.
#[tokio::test]
async fn a_destination_that_is_away_is_waited_for() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let away = nobody().await;
    let courier = world
        .courier(vec![grpc("justice", address), grpc("police", away)])
        .await;

    let deliveries = (0..100).flat_map(|n| {
        let dossier = format!("d-{n}");
        [
            delivery(&dossier, "a", "police"),
            delivery(&dossier, "b", "justice"),
        ]
    });
    world.append(deliveries).await;

    seen.at_least(100).await;
    let lane = eventually(|| async {
        let lane = courier.lane("police").await;
        (lane.resting.contains("probe failed") && lane.queued + lane.waiting == 100).then_some(lane)
    })
    .await;
    assert_eq!(lane.dead, 0);
    assert!(lane.oldest_at.is_some());

    let (_, seen) = agency::start(Some(away), &world.tasks, |_, _| Reply::Taken).await;
    seen.at_least(100).await;
    let outcomes = world.outcomes_with(200, delivered).await;
    assert!(!outcomes.iter().any(|outcome| dead(&outcome.kind)));
    assert_eq!(courier.lane("police").await.resting, "");
    courier.stop().await;
    assert_eq!(seen.all().len(), 100);
}

/// D8: a lane that rests gives the memory of its payloads up. Where the store is slow just then, its probe
/// waits until they are there.
#[tokio::test]
async fn d8_a_probe_waits_for_a_payload_that_is_on_its_way_to_the_store() {
    let world = World::of_one_process().await;
    let away = nobody().await;
    let (store, faults) = flaky(&world);
    faults.refuse.store(true, Ordering::SeqCst);
    let courier = world.courier_on(store, vec![grpc("police", away)]).await;
    world.append([delivery("d-1", "a", "police")]).await;
    let rests = || async { (!courier.lane("police").await.resting.is_empty()).then_some(()) };
    eventually(rests).await;
    let refused = || faults.refused.load(Ordering::SeqCst);
    let before = refused();
    eventually(|| async { (refused() > before + 5).then_some(()) }).await;
    faults.refuse.store(false, Ordering::SeqCst);

    let (_, seen) = agency::start(Some(away), &world.tasks, |_, _| Reply::Taken).await;
    seen.at_least(1).await;
    world.outcomes_with(1, delivered).await;
    courier.stop().await;
}

/// P6: a refused connection is charged to nobody, whatever the way.
#[tokio::test]
async fn a_refused_connection_is_no_attempt_on_any_way() {
    let world = World::new().await;
    let away = nobody().await;
    let ways = [
        ("stream", format!("grpc://{away}")),
        ("unary", format!("grpc+unary://{away}")),
        ("http", format!("http://{away}/inbox")),
    ];
    let destinations = ways.iter().map(|(id, endpoint)| destination(id, endpoint));
    let courier = world.courier(destinations.collect()).await;
    let deliveries = (0..10).flat_map(|n| {
        let dossier = format!("d-{n}");
        ways.each_ref().map(|(id, _)| delivery(&dossier, id, id))
    });
    world.append(deliveries).await;
    for (id, _) in &ways {
        eventually(|| async {
            let resting = courier.lane(id).await.resting;
            resting.contains("probe failed: unreachable").then_some(())
        })
        .await;
    }
    courier.stop().await;
    let sql = "select max(tries), max(charged) from courier_deliveries";
    let rows = world
        .store
        .query(sql, [], &[Kind::Int, Kind::Int])
        .await
        .unwrap();
    assert!(rows[0].int(0).unwrap() > 0);
    assert_eq!(rows[0].int(1).unwrap(), 0);
}

/// D5: an agency that takes connections and never answers is given up, and its stream with it.
#[tokio::test]
async fn a_silent_stream_is_given_up_and_opened_again() {
    let world = World::new().await;
    let silent_once = |_: &_, times| {
        if times == 1 {
            Reply::Silent
        } else {
            Reply::Taken
        }
    };
    let (address, seen) = agency::start(None, &world.tasks, silent_once).await;
    let mut justice = grpc("justice", address);
    justice.timeout = Duration::from_millis(1);
    let courier = world.courier(vec![justice]).await;

    world.append([delivery("d-1", "a", "justice")]).await;

    seen.at_least(2).await;
    let outcomes = world.outcomes_with(1, delivered).await;
    let OutcomeKind::AttemptFailed { attempt, .. } = &outcomes[0].kind else {
        panic!("{outcomes:?}");
    };
    assert_eq!(attempt.class.as_str(), "timeout");
    courier.stop().await;
}

/// A status that ends the whole stream is no verdict on the deliveries in flight.
#[tokio::test]
async fn a_broken_stream_refuses_nothing() {
    let world = World::new().await;
    let breaks_once = |_: &_, times| {
        if times == 1 {
            Reply::Fails(tonic::Code::InvalidArgument)
        } else {
            Reply::Taken
        }
    };
    let (address, seen) = agency::start(None, &world.tasks, breaks_once).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;

    world.append([delivery("d-1", "a", "justice")]).await;

    seen.at_least(2).await;
    let outcomes = world.outcomes_with(1, delivered).await;
    assert!(!outcomes.iter().any(|outcome| dead(&outcome.kind)));
    courier.stop().await;
}

#[tokio::test]
async fn a_destination_that_nobody_configured_holds_its_deliveries_in_sight() {
    let world = World::new().await;
    let courier = world.courier(vec![]).await;
    world
        .append([
            delivery("d-1", "a", "nowhere"),
            delivery("d-2", "a", "nowhere"),
        ])
        .await;
    let lane = eventually(|| async {
        let lane = courier.lane("nowhere").await;
        (lane.queued == 2).then_some(lane)
    })
    .await;
    assert_eq!(lane.resting, "no such destination in the configuration");
    courier.stop().await;

    // Once it is configured they go out.
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world.courier(vec![grpc("nowhere", address)]).await;
    seen.at_least(2).await;
    courier.stop().await;
}
