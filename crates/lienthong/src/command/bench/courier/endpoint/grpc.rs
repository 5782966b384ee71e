use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use proto::{
    timestamp_from_wire,
    v1::{
        DeliverRequest, DeliverResponse, DeliverStreamRequest, DeliverStreamResponse, Delivery,
        Taken, Verdict,
        inbox_server::{Inbox, InboxServer},
        verdict,
    },
};
use tokio::time;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use super::{Arrival, Cell, Endpoints, locked};

struct Service(Arc<Endpoints>);

type Verdicts = Pin<Box<dyn Stream<Item = Result<DeliverStreamResponse, Status>> + Send>>;

/// More than any lane has in flight.
const OPEN: usize = 16_384;
const WINDOW: u32 = 4 << 20;
const TAKEN: Verdict = Verdict {
    verdict: Some(verdict::Verdict::Taken(Taken {})),
};

/// Serves the `Inbox` service on an address.
pub(super) fn listen(
    address: SocketAddr,
    endpoints: &Arc<Endpoints>,
) -> anyhow::Result<SocketAddr> {
    let incoming = TcpIncoming::bind(address)
        .map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))?
        .with_nodelay(Some(true));
    let address = incoming.local_addr()?;
    let service = InboxServer::new(Service(Arc::clone(endpoints)));
    endpoints.tasks.spawn("gRPC endpoints", |stop| {
        Server::builder()
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(2 * WINDOW)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
    });
    Ok(address)
}

// === impl Service ===

impl Service {
    fn current(&self) -> (Arc<Mutex<Cell>>, Duration) {
        let (cell, work) = locked(&self.0.stream).clone();
        (self.0.cell(&cell), work)
    }

    fn take(endpoints: &Endpoints, cell: &Mutex<Cell>, delivery: &Delivery) {
        let opened_at = timestamp_from_wire("delivery.opened_at", delivery.opened_at).ok();
        let waited = endpoints.waited(opened_at);
        locked(cell).arrived(Arrival {
            dossier: &delivery.dossier,
            sequence: delivery.sequence,
            at: Instant::now(),
            waited,
        });
    }
}

#[tonic::async_trait]
impl Inbox for Service {
    type DeliverStreamStream = Verdicts;

    async fn deliver(
        &self,
        request: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let (cell, work) = self.current();
        let delivery = request.into_inner().delivery.unwrap_or_default();
        Self::take(&self.0, &cell, &delivery);
        time::sleep(work).await;
        locked(&cell).answered(&delivery.dossier);
        let verdict = Some(TAKEN);
        Ok(Response::new(DeliverResponse { verdict }))
    }

    async fn deliver_stream(
        &self,
        request: Request<Streaming<DeliverStreamRequest>>,
    ) -> Result<Response<Verdicts>, Status> {
        let (cell, work) = self.current();
        let endpoints = Arc::clone(&self.0);
        let requests = request
            .into_inner()
            .take_while(|request| std::future::ready(request.is_ok()));
        let verdicts = requests.filter_map(|request| std::future::ready(request.ok()));
        let verdicts = verdicts.map(move |request| {
            let delivery = request.delivery.unwrap_or_default();
            Self::take(&endpoints, &cell, &delivery);
            let (cell, due) = (Arc::clone(&cell), time::Instant::now() + work);
            async move {
                time::sleep_until(due).await;
                locked(&cell).answered(&delivery.dossier);
                Ok(DeliverStreamResponse {
                    delivery_id: delivery.id,
                    verdict: Some(TAKEN),
                })
            }
        });
        Ok(Response::new(Box::pin(verdicts.buffer_unordered(OPEN))))
    }
}
