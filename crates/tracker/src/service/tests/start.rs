//! A tracker that starts while its store is away.

use std::sync::atomic::Ordering;

use log::Topic;
use runtime::ErrorChain;
use tempfile::TempDir;

use super::{
    super::*,
    house::*,
    unsure::{Fault, Unsure},
};

/// S8: every step of the start finds the store away, and is taken again; the figures are those of before.
#[tokio::test]
async fn a_tracker_starts_when_its_store_comes_back() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path()).await;
    let first = (0..10).map(accepted).map(of_event).collect();
    house.append(Topic::Events, first).await;
    let before = house.until(|s| s.events == 10).await;
    house.stop().await;

    let mut calls = Default::default();
    let away = |store| {
        let (store, made) = Unsure::over(store, Fault::Away(2));
        calls = made;
        store
    };
    let house = House::with(dir.path(), away).await;
    assert_eq!(house.handle.summary().await.unwrap(), before);
    let steps = [&calls.migrate, &calls.take_over, &calls.get, &calls.query];
    let made = steps.map(|step| step.load(Ordering::Relaxed));
    assert_eq!(made[..2], [3, 3]);
    assert!(made[2..].iter().all(|made| *made > 2), "{made:?}");
    let more = vec![of_event(accepted(10))];
    house.append(Topic::Events, more).await;
    house.until(|s| s.events == 11).await;
    house.stop().await;
}

#[tokio::test]
async fn a_store_that_failed_for_good_ends_the_start() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(store::Config::sqlite(dir.path().join("s.db"))).await;
    let (store, calls) = Unsure::over(store.unwrap(), Fault::Broken);
    let clock = Clock::system();
    let log = Log::memory(Arc::new(|| crate::testing::hour(0)));
    let (tasks, health) = (Tasks::default(), Health::default());
    let config = config_of("127.0.0.1:0");
    let started = Service::start(config, log, store, clock, &tasks, &health).await;
    let Some(error @ Error::TakeOver(_)) = started.err() else {
        panic!("it started")
    };
    let text = "cannot take over the tracker's work: the store cannot commit: connection reset";
    assert_eq!(ErrorChain(&error).to_string(), text);
    assert_eq!(calls.take_over.load(Ordering::Relaxed), 1);
}
