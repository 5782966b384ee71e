//! Replies read by the rules of their destination.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use domain::{Destination, OutcomeKind, Terms};
use proto::v1::{self, courier_server::Courier as _};
use replies::{RuleSets, Source};
use tonic::Code;

use crate::agency::{self, Reply};
use crate::harness::*;
use crate::http_inbox;

const CODES: &str = "
rules:
  - {name: not-yet, when: {grpc: FAILED_PRECONDITION}, then: out-of-order}
  - {name: locked, when: {grpc: ABORTED, text: {contains: scripted}}, then: needs-person}
";

/// The rules that destinations of these tests may name.
pub(crate) fn rule_sets() -> RuleSets {
    let one_stop = include_str!("../../../../deploy/destinations/replies/one-stop-soap.yaml");
    let source = |name, text| Source { name, text };
    RuleSets::from_sources(&[
        source("one-stop-soap.yaml", one_stop),
        source("codes.yaml", CODES),
    ])
    .unwrap()
}

fn ruled(destination: Destination, rules: &str) -> Destination {
    Destination {
        terms: Terms {
            replies: Some(rules.to_owned()),
            ..Terms::default()
        },
        ..destination
    }
}

fn soap(text: &str) -> String {
    format!(
        "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>\
         <R><Result>{text}</Result></R></soap:Body></soap:Envelope>"
    )
}

fn json(text: &str) -> String {
    format!("{{\"error_code\": \"{text}\"}}")
}

const UNKNOWN: &str = "Vui lòng liên hệ quản trị viên";
const SUCCESS: &str = "Đồng bộ hồ sơ thành công";

/// What the one-stop system answers to a dossier, always with status 200; the words of domain.md §9.3.
fn words(dossier: &str, count: usize) -> String {
    match (dossier, count) {
        ("taken-in", _) => soap("Hồ sơ đã được tiếp nhận"),
        ("exists", _) => json("Hồ sơ đã tồn tại trong một cửa điện tử"),
        ("not-found", _) => soap("Mã hồ sơ không tồn tại"),
        ("business", _) => json("Logic xử lý không hợp lệ"),
        ("early", 1) => soap("Hồ sơ chưa được gửi không thể cập nhật trạng thái"),
        ("ill", 1) => soap("Client received SOAP Fault from server"),
        ("ill", 2) => json("Server error"),
        ("strange", 1..=3) => soap(UNKNOWN),
        _ => json(SUCCESS),
    }
}

async fn reviews(courier: &Courier) -> Vec<v1::DeadLetter> {
    let request = tonic::Request::new(v1::ListReviewsRequest::default());
    let reviews = courier.api().list_reviews(request).await.unwrap();
    reviews.into_inner().deliveries
}

async fn classes(courier: &Courier, dossier: &str) -> Vec<String> {
    let id = delivery(dossier, "a", "one-stop").id.to_string();
    let found = courier.delivery(&id).await.unwrap();
    found
        .attempts
        .into_iter()
        .map(|attempt| attempt.class)
        .collect()
}

/// Every sentence ends as its class says, whatever the status; what nobody knows is looked at by a person and
/// is not lost.
#[tokio::test]
async fn sentences_decide_where_the_status_says_nothing() {
    let world = World::new().await;
    let counts = std::sync::Mutex::new(std::collections::HashMap::<String, usize>::new());
    let (address, _) = http_inbox::start(&world, move |_, headers| {
        let dossier = headers["ce-subject"].to_str().unwrap();
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(dossier.to_owned()).or_default();
        *count += 1;
        words(dossier, *count).into_response()
    })
    .await;
    let one_stop = destination("one-stop", &format!("http://{address}/"));
    let courier = world.courier(vec![ruled(one_stop, "one-stop-soap")]).await;
    let dossiers = [
        "taken",
        "taken-in",
        "exists",
        "not-found",
        "business",
        "early",
        "ill",
        "strange",
    ];
    world
        .append(dossiers.map(|dossier| delivery(dossier, "a", "one-stop")))
        .await;
    world.outcomes_with(5, delivered).await;
    let outcomes = world.outcomes_with(3, dead).await;
    assert_eq!(
        outcomes
            .iter()
            .filter(|one| delivered(&one.kind) || dead(&one.kind))
            .count(),
        dossiers.len()
    );

    let check = async |dossier, expected: &[&str]| {
        assert_eq!(classes(&courier, dossier).await, expected, "{dossier}");
    };
    check("taken", &["accepted"]).await;
    check("taken-in", &["accepted"]).await;
    check("exists", &["duplicate"]).await;
    check("not-found", &["needs-person"]).await;
    check("business", &["permanent"]).await;
    check("early", &["out-of-order", "accepted"]).await;
    check("ill", &["retryable", "retryable", "accepted"]).await;
    check("strange", &["unclear", "unclear", "unclear"]).await;

    let listed = reviews(&courier).await;
    let strange = delivery("strange", "a", "one-stop").id.to_string();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].delivery, strange);
    courier.redrive(&[strange], "hỏi rồi").await.unwrap();
    world.outcomes_with(6, delivered).await;
    assert!(reviews(&courier).await.is_empty());
    courier.stop().await;
}

/// Where a repeat harms, a reply that nobody knows is an unknown outcome: it is not sent again.
#[tokio::test]
async fn d14_a_reply_that_nobody_knows_is_not_sent_again_where_repeats_harm() {
    let world = World::new().await;
    let (address, seen) = http_inbox::start(&world, |_, _| {
        (StatusCode::OK, soap(UNKNOWN)).into_response()
    })
    .await;
    let one_stop = destination("one-stop", &format!("http://{address}/"));
    let mut one_stop = ruled(one_stop, "one-stop-soap");
    one_stop.terms.idempotent = false;
    let courier = world.courier(vec![one_stop]).await;
    world.append([delivery("strange", "a", "one-stop")]).await;

    let is_unknown = |kind: &OutcomeKind| matches!(kind, OutcomeKind::Unknown { .. });
    world.outcomes_with(1, is_unknown).await;
    assert_eq!(reviews(&courier).await.len(), 1);
    // One that comes later shows that the lane works.
    world.append([delivery("later", "a", "one-stop")]).await;
    world.outcomes_with(2, is_unknown).await;
    courier.stop().await;
    assert_eq!(seen.all().len(), 2);
}

/// A gRPC code means what the destination's rules say, and where no rule knows it nobody guesses.
#[tokio::test]
async fn codes_of_grpc_are_read_by_rules() {
    let world = World::new().await;
    let script = |delivery: &v1::Delivery, count| match (delivery.dossier.as_str(), count) {
        ("early", 1) => Reply::Fails(Code::FailedPrecondition),
        ("locked", _) => Reply::Fails(Code::Aborted),
        ("refused-once", 1) => Reply::NotTaken,
        ("strange", 1) => Reply::Fails(Code::NotFound),
        _ => Reply::Taken,
    };
    let (address, _) = agency::start(None, &world.tasks, script).await;
    let one_stop = destination("one-stop", &format!("grpc+unary://{address}"));
    let courier = world.courier(vec![ruled(one_stop, "codes")]).await;
    let dossiers = ["early", "locked", "refused-once", "strange"];
    world
        .append(dossiers.map(|dossier| delivery(dossier, "a", "one-stop")))
        .await;
    world.outcomes_with(1, dead).await;
    world.outcomes_with(3, delivered).await;

    let check = async |dossier, expected: &[&str]| {
        assert_eq!(classes(&courier, dossier).await, expected, "{dossier}");
    };
    check("early", &["out-of-order", "accepted"]).await;
    check("locked", &["needs-person"]).await;
    check("refused-once", &["out-of-order", "accepted"]).await;
    check("strange", &["unclear", "accepted"]).await;
    courier.stop().await;
}

/// A destination whose rules are not there is a mistake of the settings.
#[tokio::test]
async fn rules_that_are_not_there_are_told_at_the_start() {
    let world = World::new().await;
    let named = ruled(destination("one-stop", "http://127.0.0.1:1/"), "one-stop");
    let error = world.try_courier(vec![named]).await.err().unwrap();
    let text = runtime::ErrorChain(&error).to_string();
    assert!(
        text.ends_with("are not there; there are `codes`, `one-stop-soap`"),
        "{text}"
    );
}
