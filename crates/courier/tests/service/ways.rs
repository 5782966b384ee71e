//! One suite for every way to deliver.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::OutcomeKind;
use log::Log;
use proto::v1;
use tokio::net::TcpListener;

use crate::agency::{Reply, Scripted, Seen, serve as serve_grpc};
use crate::harness::*;
use crate::pull_agency::*;
use crate::topic::WithTopics;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Stream,
    Unary,
    Http,
    PullCalls,
    PullStream,
    PullHttp,
    Topic,
}

/// A courier with one destination, and the agency behind it.
struct Stage {
    world: World,
    courier: Courier,
    seen: Seen,
}

const ALL: [Way; 7] = [
    Way::Stream,
    Way::Unary,
    Way::Http,
    Way::PullCalls,
    Way::PullStream,
    Way::PullHttp,
    Way::Topic,
];
const ID: &str = "justice";

// === impl Stage ===

impl Stage {
    async fn set(
        way: Way,
        change: impl Fn(&mut domain::Destination),
        script: impl Fn(&v1::Delivery, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let mut world = World::new().await;
        let agency = Scripted::new(script);
        let seen = agency.seen();
        let endpoint = match way {
            Way::Stream | Way::Unary => {
                let address = serve_grpc(None, &world.tasks, agency.clone()).await;
                let unary = if way == Way::Unary { "+unary" } else { "" };
                format!("grpc{unary}://{address}")
            }
            Way::Http => serve_http(&world, agency.clone()).await,
            Way::PullCalls | Way::PullStream | Way::PullHttp => "pull:".to_owned(),
            Way::Topic => {
                let (log, agency) = (world.log.clone(), agency.clone());
                world.log = Log::wrap(WithTopics { log, agency });
                "kafka:justice.in".to_owned()
            }
        };
        let mut justice = destination(ID, &endpoint);
        change(&mut justice);
        let courier = world.courier(vec![justice]).await;
        let pulls = match way {
            Way::PullCalls => Some(pull_by_calls as fn(_, _, _, &_)),
            Way::PullStream => Some(pull_by_stream as fn(_, _, _, &_)),
            Way::PullHttp => Some(pull_by_http as fn(_, _, _, &_)),
            Way::Stream | Way::Unary | Way::Http | Way::Topic => None,
        };
        if let Some(pull) = pulls {
            pull(serve(&courier).await, ID, agency, &courier.tasks);
        }
        Self {
            world,
            courier,
            seen,
        }
    }

    /// The classes of the attempts of the only delivery, once it has ended as expected.
    async fn ended(&self, is_it: fn(&OutcomeKind) -> bool) -> Vec<String> {
        self.world.outcomes_with(1, is_it).await;
        let id = delivery("d-1", "residence", ID).id.to_string();
        let shown = self.courier.delivery(&id).await.unwrap();
        let attempts = shown.attempts.into_iter().enumerate();
        attempts
            .map(|(index, attempt)| {
                assert_eq!(attempt.number as usize, index + 1);
                attempt.class
            })
            .collect()
    }
}

/// An HTTP agency of the same mind.
async fn serve_http(world: &World, agency: Scripted) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move |headers: HeaderMap, data: Bytes| async move {
        answer(&agency, &headers, data).await
    });
    world.tasks.spawn("http agency", |stop| async move {
        let serve = axum::serve(listener, router);
        serve.with_graceful_shutdown(stop.cancelled_owned()).await
    });
    format!("http://{address}/")
}

async fn answer(agency: &Scripted, headers: &HeaderMap, data: Bytes) -> Response {
    let text = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let delivery = v1::Delivery {
        id: text("ce-id"),
        dossier: text("ce-subject"),
        step: text("ce-step"),
        data,
        ..v1::Delivery::default()
    };
    match agency.react(delivery, Some(text("idempotency-key"))) {
        Reply::Taken => StatusCode::ACCEPTED.into_response(),
        Reply::AlreadyTaken => (StatusCode::CONFLICT, text("ce-id")).into_response(),
        Reply::Busy | Reply::Fails(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Reply::NotTaken => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        Reply::Silent | Reply::TakenSilently => std::future::pending().await,
    }
}

/// Plays one delivery over every way; gives its attempts.
async fn each_way(
    ways: &[Way],
    timeout_millis: u64,
    script: fn(&v1::Delivery, usize) -> Reply,
    ends: fn(&OutcomeKind) -> bool,
    expected: &[&str],
) {
    for way in ways {
        let timeout = std::time::Duration::from_millis(timeout_millis);
        let stage = Stage::set(*way, |justice| justice.timeout = timeout, script).await;
        let sent = delivery("d-1", "residence", ID);
        stage.world.append([sent.clone()]).await;

        assert_eq!(stage.ended(ends).await, expected, "{way:?}");

        let arrivals = stage.seen.all();
        assert_eq!(arrivals.len(), expected.len(), "{way:?}");
        for arrival in &arrivals {
            assert_eq!(arrival.id, sent.id.to_string(), "{way:?}");
            assert_eq!(arrival.bytes, arrivals[0].bytes, "{way:?}");
        }
        stage.courier.stop().await;
    }
}

#[tokio::test]
async fn taken() {
    each_way(&ALL, 10_000, |_, _| Reply::Taken, delivered, &["accepted"]).await;
}

#[tokio::test]
async fn already_taken() {
    let with_agency = &ALL[..6];
    each_way(
        with_agency,
        10_000,
        |_, _| Reply::AlreadyTaken,
        delivered,
        &["duplicate"],
    )
    .await;
}

#[tokio::test]
async fn busy_then_taken() {
    let script = |_: &_, times: usize| [Reply::Busy, Reply::Taken][times - 1].clone();
    each_way(&ALL, 10_000, script, delivered, &["retryable", "accepted"]).await;
}

#[tokio::test]
async fn not_taken_is_a_dead_letter() {
    each_way(&ALL, 10_000, |_, _| Reply::NotTaken, dead, &["permanent"]).await;
}

/// D15, I2: what nobody answers for comes again with the same id and bytes.
#[tokio::test]
async fn d15_silence_is_a_time_out_and_then_it_comes_again() {
    let script = |_: &_, times: usize| [Reply::Silent, Reply::Taken][times - 1].clone();
    each_way(&ALL, 700, script, delivered, &["timeout", "accepted"]).await;
}

/// I4: a dossier's later delivery waits for its earlier one, whose first attempt failed; others pass.
#[tokio::test]
async fn order_within_a_dossier() {
    for way in ALL {
        let script = |delivery: &v1::Delivery, times| match (delivery.step.as_str(), times) {
            ("first", 1) => Reply::Busy,
            _ => Reply::Taken,
        };
        let stage = Stage::set(way, |_| {}, script).await;
        let steps = ["first", "second", "third"];
        let all = steps
            .iter()
            .flat_map(|step| (0..5).map(|n| delivery(&format!("d-{n}"), step, ID)));
        stage.world.append(all.collect::<Vec<_>>()).await;
        stage.world.outcomes_with(15, delivered).await;
        let arrivals = stage.seen.all();
        for n in 0..5 {
            let dossier = format!("d-{n}");
            let own = arrivals.iter().filter(|arrival| arrival.dossier == dossier);
            let came: Vec<_> = own.map(|arrival| arrival.step.as_str()).collect();
            assert_eq!(came, ["first", "first", "second", "third"], "{way:?}");
        }
        stage.courier.stop().await;
    }
}
