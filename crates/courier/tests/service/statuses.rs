//! Every status of an HTTP answer, from end to end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{Destination, OutcomeKind};
use tokio::net::TcpListener;

use crate::harness::*;

/// What reliability.md §2 says of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Delivered,
    /// A second attempt, then it is delivered.
    Again,
    Dead,
    /// The lane holds until the agency is mended.
    Holds,
}

use Reading::*;

const READINGS: [(&str, Reading); 21] = [
    ("200", Delivered),
    ("202", Delivered),
    ("204", Delivered),
    ("409-mine", Delivered),
    ("408", Again),
    ("425", Again),
    ("429", Again),
    ("500", Again),
    ("502", Again),
    ("503", Again),
    ("504", Again),
    ("302", Again),
    ("418", Again),
    ("400", Dead),
    ("409", Dead),
    ("413", Dead),
    ("422", Dead),
    ("401", Holds),
    ("403", Holds),
    ("404", Holds),
    ("410", Holds),
];
/// Of each status, each of another dossier.
const DELIVERIES: usize = 10;

/// Answers each path's name as the status, and what holds or is tried again with 200 at last.
#[derive(Clone, Default)]
struct Agency {
    is_mended: Arc<AtomicBool>,
    /// How often each delivery came.
    arrivals: Arc<Mutex<HashMap<String, usize>>>,
}

// === impl Agency ===

impl Agency {
    async fn start(&self, world: &World) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = self.clone();
        let router = Router::new()
            .fallback(move |request: Request| std::future::ready(this.answer(&request)));
        world.tasks.spawn("agency", |stop| async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await
        });
        address
    }

    fn answer(&self, request: &Request) -> Response {
        let id = request.headers()["ce-id"].to_str().unwrap().to_owned();
        let path = request.uri().path().trim_start_matches('/');
        let reading = READINGS.iter().find(|(name, _)| *name == path).unwrap().1;
        let times = {
            let mut arrivals = self.arrivals.lock().unwrap();
            let times = arrivals.entry(id.clone()).or_default();
            *times += 1;
            *times
        };
        let is_over = match reading {
            Delivered | Dead => false,
            Again => times > 1,
            Holds => self.is_mended.load(Ordering::SeqCst),
        };
        if is_over {
            return StatusCode::OK.into_response();
        }
        let code: u16 = path[..3].parse().unwrap();
        let text = if path == "409-mine" {
            id
        } else {
            String::new()
        };
        (StatusCode::from_u16(code).unwrap(), text).into_response()
    }
}

/// D2: each status has the end that §2 names, each with ten deliveries; what holds goes on by itself once
/// the agency is mended; nothing is lost.
#[tokio::test]
async fn d2_every_status_is_read_as_the_contract_says_and_nothing_is_lost() {
    let world = World::new().await;
    let agency = Agency::default();
    let address = agency.start(&world).await;
    let destinations = READINGS.map(|(status, _)| Destination {
        ..destination(
            &format!("s-{status}"),
            &format!("http://{address}/{status}"),
        )
    });
    let courier = world.courier(destinations.into()).await;
    let of = |status: &str, n| delivery(&format!("d-{status}-{n}"), "a", &format!("s-{status}"));
    let all: Vec<_> = READINGS
        .iter()
        .flat_map(|(status, _)| (0..DELIVERIES).map(|n| of(status, n)))
        .collect();
    world.append(all.clone()).await;

    let number = |is_it: fn(Reading) -> bool| {
        let statuses = READINGS.iter().filter(|(_, reading)| is_it(*reading));
        statuses.count() * DELIVERIES
    };
    world
        .outcomes_with(number(|reading| reading == Dead), dead)
        .await;
    let at_first = number(|reading| matches!(reading, Delivered | Again));
    world.outcomes_with(at_first, delivered).await;
    for (status, _) in READINGS.iter().filter(|(_, reading)| *reading == Holds) {
        let words = format!("HTTP {status}");
        let lane = eventually(|| async {
            let lane = courier.lane(&format!("s-{status}")).await;
            lane.resting.contains(&words).then_some(lane)
        })
        .await;
        assert_eq!(lane.dead, 0, "{status}");
    }
    assert_eq!(
        ended(&world).await.len(),
        all.len() - number(|reading| reading == Holds)
    );

    agency.is_mended.store(true, Ordering::SeqCst);
    let in_the_end = number(|reading| reading != Dead);
    world.outcomes_with(in_the_end, delivered).await;
    let ended = ended(&world).await;
    let expected: BTreeMap<_, _> = READINGS
        .iter()
        .flat_map(|(status, reading)| (0..DELIVERIES).map(|n| (of(status, n).id, *reading != Dead)))
        .collect();
    assert_eq!(ended, expected);
    let arrivals = agency.arrivals.lock().unwrap();
    for (status, reading) in READINGS {
        let times = (0..DELIVERIES).map(|n| arrivals[&of(status, n).id.to_string()]);
        let times: BTreeSet<_> = times.collect();
        match reading {
            Delivered | Dead => assert_eq!(times, BTreeSet::from([1]), "{status}"),
            Again => assert_eq!(times, BTreeSet::from([2]), "{status}"),
            Holds => assert!(times.iter().sum::<usize>() > 1, "{status}"),
        }
    }
    drop(arrivals);
    courier.stop().await;
}

/// Each delivery that has ended, and whether it was delivered.
async fn ended(world: &World) -> BTreeMap<domain::DeliveryId, bool> {
    let outcomes = world.outcomes().await.into_iter();
    let ends = outcomes.filter_map(|outcome| match outcome.kind {
        OutcomeKind::Delivered { delivery, .. } => Some((delivery, true)),
        OutcomeKind::DeadLettered { delivery, .. } => Some((delivery, false)),
        _ => None,
    });
    ends.collect()
}
