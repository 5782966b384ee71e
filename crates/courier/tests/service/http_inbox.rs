use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use crate::agency::{Arrival, Seen};
use crate::harness::*;

type Script = dyn Fn(usize, &HeaderMap) -> Response + Send + Sync;

/// An agency with an HTTP inbox; `script` gets the number of the request, counted from one.
pub(crate) async fn start(
    world: &World,
    script: impl Fn(usize, &HeaderMap) -> Response + Send + Sync + 'static,
) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, script): (_, Arc<Script>) = (Seen::new(), Arc::new(script));
    let number = Arc::new(AtomicUsize::new(0));
    let saw = seen.clone();
    let router = Router::new().fallback(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
        let header = |name| {
            head.headers
                .get(name)
                .map(|v| v.to_str().unwrap().to_owned())
        };
        let number = number.fetch_add(1, Ordering::SeqCst) + 1;
        let response = script(number, &head.headers);
        saw.add(Arrival {
            id: header("ce-id").unwrap(),
            dossier: header("ce-subject").unwrap(),
            step: header("ce-step").unwrap(),
            bytes,
            key: header("idempotency-key"),
        });
        response
    });
    world.tasks.spawn("http agency", |stop| async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    });
    (address, seen)
}

#[tokio::test]
async fn a_delivery_is_posted_as_a_cloud_event() {
    let world = World::new().await;
    let (address, seen) = start(&world, |number, _| match number {
        1 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response(),
        _ => StatusCode::ACCEPTED.into_response(),
    })
    .await;
    let endpoint = format!("http://{address}/inbox");
    let courier = world
        .courier(vec![destination("insurance", &endpoint)])
        .await;

    let sent = delivery("d-1", "health-card", "insurance");
    world.append([sent.clone()]).await;

    let arrivals = seen.at_least(2).await;
    assert_eq!(arrivals[1].key, Some(sent.id.to_string()));
    assert_eq!(arrivals[1].step, "health-card");
    assert_eq!(arrivals[1].bytes, sent.data);
    world.outcomes_with(1, delivered).await;
    courier.stop().await;
}

/// D2, D6: each answer has its reading, and nobody is sent elsewhere.
#[tokio::test]
async fn answers_are_read_by_their_status() {
    let world = World::new().await;
    let (address, seen) = start(&world, |_, headers| {
        let id = headers["ce-id"].to_str().unwrap().to_owned();
        match headers["ce-subject"].to_str().unwrap() {
            "d-422" => StatusCode::UNPROCESSABLE_ENTITY.into_response(),
            "d-409" => StatusCode::CONFLICT.into_response(),
            "d-409-mine" => (StatusCode::CONFLICT, format!("have {id}")).into_response(),
            "d-302" => (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response(),
            _ => StatusCode::OK.into_response(),
        }
    })
    .await;
    let endpoint = format!("http://{address}/");
    let courier = world
        .courier(vec![destination("insurance", &endpoint)])
        .await;
    let all = ["d-422", "d-409", "d-409-mine", "d-302", "d-200"];
    world
        .append(all.map(|dossier| delivery(dossier, "a", "insurance")))
        .await;

    world.outcomes_with(3, dead).await;
    let outcomes = world.outcomes_with(2, delivered).await;
    let mut ended: Vec<_> = outcomes
        .iter()
        .filter(|outcome| delivered(&outcome.kind) || dead(&outcome.kind))
        .map(|outcome| (outcome.dossier.as_str(), delivered(&outcome.kind)))
        .collect();
    ended.sort_unstable();
    let expected = [
        ("d-200", true),
        ("d-302", false),
        ("d-409", false),
        ("d-409-mine", true),
        ("d-422", false),
    ];
    assert_eq!(ended, expected);
    let redirected = seen
        .all()
        .iter()
        .filter(|arrival| arrival.dossier == "d-302")
        .count();
    assert_eq!(
        redirected, 3,
        "tried again at the same place until the attempts were used up"
    );
    courier.stop().await;
}

/// 404 and the like are configuration: the lane rests, no dossier pays for it.
#[tokio::test]
async fn a_wrong_address_holds_the_lane() {
    let world = World::new().await;
    let (address, _) = start(&world, |_, _| StatusCode::NOT_FOUND.into_response()).await;
    let endpoint = format!("http://{address}/wrong");
    let courier = world
        .courier(vec![destination("insurance", &endpoint)])
        .await;
    world
        .append((0..10).map(|n| delivery(&format!("d-{n}"), "a", "insurance")))
        .await;
    let lane = eventually(|| async {
        let lane = courier.lane("insurance").await;
        lane.resting.contains("HTTP 404").then_some(lane)
    })
    .await;
    assert_eq!(lane.dead, 0);
    courier.stop().await;
}

/// D5: an endless answer is cut, and its status counts.
#[tokio::test]
async fn an_endless_answer_is_cut() {
    let world = World::new().await;
    let (address, _) = start(&world, |_, _| "x".repeat(64 << 20).into_response()).await;
    let endpoint = format!("http://{address}/");
    let courier = world
        .courier(vec![destination("insurance", &endpoint)])
        .await;
    world.append([delivery("d-1", "a", "insurance")]).await;
    world.outcomes_with(1, delivered).await;
    courier.stop().await;
}
