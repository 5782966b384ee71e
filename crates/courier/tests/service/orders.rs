//! Orders on single deliveries, lanes and sidelines.

use domain::{DeliveryId, OutcomeKind};
use proto::v1::{self, courier_server::Courier as _, lane_order::Action};
use store::{Fence, Kind, Op, Write};
use tonic::{Code, Request};

use crate::agency::{self, Reply, Seen};
use crate::harness::*;

fn sign<T>(order: impl FnOnce(String, String) -> T) -> Request<T> {
    Request::new(order(OPERATOR.to_owned(), "incident 7".to_owned()))
}

fn lane_order(destination: &str, action: Action) -> Request<v1::OrderLaneRequest> {
    let order = v1::LaneOrder {
        destination: destination.to_owned(),
        action: Some(action),
    };
    sign(|by, reason| v1::OrderLaneRequest {
        order: Some(order),
        by,
        reason,
    })
}

fn discard(id: DeliveryId) -> Request<v1::DiscardRequest> {
    sign(|by, reason| v1::DiscardRequest {
        deliveries: vec![id.to_string()],
        by,
        reason,
    })
}

fn settle(id: DeliveryId, arrived: bool) -> Request<v1::SettleRequest> {
    sign(|by, reason| v1::SettleRequest {
        deliveries: vec![id.to_string()],
        arrived,
        by,
        reason,
    })
}

async fn state(courier: &Courier, id: DeliveryId) -> String {
    courier.delivery(&id.to_string()).await.unwrap().state
}

async fn becomes(courier: &Courier, id: DeliveryId, expected: &str) {
    eventually(|| async { (state(courier, id).await == expected).then_some(()) }).await;
}

/// The results of the orders on a delivery, oldest first.
async fn results(courier: &Courier, id: DeliveryId) -> Vec<String> {
    let orders = courier.delivery(&id.to_string()).await.unwrap().orders;
    assert!(orders.iter().all(|order| order.by == OPERATOR));
    let results = orders.into_iter();
    results
        .map(|order| format!("{}: {}", order.action, order.result))
        .collect()
}

fn count(outcomes: &[domain::Outcome], is_it: impl Fn(&OutcomeKind) -> bool) -> usize {
    outcomes.iter().filter(|one| is_it(&one.kind)).count()
}

fn redriven(kind: &OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Redriven { .. })
}

fn settled(kind: &OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Settled { .. })
}

fn times(seen: &Seen, id: DeliveryId) -> usize {
    let id = id.to_string();
    seen.all().iter().filter(|one| one.id == id).count()
}

/// D11: orders race one another and the plan; the delivery is in flight once, and its plan goes on.
#[tokio::test]
async fn d11_a_redrive_of_one_that_is_not_dead_changes_nothing() {
    let world = World::new().await;
    // Refused once, then busy twice, then taken.
    let script = |_: &_, times| match times {
        1 => Reply::NotTaken,
        2 | 3 => Reply::Busy,
        _ => Reply::Taken,
    };
    let (address, seen) = agency::start(None, &world.tasks, script).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let one = delivery("d-1", "a", "justice");
    world.append([one.clone()]).await;
    world.outcomes_with(1, dead).await;

    // All of them are taken in while it is dead or on its way.
    let ids = [one.id.to_string()];
    let mut ordered = 0;
    for _ in 0..5 {
        ordered += courier.redrive(&ids, "again").await.unwrap().redriven;
    }
    assert!(ordered >= 1);
    let outcomes = world.outcomes_with(1, delivered).await;
    assert_eq!(count(&outcomes, redriven), 1);
    // One refusal, two busy answers, one success: no attempt beyond the plan.
    assert_eq!(times(&seen, one.id), 4);
    let expected = usize::try_from(ordered).unwrap();
    let results = eventually(|| async {
        let results = results(&courier, one.id).await;
        (results.len() == expected).then_some(results)
    })
    .await;
    assert_eq!(results[0], "redrive: done");
    for later in &results[1..] {
        assert!(later.starts_with("redrive: no dead letter: "), "{later}");
    }
    courier.stop().await;
}

#[tokio::test]
async fn a_discarded_dead_letter_stays_discarded() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::NotTaken).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let one = delivery("d-1", "a", "justice");
    world.append([one.clone()]).await;
    world.outcomes_with(1, dead).await;
    let answer = courier.api().discard(discard(one.id)).await.unwrap();
    assert_eq!(answer.into_inner().discarded, 1);
    becomes(&courier, one.id, "discarded").await;
    eventually(|| async { (courier.lane("justice").await.dead == 0).then_some(()) }).await;
    world
        .outcomes_with(1, |kind| {
            matches!(kind, OutcomeKind::Discarded { reason, .. }
            if reason == "Người Trực Thử: incident 7")
        })
        .await;

    let ids = [one.id.to_string()];
    let again = courier.redrive(&ids, "again").await.unwrap();
    assert_eq!((again.redriven, again.not_dead.as_slice()), (0, &ids[..]));
    courier.stop().await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    assert_eq!(state(&courier, one.id).await, "discarded");
    assert_eq!(courier.lane("justice").await, lane_of("justice"));
    assert_eq!(times(&seen, one.id), 1);
    assert_eq!(results(&courier, one.id).await, ["discard: done"]);
    courier.stop().await;
}

fn lane_of(destination: &str) -> v1::Lane {
    v1::Lane {
        destination: destination.to_owned(),
        limit: 4,
        ..v1::Lane::default()
    }
}

/// Makes dead letters unknown outcomes, as a time-out of a destination that is not idempotent does.
async fn forget_outcomes(world: &World) {
    let epoch = world.store.take_over("test").await.unwrap();
    let fence = Fence {
        group: "test",
        epoch,
        moves: Vec::new(),
    };
    let mut write = Write::new(fence, 0);
    write.ops.push(Op::Sql {
        sql: "update courier_deliveries set state = 3 where state = 2".into(),
        params: Vec::new(),
    });
    world.store.commit(write).await.unwrap();
}

/// D14: a person settles what nobody knows, either way, and once.
#[tokio::test]
async fn d14_a_person_settles_an_unknown_outcome_either_way() {
    let world = World::new().await;
    let refuses_once = |_: &_, times| match times {
        1 => Reply::NotTaken,
        _ => Reply::Taken,
    };
    let (address, seen) = agency::start(None, &world.tasks, refuses_once).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let (there, lost) = (
        delivery("d-1", "a", "justice"),
        delivery("d-2", "a", "justice"),
    );
    world.append([there.clone(), lost.clone()]).await;
    world.outcomes_with(2, dead).await;
    courier.stop().await;
    forget_outcomes(&world).await;

    let courier = world.courier(vec![grpc("justice", address)]).await;
    let request = Request::new(v1::ListUnknownRequest::default());
    let unknown = courier.api().list_unknown(request).await.unwrap();
    let unknown = unknown.into_inner().deliveries;
    assert_eq!(unknown.len(), 2);
    // Neither is sent again, and neither is a dead letter.
    let ids = [there.id.to_string()];
    assert_eq!(courier.redrive(&ids, "again").await.unwrap().redriven, 0);

    let api = courier.api();
    assert_eq!(
        api.settle(settle(there.id, true))
            .await
            .unwrap()
            .into_inner()
            .settled,
        1
    );
    becomes(&courier, there.id, "delivered").await;
    api.settle(settle(lost.id, false)).await.unwrap();
    becomes(&courier, lost.id, "delivered").await;
    assert_eq!((times(&seen, there.id), times(&seen, lost.id)), (1, 2));

    // It is known now: a second word changes nothing.
    let late = api
        .settle(settle(there.id, false))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((late.settled, late.not_unknown), (0, ids.to_vec()));
    let outcomes = world.outcomes_with(2, settled).await;
    assert_eq!(count(&outcomes, settled), 2);
    assert_eq!(courier.lane("justice").await, lane_of("justice"));
    courier.stop().await;
    assert_eq!(times(&seen, there.id), 1);
}

async fn lane(courier: &Courier, destination: &str) -> v1::GetLaneResponse {
    let request = Request::new(v1::GetLaneRequest {
        destination: destination.to_owned(),
    });
    courier.api().get_lane(request).await.unwrap().into_inner()
}

fn sideline(way: v1::SidelineWay, until: jiff::Timestamp) -> Request<v1::SidelineRequest> {
    let order = v1::SidelineOrder {
        subject: "procedure 3.000722".to_owned(),
        way: way.into(),
        until: Some(proto::timestamp_to_wire(until)),
    };
    sign(|by, reason| v1::SidelineRequest {
        order: Some(order),
        by,
        reason,
    })
}

/// Rule 8: what was ordered of lanes and sidelines comes out of the log and outlives a restart.
#[tokio::test]
async fn orders_on_lanes_and_sidelines_outlive_a_restart() {
    let world = World::new().await;
    let (address, _) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let api = courier.api();
    let until = world.clock.now() + jiff::SignedDuration::from_hours(2);
    let window = v1::AnnounceWindow {
        from: Some(proto::timestamp_to_wire(world.clock.now())),
        to: Some(proto::timestamp_to_wire(until)),
    };
    for action in [
        Action::Pause(v1::PauseLane {}),
        Action::Limit(v1::LimitLane { in_flight: 3 }),
        Action::Window(window),
    ] {
        api.order_lane(lane_order("justice", action)).await.unwrap();
    }
    let sideline = |way| sideline(way, until);
    api.sideline(sideline(v1::SidelineWay::Hold)).await.unwrap();
    eventually(|| async { (lane(&courier, "justice").await.orders.len() == 3).then_some(()) })
        .await;
    eventually(|| async { (rules(&courier).await.len() == 1).then_some(()) }).await;
    courier.stop().await;

    let courier = world.courier(vec![grpc("justice", address)]).await;
    let shown = lane(&courier, "justice").await;
    let paused = shown.paused.unwrap();
    assert_eq!(
        (paused.by.as_str(), paused.reason.as_str()),
        (OPERATOR, "incident 7")
    );
    assert_eq!((shown.ordered_limit, shown.windows.len()), (3, 1));
    assert!(shown.orders.iter().all(|order| order.result == "done"));
    let rule = &rules(&courier).await[0];
    assert_eq!(rule.subject, "procedure 3.000722");
    assert_eq!(rule.way, i32::from(v1::SidelineWay::Hold));

    let api = courier.api();
    api.sideline(sideline(v1::SidelineWay::Unspecified))
        .await
        .unwrap();
    api.order_lane(lane_order("justice", Action::Resume(v1::ResumeLane {})))
        .await
        .unwrap();
    eventually(|| async { rules(&courier).await.is_empty().then_some(()) }).await;
    eventually(|| async {
        lane(&courier, "justice")
            .await
            .paused
            .is_none()
            .then_some(())
    })
    .await;
    courier.stop().await;
}

async fn rules(courier: &Courier) -> Vec<v1::SidelineRule> {
    let request = Request::new(v1::ListSidelinesRequest {});
    let rules = courier.api().list_sidelines(request).await;
    rules.unwrap().into_inner().rules
}

/// An order that the log brings twice under one id, and one under two ids, have the effect of one; the
/// audit shows both of the latter.
#[tokio::test]
async fn the_same_order_twice_is_the_same_order_once() {
    let world = World::new().await;
    let (address, _) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let api = courier.api();
    for _ in 0..2 {
        let pause = lane_order("justice", Action::Pause(v1::PauseLane {}));
        api.order_lane(pause).await.unwrap();
    }
    let orders = eventually(|| async {
        let orders = lane(&courier, "justice").await.orders;
        (orders.len() == 2).then_some(orders)
    })
    .await;
    let results: Vec<_> = orders.iter().map(|order| order.result.as_str()).collect();
    assert_eq!(results, ["changed nothing", "done"]);
    courier.stop().await;
}

#[tokio::test]
async fn a_dead_letter_beyond_the_boundary_stays_dead_and_the_audit_says_why() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::NotTaken).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let one = delivery("d-1", "a", "justice");
    world.append([one.clone()]).await;
    world.outcomes_with(1, dead).await;
    courier.stop().await;

    // The configuration does not have its destination any more.
    let courier = world.courier(vec![grpc("police", address)]).await;
    let ids = [one.id.to_string()];
    let answer = courier.redrive(&ids, "again").await.unwrap();
    let why = "no destination `justice` in the configuration";
    assert_eq!(
        (answer.redriven, answer.refused[0].reason.as_str()),
        (0, why)
    );
    let results = eventually(|| async {
        let results = results(&courier, one.id).await;
        (!results.is_empty()).then_some(results)
    })
    .await;
    assert_eq!(results, [format!("redrive: refused: {why}")]);
    assert_eq!(state(&courier, one.id).await, "dead");
    assert_eq!(times(&seen, one.id), 1);
    courier.stop().await;
}

#[tokio::test]
async fn a_wrong_order_is_refused_before_it_reaches_the_log() {
    let world = World::new().await;
    let courier = world.courier(vec![]).await;
    let api = courier.api();
    let pause = || Action::Pause(v1::PauseLane {});
    let status = api.order_lane(lane_order("gone", pause())).await;
    assert_eq!(status.unwrap_err().code(), Code::NotFound);
    let mut nameless = lane_order("gone", pause());
    nameless.get_mut().by.clear();
    let status = api.order_lane(nameless).await.unwrap_err();
    assert_eq!(
        status.message(),
        "by: must be one line of 1 to 500 characters"
    );
    let aside = v1::SidelineOrder {
        subject: "office x".to_owned(),
        ..v1::SidelineOrder::default()
    };
    let status = api
        .sideline(sign(|by, reason| v1::SidelineRequest {
            order: Some(aside),
            by,
            reason,
        }))
        .await
        .unwrap_err();
    assert!(status.message().starts_with("subject: "), "{status}");
    let status = api
        .cancel_job(sign(|by, reason| v1::CancelJobRequest {
            job: "none".to_owned(),
            by,
            reason,
        }))
        .await;
    assert_eq!(status.unwrap_err().code(), Code::NotFound);
    let orders = "select count(*) from courier_orders";
    let rows = world.store.query(orders, [], &[Kind::Int]).await.unwrap();
    assert_eq!(rows[0].int(0), Ok(0));
    courier.stop().await;
}
