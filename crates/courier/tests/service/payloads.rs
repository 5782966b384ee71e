//! Where one courier has the store: payloads that only memory and the log have, and when they are stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use courier::Config;
use domain::{Destination, RetrySteps};
use store::Kind;

use crate::agency::{self, Arrival, Reply, Seen};
use crate::flaky::flaky;
use crate::harness::*;

const NUMBER: usize = 5;
const LONG: Duration = Duration::from_secs(600);

/// An agency that replies one thing, and other things once it is told to take them.
struct Agency {
    destination: Destination,
    seen: Seen,
    takes: Arc<AtomicBool>,
}

async fn agency(world: &World, reply: Reply) -> Agency {
    let takes = Arc::new(AtomicBool::new(false));
    let script = {
        let takes = takes.clone();
        move |_: &proto::v1::Delivery, _| {
            if takes.load(Ordering::SeqCst) {
                Reply::Taken
            } else {
                reply.clone()
            }
        }
    };
    let (address, seen) = agency::start(None, &world.tasks, script).await;
    let destination = Destination {
        timeout: LONG,
        retry: RetrySteps {
            steps: vec![LONG],
            max_attempts: 100,
        },
        ..grpc("justice", address)
    };
    Agency {
        destination,
        seen,
        takes,
    }
}

async fn append(world: &World) {
    let deliveries = (0..NUMBER).map(|number| delivery(&format!("d-{number}"), "a", "justice"));
    world.append(deliveries).await;
}

/// How many undelivered ones have no payload in the store, and how many have.
async fn stored(world: &World) -> (usize, usize) {
    let sql = "select case when payload is null then 0 else 1 end from courier_deliveries \
               where state <> 1";
    let rows = world.store.query(sql, [], &[Kind::Int]).await.unwrap();
    let with = rows.iter().filter(|row| row.int(0).unwrap() == 1).count();
    (rows.len() - with, with)
}

async fn until_stored(world: &World) {
    let all = || async { (stored(world).await == (0, NUMBER)).then_some(()) };
    eventually(all).await;
}

#[tokio::test]
async fn what_a_killed_courier_left_to_the_log_is_stored_by_the_next_and_sent_unchanged() {
    let world = World::of_one_process().await;
    let agency = agency(&world, Reply::Silent).await;
    let (store, faults) = flaky(&world);
    let killed = world
        .courier_on(store, vec![agency.destination.clone()])
        .await;
    append(&world).await;
    agency.seen.at_least(1).await;
    assert_eq!(stored(&world).await, (NUMBER, 0));
    faults.dead.store(true, Ordering::SeqCst);
    drop(killed);

    // It has no lane, so that it stores and sends nothing.
    let holds = world.courier(vec![]).await;
    assert_eq!(stored(&world).await, (0, NUMBER));
    holds.stop().await;
    agency.takes.store(true, Ordering::SeqCst);
    let courier = world.courier(vec![agency.destination.clone()]).await;
    world.outcomes_with(NUMBER, delivered).await;
    courier.stop().await;
    let arrivals = agency.seen.all();
    let (before, after) = arrivals.split_at(arrivals.len() - NUMBER);
    assert!(!before.is_empty());
    for one in before {
        let same = |other: &&Arrival| other.id == one.id && other.bytes == one.bytes;
        assert!(after.iter().any(|other| same(&other)), "{one:?}");
    }
    assert_eq!(stored(&world).await, (0, 0));
}

#[tokio::test]
async fn a_failed_attempt_stores() {
    let world = World::of_one_process().await;
    let agency = agency(&world, Reply::Busy).await;
    let courier = world.courier(vec![agency.destination]).await;
    append(&world).await;
    until_stored(&world).await;
    courier.stop().await;
}

#[tokio::test]
async fn a_clean_stop_stores_what_waits() {
    let world = World::of_one_process().await;
    let agency = agency(&world, Reply::Silent).await;
    let config = Config {
        last_answers: Duration::ZERO,
        ..config(vec![Destination {
            max_in_flight: 2,
            ..agency.destination
        }])
    };
    let store = world.store.clone();
    let courier = world.start_with(config, store).await.unwrap();
    append(&world).await;
    agency.seen.at_least(2).await;
    assert_eq!(stored(&world).await, (NUMBER, 0));
    courier.stop().await;
    assert_eq!(stored(&world).await, (0, NUMBER));
}

#[tokio::test]
async fn what_waits_for_long_is_stored() {
    let world = World::of_one_process().await;
    let agency = agency(&world, Reply::Silent).await;
    let config = Config {
        stored_after: Duration::from_millis(20),
        ..config(vec![agency.destination.clone()])
    };
    let store = world.store.clone();
    let courier = world.start_with(config, store).await.unwrap();
    append(&world).await;
    until_stored(&world).await;
    agency.takes.store(true, Ordering::SeqCst);
    courier.stop().await;
}

#[tokio::test]
async fn what_a_resting_lane_cannot_send_is_stored() {
    let world = World::of_one_process().await;
    let agency = agency(&world, Reply::Fails(tonic::Code::Unavailable)).await;
    let destination = Destination {
        max_in_flight: 1,
        ..agency.destination
    };
    let courier = world.courier(vec![destination]).await;
    append(&world).await;
    until_stored(&world).await;
    let lane = courier.lane("justice").await;
    assert!(!lane.resting.is_empty(), "{lane:?}");
    agency.takes.store(true, Ordering::SeqCst);
    world.outcomes_with(NUMBER, delivered).await;
    courier.stop().await;
}

/// The lane has it from somebody who will never have it again but for the store.
#[tokio::test]
async fn what_goes_to_nobody_is_stored_at_once() {
    let world = World::of_one_process().await;
    let courier = world.courier(vec![]).await;
    append(&world).await;
    let all_held = || async {
        let lane = courier.lane("justice").await;
        (lane.queued + lane.waiting == NUMBER as u64).then_some(())
    };
    eventually(all_held).await;
    assert_eq!(stored(&world).await, (0, NUMBER));
    courier.stop().await;
}
