//! Pulling with nothing but an HTTP client.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::harness::*;
use crate::pull_agency::{post, serve};

const BATCH: &str = "application/cloudevents-batch+json";

#[tokio::test]
async fn a_delivery_is_pulled_as_a_cloud_event_and_confirmed() {
    let world = World::new().await;
    let courier = world.courier(vec![destination("justice", "pull:")]).await;
    let address = serve(&courier).await;
    let (status, kind, none) = post(address, "justice/take", "").await;
    assert_eq!(
        (status, kind.as_str(), none),
        (StatusCode::OK, BATCH, json!([]))
    );

    let sent = delivery("d-1", "residence", "justice");
    let (pulled, ()) = tokio::join!(
        post(address, "justice/take?max=5&wait=30&lease=20", ""),
        world.append([sent.clone()]),
    );
    let (status, kind, events) = pulled;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, BATCH));
    let event = &events[0];
    let check = |name: &str, expected: &str| assert_eq!(event[name], expected, "{name}");
    check("specversion", "1.0");
    check("type", "vn.lienthong.delivery.v1");
    check("id", &sent.id.to_string());
    check("subject", "d-1");
    check("task", "Đăng ký thường trú");
    check("datacontenttype", "application/json");
    assert_eq!(event["data"], json!({"form": "birth"}));
    let token = event["leasetoken"].as_str().unwrap();

    let (_, _, extended) = post(
        address,
        "justice/extend",
        json!({"tokens": token, "by": 60}),
    )
    .await;
    let until = extended[0]["until"].as_str().unwrap();
    assert!(until > event["leaseuntil"].as_str().unwrap(), "{until}");
    let released = json!({"tokens": [token]});
    let (_, _, released) = post(address, "justice/release", released).await;
    assert_eq!(released, json!([{"token": token, "standing": "held"}]));
    let (_, _, again) = post(address, "justice/take", "").await;
    let again = again[0]["leasetoken"].as_str().unwrap();
    let both = json!([
        {"token": token, "verdict": "taken"},
        {"token": again, "verdict": "taken"},
    ]);
    let (status, _, answers) = post(address, "justice/confirm", both).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!([
        {"token": token, "standing": "released"},
        {"token": again, "standing": "held"},
    ]);
    assert_eq!(answers, expected);
    world.outcomes_with(1, delivered).await;
    courier.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_a_problem_with_its_reason() {
    let world = World::new().await;
    let courier = world.courier(vec![destination("justice", "pull:")]).await;
    let address = serve(&courier).await;
    let check = async |path: &str, body: String, status: u16, part: &str| {
        let (got, kind, problem) = post(address, path, body).await;
        assert_eq!(got.as_u16(), status, "{path}: {problem}");
        assert_eq!(kind, "application/problem+json");
        assert_eq!(problem["status"], status);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{path}: {detail}");
    };
    let text = |json: Value| json.to_string();
    check("moon/take", String::new(), 404, "`moon`").await;
    check("justice/take?max=many", String::new(), 400, "max").await;
    check("justice/take?wait=-1", String::new(), 400, "`wait`").await;
    check("justice/take?wait=61", String::new(), 400, "`wait`").await;
    check("justice/take?hurry=1", String::new(), 400, "hurry").await;
    check("justice/confirm", "{".to_owned(), 400, "").await;
    let odd = text(json!({"token": "t", "verdict": "perhaps"}));
    check("justice/confirm", odd, 400, "").await;
    let nothing = text(json!({"tokens": "t", "by": 0}));
    check("justice/extend", nothing, 400, "`by`").await;
    let many = text(json!({"tokens": vec!["t"; 1001]}));
    check("justice/release", many, 400, "1001").await;
    check("justice/release", " ".repeat(600 << 10), 413, "").await;
    courier.stop().await;
}
