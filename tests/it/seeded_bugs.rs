//! The test of the kill runs: a pipeline with a planted bug does not pass them.

mod broken_log;
mod broken_store;

use std::time::Duration;

use lienthong::pipeline::{Pipeline, Role};
use log::Log;
use simulator::{Invariant, Violation};
use store::Store;

use crate::{
    harness::{Backend, House, alone, say},
    kill::{Home, Load, Numbers, Victim, house},
};
use broken_log::ClockIds;
use broken_store::{Broken, Bug};

/// Kills router, courier and tracker in turn under load and answers what the checker finds.
async fn found(house: &House, pipeline: Pipeline, what: &str) -> Vec<Violation> {
    const KILLS: u32 = 8;
    let numbers = Numbers::read(1);
    let mut chance = numbers.chance();
    let pipeline = Box::new(pipeline);
    let mut victims: Vec<Victim> = Role::ALL
        .into_iter()
        .map(|role| Victim::new(Home::Runtime(pipeline.clone()), vec![role]))
        .collect();
    for victim in &mut victims {
        victim.start(&house.site);
        victim.ready().await;
    }
    let load = Load::start(house, numbers.rate);
    for _ in 0..KILLS {
        for victim in &mut victims {
            victim.kill_at_random(house, &mut chance).await;
        }
    }
    for victim in &mut victims {
        victim.ready().await;
    }
    load.until(house, 0).await;
    let violations = house.violations(Duration::from_secs(15)).await;
    say(format_args!(
        "seeded bug, {what}, seed {}: {} violation(s), the first of each kind:",
        numbers.seed,
        violations.len()
    ));
    let mut last = None;
    for violation in &violations {
        if last.replace(violation.invariant) != Some(violation.invariant) {
            say(format_args!("  {violation}"));
        }
    }
    violations
}

async fn found_with(bug: Bug) -> Vec<Violation> {
    let house = house(Backend::Embedded).await;
    let pipeline = house.open().await;
    let store = Broken::wrap(pipeline.store().unwrap(), bug);
    let log = pipeline.log().clone();
    found(&house, pipeline.over(log, store), &format!("{bug:?}")).await
}

#[track_caller]
fn is_caught(violations: &[Violation], by: &[Invariant]) {
    let caught = violations.iter().any(|found| by.contains(&found.invariant));
    assert!(caught, "not caught by any of {by:?}: {violations:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_outside_the_transaction_is_caught() {
    let _alone = alone().await;
    let violations = found_with(Bug::OffsetOutside).await;
    is_caught(&violations, &[Invariant::NoLoss]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_inbox_is_caught() {
    let _alone = alone().await;
    let violations = found_with(Bug::NoInbox).await;
    is_caught(&violations, &[Invariant::OneEffect, Invariant::Totals]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_from_the_clock_are_caught() {
    let _alone = alone().await;
    let house = house(Backend::Embedded).await;
    let pipeline = house.open().await;
    let log = Log::wrap(ClockIds::over(pipeline.log().clone()));
    let store: Store = pipeline.store().unwrap().clone();
    let violations = found(&house, pipeline.over(log, store), "ids from the clock").await;
    is_caught(&violations, &[Invariant::OneEffect]);
}

/// Nothing planted, nothing found: what catches the bugs is not the harness.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_bug_nothing_is_found() {
    let _alone = alone().await;
    let house = house(Backend::Embedded).await;
    let pipeline = house.open().await;
    let violations = found(&house, pipeline, "none").await;
    assert!(violations.is_empty(), "{violations:#?}");
}
