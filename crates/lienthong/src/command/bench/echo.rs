//! The baseline: a gRPC service that gives every event back, by tonic, over loopback.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use hdrhistogram::Histogram;
use proto::v1::Event;
use runtime::Tasks;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{Service, http},
    server::{Grpc, NamedService, StreamingService, UnaryService},
    transport::{Channel, Endpoint, Server},
};
use tonic_prost::ProstCodec;

use super::latency::steady;

const UNARY: &str = "/lienthong.bench.Echo/Unary";
const STREAM: &str = "/lienthong.bench.Echo/Stream";

/// A running echo service and a connection to it.
pub(crate) struct Echo {
    channel: Channel,
    tasks: Tasks,
}

#[derive(Clone)]
struct EchoService;

type Codec = ProstCodec<Event, Event>;

// === impl Echo ===

impl Echo {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let tasks = Tasks::default();
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listener = tokio::net::TcpListener::bind(any).await?;
        let address = listener.local_addr()?;
        tasks.spawn("echo", |stop| async move {
            Server::builder()
                .tcp_nodelay(true)
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(4 << 20)
                .add_service(EchoService)
                .serve_with_incoming_shutdown(
                    TcpListenerStream::new(listener),
                    stop.cancelled_owned(),
                )
                .await
        });
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .connect()
            .await
            .context("the echo service does not answer")?;
        Ok(Self { channel, tasks })
    }

    pub(crate) async fn stop(self) {
        drop(self.channel);
        let _ = self.tasks.drain(Duration::from_secs(1)).await;
    }

    /// Calls a second, with so many in flight.
    pub(crate) async fn unary_rate(&self, in_flight: usize, event: &Event, span: Duration) -> f64 {
        let begun = Instant::now();
        let workers = (0..in_flight).map(|_| async {
            let mut done = 0_u64;
            while begun.elapsed() < span {
                if self.call(event.clone()).await.is_ok() {
                    done += 1;
                }
            }
            done
        });
        let done: u64 = futures_util::future::join_all(workers)
            .await
            .into_iter()
            .sum();
        done as f64 / begun.elapsed().as_secs_f64()
    }

    /// Microseconds of calls that begin at a steady rate.
    pub(crate) async fn unary_latency(
        &self,
        rate: u64,
        event: &Event,
        span: Duration,
    ) -> anyhow::Result<Histogram<u64>> {
        steady(&self.tasks, rate, span, |_| {
            let call = call(self.channel.clone(), event.clone());
            async move { Ok(call.await?) }
        })
        .await
    }

    /// Messages a second over one bidirectional stream, one answer each.
    pub(crate) async fn stream_rate(&self, event: &Event, span: Duration) -> anyhow::Result<f64> {
        let window = Arc::new(Semaphore::new(1_000));
        let (begun, permits) = (Instant::now(), Arc::clone(&window));
        let event = event.clone();
        let outgoing = stream::unfold((permits, event), move |(permits, event)| async move {
            if begun.elapsed() >= span {
                return None;
            }
            permits.acquire().await.ok()?.forget();
            Some((event.clone(), (permits, event)))
        });
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await?;
        let path = http::uri::PathAndQuery::from_static(STREAM);
        let answers = client
            .streaming(Request::new(outgoing), path, Codec::default())
            .await?
            .into_inner();
        let counted = answers
            .map(|_: Result<Event, Status>| window.add_permits(1))
            .count();
        let done = counted.await;
        Ok(done as f64 / begun.elapsed().as_secs_f64())
    }

    async fn call(&self, event: Event) -> Result<(), Status> {
        call(self.channel.clone(), event).await
    }
}

async fn call(channel: Channel, event: Event) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static(UNARY);
    let _: Response<Event> = client
        .unary(Request::new(event), path, Codec::default())
        .await?;
    Ok(())
}

// === impl EchoService ===

impl NamedService for EchoService {
    const NAME: &'static str = "lienthong.bench.Echo";
}

impl Service<http::Request<Body>> for EchoService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let is_stream = request.uri().path() == STREAM;
        async move {
            let mut grpc = Grpc::new(Codec::default());
            Ok(if is_stream {
                grpc.streaming(EchoService, request).await
            } else {
                grpc.unary(EchoService, request).await
            })
        }
        .boxed()
    }
}

impl UnaryService<Event> for EchoService {
    type Response = Event;
    type Future = BoxFuture<'static, Result<Response<Event>, Status>>;

    fn call(&mut self, request: Request<Event>) -> Self::Future {
        async move { Ok(Response::new(request.into_inner())) }.boxed()
    }
}

impl StreamingService<Event> for EchoService {
    type Response = Event;
    type ResponseStream = Streaming<Event>;
    type Future = BoxFuture<'static, Result<Response<Streaming<Event>>, Status>>;

    fn call(&mut self, request: Request<Streaming<Event>>) -> Self::Future {
        async move { Ok(Response::new(request.into_inner())) }.boxed()
    }
}
