use std::net::SocketAddr;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Health, Metrics};

/// The operators' page of one process: `/metrics`, `/health`, `/ready`, `/status`.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be had.
    #[error(
        "cannot listen on {address} for the admin page; is another process using the port? choose another with `admin.listen`"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Serving ended with an error.
    #[error("the admin page failed")]
    Serve(#[source] std::io::Error),
}

#[derive(Clone)]
struct Pages {
    health: Health,
    metrics: Option<Metrics>,
}

// === impl Admin ===

impl Admin {
    /// Takes the address; port 0 chooses a free one.
    pub async fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        let bind = |source| AdminError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self { listener, address })
    }

    /// The address it has.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the stop.
    pub async fn run(
        self,
        health: Health,
        metrics: Option<Metrics>,
        stop: CancellationToken,
    ) -> Result<(), AdminError> {
        let upkeep = upkeep(metrics.clone(), stop.clone());
        let pages = Router::new()
            .route("/metrics", get(metrics_page))
            .route("/health", get(|| async { "ok\n" }))
            .route("/ready", get(ready_page))
            .route("/status", get(status_page))
            .with_state(Pages { health, metrics });
        let serve = axum::serve(self.listener, pages)
            .with_graceful_shutdown(async move { stop.cancelled().await });
        let (served, ()) = tokio::join!(async { serve.await }, upkeep);
        served.map_err(AdminError::Serve)
    }
}

async fn upkeep(metrics: Option<Metrics>, stop: CancellationToken) {
    let Some(metrics) = metrics else { return };
    while stop
        .run_until_cancelled(tokio::time::sleep(Metrics::UPKEEP))
        .await
        .is_some()
    {
        metrics.upkeep();
    }
}

async fn metrics_page(State(pages): State<Pages>) -> impl IntoResponse {
    let text = pages
        .metrics
        .map(|metrics| metrics.render())
        .unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn ready_page(State(pages): State<Pages>) -> impl IntoResponse {
    let reasons = pages.health.not_ready();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let lines = reasons
        .iter()
        .map(|(role, reason)| format!("{role}: {reason}\n"))
        .collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

async fn status_page(State(pages): State<Pages>) -> impl IntoResponse {
    Json(pages.health.status())
}
