//! Several couriers on one PostgreSQL schema and one log.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use domain::{Delivery, Destination, Outcome, OutcomeKind, RecordId};
use log::Topic;
use proto::v1::{self, courier_server::Courier as _};
use store::{Fence, Outgoing, Write};

use crate::agency::{self, Reply, Seen};
use crate::flaky::flaky;
use crate::harness::*;
use crate::process::Process;

pub(crate) const LANES: usize = 6;
const CAP: usize = 16;

/// `None`, and a line that says so, without a server.
pub(crate) async fn shared_world() -> Option<World> {
    let world = World::new().await;
    if world.is_shared() {
        return Some(world);
    }
    // Straight to the terminal: the test harness would swallow a print.
    let line = "SKIPPED: several couriers, because LIENTHONG_TEST_POSTGRES is not set\n";
    std::io::stderr().lock().write_all(line.as_bytes()).unwrap();
    None
}

pub(crate) fn id(lane: usize) -> String {
    format!("lane-{lane}")
}

pub(crate) fn lanes(address: SocketAddr) -> Vec<Destination> {
    (0..LANES).map(|lane| grpc(&id(lane), address)).collect()
}

/// Some dossiers with three steps each, spread over all lanes.
fn load(name: &str, dossiers: usize) -> Vec<Delivery> {
    let of = |n: usize| {
        let steps = ["a", "b", "c"];
        steps.map(|step| delivery(&format!("{name}-{n}"), step, &id(n % LANES)))
    };
    (0..dossiers).flat_map(of).collect()
}

/// How often something came again; and what came again was what had come, and steps came in order.
fn repeats(seen: &Seen) -> usize {
    let mut first: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut steps: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut again = 0;
    for arrival in seen.all() {
        if let Some(bytes) = first.get(&arrival.id) {
            assert_eq!(*bytes, arrival.bytes, "{}", arrival.id);
            again += 1;
        } else {
            first.insert(arrival.id, arrival.bytes);
            steps.entry(arrival.dossier).or_default().push(arrival.step);
        }
    }
    for (dossier, steps) in steps {
        assert!(steps.is_sorted(), "{dossier}: {steps:?}");
    }
    again
}

/// Each of so many deliveries was told as delivered, once.
async fn each_once(world: &World, number: usize) {
    // What a killed one had published without marking it comes again under the same id.
    let distinct = |outcomes: &[Outcome]| {
        let told = outcomes.iter().filter(|outcome| delivered(&outcome.kind));
        let ids: BTreeSet<_> = told.map(|outcome| outcome.id.to_string()).collect();
        ids.len()
    };
    let outcomes = eventually(|| async {
        let outcomes = world.outcomes().await;
        (distinct(&outcomes) >= number).then_some(outcomes)
    })
    .await;
    let mut ids = BTreeSet::new();
    let mut once = BTreeSet::new();
    for Outcome { id, kind, .. } in outcomes {
        if let OutcomeKind::Delivered { delivery, .. } = kind
            && ids.insert(id.to_string())
        {
            assert!(once.insert(delivery.to_string()), "{delivery} twice");
        }
    }
    assert_eq!(once.len(), number);
}

/// Waits until all lanes are held, each process with its share. The right to read is one more.
pub(crate) async fn shared_out(processes: &[&Process]) {
    let least = LANES / processes.len() - usize::from(LANES.is_multiple_of(processes.len()));
    eventually(|| async {
        let mut all = 0;
        for process in processes {
            let holds = process.holds().await;
            all += holds;
            if holds < least {
                return None;
            }
        }
        (all == LANES).then_some(())
    })
    .await;
}

/// O5: a second and a third courier get their share, and nothing is sent twice for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_lanes_move_to_couriers_that_come_without_a_repeat() {
    let Some(world) = shared_world().await else {
        return;
    };
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let one = Process::start(&world, "one", lanes(address)).await;
    shared_out(&[&one]).await;
    world.append(load("first", 300)).await;
    let two = Process::start(&world, "two", lanes(address)).await;
    let three = Process::start(&world, "three", lanes(address)).await;
    world.append(load("then", 300)).await;
    shared_out(&[&one, &two, &three]).await;
    world.append(load("last", 300)).await;
    seen.at_least(2_700).await;
    each_once(&world, 2_700).await;
    assert_eq!(repeats(&seen), 0);
    let is_told = |lane: &v1::Lane| lane.hold.starts_with("held by t");
    eventually(|| async {
        let elsewhere = one.lanes().await.remove(&false)?;
        elsewhere.iter().all(is_told).then_some(())
    })
    .await;

    // The ones that go give their lanes back at once.
    two.end().await;
    one.end().await;
    world.append(load("after", 60)).await;
    seen.at_least(2_880).await;
    each_once(&world, 2_880).await;
    assert_eq!(repeats(&seen), 0);
    three.end().await;
}

/// O5: the lanes of one that was killed are worked on by others; at most what was in flight comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_a_killed_couriers_lanes_go_on_elsewhere() {
    let Some(world) = shared_world().await else {
        return;
    };
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let one = Process::start(&world, "one", lanes(address)).await;
    let two = Process::start(&world, "two", lanes(address)).await;
    let three = Process::start(&world, "three", lanes(address)).await;
    shared_out(&[&one, &two, &three]).await;
    world.append(load("first", 600)).await;
    seen.at_least(300).await;
    let held = one.holds().await;
    one.kill(); // it reads the topic too, for it was the first
    world.append(load("then", 300)).await;
    seen.at_least(2_700).await;
    each_once(&world, 2_700).await;
    assert!(repeats(&seen) <= CAP * held, "{} of {held}", repeats(&seen));
    shared_out(&[&two, &three]).await;
    two.end().await;
    three.end().await;
}

/// O6: one that stood still for longer than its lease finds its lanes gone. The answer that it finds when
/// it goes on is a fact and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn o6_a_courier_that_stood_still_changes_nothing_when_it_goes_on() {
    let Some(world) = shared_world().await else {
        return;
    };
    let (arrived, arrives) = mpsc::channel();
    let (go, goes) = agency::word();
    let arrived = Mutex::new(arrived);
    let (address, seen) = agency::start(None, &world.tasks, move |delivery, count| {
        if count == 1 && delivery.step == "held" {
            arrived.lock().unwrap().send(()).unwrap();
            goes.wait();
        }
        Reply::Taken
    })
    .await;
    let patient = |lane: Destination| Destination {
        timeout: 2 * PATIENCE,
        ..lane
    };
    let lanes: Vec<Destination> = lanes(address).into_iter().map(patient).collect();
    let one = Process::start(&world, "one", lanes.clone()).await;
    shared_out(&[&one]).await;
    world.append([delivery("d-1", "held", &id(0))]).await;
    eventually(|| async { arrives.try_recv().ok() }).await;
    let stopped = one.stop().await;
    go.send(()).unwrap();
    let two = Process::start(&world, "two", lanes).await;
    shared_out(&[&two]).await;
    let arrivals = seen.at_least(2).await;
    assert_eq!(
        (&arrivals[0].id, &arrivals[0].bytes),
        (&arrivals[1].id, &arrivals[1].bytes)
    );
    each_once(&world, 1).await;

    drop(stopped);
    let found = eventually(|| async {
        let found = two.delivery(&arrivals[0].id).await;
        (!found.late.is_empty()).then_some(found)
    })
    .await;
    assert_eq!((found.attempts.len(), found.late.len()), (1, 1));
    assert_eq!(found.late[0].class, "accepted");
    shared_out(&[&one, &two]).await;
    world.append(load("after", 60)).await;
    seen.at_least(182).await;
    each_once(&world, 181).await;
    assert_eq!(repeats(&seen), 1);
    one.end().await;
    two.end().await;
}

/// O6: the verdicts of one that cannot write for so long that its lanes move are kept as facts, and only the
/// next owner's count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_verdicts_that_come_after_the_lane_has_moved_are_shown_as_facts() {
    let Some(world) = shared_world().await else {
        return;
    };
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let (store, faults) = flaky(&world);
    let one = Process::start_on(store, &world, "one", lanes(address)).await;
    shared_out(&[&one]).await;
    faults.refuse.store(true, Ordering::SeqCst);
    let of = |lane| delivery(&format!("d-{lane}"), "a", &id(lane));
    let all: Vec<Delivery> = (0..LANES).map(of).collect();
    world.append(all.clone()).await;
    seen.at_least(LANES).await;
    let two = Process::start(&world, "two", lanes(address)).await;
    shared_out(&[&one, &two]).await;
    let moved = two.lanes().await.remove(&true).unwrap();
    let moved: BTreeSet<String> = moved.into_iter().map(|lane| lane.destination).collect();
    seen.at_least(LANES + moved.len()).await;
    faults.refuse.store(false, Ordering::SeqCst);

    each_once(&world, LANES).await;
    for delivery in all {
        let id = delivery.id.to_string();
        let late = usize::from(moved.contains(delivery.destination.as_str()));
        let found = eventually(|| async {
            let found = two.delivery(&id).await;
            (found.late.len() == late && found.state == "delivered").then_some(found)
        })
        .await;
        assert_eq!(found.attempts.len(), 1, "{found:?}");
        assert!(found.late.iter().all(|late| late.class == "accepted"));
    }
    assert!(!moved.is_empty());
    assert_eq!(repeats(&seen), moved.len());
    one.end().await;
    two.end().await;
}

/// O6: what was on its way to a destination for which a repeat is not harmless is in doubt for the next
/// owner, and is not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_what_a_killed_courier_had_claimed_is_in_doubt_for_the_next() {
    let Some(world) = shared_world().await else {
        return;
    };
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Silent).await;
    let mut careful = grpc("careful", address);
    careful.terms.idempotent = false;
    careful.timeout = Duration::from_secs(60);
    let one = Process::start(&world, "one", vec![careful.clone()]).await;
    world.append([delivery("d-1", "a", "careful")]).await;
    seen.at_least(1).await;
    one.kill();
    let two = Process::start(&world, "two", vec![careful]).await;
    eventually(|| async {
        let lanes = two.lanes().await.remove(&true)?;
        (lanes[0].unknown == 1).then_some(())
    })
    .await;
    world
        .outcomes_with(1, |kind| matches!(kind, OutcomeKind::Unknown { .. }))
        .await;
    assert_eq!(seen.all().len(), 1);
    two.end().await;
}

/// O5: what operators order reaches a lane wherever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_orders_reach_lanes_of_other_couriers() {
    let Some(world) = shared_world().await else {
        return;
    };
    let (address, seen) = agency::start(None, &world.tasks, |delivery, count| {
        if count == 1 && delivery.step == "dead" {
            Reply::NotTaken
        } else {
            Reply::Taken
        }
    })
    .await;
    let one = Process::start(&world, "one", lanes(address)).await;
    let two = Process::start(&world, "two", lanes(address)).await;
    shared_out(&[&one, &two]).await;
    let sent: Vec<_> = (0..LANES)
        .map(|lane| delivery(&format!("d-{lane}"), "dead", &id(lane)))
        .collect();
    let ids = sent.iter().map(|delivery| delivery.id.to_string());
    let deliveries = ids.collect();
    world.append(sent).await;
    world.outcomes_with(LANES, dead).await;
    let request = tonic::Request::new(v1::RedriveRequest {
        deliveries,
        by: OPERATOR.to_owned(),
        reason: "they take it now".to_owned(),
    });
    one.handle.api().redrive(request).await.unwrap();
    seen.at_least(2 * LANES).await;
    each_once(&world, LANES).await;

    for process in [&one, &two] {
        for lane in process.lanes().await.remove(&true).unwrap() {
            let order = v1::LaneOrder {
                destination: lane.destination,
                action: Some(v1::lane_order::Action::Pause(v1::PauseLane {})),
            };
            let request = tonic::Request::new(v1::OrderLaneRequest {
                order: Some(order),
                by: OPERATOR.to_owned(),
                reason: "they move house".to_owned(),
            });
            one.handle.api().order_lane(request).await.unwrap();
        }
    }
    for process in [&one, &two] {
        eventually(|| async {
            let lanes = process.lanes().await.remove(&true)?;
            let is_paused = |lane: &v1::Lane| lane.hold.contains("they move house");
            lanes.iter().all(is_paused).then_some(())
        })
        .await;
    }
    one.end().await;
    two.end().await;
}

/// O5, P3: what a killed courier had committed and not published is published by another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o5_what_a_killed_courier_left_in_the_outbox_is_published() {
    let Some(world) = shared_world().await else {
        return;
    };
    let one = Process::start(&world, "one", Vec::new()).await;
    let of = delivery("d-1", "a", "lane-0");
    let outcome = Outcome {
        id: RecordId::of("outcome", &["left"]),
        dossier: of.dossier.clone(),
        at: of.opened_at,
        kind: OutcomeKind::Discarded {
            delivery: of.id,
            step: of.step.clone(),
            destination: of.destination.clone(),
            reason: "a test".to_owned(),
        },
    };
    let (attributes, data) = proto::encode_outcome(outcome);
    let record = consumer::record(&of.dossier, attributes, data);
    let mut write = Write::new(Fence::shared("courier-verdicts"), 0);
    write.outbox = vec![Outgoing {
        topic: Topic::Outcomes.label().to_owned(),
        payload: log::encode_batch(&[record]),
    }];
    world.store.commit(write).await.unwrap();
    world
        .outcomes_with(1, |kind| matches!(kind, OutcomeKind::Discarded { .. }))
        .await;
    let left = || async { world.store.outbox("courier-verdicts", 1).await.unwrap() };
    eventually(|| async { left().await.is_empty().then_some(()) }).await;
    one.end().await;
}
