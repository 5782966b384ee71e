//! Destinations for which a repeat is not harmless (D14, C3, P3).

use std::time::Duration;

use domain::{Action, Delivery, Destination, DossierKey, Order, OutcomeKind, RecordId, Terms};
use log::Topic;
use store::Kind;

use crate::agency::{self, Reply};
use crate::harness::*;

/// Repeats harm; `queryable` tells whether it can be asked.
fn harmed(destination: Destination, queryable: bool) -> Destination {
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

fn unknown(kind: &OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Unknown { .. })
}

fn settled(kind: &OutcomeKind) -> bool {
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

/// What the router orders when it has read an event of the agency.
async fn prove(world: &World, delivery: &Delivery, event: &str) {
    let (delivery, dossier) = (delivery.id, delivery.dossier.clone());
    let order = Order {
        id: RecordId::of("order", &["prove", event, &delivery.to_string()]),
        at: world.clock.now(),
        by: "router".parse().unwrap(),
        reason: format!("event {event} of justice").parse().unwrap(),
        action: Action::Prove {
            delivery,
            dossier: dossier.clone(),
        },
    };
    append(world, &dossier, proto::encode_order(&order)).await;
}

async fn append(world: &World, dossier: &DossierKey, (attributes, data): proto::Encoded) {
    let record = consumer::record(dossier, attributes, data);
    let appended = world.log.append(Topic::Deliveries, vec![record]).await;
    appended.unwrap();
}

/// How the delivery of a dossier stands, and what proves it.
async fn row(world: &World, dossier: &str) -> (i64, Option<String>) {
    let sql = "select state, proof from courier_deliveries where dossier = $1";
    let kinds = &[Kind::Int, Kind::Text];
    let rows = world.store.query(sql, [dossier.into()], kinds).await;
    let rows = rows.unwrap();
    let proof = rows[0].opt_text(1).unwrap().map(str::to_owned);
    (rows[0].int(0).unwrap(), proof)
}

async fn proved(world: &World, dossier: &str) {
    eventually(|| async { row(world, dossier).await.1.map(drop) }).await;
}

/// Whether each settlement is one of an arrival, and why.
fn settlements(outcomes: &[domain::Outcome]) -> Vec<(bool, String)> {
    let settled = outcomes.iter().filter_map(|outcome| match &outcome.kind {
        OutcomeKind::Settled {
            arrived, reason, ..
        } => Some((*arrived, reason.clone())),
        _ => None,
    });
    settled.collect()
}

/// Nobody answers and nobody can be asked, but the agency goes on with the dossier.
#[tokio::test]
async fn d14_a_later_event_settles_an_unknown_outcome() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, count| match count {
        1 => Reply::TakenSilently,
        _ => Reply::Taken,
    })
    .await;
    let courier = world
        .courier(vec![harmed(grpc("justice", address), false)])
        .await;
    let (one, next) = (
        delivery("d-1", "a", "justice"),
        delivery("d-1", "b", "justice"),
    );
    world.append([one.clone(), next]).await;
    world.outcomes_with(1, unknown).await;
    prove(&world, &one, "e-1").await;
    // The event after it says nothing new.
    prove(&world, &one, "e-2").await;

    // The next one of the dossier is sent, gets no answer either, and is told of in its turn.
    let outcomes = world.outcomes_with(2, unknown).await;
    assert_eq!(
        settlements(&outcomes),
        [(true, "event e-1 of justice".to_owned())]
    );
    assert_eq!(seen.all().len(), 2, "each was sent once");
    let api = courier.delivery(&one.id.to_string()).await.unwrap();
    assert_eq!(api.state, "delivered");
    courier.stop().await;
}

/// The event overtakes the time-out: it is remembered, over a restart too, and the outcome is settled
/// as soon as it is unknown.
#[tokio::test]
async fn d14_an_event_before_the_time_out_settles_it_then() {
    for is_killed in [false, true] {
        let world = World::new().await;
        let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::TakenSilently).await;
        let of = |timeout| Destination {
            timeout,
            ..harmed(grpc("justice", address), false)
        };
        let timeout = Duration::from_secs(if is_killed { 600 } else { 2 });
        let courier = world.courier(vec![of(timeout)]).await;
        let one = delivery("d-1", "a", "justice");
        world.append([one.clone()]).await;
        seen.at_least(1).await;
        prove(&world, &one, "e-1").await;
        proved(&world, "d-1").await;
        assert_eq!(row(&world, "d-1").await.0, 5, "the call has not timed out");
        let courier = if is_killed {
            drop(courier); // as a kill would: nothing is written any more
            world.courier(vec![of(timeout)]).await
        } else {
            courier
        };

        let outcomes = world.outcomes_with(1, settled).await;
        let of_interest = outcomes.iter().map(|outcome| &outcome.kind);
        let ends: Vec<_> = of_interest
            .map(|kind| (unknown(kind), settled(kind)))
            .collect();
        assert_eq!(ends, [(true, false), (false, true)]);
        assert_eq!(
            settlements(&outcomes),
            [(true, "event e-1 of justice".to_owned())]
        );
        courier.stop().await;
        assert_eq!(row(&world, "d-1").await.0, 1);
        assert_eq!(seen.all().len(), 1);
    }
}

/// An agency that acts on its own has not got what was never sent; and what is known already stays.
#[tokio::test]
async fn d14_an_event_settles_nothing_that_was_not_sent_or_is_known() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |delivery, _| {
        match delivery.dossier.as_str() {
            "refused" => Reply::NotTaken,
            _ => Reply::Taken,
        }
    })
    .await;
    let destination = || harmed(grpc("justice", address), false);
    let courier = world.courier(vec![destination()]).await;
    let taken = delivery("taken", "a", "justice");
    let refused = delivery("refused", "a", "justice");
    world.append([taken.clone(), refused.clone()]).await;
    let ends = |kind: &OutcomeKind| delivered(kind) || dead(kind);
    world.outcomes_with(2, ends).await;
    courier.stop().await;

    // Without its destination the courier holds what comes.
    let courier = world.courier(Vec::new()).await;
    let parked = delivery("parked", "a", "justice");
    world.append([parked.clone()]).await;
    for one in [&taken, &refused, &parked] {
        prove(&world, one, "e-1").await;
    }
    let unheard = delivery("unheard", "a", "justice");
    prove(&world, &unheard, "e-1").await;
    // Whatever comes behind them is there: they have been read.
    world.append([unheard]).await;
    let count = "select count(*) from courier_deliveries where dossier = 'unheard'";
    eventually(|| async {
        let rows = world.store.query(count, [], &[Kind::Int]).await.unwrap();
        (rows[0].int(0).unwrap() == 1).then_some(())
    })
    .await;
    for (dossier, state) in [("taken", 1), ("refused", 2), ("parked", 0)] {
        assert_eq!(row(&world, dossier).await, (state, None), "{dossier}");
    }
    let audited = "select count(*) from courier_orders";
    let rows = world.store.query(audited, [], &[Kind::Int]).await.unwrap();
    assert_eq!(rows[0].int(0).unwrap(), 0, "it leaves nothing behind");
    courier.stop().await;

    let courier = world.courier(vec![destination()]).await;
    let outcomes = world.outcomes_with(4, ends).await;
    courier.stop().await;
    assert_eq!(settlements(&outcomes), []);
    assert_eq!(seen.all().len(), 4, "what was parked is sent");
}
