//! One delivery that hangs while very many follow.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::Destination;
use store::Kind;

use crate::agency::{self, Reply};
use crate::flaky::flaky;
use crate::harness::*;

const FOLLOW: usize = 50_000;
const DOSSIERS: usize = 1_000;

/// B7: the log is consumed on, over a crash too, and only the hanging one's dossier waits: the 50,000 that
/// follow arrive, at the same destination. That what waits in memory stays within its budget is the
/// business of `payload.rs` and of the bench's parked deliveries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b7_50_000_pass_one_that_hangs_over_a_crash() {
    let world = World::new().await;
    let hangs = Arc::new(AtomicBool::new(true));
    let came = Arc::new(AtomicUsize::new(0));
    let script = {
        let (hangs, came) = (hangs.clone(), came.clone());
        move |delivery: &proto::v1::Delivery, _| {
            came.fetch_add(1, Ordering::SeqCst);
            if delivery.dossier == "hanging" && hangs.load(Ordering::SeqCst) {
                Reply::Silent
            } else {
                Reply::Taken
            }
        }
    };
    let (address, seen) = agency::start(None, &world.tasks, script).await;
    let patient = || Destination {
        timeout: Duration::from_secs(600),
        max_in_flight: 64,
        ..grpc("justice", address)
    };
    let (store, faults) = flaky(&world);
    let killed = world.courier_on(store, vec![patient()]).await;
    let hanging = ["a", "b"].map(|step| delivery("hanging", step, "justice"));
    world.append(hanging).await;
    follow(&world).await;
    eventually(|| async { (came.load(Ordering::SeqCst) > FOLLOW / 50).then_some(()) }).await;
    faults.dead.store(true, Ordering::SeqCst);
    drop(killed);

    let courier = world.courier(vec![patient()]).await;
    let begun = std::time::Instant::now();
    while delivered(&world).await < FOLLOW {
        assert!(
            begun.elapsed() < 6 * PATIENCE,
            "{} delivered",
            delivered(&world).await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let only_it_is_left = || async {
        let lane = courier.lane("justice").await;
        let counts = (lane.in_flight, lane.queued + lane.waiting, lane.dead);
        (counts == (1, 1, 0)).then_some(())
    };
    eventually(only_it_is_left).await;
    courier.stop().await;

    hangs.store(false, Ordering::SeqCst);
    let courier = world.courier(vec![patient()]).await;
    let all = || async { (delivered(&world).await == FOLLOW + 2).then_some(()) };
    eventually(all).await;
    courier.stop().await;
    let arrivals = seen.all();
    let ids: HashSet<_> = arrivals.iter().map(|arrival| arrival.id.as_str()).collect();
    assert_eq!(ids.len(), FOLLOW + 2);
    let steps = arrivals
        .iter()
        .filter(|arrival| arrival.dossier == "hanging");
    let mut steps: Vec<_> = steps.map(|arrival| arrival.step.as_str()).collect();
    steps.dedup();
    assert_eq!(steps, ["a", "b"], "its dossier waited");
}

async fn delivered(world: &World) -> usize {
    let sql = "select count(*) from courier_deliveries where state = 1";
    let rows = world.store.query(sql, [], &[Kind::Int]).await.unwrap();
    usize::try_from(rows[0].int(0).unwrap()).unwrap()
}

async fn follow(world: &World) {
    for batch in 0..FOLLOW / DOSSIERS {
        let step = format!("s-{batch}");
        let records = (0..DOSSIERS).map(|n| delivery(&format!("d-{n}"), &step, "justice"));
        world.append(records).await;
    }
}
