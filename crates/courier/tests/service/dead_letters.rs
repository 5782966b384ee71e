use std::slice::from_ref;

use domain::OutcomeKind;
use proto::v1::ListDeadLettersRequest;
use tonic::Code;

use crate::agency::{self, Reply};
use crate::harness::*;

#[tokio::test]
async fn a_refused_delivery_is_a_dead_letter_until_a_person_sends_it_again() {
    let world = World::new().await;
    let refuses_once = |delivery: &proto::v1::Delivery, times| {
        if times == 1 && delivery.step == "a" {
            Reply::NotTaken
        } else {
            Reply::Taken
        }
    };
    let (address, seen) = agency::start(None, &world.tasks, refuses_once).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let refused = delivery("d-1", "a", "justice");
    world
        .append([refused.clone(), delivery("d-1", "b", "justice")])
        .await;

    // The next one of the dossier passes.
    seen.at_least(2).await;
    world.outcomes_with(1, dead).await;
    world.outcomes_with(1, delivered).await;
    let page = courier
        .dead_letters(ListDeadLettersRequest::default())
        .await
        .unwrap();
    assert_eq!(
        (page.dead_letters.len(), page.next_page_token.as_str()),
        (1, "")
    );
    let letter = &page.dead_letters[0];
    assert_eq!(letter.delivery, refused.id.to_string());
    assert_eq!((letter.step.as_str(), letter.attempts), ("a", 1));
    assert_eq!(letter.reason, "not taken: E1 scripted refusal");
    assert_eq!(courier.lane("justice").await.dead, 1);

    let ids = [
        refused.id.to_string(),
        delivery("d-1", "b", "justice").id.to_string(),
    ];
    let answer = courier.redrive(&ids, "form corrected").await.unwrap();
    assert_eq!(
        (answer.redriven, answer.not_dead.as_slice()),
        (1, &ids[1..])
    );

    let arrivals = seen.at_least(3).await;
    assert_eq!(
        (arrivals[0].id.as_str(), &arrivals[0].bytes),
        (arrivals[2].id.as_str(), &arrivals[2].bytes)
    );
    let outcomes = world.outcomes_with(2, delivered).await;
    let redriven = outcomes.iter().find_map(|outcome| match &outcome.kind {
        OutcomeKind::Redriven { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    assert_eq!(redriven, Some("Người Trực Thử: form corrected"));
    let shown = courier.delivery(&ids[0]).await.unwrap();
    assert_eq!(
        (shown.state.as_str(), shown.attempts.len()),
        ("delivered", 2)
    );
    assert_eq!(courier.lane("justice").await.dead, 0);
    courier.stop().await;
}

#[tokio::test]
async fn used_up_attempts_make_a_dead_letter_that_survives_a_restart() {
    let world = World::new().await;
    let (address, seen) = agency::start(None, &world.tasks, |_, _| Reply::Busy).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    world.append([delivery("d-1", "a", "justice")]).await;
    world.outcomes_with(1, dead).await;
    assert_eq!(seen.all().len(), 3);
    courier.stop().await;

    let courier = world.courier(vec![grpc("justice", address)]).await;
    eventually(|| async { (courier.lane("justice").await.dead == 1).then_some(()) }).await;
    let ids = [delivery("d-1", "a", "justice").id.to_string()];
    courier.redrive(&ids, "again").await.unwrap();
    // Its attempts are counted anew, and numbered on.
    seen.at_least(6).await;
    world.outcomes_with(2, dead).await;
    let shown = courier.delivery(&ids[0]).await.unwrap();
    let numbers: Vec<_> = shown
        .attempts
        .iter()
        .map(|attempt| attempt.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    courier.stop().await;
}

#[tokio::test]
async fn dead_letters_come_in_pages_and_by_destination() {
    let world = World::new().await;
    let (address, _) = agency::start(None, &world.tasks, |_, _| Reply::NotTaken).await;
    let both = vec![grpc("justice", address), grpc("police", address)];
    let courier = world.courier(both).await;
    let deliveries = (0..7).map(|n| delivery(&format!("d-{n}"), "a", "justice"));
    world
        .append(deliveries.chain([delivery("d-9", "a", "police")]))
        .await;
    world.outcomes_with(8, dead).await;

    let mut request = ListDeadLettersRequest {
        destination: "justice".to_owned(),
        page_size: 3,
        page_token: String::new(),
    };
    let mut dossiers = Vec::new();
    loop {
        let page = courier.dead_letters(request.clone()).await.unwrap();
        dossiers.extend(page.dead_letters.into_iter().map(|letter| letter.dossier));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(dossiers, ["d-0", "d-1", "d-2", "d-3", "d-4", "d-5", "d-6"]);
    courier.stop().await;
}

#[tokio::test]
async fn a_wrong_order_is_refused_with_its_field() {
    let world = World::new().await;
    let courier = world.courier(vec![]).await;
    let id = delivery("d-1", "a", "justice").id.to_string();
    let refused = |answer: Result<_, tonic::Status>, field: &str| {
        let status = answer.expect_err("it is wrong");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    };
    refused(courier.redrive(from_ref(&id), " ").await, "reason: ");
    refused(courier.redrive(from_ref(&id), "a\nb").await, "reason: ");
    refused(courier.redrive(&[], "why").await, "deliveries: ");
    refused(
        courier.redrive(&["x".to_owned()], "why").await,
        "deliveries: ",
    );
    refused(
        courier.redrive(&vec![id.clone(); 1_001], "why").await,
        "deliveries: ",
    );
    let not_dead = courier.redrive(from_ref(&id), "why").await.unwrap();
    assert_eq!(
        (not_dead.redriven, not_dead.not_dead),
        (0, vec![id.clone()])
    );
    assert_eq!(
        courier.delivery(&id).await.unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(
        courier.delivery("x").await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let page = ListDeadLettersRequest {
        page_token: "x".to_owned(),
        ..ListDeadLettersRequest::default()
    };
    assert_eq!(
        courier.dead_letters(page).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    courier.stop().await;
}
