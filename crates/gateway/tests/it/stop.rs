//! C7 and G10: a stop under load, and callers that hang.

use std::{collections::BTreeSet, future::pending, time::Duration};

use gateway::Limits;
use proto::v1::{gateway_client::GatewayClient, publish_stream_response::Answer};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::server::{Mood, Server, event, streamed};

const GRACE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_event_is_accepted_or_unanswered_and_the_accepted_are_in_the_log() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (sender, requests) = mpsc::channel(64);
    let answers = client.publish_stream(ReceiverStream::new(requests)).await;
    let mut answers = answers.unwrap().into_inner();
    let (tell, told) = oneshot::channel();
    let send = async move {
        for number in 0.. {
            let one = streamed(event(&format!("e-{number}")));
            if sender.send(one).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut tell = Some(tell);
        let mut accepted = Vec::new();
        while let Ok(Some(answer)) = answers.message().await {
            match answer.answer {
                Some(Answer::Accepted(_)) => accepted.push(answer.event_id),
                other => panic!("{other:?}"),
            }
            if accepted.len() == 1_000 {
                tell.take().map(|tell| tell.send(()));
            }
        }
        drop((answers, client));
        accepted
    };
    let drain = async {
        told.await.unwrap();
        server.tasks.clone().drain(GRACE).await
    };
    let (accepted, drained) = tokio::select! {
        both = async { tokio::join!(read, drain) } => both,
        () = async { send.await; pending().await } => unreachable!("it pends"),
    };
    drained.unwrap();
    assert!(accepted.len() >= 1_000);
    let in_log: BTreeSet<String> = server.ids().await.into_iter().collect();
    assert!(accepted.iter().all(|id| in_log.contains(id)));
}

/// A caller that never reads its answers stops being read, and does not hold up the stop.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_reads_nothing_is_bounded_and_cut_off_at_the_stop() {
    let server = Server::with(Limits {
        answer_within: Duration::from_secs(1),
        ..Limits::default()
    })
    .await;
    // A small window, so that few unread answers fill it.
    let endpoint = Channel::from_shared(server.address.clone()).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535);
    let mut client = GatewayClient::new(endpoint.connect().await.unwrap());
    let (sender, requests) = mpsc::channel(64);
    let answers = client.publish_stream(ReceiverStream::new(requests)).await;
    let _unread = answers.unwrap().into_inner();
    let mut sent = 0;
    let long = Duration::from_millis(500);
    let mut one = event("e");
    one.data = vec![0; 4 << 10].into();
    while let Ok(result) = tokio::time::timeout(long, sender.send(streamed(one.clone()))).await {
        result.unwrap();
        sent += 1;
        assert!(sent < 50_000, "it is never held back");
    }
    server.tasks.clone().drain(GRACE).await.unwrap();
}

#[tokio::test]
async fn an_open_stream_without_events_ends_at_the_stop() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let (_sender, requests) = mpsc::channel(1);
    let answers = client.publish_stream(ReceiverStream::new(requests)).await;
    let mut answers = answers.unwrap().into_inner();
    let drain = server.tasks.clone().drain(GRACE);
    let (drained, ()) = tokio::join!(drain, async {
        assert_eq!(answers.message().await.unwrap(), None);
        drop((answers, client));
    });
    drained.unwrap();
}

/// An append that is on its way at the stop is still answered.
#[tokio::test]
async fn an_append_on_its_way_is_answered_before_the_end() {
    let server = Server::start().await;
    let mut client = server.client().await;
    server.mood.send_replace(Mood::Silent);
    let (sender, requests) = mpsc::channel(1);
    sender.send(streamed(event("e-1"))).await.unwrap();
    let answers = client.publish_stream(ReceiverStream::new(requests)).await;
    let mut answers = answers.unwrap().into_inner();
    server.asked(1).await;
    let drain = server.tasks.clone().drain(GRACE);
    let (drained, answer) = tokio::join!(drain, async {
        server.tasks.stopping().await;
        server.mood.send_replace(Mood::Takes);
        let answer = answers.message().await.unwrap().unwrap();
        drop((answers, client));
        answer
    });
    drained.unwrap();
    assert!(
        matches!(answer.answer, Some(Answer::Accepted(_))),
        "{answer:?}"
    );
    assert_eq!(server.ids().await, ["e-1"]);
}
