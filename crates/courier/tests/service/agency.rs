//! A scripted agency that speaks gRPC.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};

use futures_util::{Stream, StreamExt};
use prost::Message;
use proto::v1::inbox_server::{Inbox, InboxServer};
use proto::v1::{self, verdict::Verdict};
use runtime::Tasks;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// How an agency reacts to one arrival.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Taken,
    AlreadyTaken,
    Busy,
    NotTaken,
    /// Never answers.
    Silent,
    /// Takes the delivery and never answers.
    TakenSilently,
    /// Ends the stream or the call with a status.
    Fails(tonic::Code),
}

/// One arrival.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) id: String,
    pub(crate) dossier: String,
    pub(crate) step: String,
    /// The whole message, encoded.
    pub(crate) bytes: Vec<u8>,
    /// Metadata `idempotency-key` of a unary call.
    pub(crate) key: Option<String>,
}

type Script = dyn Fn(&v1::Delivery, usize) -> Reply + Send + Sync;

/// What the agency saw so far.
#[derive(Clone)]
pub(crate) struct Seen(Arc<watch::Sender<Vec<Arrival>>>);

/// An agency's mind, whatever way its deliveries take.
#[derive(Clone)]
pub(crate) struct Scripted {
    script: Arc<Script>,
    seen: Seen,
    counts: Arc<Mutex<HashMap<String, usize>>>,
    /// Ids that it took, whatever it answered.
    taken: Arc<Mutex<HashSet<String>>>,
}

/// Listens on a free port, or on the given one again; `script` gets the delivery and how often it
/// has come, counted from one.
pub(crate) async fn start(
    address: Option<SocketAddr>,
    tasks: &Tasks,
    script: impl Fn(&v1::Delivery, usize) -> Reply + Send + Sync + 'static,
) -> (SocketAddr, Seen) {
    let agency = Scripted::new(script);
    let seen = agency.seen();
    (serve(address, tasks, agency).await, seen)
}

/// The same for an agency that is there already.
pub(crate) async fn serve(
    address: Option<SocketAddr>,
    tasks: &Tasks,
    agency: Scripted,
) -> SocketAddr {
    let address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn("agency", |stop| {
        Server::builder()
            .add_service(InboxServer::new(agency))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
    });
    address
}

/// Where a script waits for the test's word. A worker that merely blocked could hold up the whole
/// runtime, timers and all, so this needs one with several.
pub(crate) struct Word<T>(Mutex<mpsc::Receiver<T>>);

pub(crate) fn word<T>() -> (mpsc::Sender<T>, Word<T>) {
    let (sender, receiver) = mpsc::channel();
    (sender, Word(Mutex::new(receiver)))
}

// === impl Word ===

impl<T> Word<T> {
    pub(crate) fn wait(&self) -> T {
        tokio::task::block_in_place(|| self.0.lock().unwrap().recv().unwrap())
    }
}

// === impl Arrival ===

impl Arrival {
    pub(crate) fn of(delivery: &v1::Delivery) -> Self {
        Self {
            id: delivery.id.clone(),
            dossier: delivery.dossier.clone(),
            step: delivery.step.clone(),
            bytes: delivery.encode_to_vec(),
            key: None,
        }
    }
}

// === impl Seen ===

impl Seen {
    pub(crate) fn all(&self) -> Vec<Arrival> {
        self.0.borrow().clone()
    }

    /// Waits until the agency saw so many arrivals.
    pub(crate) async fn at_least(&self, number: usize) -> Vec<Arrival> {
        let mut changes = self.0.subscribe();
        let enough = changes.wait_for(|seen| seen.len() >= number);
        super::harness::soon(enough).await.unwrap().clone()
    }

    pub(crate) fn add(&self, arrival: Arrival) {
        self.0.send_modify(|seen| seen.push(arrival));
    }

    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }
}

// === impl Scripted ===

impl Scripted {
    pub(crate) fn new(
        script: impl Fn(&v1::Delivery, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Arc::new(script),
            seen: Seen::new(),
            counts: Arc::default(),
            taken: Arc::default(),
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    pub(crate) fn react(&self, delivery: v1::Delivery, key: Option<String>) -> Reply {
        let count = {
            let mut counts = self.counts.lock().unwrap();
            let count = counts.entry(delivery.id.clone()).or_default();
            *count += 1;
            *count
        };
        let reply = (self.script)(&delivery, count);
        if matches!(reply, Reply::Taken | Reply::TakenSilently) {
            self.taken.lock().unwrap().insert(delivery.id.clone());
        }
        self.seen.add(Arrival {
            key,
            ..Arrival::of(&delivery)
        });
        reply
    }
}

pub(crate) fn verdict(reply: &Reply) -> Option<v1::Verdict> {
    let verdict = match reply {
        Reply::Taken => Verdict::Taken(v1::Taken {}),
        Reply::AlreadyTaken => Verdict::AlreadyTaken(v1::AlreadyTaken {}),
        Reply::Busy => Verdict::Busy(v1::Busy {
            retry_after: None,
            reason: "scripted".to_owned(),
        }),
        Reply::NotTaken => Verdict::NotTaken(v1::NotTaken {
            code: "E1".to_owned(),
            reason: "scripted refusal".to_owned(),
        }),
        Reply::Silent | Reply::TakenSilently | Reply::Fails(_) => return None,
    };
    Some(v1::Verdict {
        verdict: Some(verdict),
    })
}

#[tonic::async_trait]
impl Inbox for Scripted {
    type DeliverStreamStream =
        Pin<Box<dyn Stream<Item = Result<v1::DeliverStreamResponse, Status>> + Send>>;

    async fn deliver(
        &self,
        request: Request<v1::DeliverRequest>,
    ) -> Result<Response<v1::DeliverResponse>, Status> {
        let key = request.metadata().get("idempotency-key");
        let key = key.map(|key| key.to_str().unwrap().to_owned());
        let delivery = request.into_inner().delivery.unwrap();
        match self.react(delivery, key) {
            Reply::Silent | Reply::TakenSilently => std::future::pending().await,
            Reply::Fails(code) => Err(Status::new(code, "scripted")),
            reply => Ok(Response::new(v1::DeliverResponse {
                verdict: verdict(&reply),
            })),
        }
    }

    async fn deliver_stream(
        &self,
        request: Request<Streaming<v1::DeliverStreamRequest>>,
    ) -> Result<Response<Self::DeliverStreamStream>, Status> {
        let this = self.clone();
        let verdicts = request.into_inner().filter_map(move |request| {
            let delivery = request.map(|request| request.delivery.unwrap());
            let answer = delivery.map(|delivery| {
                let delivery_id = delivery.id.clone();
                (delivery_id, this.react(delivery, None))
            });
            std::future::ready(match answer {
                Ok((_, Reply::Silent | Reply::TakenSilently)) => None,
                Ok((_, Reply::Fails(code))) => Some(Err(Status::new(code, "scripted"))),
                Ok((delivery_id, reply)) => Some(Ok(v1::DeliverStreamResponse {
                    delivery_id,
                    verdict: verdict(&reply),
                })),
                Err(status) => Some(Err(status)),
            })
        });
        Ok(Response::new(Box::pin(verdicts)))
    }

    async fn query(
        &self,
        request: Request<v1::QueryRequest>,
    ) -> Result<Response<v1::QueryResponse>, Status> {
        let id = request.into_inner().delivery_id;
        let taken = self.taken.lock().unwrap().contains(&id);
        Ok(Response::new(v1::QueryResponse { taken }))
    }
}
