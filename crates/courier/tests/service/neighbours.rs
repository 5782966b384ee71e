//! One dead destination among healthy ones.

use std::collections::BTreeMap;

use crate::agency::{self, Reply};
use crate::harness::*;

const HEALTHY: usize = 49;
const EACH: usize = 40;

/// D8: 49 healthy destinations get everything while the fiftieth refuses every connection and its lane is
/// held; no attempt is charged and nothing is dead. What that costs the neighbours' p99 is measured by
/// `lienthong bench courier --only healthy`.
#[tokio::test]
async fn d8_49_healthy_destinations_get_everything_while_one_is_dead_and_held() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let healthy = |n: usize| format!("healthy-{n}");
    let mut destinations: Vec<_> = (0..HEALTHY).map(|n| grpc(&healthy(n), address)).collect();
    destinations.push(grpc("dead", nobody));
    let courier = world.courier(destinations).await;
    let deliveries = (0..EACH).flat_map(|n| {
        let dossier = format!("d-{n}");
        let to = (0..HEALTHY).map(healthy).chain(["dead".to_owned()]);
        let all: Vec<_> = to
            .map(|to| delivery(&dossier, &format!("at-{to}"), &to))
            .collect();
        all
    });
    world.append(deliveries).await;

    let arrivals = seen.at_least(HEALTHY * EACH).await;
    let lane = eventually(|| async {
        let lane = courier.lane("dead").await;
        let held = lane.queued + lane.waiting == EACH as u64;
        (held && lane.resting.contains("breaker open")).then_some(lane)
    })
    .await;
    assert_eq!((lane.dead, lane.in_flight), (0, 0));
    let mut counts = BTreeMap::<_, usize>::new();
    for arrival in arrivals {
        *counts.entry(arrival.step).or_default() += 1;
    }
    assert_eq!(counts.len(), HEALTHY);
    assert!(counts.values().all(|count| *count == EACH), "{counts:?}");
    let outcomes = world.outcomes_with(HEALTHY * EACH, delivered).await;
    assert!(!outcomes.iter().any(|outcome| dead(&outcome.kind)));
    courier.stop().await;
}
