//! A database that is away for long: what is accepted meanwhile waits in the log and costs no memory.

use std::time::Duration;

use lienthong::pipeline::Role;
use simulator::Arrival;
use store::{Config, Offsets, Store};
use tokio::time::{Instant, interval};

use super::{Home, Numbers, Victim};
use crate::harness::{Backend, Door, House, PATIENCE, alone, eventually, listed, say};

const BIRTH: &str = "3.000722";
/// The groups whose places stand in the store.
const GROUPS: [&str; 3] = ["router", "courier", "tracker"];
const FULL: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_secs(10);
/// How soon the roles work again, as the row has it.
pub(super) const RECOVERY: Duration = Duration::from_secs(10);
/// What a machine may add that is busy with other tests.
pub(super) const BUSY: Duration = Duration::from_secs(5);
const DURING: &str = "during-";
const EVERY: Duration = Duration::from_millis(100);
const BEFORE: usize = 200;
const MIB: u64 = 1 << 20;

/// S9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s9_a_long_absence_of_the_database_holds_everything_where_it_is() {
    let test = "kill::absence::s9_a_long_absence_of_the_database_holds_everything_where_it_is";
    let Some(Backend::Real { brokers, postgres }) = Backend::real(test) else {
        return;
    };
    let mut house = House::new(Backend::Embedded).await;
    let direct = Config::postgres(&postgres, house.site.settings().store.postgres.schema);
    let door = Door::before(&postgres, &house.world);
    house.site.move_to(Backend::Real {
        brokers,
        postgres: door.through(&postgres),
    });
    let mut gateway = Victim::new(Home::Process, vec![Role::Gateway]);
    let mut others = Victim::new(
        Home::Process,
        vec![Role::Router, Role::Courier, Role::Tracker],
    );
    for victim in [&mut gateway, &mut others] {
        victim.start(&house.site);
        victim.ready().await;
    }
    for number in 0..BEFORE {
        house.accept(&format!("before-{number}"), BIRTH).await;
    }
    assert!(house.violations(PATIENCE).await.is_empty());
    let store = Store::open(direct).await.unwrap();
    let (at, resident) = (places(&store).await, others.resident());

    door.set_open(false);
    let away = if Numbers::read(1).is_full() {
        FULL
    } else {
        SHORT
    };
    let (accepted, most) = accept_for(away, &house, &others).await;
    // Waiting costs the machine little; catching up takes both cores.
    let _alone = alone().await;
    let most = most.max(others.resident());
    assert_eq!(places(&store).await, at);
    let opened = Instant::now();
    door.set_open(true);
    works_again(&house).await;
    let recovery = opened.elapsed();

    let violations = house.violations(PATIENCE).await;
    say(format_args!(
        "away for {} s, {accepted} dossiers accepted meanwhile, {} MiB resident before and at most {} MiB in it; \
         at work again {} ms after its end",
        away.as_secs(),
        resident / MIB,
        most / MIB,
        recovery.as_millis(),
    ));
    for victim in [&mut gateway, &mut others] {
        victim.check(&house.site).await;
        assert!(victim.died.is_empty(), "{:?}", victim.died);
        victim.end().await;
    }
    assert!(violations.is_empty(), "{}", listed(&violations));
    assert!(
        most.saturating_sub(resident) < 64 * MIB,
        "{resident} then {most} bytes"
    );
    assert!(recovery <= RECOVERY + BUSY, "{recovery:?}");
}

/// Dossiers are accepted for so long: how many, and the most bytes of memory that the process has then.
async fn accept_for(away: Duration, house: &House, process: &Victim) -> (usize, u64) {
    let (begun, mut ticks) = (Instant::now(), interval(EVERY));
    let (mut accepted, mut most) = (0, process.resident());
    while begun.elapsed() < away {
        ticks.tick().await;
        house.accept(&format!("{DURING}{accepted}"), BIRTH).await;
        accepted += 1;
        most = most.max(process.resident());
    }
    (accepted, most)
}

/// Waits until router, courier and tracker say that they can work, and have: the first dossier that was
/// accepted in the absence is known, and something of one of these dossiers has reached an agency.
async fn works_again(house: &House) {
    eventually("the roles are ready", async || {
        house.is_ready().await.then_some(())
    })
    .await;
    eventually("something accepted in the absence arrives", async || {
        let arrivals = house.world.history.record().arrivals;
        let is_new = |arrival: &Arrival| arrival.dossier.to_string().starts_with(DURING);
        arrivals.iter().any(is_new).then_some(())
    })
    .await;
    let first = format!("{DURING}0");
    eventually("the first accepted in the absence is known", async || {
        house.find(&first).await.map(drop)
    })
    .await;
}

async fn places(store: &Store) -> Vec<Offsets> {
    let mut all = Vec::new();
    for group in GROUPS {
        all.push(store.offsets(group).await.unwrap());
    }
    all
}
