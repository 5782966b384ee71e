//! An event that the agency emits later proves that it has a delivery (D14).

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{Action, Delivery, Destination, DossierKey, Order, OutcomeKind, RecordId};
use log::Topic;
use proto::v1::{self, courier_server::Courier as _};
use store::{Fence, Kind, Op, Write};

use crate::agency::{self, Reply};
use crate::couriers::{LANES, id, lanes, shared_out, shared_world};
use crate::doubt::{harmed, settled, unknown};
use crate::flaky::flaky;
use crate::harness::*;
use crate::process::Process;

/// Repeats harm there, and an attempt takes as long as the test wants.
fn patient(address: SocketAddr) -> Destination {
    Destination {
        timeout: Duration::from_secs(600),
        ..harmed(grpc("justice", address), false)
    }
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

/// How the delivery of a dossier stands, and what proves it, once it is there.
async fn row(world: &World, dossier: &str) -> (i64, Option<String>) {
    let sql = "select state, proof from courier_deliveries where dossier = $1";
    let kinds = &[Kind::Int, Kind::Text];
    eventually(|| async {
        let rows = world.store.query(sql, [dossier.into()], kinds).await;
        let rows = rows.unwrap();
        let row = rows.first()?;
        let proof = row.opt_text(1).unwrap().map(str::to_owned);
        Some((row.int(0).unwrap(), proof))
    })
    .await
}

/// An attempt is under way.
async fn claimed(world: &World, dossier: &str) {
    eventually(|| async { (row(world, dossier).await.0 == 5).then_some(()) }).await;
}

async fn proved(world: &World, dossier: &str) {
    eventually(|| async { row(world, dossier).await.1.map(drop) }).await;
}

/// One delivery whose attempt is under way when the event is read.
async fn prove_while_under_way(world: &World) {
    let one = delivery("d-1", "a", "justice");
    world.append([one.clone()]).await;
    claimed(world, "d-1").await;
    prove(world, &one, "e-1").await;
    proved(world, "d-1").await;
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

/// Unknown, then settled by the event, and nothing else.
fn assert_unknown_then_proved(outcomes: &[domain::Outcome]) {
    let ends: Vec<_> = outcomes
        .iter()
        .map(|outcome| (unknown(&outcome.kind), settled(&outcome.kind)))
        .collect();
    assert_eq!(ends, [(true, false), (false, true)]);
    let expected = (true, "event e-1 of justice".to_owned());
    assert_eq!(settlements(outcomes), [expected]);
}

/// The event overtakes the end of the attempt: it is remembered, and the outcome is settled as soon as
/// it is unknown.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d14_an_event_before_the_time_out_settles_it_then() {
    let world = World::new().await;
    let (end, ended) = agency::word();
    let (address, seen) = agency::start(None, &world.tasks, move |_, _| {
        ended.wait();
        Reply::Fails(tonic::Code::Cancelled)
    })
    .await;
    let courier = world.courier(vec![patient(address)]).await;
    prove_while_under_way(&world).await;
    assert_eq!(world.outcomes().await, [], "the attempt is under way");
    end.send(()).unwrap();

    assert_unknown_then_proved(&world.outcomes_with(1, settled).await);
    assert_eq!(row(&world, "d-1").await.0, 1);
    courier.stop().await;
    assert_eq!(seen.all().len(), 1);
}

/// The same when the courier is killed before the attempt ends.
#[tokio::test]
async fn d14_an_event_is_remembered_over_a_kill() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::TakenSilently).await;
    let (store, faults) = flaky(&world);
    let killed = world.courier_on(store, vec![patient(address)]).await;
    let one = delivery("d-1", "a", "justice");
    world.append([one.clone()]).await;
    seen.at_least(1).await;
    prove(&world, &one, "e-1").await;
    proved(&world, "d-1").await;
    faults.dead.store(true, Ordering::SeqCst);

    let courier = world.courier(vec![patient(address)]).await;
    assert_unknown_then_proved(&world.outcomes_with(1, settled).await);
    assert_eq!(row(&world, "d-1").await.0, 1);
    courier.stop().await;
    assert_eq!(seen.all().len(), 1);
    drop(killed);
}

/// Without its destination the configuration has no lane that could settle it: the proof waits, and a
/// person cannot deny it any more.
#[tokio::test]
async fn d14_an_event_waits_for_the_lane_and_outweighs_a_later_word() {
    let world = World::new().await;
    let silent = |_: &_, _| Reply::Fails(tonic::Code::Cancelled);
    let (address, seen) = agency::start(None, &world.tasks, silent).await;
    let courier = world.courier(vec![patient(address)]).await;
    let one = delivery("d-1", "a", "justice");
    world.append([one.clone()]).await;
    world.outcomes_with(1, unknown).await;
    courier.stop().await;

    let courier = world.courier(Vec::new()).await;
    prove(&world, &one, "e-1").await;
    proved(&world, "d-1").await;
    let request = tonic::Request::new(v1::SettleRequest {
        deliveries: vec![one.id.to_string()],
        arrived: false,
        by: OPERATOR.to_owned(),
        reason: "nobody saw it".to_owned(),
    });
    courier.api().settle(request).await.unwrap();
    let order = eventually(|| async {
        let shown = courier.delivery(&one.id.to_string()).await.unwrap();
        shown.orders.into_iter().next()
    })
    .await;
    assert_eq!(order.result, "it has arrived: event e-1 of justice");
    courier.stop().await;

    let courier = world.courier(vec![patient(address)]).await;
    assert_unknown_then_proved(&world.outcomes_with(1, settled).await);
    courier.stop().await;
    assert_eq!(seen.all().len(), 1);
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
    row(&world, "unheard").await;
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

/// What proved an attempt that was then refused proves nothing of the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d14_an_event_during_a_refused_attempt_settles_no_later_one() {
    let world = World::new().await;
    let (answer, asked) = agency::word();
    let (address, seen) = agency::start(None, &world.tasks, move |delivery, count| {
        if delivery.dossier.as_str() == "d-1" && count == 1 {
            asked.wait();
            return Reply::Busy;
        }
        Reply::Fails(tonic::Code::Cancelled)
    })
    .await;
    let courier = world.courier(vec![patient(address)]).await;
    prove_while_under_way(&world).await;
    answer.send(()).unwrap();

    world.outcomes_with(1, unknown).await;
    // One that comes later shows that the lane has gone on.
    world.append([delivery("d-2", "a", "justice")]).await;
    let outcomes = world.outcomes_with(2, unknown).await;
    courier.stop().await;
    assert_eq!(settlements(&outcomes), []);
    assert_eq!(row(&world, "d-1").await, (3, None));
    let sent: Vec<_> = seen.all().into_iter().map(|seen| seen.dossier).collect();
    assert_eq!(sent, ["d-1", "d-1", "d-2"]);
}

/// A person, or another courier that reads the person's word, was faster than the destination's answer,
/// and the lane had not heard of it: the first word stands.
#[tokio::test]
async fn d14_whoever_settles_first_is_right() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Silent).await;
    let asked = Destination {
        timeout: Duration::from_secs(2),
        ..harmed(grpc("justice", address), true)
    };
    let courier = world.courier(vec![asked]).await;
    let (one, next) = (
        delivery("d-1", "a", "justice"),
        delivery("d-1", "b", "justice"),
    );
    world.append([one, next]).await;
    world.outcomes_with(1, unknown).await;
    change(
        &world,
        "update courier_deliveries set state = 1 where state = 3",
    )
    .await;
    // The destination says that it has not got it.
    let arrivals = seen.at_least(2).await;
    let steps: Vec<_> = arrivals.into_iter().map(|arrival| arrival.step).collect();
    assert_eq!(
        steps,
        ["a", "b"],
        "the first is not sent again, and keeps nobody"
    );
    courier.stop().await;
}

async fn change(world: &World, sql: &'static str) {
    let fence = Fence {
        group: "test",
        epoch: world.store.take_over("test").await.unwrap(),
        moves: Vec::new(),
    };
    let mut write = Write::new(fence, 0);
    write.ops.push(Op::Sql {
        sql: sql.into(),
        params: Vec::new(),
    });
    world.store.commit(write).await.unwrap();
}

/// D14: the courier that reads of an event tells the one that has the lane, whether the time-out has
/// passed or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_a_later_event_reaches_lanes_of_other_couriers() {
    let Some(world) = shared_world().await else {
        return;
    };
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::TakenSilently).await;
    let careful = || {
        let timeout = Duration::from_secs(3);
        let careful = lanes(address).into_iter().map(|lane| harmed(lane, false));
        let patient = careful.map(|lane| Destination { timeout, ..lane });
        patient.collect::<Vec<_>>()
    };
    let one = Process::start(&world, "one", careful()).await;
    let two = Process::start(&world, "two", careful()).await;
    shared_out(&[&one, &two]).await;
    let of = |name: &str| -> Vec<Delivery> {
        let one = |lane| delivery(&format!("{name}-{lane}"), "a", &id(lane));
        (0..LANES).map(one).collect()
    };
    let (early, late) = (of("early"), of("late"));
    world.append(early.clone()).await;
    seen.at_least(LANES).await;
    for delivery in &early {
        prove(&world, delivery, "e-early").await;
    }
    world.outcomes_with(LANES, settled).await;

    world.append(late.clone()).await;
    world.outcomes_with(2 * LANES, unknown).await;
    for delivery in &late {
        prove(&world, delivery, "e-late").await;
    }
    let outcomes = world.outcomes_with(2 * LANES, settled).await;
    assert_eq!(settlements(&outcomes).len(), 2 * LANES);
    assert!(settlements(&outcomes).iter().all(|(arrived, _)| *arrived));
    assert_eq!(seen.all().len(), 2 * LANES);
    one.end().await;
    two.end().await;
}
