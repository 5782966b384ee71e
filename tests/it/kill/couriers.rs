//! Several couriers on one Kafka and one PostgreSQL: killed, stopped for longer than their leases, and
//! joined by more of them, while agencies take what comes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lienthong::pipeline::Role;
use rand::{RngExt, rngs::StdRng};
use simulator::{Script, Spread};

use super::{Home, Load, Numbers, Victim};
use crate::harness::{
    Backend, Child, House, LEASE, Launch, PATIENCE, alone, free_port, listed, say,
};

/// Couriers beside one another, by where they answer operators.
struct Couriers {
    alive: Vec<(SocketAddr, Child)>,
    said: Vec<String>,
}

/// The destinations of a house, and what each may have in flight.
const IN_FLIGHT: usize = 4 * 32;
const AT_FIRST: usize = 3;
const AT_MOST: usize = 4;

/// Slow enough that there is always something in flight; without faults, so that whatever comes again
/// comes from a move.
fn patient(_: &str) -> Script {
    Script {
        latency: Spread::Uniform(Duration::from_millis(1), Duration::from_millis(40)),
        work: Spread::Uniform(Duration::from_millis(1), Duration::from_millis(20)),
        ..Script::default()
    }
}

// === impl Couriers ===

impl Couriers {
    async fn start(&mut self, house: &House, listen: SocketAddr) {
        let config = house.site.write_for_courier(listen);
        let launch = Launch::Roles(vec![Role::Courier]);
        let mut child = Child::start_with(&config, house.site.began, &launch);
        child.ready().await;
        self.alive.push((listen, child));
    }

    /// Kills one and starts another in its place, stops one for longer than its lease, or starts one
    /// more; answers what was done.
    /// The one that the house asks is killed and stopped like the others, but never taken away.
    async fn disturb(&mut self, house: &House, chance: &mut StdRng) -> &'static str {
        let place = chance.random_range(0..self.alive.len());
        match chance.random_range(0..3) {
            0 => {
                let (listen, child) = self.alive.swap_remove(place);
                self.said
                    .extend(child.kill().await.lines().map(str::to_owned));
                self.start(house, listen).await;
                "killed"
            }
            1 => {
                let child = &self.alive[place].1;
                child.signal("STOP").await;
                let pause = LEASE.mul_f64(chance.random_range(1.2..2.0));
                tokio::time::sleep(pause).await;
                child.signal("CONT").await;
                "stopped"
            }
            _ if self.alive.len() < AT_MOST => {
                self.start(house, free_port()).await;
                "joined"
            }
            _ => {
                let asked = self
                    .alive
                    .iter()
                    .position(|(listen, _)| *listen == house.site.courier);
                let place = place + usize::from(asked == Some(place));
                let (_, mut child) = self.alive.swap_remove(place % self.alive.len());
                child.signal("KILL").await;
                self.said
                    .extend(child.ended().await.1.lines().map(str::to_owned));
                "taken away"
            }
        }
    }

    async fn check(&mut self) {
        for (listen, child) in &mut self.alive {
            let ended = child.has_ended().await;
            assert!(ended.is_none(), "the courier at {listen} ended: {ended:?}");
        }
    }
}

/// How many arrivals were repeats; a repeat has the bytes of the first.
fn repeats(house: &House) -> usize {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for arrival in house.world.history.record().arrivals {
        *counts.entry(arrival.delivery.to_string()).or_default() += 1;
    }
    counts.values().map(|count| count - 1).sum()
}

/// Kills, freezes or adds couriers; the most deliveries that came again for one of these.
async fn disturb_all(
    house: &House,
    couriers: &mut Couriers,
    others: &mut Victim,
    numbers: &Numbers,
) -> usize {
    let mut chance = numbers.chance();
    let mut most = 0;
    for number in 0..numbers.whole_kills {
        let before = repeats(house);
        let what = couriers.disturb(house, &mut chance).await;
        tokio::time::sleep(LEASE * 2).await;
        couriers.check().await;
        others.check(&house.site).await;
        let again = repeats(house) - before;
        most = most.max(again);
        say(format_args!(
            "  {number}: one {what}, {} at work: {again} deliveries repeated",
            couriers.alive.len()
        ));
    }
    most
}

/// O5, O6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_several_couriers() {
    let Some(backend) = Backend::real("kill::couriers::real_several_couriers") else {
        return;
    };
    let _alone = alone().await;
    let mut house = House::with(backend, patient).await;
    house.site.attempts = 100;
    let numbers = Numbers::read(1);
    let roles = vec![Role::Gateway, Role::Router, Role::Tracker];
    let mut others = Victim::new(Home::Process, roles);
    others.start(&house.site);
    others.ready().await;
    let mut couriers = Couriers {
        alive: Vec::new(),
        said: Vec::new(),
    };
    couriers.start(&house, house.site.courier).await;
    while couriers.alive.len() < AT_FIRST {
        couriers.start(&house, free_port()).await;
    }
    let begun = Instant::now();
    let load = Load::start(&house, numbers.rate);
    let most = disturb_all(&house, &mut couriers, &mut others, &numbers).await;
    load.until(&house, numbers.events).await;
    let violations = house.violations(PATIENCE).await;
    couriers.check().await;
    let record = house.world.history.record();
    say(format_args!(
        "couriers, seed {}: {} disturbance(s), {} events, {} arrivals, at most {most} repeated at once \
         of {IN_FLIGHT} that may be in flight, {:.0} s",
        numbers.seed,
        numbers.whole_kills,
        record.sent.len(),
        record.arrivals.len(),
        begun.elapsed().as_secs_f64(),
    ));
    for line in couriers.said.iter().take(5) {
        say(format_args!("  {line}"));
    }
    others.end().await;
    assert!(
        violations.is_empty(),
        "seed {}: {}",
        numbers.seed,
        listed(&violations)
    );
    assert!(most <= IN_FLIGHT, "seed {}: {most}", numbers.seed);
    assert!(others.died.is_empty(), "{:#?}", others.died);
}
