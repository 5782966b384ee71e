//! The courier alone is killed, again and again, while it hands over to agencies of which one is harmed by
//! a repeat.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::OutcomeKind;
use lienthong::pipeline::{Pipeline, Role};
use log::{Limit, Read, Topic};
use simulator::Reaction;

use super::{Home, Numbers, Victim, house, run};
use crate::harness::{Backend, House, alone, say};

const HARMED: &str = "social-insurance";
/// Dossiers a second: there is always something in flight, and the machine keeps up.
const RATE: u32 = 30;
/// The shortest that there is: what each kill costs is mostly the wait for its end.
const LEASE: Duration = Duration::from_secs(1);

/// What reached the agency after it had taken it.
fn sent_again(house: &House) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut again = Vec::new();
    for arrival in house.world.arrivals(HARMED) {
        if taken.contains(&arrival.delivery) {
            again.push(arrival.delivery.to_string());
        }
        if arrival.reaction == Reaction::Taken {
            taken.insert(arrival.delivery);
        }
    }
    again
}

/// Deliveries that came in doubt, and those of them that the agency was found to have or not.
async fn doubts(pipeline: &Pipeline) -> (usize, usize, usize) {
    let mut reader = pipeline
        .log()
        .reader_from_start(Topic::Outcomes)
        .await
        .unwrap();
    let limit = Limit {
        records: 10_000,
        bytes: 1 << 30,
    };
    let (mut unknown, mut arrived) = (BTreeSet::new(), BTreeSet::new());
    let mut not_arrived = BTreeSet::new();
    loop {
        let reads = reader.next(limit, Duration::from_millis(50)).await.unwrap();
        if reads.is_empty() {
            return (unknown.len(), arrived.len(), not_arrived.len());
        }
        for read in reads {
            let Read::Ok(stored) = read else {
                panic!("{read:?}");
            };
            let outcome = proto::decode_outcome(&stored.record.value).unwrap();
            // What was published without being marked comes again under the same id.
            let id = outcome.id.to_string();
            match outcome.kind {
                OutcomeKind::Unknown { .. } => unknown.insert(id),
                OutcomeKind::Settled { arrived: true, .. } => arrived.insert(id),
                OutcomeKind::Settled { arrived: false, .. } => not_arrived.insert(id),
                _ => false,
            };
        }
    }
}

/// C3: nothing is lost, altered or done twice; where a repeat harms, what was taken never comes again, and
/// each unknown outcome is settled by asking.
async fn dies(house: &House, home: Home, pipeline: &Pipeline, numbers: &Numbers) {
    let others = vec![Role::Gateway, Role::Router, Role::Tracker];
    let victims = vec![
        (Victim::new(home.clone(), others), 0),
        (Victim::new(home, vec![Role::Courier]), numbers.kills),
    ];
    run(house, victims, numbers).await;

    let again = sent_again(house);
    let (unknown, arrived, not_arrived) = doubts(pipeline).await;
    say(format_args!(
        "  where a repeat harms: {} arrivals, {} of what it had; {unknown} unknown outcomes, of which it had \
         {arrived} and not {not_arrived}",
        house.world.arrivals(HARMED).len(),
        again.len(),
    ));
    assert!(again.is_empty(), "seed {}: {again:?}", numbers.seed);
    assert_eq!(unknown, arrived + not_arrived, "seed {}", numbers.seed);
}

/// C3: the courier's runtime ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_embedded_courier() {
    let _alone = alone().await;
    let mut house = house(Backend::Embedded).await;
    house.site.harmed = Some(HARMED);
    let pipeline = house.open().await;
    let home = Home::Runtime(Box::new(pipeline.clone()));
    let numbers = Numbers {
        rate: RATE,
        ..Numbers::read(0)
    };
    dies(&house, home, &pipeline, &numbers).await;
}

/// C3: `kill -9`, four times as often as any other role. The next process waits for the end of the leases
/// of the one before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_real_courier() {
    let Some(backend) = Backend::real("kill::courier::c3_real_courier") else {
        return;
    };
    let _alone = alone().await;
    let mut house = house(backend).await;
    house.site.harmed = Some(HARMED);
    house.site.lease = LEASE;
    let pipeline = house.open().await;
    let numbers = Numbers::read(0);
    let numbers = Numbers {
        kills: numbers.courier_kills,
        rate: RATE / 2, // it is away most of the time
        ..numbers
    };
    dies(&house, Home::Process, &pipeline, &numbers).await;
}
