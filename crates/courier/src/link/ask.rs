//! Questions to a destination that have no effect: whether it works, and what became of a delivery.

use std::time::Duration;

use bytes::Bytes;
use dial::{Connector, Protocol};
use domain::{AttemptClass, Canary, DeliveryId};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use proto::v1;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::Patience;
use super::calls::since;
use super::unary::{LARGEST_ANSWER, endpoint};
use super::way::{Reach, not_connected};
use crate::answer::{Answer, causes};

/// Asks one destination. Nothing is connected before the first question.
pub(crate) struct Asker {
    way: Way,
    canary: Option<Canary>,
    patience: Patience,
}

enum Way {
    Grpc {
        door: Door,
        channel: Result<Channel, String>,
    },
    Http {
        door: Door,
        base: String,
        path: String,
        client: Box<Client<Connector, Empty<Bytes>>>,
    },
    Nobody,
}

/// Where connections are opened.
struct Door {
    connector: Connector,
    address: String,
}

/// What a trial has shown.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// What was done.
    pub(crate) asked: String,
    pub(crate) answer: Answer,
    pub(crate) took: Duration,
}

/// What is known of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// The destination has it.
    Arrived,
    /// The destination does not have it.
    NotArrived,
    /// The question has no answer.
    Nothing(String),
}

const QUERY: &str = "/lienthong.v1.Inbox/Query";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const LARGEST_BODY: usize = 16 << 10;

// === impl Asker ===

impl Asker {
    pub(crate) fn new(way: &super::Way, canary: Option<Canary>, patience: Patience) -> Self {
        let way = match way {
            super::Way::Stream(reach) | super::Way::Unary(reach) => {
                let door = Door::of(reach, Protocol::Http2, &patience);
                let connector = door.connector.clone();
                let channel = endpoint(reach)
                    .map(|endpoint| endpoint.connect_with_connector_lazy(connector))
                    .map_err(|error| error.to_string());
                Way::Grpc { door, channel }
            }
            super::Way::Post(reach, _) => {
                let door = Door::of(reach, Protocol::Http1, &patience);
                let client = Client::builder(TokioExecutor::new()).build(door.connector.clone());
                Way::Http {
                    door,
                    base: reach.base(),
                    path: reach.path().to_owned(),
                    client: Box::new(client),
                }
            }
            super::Way::Pull(_) | super::Way::Topic(_) => Way::Nobody,
        };
        Self {
            way,
            canary,
            patience,
        }
    }

    /// Whether the destination works, without a delivery.
    pub(crate) async fn canary(&self) -> Answer {
        let asked = async {
            match (&self.way, &self.canary) {
                (Way::Grpc { channel, .. }, Some(Canary::Health)) => health(channel).await,
                (Way::Http { base, client, .. }, Some(Canary::Get(path))) => {
                    let answer = get(client, &format!("{base}{path}")).await;
                    answer.map_or_else(
                        |answer| answer,
                        |status| Answer::of_http(status, None, false),
                    )
                }
                _ => Answer::new(AttemptClass::Blocked, "no canary fits this endpoint"),
            }
        };
        match timeout(self.patience.real(), asked).await {
            Ok(answer) => answer,
            Err(_) => Answer::timeout(self.patience.timeout),
        }
    }

    /// Tries the destination by its canary, or by opening a connection; `None`: nobody calls it.
    pub(crate) async fn try_it(&self) -> Option<Trial> {
        let started_at = self.patience.clock.now();
        let door = match &self.way {
            Way::Grpc { door, .. } | Way::Http { door, .. } => door,
            Way::Nobody => return None,
        };
        let (asked, answer) = match &self.canary {
            Some(Canary::Health) => ("its health check".to_owned(), self.canary().await),
            Some(Canary::Get(path)) => (format!("GET {path}"), self.canary().await),
            None => ("a connection".to_owned(), door.open().await),
        };
        let took = since(&self.patience.clock, started_at);
        Some(Trial {
            asked,
            answer,
            took,
        })
    }

    /// What became of a delivery.
    pub(crate) async fn query(&self, id: DeliveryId) -> Known {
        let asked = async {
            match &self.way {
                Way::Grpc { channel, .. } => query(channel, id).await,
                Way::Http {
                    base, path, client, ..
                } => {
                    let path = path.trim_end_matches('/');
                    match get(client, &format!("{base}{path}/{id}")).await {
                        Ok(200..=299) => Known::Arrived,
                        Ok(404) => Known::NotArrived,
                        Ok(status) => Known::Nothing(format!("HTTP {status}")),
                        Err(answer) => Known::Nothing(answer.detail),
                    }
                }
                Way::Nobody => Known::Nothing("nobody can be asked".to_owned()),
            }
        };
        let silent = || Known::Nothing("no answer in time".to_owned());
        timeout(self.patience.real(), asked)
            .await
            .unwrap_or_else(|_| silent())
    }
}

// === impl Door ===

impl Door {
    fn of(reach: &Reach, protocol: Protocol, patience: &Patience) -> Self {
        Self {
            connector: reach.connector(protocol, patience),
            address: reach.base(),
        }
    }

    async fn open(&self) -> Answer {
        let address = match self.address.parse() {
            Ok(address) => address,
            Err(error) => return unusable(&error),
        };
        match self.connector.open(&address).await {
            Ok(stream) if stream.is_secure() => {
                let detail = "connected, and the server proved its name; nothing was sent";
                Answer::new(AttemptClass::Accepted, detail)
            }
            Ok(_) => Answer::new(AttemptClass::Accepted, "connected; nothing was sent"),
            Err(error) => not_connected(&error)
                .unwrap_or_else(|| Answer::new(AttemptClass::Unreachable, error.to_string())),
        }
    }
}

fn unusable(error: &hyper::http::uri::InvalidUri) -> Answer {
    let detail = format!("the address cannot be asked: {error}");
    Answer::new(AttemptClass::Blocked, detail)
}

async fn health(channel: &Result<Channel, String>) -> Answer {
    let answer: Result<tonic_health::pb::HealthCheckResponse, Status> = call(
        channel,
        CHECK,
        tonic_health::pb::HealthCheckRequest::default(),
    )
    .await;
    const SERVING: i32 = 1;
    match answer {
        Ok(health) if health.status == SERVING => Answer::new(AttemptClass::Accepted, "serving"),
        Ok(health) => {
            let detail = format!("health check says status {}", health.status);
            Answer::new(AttemptClass::Unreachable, detail)
        }
        Err(status) => not_connected(&status).unwrap_or_else(|| Answer::of_status(&status, true)),
    }
}

async fn query(channel: &Result<Channel, String>, id: DeliveryId) -> Known {
    let request = v1::QueryRequest {
        delivery_id: id.to_string(),
    };
    let answer: Result<v1::QueryResponse, Status> = call(channel, QUERY, request).await;
    match answer {
        Ok(v1::QueryResponse { taken: true }) => Known::Arrived,
        Ok(v1::QueryResponse { taken: false }) => Known::NotArrived,
        Err(status) => Known::Nothing(format!("{:?}: {}", status.code(), status.message())),
    }
}

async fn call<Q, R>(
    channel: &Result<Channel, String>,
    path: &'static str,
    request: Q,
) -> Result<R, Status>
where
    Q: prost::Message + 'static,
    R: prost::Message + Default + 'static,
{
    let channel = channel
        .clone()
        .map_err(|reason| Status::new(Code::FailedPrecondition, reason))?;
    let mut grpc = Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(format!("{error}{}", causes(&error))))?;
    let path = PathAndQuery::from_static(path);
    let codec = ProstCodec::<Q, R>::default();
    let response = grpc.unary(Request::new(request), path, codec).await?;
    Ok(response.into_inner())
}

async fn get(client: &Client<Connector, Empty<Bytes>>, url: &str) -> Result<u16, Answer> {
    let url = url.parse().map_err(|error| unusable(&error))?;
    let response = client.get(url).await.map_err(|error| {
        not_connected(&error).unwrap_or_else(|| {
            Answer::new(AttemptClass::Timeout, format!("{error}{}", causes(&error)))
        })
    })?;
    let (head, body) = response.into_parts();
    // Read to the end, so that the connection can serve again; what it says does not matter.
    let _ = Limited::new(body, LARGEST_BODY).collect().await;
    Ok(head.status.as_u16())
}
