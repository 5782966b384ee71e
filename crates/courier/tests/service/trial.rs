//! `TestDestination`: whether a destination can be reached, without any effect.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use domain::{Canary, Destination, Terms};
use proto::v1::{self, courier_server::Courier as _};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use crate::agency::{self, Reply};
use crate::harness::*;

async fn tested(courier: &Courier, id: &str) -> Result<v1::TestDestinationResponse, Status> {
    let request = tonic::Request::new(v1::TestDestinationRequest {
        destination: id.to_owned(),
    });
    Ok(courier.api().test_destination(request).await?.into_inner())
}

fn with(destination: Destination, terms: Terms) -> Destination {
    Destination {
        terms,
        ..destination
    }
}

fn canary(path: &str) -> Terms {
    Terms {
        canary: Some(Canary::Get(path.to_owned())),
        ..Terms::default()
    }
}

/// A canary tells whether the destination works, and no delivery is needed for it.
#[tokio::test]
async fn a_trial_asks_the_canary_where_there_is_one() {
    let world = World::new().await;
    let router = axum::Router::new()
        .route("/well", axum::routing::get(|| async { "well" }))
        .route(
            "/ill",
            axum::routing::get(|| async { StatusCode::BAD_GATEWAY.into_response() }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/inbox", listener.local_addr().unwrap());
    world.tasks.spawn("agency", |stop| async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    });
    let (grpc_agency, seen) = agency::start(None, &world.tasks, |_, _| Reply::Taken).await;
    let health = Terms {
        canary: Some(Canary::Health),
        ..Terms::default()
    };
    let courier = world
        .courier(vec![
            with(destination("well", &endpoint), canary("/well")),
            with(destination("ill", &endpoint), canary("/ill")),
            with(grpc("no-health", grpc_agency), health),
        ])
        .await;

    let well = tested(&courier, "well").await.unwrap();
    assert!(well.works, "{well:?}");
    assert_eq!((&*well.asked, &*well.detail), ("GET /well", "HTTP 200"));
    let ill = tested(&courier, "ill").await.unwrap();
    assert!(!ill.works, "{ill:?}");
    assert_eq!((&*ill.class, &*ill.detail), ("retryable", "HTTP 502"));
    let without = tested(&courier, "no-health").await.unwrap();
    assert_eq!((&*without.class, without.works), ("blocked", false));
    assert!(seen.all().is_empty());
    assert_eq!(courier.lane("ill").await.hold_word, "");
    courier.stop().await;
}

/// Without a canary a connection is opened, by the same guard as deliveries, and nothing is sent.
#[tokio::test]
async fn a_trial_without_a_canary_opens_a_connection_through_the_guard() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let elsewhere = Terms {
        allow: vec!["10.0.0.0/8".to_owned()],
        ..Terms::default()
    };
    let gone = {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap()
    };
    let courier = world
        .courier(vec![
            grpc("open", address),
            with(grpc("guarded", address), elsewhere),
            grpc("gone", gone),
            destination("secret", &format!("https://{address}/")),
            destination("puller", "pull:"),
        ])
        .await;

    let open = tested(&courier, "open").await.unwrap();
    assert!(open.works, "{open:?}");
    assert_eq!(open.asked, "a connection");
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut sent = Vec::new();
    soon(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut sent))
        .await
        .unwrap();
    assert!(sent.is_empty(), "{sent:?}");

    let check = async |id: &str, class: &str, words: &str| {
        let seen = tested(&courier, id).await.unwrap();
        assert_eq!((&*seen.class, seen.works), (class, false), "{seen:?}");
        assert!(seen.detail.contains(words), "{seen:?}");
    };
    check("guarded", "blocked", "127.0.0.1").await;
    check("gone", "unreachable", "127.0.0.1").await;
    check("secret", "blocked", "roots").await;
    let code = async |id: &str| tested(&courier, id).await.unwrap_err().code();
    assert_eq!(code("puller").await, Code::FailedPrecondition);
    assert_eq!(code("nobody").await, Code::NotFound);
    courier.stop().await;
}
