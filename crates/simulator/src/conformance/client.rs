//! Sends parcels as the courier does.

mod grpc;
mod http;

use std::time::{Duration, Instant};

use domain::Endpoint;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::{KitError, reading::Reply, sample::Parcel};
use grpc::Inbox;
use http::Post;

/// A connection to the endpoint under test.
#[derive(Debug)]
pub(super) struct Client {
    way: Way,
    timeout: Duration,
}

#[derive(Debug)]
enum Way {
    Stream(Inbox),
    Unary(Inbox),
    Http(Box<Post>),
}

fn is_plain(endpoint: &Endpoint) -> bool {
    endpoint.peer().is_some_and(|peer| !peer.tls)
}

/// What is no delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Bytes without a meaning.
    Garbage,
    /// A message in which everything is missing.
    Empty,
}

/// What the query operation says of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Queried {
    /// The endpoint has no such operation.
    NotOffered,
    /// It has nothing under the id.
    Missing,
    /// It has the delivery.
    Found {
        /// How often it had its effect, if it says so.
        effects: Option<u64>,
        /// The digest of the payload, if it says so.
        digest: Option<String>,
    },
}

// === impl Client ===

impl Client {
    pub(super) fn new(endpoint: &Endpoint, timeout: Duration) -> Result<Self, KitError> {
        let way = match endpoint {
            _ if !is_plain(endpoint) => return Err(KitError::NotPlain(endpoint.clone())),
            Endpoint::GrpcStream(peer) => Way::Stream(Inbox::new(&peer.authority, timeout)?),
            Endpoint::GrpcUnary(peer) => Way::Unary(Inbox::new(&peer.authority, timeout)?),
            Endpoint::Http(peer) => Way::Http(Box::new(Post::new(&peer.to_string(), timeout))),
            Endpoint::Pull | Endpoint::Topic(_) => {
                return Err(KitError::NotPlain(endpoint.clone()));
            }
        };
        Ok(Self { way, timeout })
    }

    /// Sends one parcel and waits for the answer, at most as long as the agency may take.
    pub(super) async fn send(&self, parcel: &Parcel) -> Reply {
        match &self.way {
            Way::Unary(inbox) => self.timed(inbox.call(parcel)).await,
            Way::Http(post) => self.timed(post.call(parcel)).await,
            Way::Stream(inbox) => {
                let parcels = std::slice::from_ref(parcel);
                let replies = inbox.stream(parcels, self.timeout).await;
                let silent = || Reply::silent(self.timeout);
                replies.into_iter().next().unwrap_or_else(silent)
            }
        }
    }

    /// Sends all at once, over one stream where the endpoint is one; answers in the order of the
    /// parcels.
    pub(super) async fn send_all(&self, parcels: &[Parcel]) -> Vec<Reply> {
        match &self.way {
            Way::Stream(inbox) => inbox.stream(parcels, self.timeout).await,
            Way::Unary(_) | Way::Http(_) => {
                join_all(parcels.iter().map(|parcel| self.send(parcel))).await
            }
        }
    }

    pub(super) async fn send_malformed(&self, what: Malformed) -> Reply {
        match &self.way {
            Way::Unary(inbox) | Way::Stream(inbox) => self.timed(inbox.malformed(what)).await,
            Way::Http(post) => self.timed(post.malformed(what)).await,
        }
    }

    /// Begins a call and cuts it after so long, if it is not answered before.
    pub(super) async fn cut(&self, parcel: &Parcel, after: Duration) {
        let sending = async {
            match &self.way {
                Way::Unary(inbox) => drop(inbox.call(parcel).await),
                Way::Http(post) => drop(post.call(parcel).await),
                Way::Stream(inbox) => {
                    let parcels = std::slice::from_ref(parcel);
                    drop(inbox.stream(parcels, self.timeout).await);
                }
            }
        };
        let _ = timeout(after, sending).await;
    }

    /// Sends half of a call and cuts it. Only where half a call can be sent.
    pub(super) async fn send_half(&self, parcel: &Parcel) {
        if let Way::Http(post) = &self.way {
            // The agency may refuse the connection: the call that follows says so.
            let _ = timeout(self.timeout, post.half(parcel)).await;
        }
    }

    /// Asks whether the agency has a delivery.
    pub(super) async fn query(&self, id: &str) -> Queried {
        let asked = async {
            match &self.way {
                Way::Unary(inbox) | Way::Stream(inbox) => inbox.query(id).await,
                Way::Http(post) => post.query(id).await,
            }
        };
        let answer = timeout(self.timeout, asked).await;
        answer.unwrap_or(Queried::NotOffered)
    }

    /// Whether a repeat must be told apart from a new delivery: over gRPC there is a verdict for it.
    pub(super) fn has_word_for_repeats(&self) -> bool {
        match self.way {
            Way::Unary(_) | Way::Stream(_) => true,
            Way::Http(_) => false,
        }
    }

    async fn timed(&self, call: impl Future<Output = Reply>) -> Reply {
        let begun = Instant::now();
        let reply = timeout(self.timeout, call).await;
        reply
            .unwrap_or_else(|_| Reply::silent(self.timeout))
            .after(begun.elapsed())
    }
}
