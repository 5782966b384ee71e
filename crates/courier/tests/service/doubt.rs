//! Destinations for which a repeat is not harmless (D14, C3, P3).

use std::time::Duration;

use domain::{Destination, OutcomeKind, Terms};
use store::Kind;

use crate::agency::{self, Reply};
use crate::harness::*;

/// Repeats harm; `queryable` tells whether it can be asked.
pub(crate) fn harmed(destination: Destination, queryable: bool) -> Destination {
    Destination {
        timeout: Duration::from_millis(300),
        terms: Terms {
            idempotent: false,
            queryable,
            ..Terms::default()
        },
        ..destination
    }
}

pub(crate) fn unknown(kind: &OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Unknown { .. })
}

pub(crate) fn settled(kind: &OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Settled { .. })
}

/// Of two that get no answer one had been taken, the other not: the destination is asked, the first
/// is settled and the second sent again.
#[tokio::test]
async fn d14_an_unknown_outcome_is_settled_by_asking() {
    let world = World::new().await;
    let script = |delivery: &proto::v1::Delivery, count| match (delivery.dossier.as_str(), count) {
        ("taken", 1) => Reply::TakenSilently,
        ("lost", 1) => Reply::Silent,
        _ => Reply::Taken,
    };
    for way in ["grpc", "grpc+unary"] {
        let (address, seen) = agency::start(None, &world.tasks, script).await;
        let id = format!("justice-{}", way.len());
        let destination = harmed(destination(&id, &format!("{way}://{address}")), true);
        let courier = world.courier(vec![destination]).await;
        let taken = delivery("taken", &id, &id);
        let lost = delivery("lost", &id, &id);
        world.append([taken.clone(), lost.clone()]).await;

        seen.at_least(3).await;
        let of_this = |kind: &OutcomeKind| match kind {
            OutcomeKind::Settled { destination, .. }
            | OutcomeKind::Unknown { destination, .. }
            | OutcomeKind::Delivered { destination, .. } => destination.as_str() == id,
            _ => false,
        };
        let is_end = |kind: &OutcomeKind| of_this(kind) && (settled(kind) || delivered(kind));
        let outcomes = world.outcomes_with(3, is_end).await;
        courier.stop().await;
        let arrived = outcomes.iter().filter_map(|outcome| match outcome.kind {
            OutcomeKind::Settled {
                delivery, arrived, ..
            } if of_this(&outcome.kind) => Some((delivery, arrived)),
            _ => None,
        });
        let mut arrived: Vec<_> = arrived.collect();
        arrived.sort();
        let mut expected = [(taken.id, true), (lost.id, false)];
        expected.sort();
        assert_eq!(arrived, expected);
        let count = |id: domain::DeliveryId| {
            let all = seen.all();
            all.iter()
                .filter(|arrival| arrival.id == id.to_string())
                .count()
        };
        assert_eq!((count(taken.id), count(lost.id)), (1, 2), "{way}");
    }
}

/// Nobody can be asked: it waits for a person, over a restart too, and is never sent again.
#[tokio::test]
async fn d14_without_an_answer_it_waits_for_a_person_and_is_not_sent_again() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::TakenSilently).await;
    let destination = || harmed(grpc("justice", address), false);
    let courier = world.courier(vec![destination()]).await;
    world
        .append([
            delivery("d-1", "a", "justice"),
            delivery("d-1", "b", "justice"),
        ])
        .await;
    world.outcomes_with(1, unknown).await;
    courier.stop().await;

    let courier = world.courier(vec![destination()]).await;
    // One that comes later shows that the lane works.
    world.append([delivery("d-2", "a", "justice")]).await;
    world.outcomes_with(2, unknown).await;
    courier.stop().await;
    let dossiers: Vec<_> = seen
        .all()
        .into_iter()
        .map(|arrival| arrival.dossier)
        .collect();
    assert_eq!(
        dossiers,
        ["d-1", "d-2"],
        "each once; the next of a dossier in doubt waits"
    );
}

/// C3: a process that ended between sending and verdict leaves a claim; the next one knows that it does
/// not know.
#[tokio::test]
async fn c3_a_claim_of_a_process_that_ended_is_an_unknown_outcome() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::TakenSilently).await;
    let patient = Destination {
        timeout: Duration::from_secs(600),
        ..harmed(grpc("justice", address), false)
    };
    let courier = world.courier(vec![patient.clone()]).await;
    world.append([delivery("d-1", "a", "justice")]).await;
    seen.at_least(1).await;
    let state = || async {
        let sql = "select state from courier_deliveries";
        let rows = world.store.query(sql, [], &[Kind::Int]).await.unwrap();
        rows[0].int(0).unwrap()
    };
    assert_eq!(state().await, 5, "claimed before it was sent");
    drop(courier); // as a kill would: nothing is written any more

    let courier = world.courier(vec![patient]).await;
    world.append([delivery("d-2", "a", "justice")]).await;
    seen.at_least(2).await;
    courier.stop().await;
    assert_eq!(seen.all().len(), 2, "the first one was not sent again");
}
