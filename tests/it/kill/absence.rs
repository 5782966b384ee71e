//! A database that is away for long: what is accepted meanwhile waits in the log and costs no memory.

use std::time::Duration;

use lienthong::pipeline::Role;
use store::{Config, Offsets, Store};
use tokio::time::{Instant, interval};

use super::{Home, Numbers, Victim};
use crate::harness::{Backend, Door, House, PATIENCE, alone, listed, say};

const BIRTH: &str = "3.000722";
/// The groups whose places stand in the store.
const GROUPS: [&str; 3] = ["router", "courier", "tracker"];
const FULL: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_secs(10);
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
    let _alone = alone().await;
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
    let (begun, mut ticks, mut most) = (Instant::now(), interval(EVERY), resident);
    let mut accepted = 0;
    while begun.elapsed() < away {
        ticks.tick().await;
        house.accept(&format!("during-{accepted}"), BIRTH).await;
        accepted += 1;
        most = most.max(others.resident());
    }
    assert_eq!(places(&store).await, at);
    door.set_open(true);

    let violations = house.violations(PATIENCE).await;
    say(format_args!(
        "away for {} s, {accepted} dossiers accepted meanwhile, {} MiB resident before and at most {} MiB in it",
        away.as_secs(),
        resident / MIB,
        most / MIB,
    ));
    for victim in [&mut gateway, &mut others] {
        victim.check(&house.site).await;
        assert!(victim.died.is_empty(), "{:?}", victim.died);
        victim.end().await;
    }
    assert!(violations.is_empty(), "{}", listed(&violations));
    assert!(most - resident < 64 * MIB, "{resident} then {most} bytes");
}

async fn places(store: &Store) -> Vec<Offsets> {
    let mut all = Vec::new();
    for group in GROUPS {
        all.push(store.offsets(group).await.unwrap());
    }
    all
}
