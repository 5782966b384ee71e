use std::collections::{BTreeMap, BTreeSet};

use domain::OutcomeKind;
use proto::encode_delivery;

use crate::agency::{self, Arrival, Reply};
use crate::harness::*;

fn steps_by_dossier(seen: &[Arrival]) -> BTreeMap<&str, Vec<&str>> {
    let mut dossiers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for arrival in seen {
        dossiers
            .entry(&arrival.dossier)
            .or_default()
            .push(&arrival.step);
    }
    dossiers
}

fn three_steps_of(dossiers: usize, destination: &str) -> Vec<domain::Delivery> {
    let steps = ["first", "second", "third"];
    let all = steps
        .iter()
        .flat_map(|step| (0..dossiers).map(|n| delivery(&format!("d-{n}"), step, destination)));
    all.collect()
}

/// P5, I1, I3: everything arrives once, each dossier's in order, and every arrival has its outcome.
#[tokio::test]
async fn everything_arrives_over_a_stream() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;

    world.append(three_steps_of(100, "justice")).await;

    let arrivals = seen.at_least(300).await;
    for (dossier, steps) in steps_by_dossier(&arrivals) {
        assert_eq!(steps, ["first", "second", "third"], "{dossier}");
    }
    let outcomes = world.outcomes_with(300, delivered).await;
    let ids: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.id).collect();
    assert_eq!((outcomes.len(), ids.len()), (300, 300));
    let lane = courier.lane("justice").await;
    assert_eq!(
        (lane.queued, lane.in_flight, lane.waiting, lane.dead),
        (0, 0, 0, 0)
    );
    assert!(courier.health.not_ready().is_empty());
    courier.stop().await;
    assert_eq!(seen.all().len(), 300);
}

/// I2: the agency sees the bytes that the log holds.
#[tokio::test]
async fn a_unary_call_carries_the_idempotency_key_and_the_same_bytes() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::AlreadyTaken).await;
    let police = destination("police", &format!("grpc+unary://{address}"));
    let courier = world.courier(vec![police]).await;

    let sent = delivery("d-1", "residence", "police");
    let (_, bytes) = encode_delivery(sent.clone());
    world.append([sent.clone()]).await;

    let arrival = seen.at_least(1).await.remove(0);
    assert_eq!(arrival.key, Some(sent.id.to_string()));
    assert_eq!(arrival.bytes, bytes);
    let outcomes = world.outcomes_with(1, delivered).await;
    let OutcomeKind::Delivered { attempt, step, .. } = &outcomes[0].kind else {
        panic!("{outcomes:?}");
    };
    assert_eq!((attempt.number, attempt.class.as_str()), (1, "duplicate"));
    assert_eq!(step.as_str(), "residence");
    courier.stop().await;
}

#[tokio::test]
async fn a_busy_agency_is_asked_again_and_the_attempts_are_kept() {
    let world = World::new().await;
    let busy_twice = |_: &_, times| if times < 3 { Reply::Busy } else { Reply::Taken };
    let (address, seen) = agency::start(None, &world.tasks, busy_twice).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;

    let sent = delivery("d-1", "residence", "justice");
    world.append([sent.clone()]).await;

    seen.at_least(3).await;
    let outcomes = world.outcomes_with(1, delivered).await;
    let failed = outcomes
        .iter()
        .filter(|outcome| !delivered(&outcome.kind))
        .count();
    assert_eq!(failed, 2);
    let shown = courier.delivery(&sent.id.to_string()).await.unwrap();
    let classes: Vec<_> = shown
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.class.as_str()))
        .collect();
    assert_eq!(
        classes,
        [(1, "retryable"), (2, "retryable"), (3, "accepted")]
    );
    assert_eq!(
        (shown.state.as_str(), shown.dossier.as_str()),
        ("delivered", "d-1")
    );
    courier.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_twice_after_a_clean_stop_and_the_rest_follows() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    world.append(three_steps_of(50, "justice")).await;
    seen.at_least(20).await;
    courier.stop().await;

    let courier = world.courier(vec![grpc("justice", address)]).await;
    let arrivals = seen.at_least(150).await;
    for (dossier, steps) in steps_by_dossier(&arrivals) {
        assert_eq!(steps, ["first", "second", "third"], "{dossier}");
    }
    assert_eq!(world.outcomes_with(150, delivered).await.len(), 150);
    courier.stop().await;
}
