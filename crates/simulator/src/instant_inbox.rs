use std::{
    collections::HashSet,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::Stream;
use hdrhistogram::Histogram;
use proto::{
    timestamp_from_wire,
    v1::{
        DeliverRequest, DeliverResponse, DeliverStreamRequest, DeliverStreamResponse, Delivery,
        QueryRequest, QueryResponse, Taken, Verdict,
        inbox_server::{Inbox, InboxServer},
        verdict,
    },
};
use runtime::{Clock, Tasks};
use tokio_stream::StreamExt;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use crate::BindError;

/// An agency that takes everything at once and does nothing with it: the far end of benchmarks.
#[derive(Clone, Debug)]
pub struct InstantInbox {
    address: SocketAddr,
    counts: Arc<Counts>,
}

/// What an [`InstantInbox`] measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The number of arrivals only, at the least cost.
    Count,
    /// Distinct deliveries, and the time from the event that opened the step to the first arrival.
    Latency,
}

#[derive(Debug)]
struct Counts {
    taken: AtomicU64,
    clock: Clock,
    latency: Option<Mutex<Latency>>,
}

#[derive(Debug)]
struct Latency {
    seen: HashSet<String>,
    micros: Histogram<u64>,
}

#[derive(Debug)]
struct Service(Arc<Counts>);

type Verdicts = Pin<Box<dyn Stream<Item = Result<DeliverStreamResponse, Status>> + Send>>;

const TAKEN: Verdict = Verdict {
    verdict: Some(verdict::Verdict::Taken(Taken {})),
};

// === impl InstantInbox ===

impl InstantInbox {
    /// Listens on an address (port 0 chooses a free one) until the tasks stop.
    pub fn start(
        address: SocketAddr,
        measure: Measure,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Self, BindError> {
        let (incoming, address) = bind(address)?;
        let latency = (measure == Measure::Latency).then(|| Mutex::new(Latency::default()));
        let counts = Arc::new(Counts {
            taken: AtomicU64::new(0),
            clock,
            latency,
        });
        let service = InboxServer::new(Service(Arc::clone(&counts)));
        tasks.spawn("instant-inbox", |stop| {
            wide(Server::builder())
                .add_service(service)
                .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        });
        Ok(Self { address, counts })
    }

    /// The address it has.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many deliveries arrived, repeats included.
    pub fn taken(&self) -> u64 {
        self.counts.taken.load(Ordering::Relaxed)
    }

    /// How many different deliveries arrived; 0 unless latency is measured.
    pub fn distinct(&self) -> usize {
        self.counts
            .latency()
            .map_or(0, |latency| latency.seen.len())
    }

    /// The microseconds from the opening event to the first arrival, since the last call; empty unless
    /// latency is measured.
    pub fn take_latencies(&self) -> Histogram<u64> {
        match self.counts.latency() {
            Some(mut latency) => std::mem::replace(&mut latency.micros, histogram()),
            None => histogram(),
        }
    }
}

/// Binds a gRPC server's port.
pub(crate) fn bind(address: SocketAddr) -> Result<(TcpIncoming, SocketAddr), BindError> {
    let failed = |source| BindError { address, source };
    let incoming = TcpIncoming::bind(address)
        .map_err(failed)?
        .with_nodelay(Some(true));
    let address = incoming.local_addr().map_err(failed)?;
    Ok((incoming, address))
}

/// Windows wide enough for streams.
pub(crate) fn wide(server: Server) -> Server {
    const STREAM_WINDOW: u32 = 4 << 20;
    server
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(2 * STREAM_WINDOW)
}

// === impl Service ===

#[tonic::async_trait]
impl Inbox for Service {
    type DeliverStreamStream = Verdicts;

    async fn deliver(
        &self,
        request: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let delivery = request.into_inner().delivery.unwrap_or_default();
        self.0.take(&delivery);
        Ok(Response::new(DeliverResponse {
            verdict: Some(TAKEN),
        }))
    }

    async fn deliver_stream(
        &self,
        request: Request<Streaming<DeliverStreamRequest>>,
    ) -> Result<Response<Verdicts>, Status> {
        let counts = Arc::clone(&self.0);
        let verdicts = request
            .into_inner()
            .map_while(Result::ok)
            .map(move |request| {
                let delivery = request.delivery.unwrap_or_default();
                counts.take(&delivery);
                Ok(DeliverStreamResponse {
                    delivery_id: delivery.id,
                    verdict: Some(TAKEN),
                })
            });
        Ok(Response::new(Box::pin(verdicts)))
    }

    async fn query(
        &self,
        _request: Request<QueryRequest>,
    ) -> Result<Response<QueryResponse>, Status> {
        Err(Status::unimplemented("it keeps nothing"))
    }
}

// === impl Counts ===

impl Counts {
    fn take(&self, delivery: &Delivery) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let Some(mut latency) = self.latency() else {
            return;
        };
        if !latency.seen.insert(delivery.id.clone()) {
            return;
        }
        if let Ok(opened_at) = timestamp_from_wire("delivery.opened_at", delivery.opened_at) {
            let waited = self.clock.now().duration_since(opened_at).as_micros();
            latency
                .micros
                .saturating_record(u64::try_from(waited).unwrap_or(0));
        }
    }

    fn latency(&self) -> Option<MutexGuard<'_, Latency>> {
        let latency = self.latency.as_ref()?;
        Some(latency.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Latency ===

impl Default for Latency {
    fn default() -> Self {
        Self {
            seen: HashSet::new(),
            micros: histogram(),
        }
    }
}

/// From a microsecond to an hour, three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are valid")
}

#[cfg(test)]
mod tests {
    use proto::v1::inbox_client::InboxClient;

    use super::*;
    use crate::{
        publisher::endpoint,
        test_support::{delivery, event, monday},
    };

    #[tokio::test]
    async fn it_takes_all_and_counts_first_arrivals_once() {
        let tasks = Tasks::default();
        let clock = Clock::scaled(monday() + jiff::SignedDuration::from_secs(2), 1e-9);
        let any = "127.0.0.1:0".parse().unwrap();
        let inbox = InstantInbox::start(any, Measure::Latency, clock, &tasks).unwrap();
        let request = |id: &str| DeliverStreamRequest {
            delivery: Some(delivery(&event(id), "residence").into()),
        };
        let requests = ["e-1", "e-2", "e-1"].map(request);
        let channel = endpoint(&inbox.address().to_string())
            .unwrap()
            .connect_lazy();

        let mut verdicts = InboxClient::new(channel)
            .deliver_stream(tokio_stream::iter(requests))
            .await
            .unwrap()
            .into_inner();
        let mut count = 0;
        while let Some(verdict) = verdicts.message().await.unwrap() {
            assert_eq!(verdict.verdict, Some(TAKEN));
            count += 1;
        }

        assert_eq!((count, inbox.taken(), inbox.distinct()), (3, 3, 2));
        let latencies = inbox.take_latencies();
        assert_eq!(latencies.len(), 2);
        assert!(
            (1_990_000..2_010_000).contains(&latencies.max()),
            "{}",
            latencies.max()
        );
        assert_eq!(inbox.take_latencies().len(), 0);
    }
}
