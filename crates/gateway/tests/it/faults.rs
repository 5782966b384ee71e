//! A log that is silent, refuses, or is broken.

use std::time::Duration;

use gateway::Limits;
use log::AppendError;
use tonic::Code;

use crate::server::{Mood, Server, event, said, streamed, unary};

fn impatient() -> Limits {
    Limits {
        answer_within: Duration::from_millis(200),
        ..Limits::default()
    }
}

/// B4 and P4: the caller is told *unknown*, and the same id is taken afterwards.
#[tokio::test]
async fn no_answer_is_unknown_and_the_same_event_is_accepted_later() {
    let server = Server::with(impatient()).await;
    let mut client = server.client().await;
    server.mood.send_replace(Mood::Silent);
    let status = client.publish(unary(event("e-1"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("same id"), "{status:?}");
    assert_eq!(server.health.not_ready().len(), 1);

    let two = [streamed(event("e-1")), streamed(event("e-2"))];
    let answers = client.publish_stream(tokio_stream::iter(two)).await;
    let mut answers = answers.unwrap().into_inner();
    for id in ["e-1", "e-2"] {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(said(&answer), format!("{id} unknown"));
    }

    server.mood.send_replace(Mood::Takes);
    client.publish(unary(event("e-1"))).await.unwrap();
    assert_eq!(server.health.not_ready(), []);
    assert!(server.ids().await.contains(&"e-1".to_owned()));
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_resumes_by_itself() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let reason = "disk full".to_owned();
    let error = AppendError::NotWritten { reason };
    server.mood.send_replace(Mood::Fails(error));
    let status = client.publish(unary(event("e-1"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("disk full"), "{status:?}");
    assert!(
        !status.message().contains("unknown"),
        "it certainly is not written"
    );
    assert!(server.health.not_ready()[0].1.contains("disk full"));

    server.mood.send_replace(Mood::Takes);
    client.publish(unary(event("e-1"))).await.unwrap();
    assert_eq!(server.health.not_ready(), []);
    assert_eq!(server.ids().await, ["e-1"]);
}

/// Memory is bounded: what finds no room within the time of an answer is told so.
#[tokio::test]
async fn more_than_may_wait_for_the_log_is_turned_away() {
    let limits = Limits {
        bytes_in_flight: 1,
        ..impatient()
    };
    let server = Server::with(limits).await;
    server.mood.send_replace(Mood::Silent);
    let (mut one, mut two) = (server.client().await, server.client().await);
    let (first, second) = tokio::join!(one.publish(unary(event("e-1"))), async {
        server.asked(1).await;
        two.publish(unary(event("e-2"))).await
    });
    for status in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    server.mood.send_replace(Mood::Takes);
    one.publish(unary(event("e-3"))).await.unwrap();
    assert!(server.ids().await.contains(&"e-3".to_owned()));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let server = Server::with(limits).await;
    let mut first = server.client().await;
    first.publish(unary(event("e-1"))).await.unwrap();
    let mut second = server.client().await;
    let mut publish = Box::pin(second.publish(unary(event("e-2"))));
    tokio::select! {
        answer = &mut publish => panic!("the only place is taken: {answer:?}"),
        answer = first.publish(unary(event("e-3"))) => { answer.unwrap(); }
    }
    drop(first);
    publish.await.unwrap();
    assert_eq!(server.ids().await, ["e-1", "e-3", "e-2"]);
}
