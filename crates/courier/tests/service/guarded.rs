//! Where the courier does not go: elsewhere than told, and where nobody allowed it.

use axum::Router;
use axum::http::StatusCode;
use domain::Destination;
use futures_util::FutureExt;
use tokio::net::TcpListener;

use crate::harness::*;

/// D6
#[tokio::test]
async fn d6_a_redirect_is_never_followed_and_is_recorded() {
    let world = World::new().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let internal = elsewhere.local_addr().unwrap();
    let by_name = format!("http://localhost:{}/", internal.port());
    let router = Router::new().fallback(move |uri: axum::http::Uri| async move {
        let (status, location) = match uri.path() {
            "/found" => (StatusCode::FOUND, format!("http://{internal}/")),
            "/moved" => (StatusCode::MOVED_PERMANENTLY, by_name),
            "/temporary" => (StatusCode::TEMPORARY_REDIRECT, format!("//{internal}/x")),
            _ => (
                StatusCode::PERMANENT_REDIRECT,
                format!("http://{internal}/y"),
            ),
        };
        (status, [("location", location)])
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    world.tasks.spawn("redirecting agency", |stop| async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    });
    let ways = [
        ("found", 302),
        ("moved", 301),
        ("temporary", 307),
        ("permanent", 308),
    ];
    let destinations = ways.map(|(id, _)| destination(id, &format!("http://{address}/{id}")));
    let courier = world.courier(destinations.to_vec()).await;
    let sent = ways.map(|(id, _)| delivery("d-1", id, id));
    world.append(sent.clone()).await;

    world.outcomes_with(ways.len(), dead).await;
    for (sent, (id, status)) in sent.iter().zip(ways) {
        let shown = courier.delivery(&sent.id.to_string()).await.unwrap();
        assert_eq!(shown.attempts.len(), 3, "{id}");
        let expected = format!("HTTP {status}: redirects are not followed");
        for attempt in shown.attempts {
            assert_eq!(attempt.detail, expected, "{id}");
        }
    }
    assert!(
        elsewhere.accept().now_or_never().is_none(),
        "somebody went there"
    );
    courier.stop().await;
}

/// D7: what the destination's allowlist does not name is not called, and its lane holds everything.
#[tokio::test]
async fn d7_an_address_that_is_not_allowed_holds_its_lane_on_every_way() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = |id: &str, endpoint: String, allow: &[&str]| {
        let mut destination = destination(id, &endpoint);
        destination.terms.allow = allow.iter().map(|&entry| entry.to_owned()).collect();
        destination
    };
    let other = &["127.0.0.1:1", "10.0.0.0/8"][..];
    let wide = &["0.0.0.0/0", "*.example"][..];
    let destinations: Vec<Destination> = vec![
        held("stream", format!("grpc://127.0.0.1:{port}"), other),
        held("unary", format!("grpc+unary://127.0.0.1:{port}"), other),
        held("http", format!("http://127.0.0.1:{port}/"), other),
        held("wide", format!("http://127.0.0.1:{port}/"), wide),
        held("mapped", format!("http://[::ffff:127.0.0.1]:{port}/"), wide),
        held("odd", format!("http://0x7f.1:{port}/"), &[]),
        held("local-name", format!("http://localhost:{port}/"), wide),
        held("no-roots", format!("https://127.0.0.1:{port}/"), &[]),
    ];
    let ids: Vec<_> = destinations.iter().map(|d| d.id.to_string()).collect();
    let courier = world.courier(destinations).await;
    world
        .append(ids.iter().map(|id| delivery("d-1", id, id)))
        .await;
    for id in &ids {
        let lane = eventually(|| async {
            let lane = courier.lane(id).await;
            lane.resting.contains("blocked").then_some(lane)
        })
        .await;
        assert_eq!(lane.dead, 0, "{id}");
        assert_eq!(lane.queued + lane.waiting + lane.in_flight, 1, "{id}");
    }
    assert!(
        listener.accept().now_or_never().is_none(),
        "somebody called"
    );
    courier.stop().await;
}
