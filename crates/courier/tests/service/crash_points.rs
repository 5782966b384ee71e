//! A courier that dies at every point at which it waits for its store, its log or an agency.
//!
//! The list of points is made by a whole life: whatever it passes on its way is died at, each at least
//! three times, and the names that are expected are among them. [`mortal`] says why no wait is left out.

mod mortal;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use calendar::Calendars;
use courier::{Config, Service};
use domain::{Delivery, DeliveryId, Destination, OutcomeKind, RecordId, Terms};
use log::Log;
use runtime::{Health, Tasks};
use store::Store;

use crate::agency::{self, Arrival, Reply, Seen};
use crate::harness::*;
use crate::process::OwnRuntime;
use mortal::Point::{After, Before};
use mortal::{Life, Mortal, Point};

/// What became of one life, and of the one after it if it died.
struct Lived {
    died: bool,
    passed: BTreeMap<Point, usize>,
    arrivals: Vec<Arrival>,
}

/// What the outcomes tell so far.
#[derive(Default)]
struct Told {
    /// Under one id or several.
    arrived: BTreeMap<DeliveryId, BTreeSet<RecordId>>,
    doubtful: BTreeSet<DeliveryId>,
    dead: BTreeSet<DeliveryId>,
}

const DOSSIERS: usize = 3;
/// Two steps each: the order within a dossier counts too.
const DELIVERIES: usize = 2 * DOSSIERS;
const TIMES: usize = 3;
/// The agency has the delivery, and answers.
const ANSWER: &str = "an answer";
/// How often they come depends on the time.
const TIMED: [&str; 4] = ["a figure", "a lag", "forgetting", "a note"];

async fn start(
    world: &World,
    life: &Life,
    destination: &Destination,
    forgets_claims: bool,
    tasks: Tasks,
) -> Courier {
    let (log, life) = (world.log.clone(), life.clone());
    let store = Store::wrap(Mortal {
        inner: world.store.backend(),
        life: life.clone(),
        forgets_claims,
    });
    let log = Log::wrap(Mortal {
        inner: log,
        life,
        forgets_claims,
    });
    let calendars = Arc::new(Calendars::built_in().unwrap());
    let config = Config::new(vec![destination.clone()], calendars);
    let health = Health::default();
    let clock = world.clock.clone();
    let handle = Service::start(config, log, store, clock, &tasks, health.clone()).await;
    Courier {
        handle: handle.unwrap(),
        tasks,
        health,
    }
}

// === impl Told ===

impl Told {
    async fn by(world: &World) -> Self {
        let mut told = Self::default();
        for outcome in world.outcomes().await {
            match outcome.kind {
                OutcomeKind::Delivered { delivery, .. } => {
                    told.arrived.entry(delivery).or_default().insert(outcome.id);
                }
                OutcomeKind::Unknown { delivery, .. } => drop(told.doubtful.insert(delivery)),
                OutcomeKind::DeadLettered { delivery, .. } => drop(told.dead.insert(delivery)),
                _ => {}
            }
        }
        told
    }

    /// Whether each of these was delivered, or waits for a person or behind one of its dossier that does.
    fn has_settled(&self, [first, second]: &[Delivery; 2]) -> bool {
        let arrived = |delivery: &Delivery| self.arrived.contains_key(&delivery.id);
        let is_doubtful = |delivery: &Delivery| self.doubtful.contains(&delivery.id);
        is_doubtful(first) || arrived(first) && (arrived(second) || is_doubtful(second))
    }
}

async fn settled(world: &World) -> Option<()> {
    let told = Told::by(world).await;
    let all_have = (0..DOSSIERS).all(|n| told.has_settled(&steps(n)));
    all_have.then_some(())
}

fn steps(dossier: usize) -> [Delivery; 2] {
    let dossier = format!("d-{dossier}");
    ["a", "b"].map(|step| delivery(&dossier, step, "justice"))
}

/// One life that dies at a passage of a point, or never, and one after it.
async fn lives(fatal: Option<(Point, usize)>, idempotent: bool, forgets_claims: bool) -> Lived {
    // The points are counted over one process; couriers that share a store wait at others.
    let world = Arc::new(World::of_one_process().await);
    let life = Life::new(fatal);
    let seen_by = life.clone();
    let react = move |_: &_, _| {
        if seen_by.ends_at(Before(ANSWER)) {
            return Reply::TakenSilently;
        }
        seen_by.ends_at(After(ANSWER));
        Reply::Taken
    };
    let (address, seen) = agency::start(None, &world.tasks, react).await;
    let destination = Destination {
        terms: Terms {
            idempotent,
            ..Terms::default()
        },
        max_in_flight: 2,
        ..grpc("justice", address)
    };
    world.append((0..DOSSIERS).flat_map(steps)).await;
    let died = one_life(&world, &life, &destination, forgets_claims).await;
    if died {
        let (life, tasks) = (Life::new(None), Tasks::default());
        let second = start(&world, &life, &destination, forgets_claims, tasks).await;
        eventually(|| settled(&world)).await;
        second.stop().await;
    }
    Lived {
        died,
        passed: life.passed(),
        arrivals: seen.all(),
    }
}

/// Whether it died before everything was settled and it was stopped.
async fn one_life(
    world: &Arc<World>,
    life: &Life,
    destination: &Destination,
    forgets_claims: bool,
) -> bool {
    let runtime = OwnRuntime::new();
    let (own_world, own_life, destination) = (world.clone(), life.clone(), destination.clone());
    let living = Tasks::default();
    let tasks = living.clone();
    let starting = runtime.get().spawn(async move {
        start(&own_world, &own_life, &destination, forgets_claims, tasks).await
    });
    let lived = async {
        let courier = starting.await.unwrap();
        eventually(|| settled(world)).await;
        courier.stop().await;
    };
    tokio::select! {
        () = life.ended() => true,
        () = lived => false,
    }
}

/// What must not be seen, if it is.
fn violation(arrivals: &[Arrival], idempotent: bool, number: usize) -> Option<&'static str> {
    let mut bytes = BTreeMap::<_, BTreeSet<_>>::new();
    let mut times = BTreeMap::<_, usize>::new();
    let mut steps = BTreeMap::<_, Vec<_>>::new();
    for arrival in arrivals {
        bytes.entry(&arrival.id).or_default().insert(&arrival.bytes);
        *times.entry(&arrival.id).or_default() += 1;
        let steps = steps.entry(&arrival.dossier).or_default();
        if !steps.contains(&arrival.step.as_str()) {
            steps.push(arrival.step.as_str());
        }
    }
    let found = [
        ("altered", bytes.values().any(|all| all.len() > 1)),
        (
            "out of order",
            !steps.values().all(|steps| steps.is_sorted()),
        ),
        ("lost", idempotent && times.len() < number),
        ("sent again", !idempotent && times.values().any(|n| *n > 1)),
    ];
    found
        .into_iter()
        .find(|(_, is_so)| *is_so)
        .map(|(what, _)| what)
}

/// The points that a whole life passes and how often, but for those that depend on the time.
fn points(mut points: BTreeMap<Point, usize>, expected: &[&'static str]) -> BTreeMap<Point, usize> {
    points.retain(|point, _| match point {
        Before(what) | After(what) => !TIMED.contains(what),
    });
    for what in expected {
        for point in [Before(what), After(what)] {
            assert!(points.contains_key(&point), "{point} is not in {points:?}");
        }
    }
    points
}

/// C3, C6: a courier that ends before or after anything that it waits for, the first time, halfway or the
/// last time, loses nothing and alters nothing; where a repeat harms, nothing is sent again.
async fn dies_everywhere(idempotent: bool, expected: &[&'static str]) {
    let whole = lives(None, idempotent, false).await;
    assert!(!whole.died);
    for (point, often) in points(whole.passed, expected) {
        for time in 0..TIMES {
            let mut passage = (often - 1) * time / (TIMES - 1);
            // How many verdicts share a commit differs from life to life, and so how often it passes.
            loop {
                let lived = lives(Some((point, passage)), idempotent, false).await;
                let found = violation(&lived.arrivals, idempotent, DELIVERIES);
                assert_eq!(found, None, "{point}, passage {passage}");
                if lived.died {
                    break;
                }
                passage /= 2;
            }
        }
    }
}

/// What a courier on one store waits for to bring six deliveries to an end.
const EXPECTED: [&str; 13] = [
    "making tables",
    "taking over",
    "reading offsets",
    "asking the store",
    "looking for repeats",
    "reading the outbox",
    "opening the log",
    "reading the log",
    "taking in",
    ANSWER,
    "a verdict",
    "publishing",
    "a mark",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_a_crash_at_any_point_of_taking_in_and_verdicts_loses_nothing() {
    let all = tokio::time::timeout(Duration::from_secs(300), dies_everywhere(true, &EXPECTED));
    all.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_a_crash_at_any_point_of_a_claim_sends_nothing_twice() {
    let expected = [&EXPECTED[..], &["a claim"]].concat();
    let all = tokio::time::timeout(Duration::from_secs(300), dies_everywhere(false, &expected));
    all.await.unwrap();
}

/// T8, of these tests themselves: a courier whose claims are not kept resends blindly, and that is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_a_blind_resend_after_an_unknown_outcome_is_caught() {
    let whole = lives(None, false, false).await;
    for point in points(whole.passed, &["a claim"]).into_keys() {
        let lived = lives(Some((point, 0)), false, true).await;
        if let Some(found) = violation(&lived.arrivals, false, DELIVERIES) {
            assert_eq!(found, "sent again");
            return;
        }
    }
    panic!("not caught at any point");
}
