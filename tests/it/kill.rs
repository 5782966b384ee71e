//! Kill runs: parts of the pipeline die at random instants under load, and I1 to I7 hold all the same.
//!
//! On the embedded back ends a role dies with the runtime that it runs in (its tasks are dropped
//! wherever they wait), the whole as a process; on Kafka and PostgreSQL every role is a process. Numbers
//! are those of a quick run unless `LIENTHONG_KILLS` names the kills per role; fifty is the full run.

mod absence;
mod courier;
mod couriers;
mod load;
mod plan;
mod restart;
mod victim;

use lienthong::pipeline::Role;
use simulator::{Script, Spread};
use std::time::{Duration, Instant};

use crate::harness::{Backend, House, PATIENCE, alone, listed, say, variable};

pub(crate) use load::Load;
pub(crate) use plan::Numbers;
pub(crate) use victim::{Home, Victim};

/// Agencies of every kind of trouble that heals.
pub(crate) fn troubled(role: &str) -> Script {
    Script {
        latency: Spread::Uniform(Duration::ZERO, Duration::from_millis(5)),
        work: Spread::Uniform(Duration::from_millis(1), Duration::from_millis(20)),
        error_rate: 0.01,
        lost_answer_rate: 0.005,
        busy_rate: 0.01,
        refusal_rate: if role == "police" { 0.03 } else { 0.0 },
        ..Script::default()
    }
}

/// A house for kill runs; nothing runs in it yet.
pub(crate) async fn house(backend: Backend) -> House {
    let mut house = House::with(backend, troubled).await;
    house.site.attempts = 100;
    house
}

/// Kills each victim so many times, one after the other, while all are at work; starts again what was
/// killed. Nobody else may end, and I1 to I7 hold.
async fn run(house: &House, victims: Vec<(Victim, u32)>, numbers: &Numbers) {
    let begun = Instant::now();
    let mut chance = numbers.chance();
    let (mut victims, kills): (Vec<Victim>, Vec<u32>) = victims.into_iter().unzip();
    for victim in &mut victims {
        victim.start(&house.site);
        victim.ready().await;
    }
    let load = Load::start(house, numbers.rate);
    for (place, kills) in kills.iter().enumerate() {
        for _ in 0..*kills {
            victims[place].kill_at_random(house, &mut chance).await;
            for victim in &mut victims {
                victim.check(&house.site).await;
            }
        }
        victims[place].ready().await;
    }
    load.until(house, numbers.events).await;
    let killed = begun.elapsed();

    let violations = house.violations(PATIENCE).await;
    for victim in &mut victims {
        victim.check(&house.site).await;
        victim.end().await;
        for line in victim.said.iter().take(5) {
            say(format_args!("  {line}"));
        }
    }

    let record = house.world.history.record();
    say(format_args!(
        "kill run, seed {}: {:?} kill(s), {} events, {} arrivals, {:.0} s + {:.0} s to rest",
        numbers.seed,
        kills,
        record.sent.len(),
        record.arrivals.len(),
        killed.as_secs_f64(),
        (begun.elapsed() - killed).as_secs_f64(),
    ));
    assert!(
        violations.is_empty(),
        "seed {}: {}",
        numbers.seed,
        listed(&violations)
    );
    let died: Vec<_> = victims.iter().flat_map(|victim| &victim.died).collect();
    assert!(
        died.is_empty(),
        "seed {}: ended unkilled: {died:#?}",
        numbers.seed
    );
}

/// C1 to C4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_each_role() {
    let _alone = alone().await;
    let house = house(Backend::Embedded).await;
    let pipeline = Box::new(house.open().await);
    let numbers = Numbers::read(4);
    let victim = |role| Victim::new(Home::Runtime(pipeline.clone()), vec![role]);
    let victims = Role::ALL.map(|role| (victim(role), numbers.kills));
    run(&house, victims.into(), &numbers).await;
}

/// C5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_whole() {
    let _alone = alone().await;
    let house = house(Backend::Embedded).await;
    let victim = Victim::new(Home::Process, Role::ALL.to_vec());
    let numbers = Numbers::read(1);
    run(&house, vec![(victim, numbers.whole_kills)], &numbers).await;
}

/// C1, C2, C4; the courier, which is at work here too, is killed in [`courier`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_each_role() {
    let Some(backend) = Backend::real("kill::real_each_role") else {
        return;
    };
    let _alone = alone().await;
    let mut house = house(backend).await;
    // One run alone may have the name: what another left under it would be read again.
    if let Some(name) = variable("LIENTHONG_TEST_PREFIX") {
        house.site = house.site.named(name);
    }
    let numbers = Numbers::read(4);
    let victims = Role::ALL.map(|role| {
        let victim = Victim::new(Home::Process, vec![role]);
        (
            victim,
            if role == Role::Courier {
                0
            } else {
                numbers.kills
            },
        )
    });
    run(&house, victims.into(), &numbers).await;
}

/// C5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_whole() {
    let Some(backend) = Backend::real("kill::real_whole") else {
        return;
    };
    let _alone = alone().await;
    let house = house(backend).await;
    let victim = Victim::new(Home::Process, Role::ALL.to_vec());
    let numbers = Numbers::read(1);
    run(&house, vec![(victim, numbers.whole_kills)], &numbers).await;
}
