use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dial::{Connector, Error, Policy, Protocol, Reason, Stage};
use futures_util::FutureExt;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::names::{Answer, LIMIT, Names, connect, connector, found};

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A port where nobody listens.
async fn closed_port() -> u16 {
    let (listener, address) = listening().await;
    drop(listener);
    address.port()
}

/// This machine under an address that `ONE` does not allow.
const DECOY: &str = "127.0.0.9";
const ONE: &[&str] = &["127.0.0.1"];

/// Listens at the same port of 127.0.0.1 and of the decoy.
async fn listening_twice() -> (TcpListener, TcpListener, u16) {
    loop {
        let (real, address) = listening().await;
        if let Ok(decoy) = TcpListener::bind((DECOY, address.port())).await {
            return (real, decoy, address.port());
        }
    }
}

#[tokio::test]
async fn d7_a_name_that_changes_its_mind_is_asked_once_and_judged_each_time() {
    let (real, decoy, port) = listening_twice().await;
    let names = Names::answering([found(ONE), found(&[DECOY])]);
    let connector = connector(Policy::allowing(ONE).unwrap(), &names);
    let uri = format!("http://rebind.example:{port}/");

    let first = connect(&connector, &uri).await.unwrap();
    assert!(!first.is_secure());
    assert_eq!(names.asked().len(), 1, "one question for one connection");
    real.accept().await.unwrap();

    let second = connect(&connector, &uri).await.unwrap_err();
    let Error::Blocked(blocked) = second else {
        panic!("{second:?}")
    };
    assert_eq!(blocked.address, Some(DECOY.parse().unwrap()));
    assert!(decoy.accept().now_or_never().is_none());
}

#[tokio::test]
async fn d7_every_address_of_a_name_is_judged_and_only_allowed_ones_are_dialled() {
    let (real, decoy, port) = listening_twice().await;
    let all = [DECOY, "::ffff:127.0.0.9", "64:ff9b::127.0.0.9", "127.0.0.1"];
    let names = Names::answering([found(&all), found(&all[..3])]);
    let connector = connector(Policy::allowing(ONE).unwrap(), &names);
    let uri = format!("http://many.example:{port}/");
    connect(&connector, &uri).await.unwrap();
    real.accept().await.unwrap();
    let none_left = connect(&connector, &uri).await;
    assert!(matches!(none_left, Err(Error::Blocked(_))), "{none_left:?}");
    let literal = connect(&connector, &format!("http://{DECOY}:{port}/")).await;
    assert!(matches!(literal, Err(Error::Blocked(_))), "{literal:?}");
    assert!(decoy.accept().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn d7_without_an_answer_to_a_name_nothing_is_dialled() {
    let answers = [Answer::Unknown, found(&[]), Answer::Silence];
    let names = Names::answering(answers);
    let connector = connector(Policy::loopback(), &names);
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        outcomes.push(
            connect(&connector, "http://gone.example/")
                .await
                .unwrap_err(),
        );
    }
    assert!(matches!(outcomes[0], Error::Resolve { .. }), "{outcomes:?}");
    assert!(matches!(outcomes[1], Error::Resolve { .. }), "{outcomes:?}");
    let Error::TimedOut { stage, limit, .. } = &outcomes[2] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((*stage, *limit), (Stage::Resolving, LIMIT));
}

#[tokio::test]
async fn d4_a_refused_connection_says_where() {
    let port = closed_port().await;
    let names = Names::answering([found(&["127.0.0.1"])]);
    let connector = connector(Policy::loopback(), &names);
    let refused = connect(&connector, &format!("http://tax.example:{port}/")).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("tax.example"), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
}

#[tokio::test]
async fn the_next_address_is_tried_when_the_first_refuses() {
    let (listener, address) = listening().await;
    let names = Names::answering([found(&["127.0.0.2", "127.0.0.1"])]);
    let connector = connector(Policy::loopback(), &names);
    connect(
        &connector,
        &format!("http://two.example:{}/", address.port()),
    )
    .await
    .unwrap();
    listener.accept().await.unwrap();
}

#[tokio::test]
async fn what_is_not_an_http_address_is_blocked() {
    let names = Names::answering([found(&["127.0.0.1"])]);
    let connector = connector(Policy::loopback(), &names);
    let check = async |uri: &str, expected: Reason| match connect(&connector, uri).await {
        Err(Error::Blocked(blocked)) => assert_eq!(blocked.reason, expected, "{uri}"),
        other => panic!("{uri}: {other:?}"),
    };
    check("ftp://tax.example/", Reason::Scheme).await;
    check("http://user@tax.example/", Reason::Host).await;
    check("/path", Reason::Host).await;
    check("https://tax.example/", Reason::NoRoots).await;
    assert_eq!(names.asked(), [""; 0]);
}

#[tokio::test]
async fn a_pooled_http_client_takes_it() {
    let (listener, address) = listening().await;
    let connector = Connector::new(Policy::loopback(), Protocol::Http1, LIMIT)
        .resolving_with(Arc::new(dial::SystemResolver));
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let server = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut request = [0; 4];
        tcp.read_exact(&mut request).await.unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await
            .unwrap();
        tcp
    };
    let uri = format!("http://localhost:{}/", address.port());
    let (_kept_open, response) = tokio::join!(server, client.get(uri.parse().unwrap()));
    let body = response.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
}
