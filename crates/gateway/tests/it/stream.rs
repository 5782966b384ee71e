//! Many events a call, one answer each.

use std::time::Duration;

use gateway::Limits;
use proto::v1::PublishStreamRequest;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Status};

use crate::server::{FAULTS, Server, event, said, streamed};

/// Sends all, then reads all: what the events were answered, and how the stream ended.
async fn publish(
    server: &Server,
    events: Vec<PublishStreamRequest>,
) -> (Vec<String>, Result<(), Status>) {
    let mut client = server.client().await;
    let answers = client.publish_stream(tokio_stream::iter(events)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut all = Vec::new();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => all.push(said(&answer)),
            Ok(None) => return (all, Ok(())),
            Err(status) => return (all, Err(status)),
        }
    }
}

#[tokio::test]
async fn every_event_is_answered_in_order_and_lies_in_that_order() {
    let server = Server::start().await;
    let ids: Vec<String> = (0..2_000).map(|number| format!("e-{number}")).collect();
    let events = ids.iter().map(|id| streamed(event(id))).collect();
    let (answers, end) = publish(&server, events).await;
    end.unwrap();
    let expected: Vec<String> = ids.iter().map(|id| format!("{id} accepted")).collect();
    assert_eq!(answers, expected);
    assert_eq!(server.ids().await, ids);
}

#[tokio::test]
async fn a_bad_event_is_refused_by_field_and_its_neighbours_are_accepted() {
    let server = Server::start().await;
    let mut events = Vec::new();
    let mut expected = Vec::new();
    for (number, (fault, field)) in FAULTS.iter().enumerate() {
        let good = format!("good-{number}");
        events.push(streamed(event(&good)));
        expected.push(format!("{good} accepted"));
        let mut bad = event(&format!("bad-{number}"));
        fault(&mut bad);
        expected.push(format!("{} refused {field}", bad.id));
        events.push(streamed(bad));
    }
    events.push(PublishStreamRequest { event: None });
    expected.push(" refused event".to_owned());
    let (answers, end) = publish(&server, events).await;
    end.unwrap();
    assert_eq!(answers, expected);
    assert_eq!(server.ids().await.len(), FAULTS.len());
}

#[tokio::test]
async fn an_oversized_event_ends_its_stream_and_hurts_no_other() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (other, requests) = mpsc::channel(4);
    let beside = client.publish_stream(ReceiverStream::new(requests)).await;
    let mut beside = beside.unwrap().into_inner();

    let mut large = event("e-large");
    large.data = vec![0; Limits::default().event_bytes].into();
    let events = [
        streamed(event("e-1")),
        streamed(large),
        streamed(event("e-2")),
    ];
    let answers = client.publish_stream(tokio_stream::iter(events)).await;
    let mut answers = answers.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!(said(&first), "e-1 accepted");
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);

    other.send(streamed(event("e-3"))).await.unwrap();
    let answer = beside.message().await.unwrap().unwrap();
    assert_eq!(said(&answer), "e-3 accepted");
    let again = client
        .publish_stream(tokio_stream::once(streamed(event("e-2"))))
        .await;
    let again = again
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(said(&again), "e-2 accepted");
    assert_eq!(server.ids().await, ["e-1", "e-3", "e-2"]);
}

#[tokio::test]
async fn over_the_quota_a_stream_is_slowed_and_what_came_before_is_answered_first() {
    let limits = Limits {
        rate: 20,
        burst: 2,
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let events: Vec<_> = (0..5).map(|n| streamed(event(&format!("e-{n}")))).collect();
    let mut client = server.client().await;
    let answers = client.publish_stream(tokio_stream::iter(events)).await;
    let mut answers = answers.unwrap().into_inner();
    let begun = tokio::time::Instant::now();
    let mut times = Vec::new();
    while let Some(answer) = answers.next().await {
        assert!(said(&answer.unwrap()).ends_with("accepted"));
        times.push(begun.elapsed());
    }
    // Three events beyond the burst need at least their share of the rate; no upper bound is asked.
    assert_eq!(times.len(), 5);
    assert!(times[4] >= Duration::from_millis(100), "{times:?}");
    assert!(times[1] < times[4], "{times:?}");
}
