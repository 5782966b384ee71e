//! Agencies that pull: how they reach a courier, and scripted ones.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use proto::v1::pull_client::PullClient;
use proto::v1::{self, work_request, work_response};
use runtime::Tasks;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::service::Routes;
use tonic::transport::{Channel, Server};

use crate::agency::{Reply, Scripted, verdict};
use crate::harness::*;

/// What a puller says on its stream.
pub(crate) type Says = mpsc::UnboundedSender<v1::WorkRequest>;
/// What it hears.
pub(crate) type Hears = tonic::Streaming<v1::WorkResponse>;

/// Serves a courier's pullers as the program does: gRPC and HTTP on one port.
pub(crate) async fn serve(courier: &Courier) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let grpc = Routes::new(courier.handle.pull_grpc()).into_axum_router();
    let routes = Routes::from(grpc.merge(courier.handle.pull_http()));
    courier.tasks.spawn("pullers", |stop| async move {
        let incoming = TcpListenerStream::new(listener);
        let mut server = Server::builder().accept_http1(true);
        let server = server.add_routes(routes);
        server
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
            .await
    });
    address
}

pub(crate) async fn client(address: SocketAddr) -> PullClient<Channel> {
    let endpoint = format!("http://{address}");
    soon(PullClient::connect(endpoint)).await.unwrap()
}

/// Takes at least one delivery.
pub(crate) async fn take(
    client: &mut PullClient<Channel>,
    destination: &str,
    max: u32,
) -> Vec<v1::Lease> {
    take_for(client, destination, max, None).await
}

/// The same with a wish how long to hold it.
pub(crate) async fn take_for(
    client: &mut PullClient<Channel>,
    destination: &str,
    max: u32,
    lease: Option<Duration>,
) -> Vec<v1::Lease> {
    let request = v1::TakeRequest {
        destination: destination.to_owned(),
        max,
        wait: Some(proto::duration_to_wire(PATIENCE)),
        lease: lease.map(proto::duration_to_wire),
    };
    let leases = soon(client.take(request))
        .await
        .unwrap()
        .into_inner()
        .leases;
    assert!(!leases.is_empty(), "it waits for the first one");
    leases
}

/// Gives verdicts by the same reply.
pub(crate) async fn confirm(
    client: &mut PullClient<Channel>,
    destination: &str,
    tokens: &[&str],
    reply: &Reply,
) -> Vec<v1::LeaseStanding> {
    let confirmations = tokens.iter().map(|token| v1::Confirmation {
        token: (*token).to_owned(),
        verdict: verdict(reply),
    });
    let request = v1::ConfirmRequest {
        destination: destination.to_owned(),
        confirmations: confirmations.collect(),
    };
    let answers = soon(client.confirm(request))
        .await
        .unwrap()
        .into_inner()
        .answers;
    answers.iter().map(v1::LeaseAnswer::standing).collect()
}

/// Begins to work on a stream with so much credit.
pub(crate) async fn open(
    client: &mut PullClient<Channel>,
    destination: &str,
    credit: u32,
) -> (Says, Hears) {
    let (says, requests) = mpsc::unbounded_channel();
    let open = v1::WorkOpen {
        destination: destination.to_owned(),
        lease: None,
    };
    say(&says, work_request::Request::Open(open));
    say(&says, work_request::Request::Credit(credit));
    let hears = soon(client.work(UnboundedReceiverStream::new(requests))).await;
    (says, hears.unwrap().into_inner())
}

pub(crate) fn say(says: &Says, request: work_request::Request) {
    // A courier that has ended hears nothing.
    let _ = says.send(v1::WorkRequest {
        request: Some(request),
    });
}

/// The next lease on a stream; answers before it are left out. `None`: the stream has ended.
pub(crate) async fn next_lease(hears: &mut Hears) -> Option<v1::Lease> {
    while let Some(Ok(response)) = hears.next().await {
        if let Some(work_response::Response::Lease(lease)) = response.response {
            return Some(lease);
        }
    }
    None
}

/// A POST to `/pull/...`: its status, content type and JSON.
pub(crate) async fn post(
    address: SocketAddr,
    path: &str,
    body: impl ToString,
) -> (StatusCode, String, Value) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("http://{address}/pull/{path}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap();
    let response = soon(client.request(request)).await.unwrap();
    let (head, body) = response.into_parts();
    let kind = head.headers["content-type"].to_str().unwrap().to_owned();
    let body = soon(body.collect()).await.unwrap().to_bytes();
    (head.status, kind, serde_json::from_slice(&body).unwrap())
}

/// Pulls with `Take` and `Confirm` until the courier or the test ends.
pub(crate) fn pull_by_calls(
    address: SocketAddr,
    destination: &'static str,
    agency: Scripted,
    tasks: &Tasks,
) {
    tasks.spawn_sure("pulling agency", |stop| async move {
        let work = async {
            let mut client = client(address).await;
            loop {
                let request = v1::TakeRequest {
                    destination: destination.to_owned(),
                    max: 4,
                    wait: Some(proto::duration_to_wire(PATIENCE)),
                    lease: None,
                };
                let Ok(taken) = client.take(request).await else {
                    return std::future::pending().await;
                };
                for lease in taken.into_inner().leases {
                    let reply = agency.react(lease.delivery.unwrap(), None);
                    if verdict(&reply).is_some() {
                        confirm(&mut client, destination, &[&lease.token], &reply).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(work).await;
    });
}

/// Pulls over one stream until the courier or the test ends.
pub(crate) fn pull_by_stream(
    address: SocketAddr,
    destination: &'static str,
    agency: Scripted,
    tasks: &Tasks,
) {
    tasks.spawn_sure("pulling agency", |stop| async move {
        let work = async {
            let mut client = client(address).await;
            let (says, mut hears) = open(&mut client, destination, 4).await;
            while let Some(lease) = next_lease(&mut hears).await {
                let reply = agency.react(lease.delivery.unwrap(), None);
                if let Some(verdict) = verdict(&reply) {
                    let confirmation = v1::Confirmation {
                        token: lease.token,
                        verdict: Some(verdict),
                    };
                    say(&says, work_request::Request::Confirm(confirmation));
                }
                say(&says, work_request::Request::Credit(1));
            }
            std::future::pending::<()>().await;
        };
        stop.run_until_cancelled(work).await;
    });
}

/// Pulls over HTTP until the courier or the test ends.
pub(crate) fn pull_by_http(
    address: SocketAddr,
    destination: &'static str,
    agency: Scripted,
    tasks: &Tasks,
) {
    tasks.spawn_sure("pulling agency", |stop| async move {
        let work = async {
            loop {
                let (status, _, events) =
                    post(address, &format!("{destination}/take?max=4&wait=30"), "").await;
                assert_eq!(status, StatusCode::OK, "{events}");
                for event in events.as_array().unwrap() {
                    let text = |name: &str| event[name].as_str().unwrap().to_owned();
                    let delivery = v1::Delivery {
                        id: text("id"),
                        dossier: text("subject"),
                        step: text("step"),
                        data: Bytes::from(event["data"].to_string()),
                        ..v1::Delivery::default()
                    };
                    let word = match agency.react(delivery, None) {
                        Reply::Taken => "taken",
                        Reply::AlreadyTaken => "already_taken",
                        Reply::Busy => "busy",
                        Reply::NotTaken => "not_taken",
                        Reply::Silent | Reply::TakenSilently | Reply::Fails(_) => continue,
                    };
                    let said = json!({"token": text("leasetoken"), "verdict": word});
                    post(address, &format!("{destination}/confirm"), said).await;
                }
            }
        };
        stop.run_until_cancelled(work).await;
    });
}
