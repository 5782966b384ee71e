//! The endpoints' process, seen from the measuring one.

use std::{process::Stdio, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    time,
};

use super::endpoint::{Addresses, Counts};

/// The endpoints in their own process; they end with this.
pub(super) struct Far {
    pub(super) addresses: Addresses,
    client: Client<HttpConnector, Empty<Bytes>>,
    _child: Child,
    _stdin: Option<ChildStdin>,
}

const UNTIL_UP: Duration = Duration::from_secs(10);

// === impl Far ===

impl Far {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "courier-endpoint"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the endpoints")?;
        let stdout = child
            .stdout
            .take()
            .context("the endpoints have no output")?;
        let mut line = String::new();
        let mut lines = BufReader::new(stdout);
        time::timeout(UNTIL_UP, lines.read_line(&mut line))
            .await
            .context("the endpoints did not say where they listen")??;
        Ok(Self {
            addresses: serde_json::from_str(&line).context("the endpoints ended at once")?,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            _stdin: child.stdin.take(),
            _child: child,
        })
    }

    /// Where destinations of a cell are, to be followed by `/{destination}`.
    pub(super) fn base(&self, cell: &str, work: &str) -> String {
        format!("http://{}/{cell}/{work}", self.addresses.http)
    }

    /// What has arrived in a cell.
    pub(super) async fn counts(&self, cell: &str) -> anyhow::Result<Counts> {
        let json = self.ask(&format!("counts/{cell}")).await?;
        Ok(serde_json::from_slice(&json)?)
    }

    /// Forgets the latencies of a cell so far.
    pub(super) async fn forget_latencies(&self, cell: &str) -> anyhow::Result<()> {
        self.ask(&format!("fresh/{cell}")).await.map(drop)
    }

    /// What the gRPC endpoint counts for from now on, and how long it works.
    pub(super) async fn stream(&self, cell: &str, work: Duration) -> anyhow::Result<()> {
        let millis = work.as_millis();
        self.ask(&format!("stream/{cell}/{millis}")).await.map(drop)
    }

    /// Listens on one more port.
    pub(super) async fn listen(&self, port: u16) -> anyhow::Result<()> {
        self.ask(&format!("listen/{port}")).await.map(drop)
    }

    async fn ask(&self, path: &str) -> anyhow::Result<Bytes> {
        let url = format!("http://{}/{path}", self.addresses.http);
        let response = self.client.get(url.parse()?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::ensure!(
            status.is_success(),
            "the endpoints refused {path}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }
}
