//! The endpoints in a process of their own: they answer after a while, and count.
//!
//! `POST /{cell}/{millis}/{destination}` takes a delivery (`hang` in the place of millis never answers);
//! `GET /counts/{cell}`, `/fresh/{cell}`, `/stream/{cell}/{millis}` and `/listen/{port}` are for the
//! measuring process.

mod count;
mod grpc;

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use runtime::{Clock, Tasks};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};

use crate::output;
pub(super) use count::Counts;
use count::{Arrival, Cell};

/// Where the endpoints listen: the first line on standard output.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Addresses {
    pub(super) http: SocketAddr,
    pub(super) grpc: SocketAddr,
}

/// What all connections share.
struct Endpoints {
    cells: Mutex<HashMap<String, Arc<Mutex<Cell>>>>,
    /// What the gRPC endpoint counts for, and how long it works.
    stream: Mutex<(String, Duration)>,
    clock: Clock,
    tasks: Tasks,
}

/// Serves until standard input ends: until whoever started it is gone.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let tasks = Tasks::default();
    let endpoints = Arc::new(Endpoints {
        cells: Mutex::default(),
        stream: Mutex::default(),
        clock: Clock::system(),
        tasks: tasks.clone(),
    });
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let addresses = Addresses {
        http: endpoints.listen(any)?,
        grpc: grpc::listen(any, &endpoints)?,
    };
    output::line(serde_json::to_string(&addresses)?);
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    let _ = tasks.drain(Duration::from_millis(100)).await;
    Ok(())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Endpoints ===

impl Endpoints {
    fn listen(self: &Arc<Self>, address: SocketAddr) -> anyhow::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let endpoints = Arc::clone(self);
        self.tasks.spawn_sure("endpoints", |stop| async move {
            while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
                let connection = connection(Arc::clone(&endpoints), stream);
                endpoints.tasks.spawn_brief(connection);
            }
        });
        Ok(address)
    }

    fn cell(&self, name: &str) -> Arc<Mutex<Cell>> {
        let mut cells = locked(&self.cells);
        match cells.get(name) {
            Some(cell) => Arc::clone(cell),
            None => Arc::clone(cells.entry(name.to_owned()).or_default()),
        }
    }

    fn waited(&self, since: Option<Timestamp>) -> Duration {
        let waited = since.map(|since| self.clock.now().duration_since(since));
        waited
            .and_then(|waited| waited.try_into().ok())
            .unwrap_or_default()
    }

    async fn take(
        &self,
        cell: &str,
        work: &str,
        headers: &HeaderMap,
        body: Incoming,
    ) -> StatusCode {
        // Nothing arrives before its last byte.
        if body.collect().await.is_err() {
            return StatusCode::BAD_REQUEST;
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let dossier = text("ce-subject").unwrap_or_default();
        let cell = self.cell(cell);
        locked(&cell).arrived(Arrival {
            dossier,
            sequence: text("ce-sequence")
                .and_then(|n| n.parse().ok())
                .unwrap_or(0),
            at: Instant::now(),
            waited: self.waited(text("ce-time").and_then(|time| time.parse().ok())),
        });
        match work.parse() {
            Ok(millis) => time::sleep(Duration::from_millis(millis)).await,
            Err(_) => std::future::pending().await,
        }
        locked(&cell).answered(dossier);
        StatusCode::OK
    }

    /// What the measuring process asks for.
    fn steer(self: &Arc<Self>, path: &[&str]) -> anyhow::Result<Bytes> {
        match path {
            ["counts", cell] => {
                let counts = locked(&self.cell(cell)).counts();
                return Ok(serde_json::to_vec(&counts)?.into());
            }
            ["fresh", cell] => locked(&self.cell(cell)).forget_latencies(),
            ["stream", cell, millis] => {
                let work = Duration::from_millis(millis.parse()?);
                *locked(&self.stream) = ((*cell).to_owned(), work);
            }
            ["listen", port] => {
                self.listen(([127, 0, 0, 1], port.parse()?).into())?;
            }
            _ => anyhow::bail!("nothing is at {path:?}"),
        }
        Ok(Bytes::from_static(b"{}"))
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> (StatusCode, Bytes) {
        let (head, body) = request.into_parts();
        let path: Vec<&str> = head.uri.path().split('/').skip(1).collect();
        if let (&Method::POST, [cell, work, _destination]) = (&head.method, path.as_slice()) {
            return (
                self.take(cell, work, &head.headers, body).await,
                Bytes::new(),
            );
        }
        match self.steer(&path) {
            Ok(json) => (StatusCode::OK, json),
            Err(error) => (StatusCode::NOT_FOUND, error.to_string().into()),
        }
    }
}

async fn connection(endpoints: Arc<Endpoints>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let endpoints = Arc::clone(&endpoints);
        async move {
            let (status, body) = endpoints.answer(request).await;
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = status;
            let json = hyper::header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            Ok::<_, Infallible>(response)
        }
    });
    // A connection that breaks is the measured side's to tell.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
