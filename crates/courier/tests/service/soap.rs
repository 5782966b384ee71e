use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use bytes::Bytes;
use domain::Envelope;
use tokio::net::TcpListener;

use crate::harness::*;

type Arrivals = Arc<Mutex<Vec<(Option<String>, Option<String>, Bytes)>>>;

/// An old system gets a message that it knows, and when it comes again it is the same to the byte.
#[tokio::test]
async fn a_delivery_is_a_soap_message_the_same_each_time() {
    let world = World::new().await;
    let arrivals = Arrivals::default();
    let saw = arrivals.clone();
    let router = Router::new().fallback(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let header = |name: &str| Some(head.headers.get(name)?.to_str().unwrap().to_owned());
        let mut saw = saw.lock().unwrap();
        saw.push((header("content-type"), header("soapaction"), body));
        if saw.len() == 1 {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut old = destination(
        "old",
        &format!("http://{}/", listener.local_addr().unwrap()),
    );
    world.tasks.spawn("soap agency", |stop| async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    });
    old.terms.envelope = Envelope::Soap {
        action: "urn:hoso/nhan".to_owned(),
        template: "<e:Body><due>{{due_at}}</due><d>{{dossier}}</d><x>{{data}}</x></e:Body>"
            .to_owned(),
    };
    let courier = world.courier(vec![old]).await;
    world.append([delivery("d-1", "a", "old")]).await;
    world.outcomes_with(1, delivered).await;

    courier.stop().await;
    let arrivals = arrivals.lock().unwrap();
    assert_eq!(arrivals.len(), 2);
    assert_eq!(arrivals[0], arrivals[1]);
    let (content_type, action, body) = &arrivals[0];
    assert_eq!(content_type.as_deref(), Some("text/xml; charset=utf-8"));
    assert_eq!(action.as_deref(), Some("\"urn:hoso/nhan\""));
    let expected = "<e:Body><due>20260925170000</due><d>d-1</d>\
                    <x>{&quot;form&quot;:&quot;birth&quot;}</x></e:Body>";
    assert_eq!(body, expected);
}
