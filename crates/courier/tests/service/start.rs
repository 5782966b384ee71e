//! A courier that starts while its store is away.

use std::collections::BTreeMap;
use std::sync::Arc;

use calendar::Calendars;
use courier::{Config, Service, StartError};
use proto::v1;
use runtime::{ErrorChain, Health, Tasks};

use crate::agency::{self, Reply};
use crate::flaky::flaky;
use crate::harness::*;

/// More than one page of undelivered ones.
const LEFT: usize = 2_050;

/// S8: every step of the start finds the store away, and is taken again; the second page of what is
/// undelivered is read on behind the first.
#[tokio::test]
async fn a_courier_starts_when_its_store_comes_back() {
    let world = World::new().await;
    let earlier = world.courier(vec![]).await;
    world
        .append((0..LEFT).map(|n| delivery(&format!("d-{n}"), "a", "justice")))
        .await;
    let all = |lane: v1::Lane| (lane.queued + lane.waiting == LEFT as u64).then_some(());
    eventually(|| async { all(earlier.lane("justice").await) }).await;
    earlier.stop().await;

    let (store, faults) = flaky(&world);
    faults.start.lock().unwrap().away = BTreeMap::from([
        ("migrate", 1..3),
        ("courier", 1..3),
        ("courier-verdicts", 1..3),
        ("outbox", 1..3),
        ("unstored", 1..3),
        ("undelivered", 2..4),
    ]);
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let courier = world
        .courier_on(store, vec![grpc("justice", address)])
        .await;
    world.outcomes_with(LEFT, delivered).await;
    eventually(|| async { courier.health.not_ready().is_empty().then_some(()) }).await;
    courier.stop().await;
    assert_eq!(seen.all().len(), LEFT);
    let calls = &faults.start.lock().unwrap().calls;
    if world.is_shared() {
        return; // there nobody takes verdicts over, and lanes are read once they are leased
    }
    let of = ["migrate", "courier", "courier-verdicts", "unstored"];
    assert_eq!(of.map(|call| calls[call]), [3; 4]);
    assert_eq!(calls["undelivered"], 5);
}

#[tokio::test]
async fn a_store_that_failed_for_good_ends_the_start() {
    let world = World::new().await;
    let (store, faults) = flaky(&world);
    faults.start.lock().unwrap().is_broken = true;
    let config = Config::new(vec![], Arc::new(Calendars::built_in().unwrap()));
    let (log, clock, tasks) = (world.log.clone(), world.clock.clone(), Tasks::default());
    let started = Service::start(config, log, store, clock, &tasks, Health::default()).await;
    let Some(error @ StartError::TakeOver(_)) = started.err() else {
        panic!("it started")
    };
    let text = "cannot take over the courier's group: the store cannot commit: scripted";
    assert_eq!(ErrorChain(&error).to_string(), text);
    let group = if world.is_shared() {
        "courier"
    } else {
        "courier-verdicts"
    };
    assert_eq!(faults.start.lock().unwrap().calls[group], 1);
    assert_eq!(tasks.drain(PATIENCE).await, Ok(()));
}
