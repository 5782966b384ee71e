use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Malformed, Queried};
use crate::conformance::{reading::Reply, sample::Parcel};

/// One POST per delivery: a CloudEvent in binary mode. Redirects are not followed.
#[derive(Debug)]
pub(super) struct Post {
    authority: String,
    /// With its slash.
    path: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What a query may tell; everything may be left out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    effects: Option<u64>,
    digest: Option<String>,
}

/// Of an answer's body no more is read.
const LARGEST_BODY: usize = 128 << 10;

// === impl Post ===

impl Post {
    pub(super) fn new(rest: &str, patience: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(patience));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Self {
            authority: authority.to_owned(),
            path: format!("/{path}"),
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .build(connector),
        }
    }

    pub(super) async fn call(&self, parcel: &Parcel) -> Reply {
        let body = parcel.delivery.data.clone();
        self.request(Method::POST, &self.path, headers(parcel), body, parcel.id())
            .await
    }

    pub(super) async fn malformed(&self, what: Malformed) -> Reply {
        let mut headers = HeaderMap::new();
        let kind = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, kind);
        let body = match what {
            Malformed::Garbage => "{{{ \u{0} this is no delivery",
            Malformed::Empty => "",
        };
        let body = Bytes::from_static(body.as_bytes());
        self.request(Method::POST, &self.path, headers, body, "")
            .await
    }

    /// The head and half of the body; then the connection is closed.
    pub(super) async fn half(&self, parcel: &Parcel) -> std::io::Result<()> {
        let mut connection = TcpStream::connect(&self.authority).await?;
        let body = &parcel.delivery.data;
        let mut bytes = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n",
            self.path,
            self.authority,
            body.len()
        )
        .into_bytes();
        for (name, value) in &headers(parcel) {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body[..body.len() / 2]);
        connection.write_all(&bytes).await?;
        connection.shutdown().await
    }

    pub(super) async fn query(&self, id: &str) -> Queried {
        let path = format!("{}/{id}", self.path.trim_end_matches('/'));
        match self
            .exchange(Method::GET, &path, HeaderMap::new(), Bytes::new())
            .await
        {
            Ok((200, body)) => {
                let Found { effects, digest } = serde_json::from_str(&body).unwrap_or_default();
                Queried::Found { effects, digest }
            }
            Ok((404 | 410, _)) => Queried::Missing,
            Ok(_) | Err(_) => Queried::NotOffered,
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        id: &str,
    ) -> Reply {
        match self.exchange(method, path, headers, body).await {
            Ok((status, body)) => Reply::of_http(status, &body, id),
            Err(reason) => Reply::cut(reason),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(u16, String), String> {
        let uri = format!("http://{}{path}", self.authority);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::new(body));
        let mut request = request.map_err(|error| error.to_string())?;
        request.headers_mut().extend(headers);
        let response = self.client.request(request).await;
        let response = response.map_err(|error| runtime::ErrorChain(&error).to_string())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_BODY).collect().await;
        let body = body.map(|whole| whole.to_bytes()).unwrap_or_default();
        Ok((
            head.status.as_u16(),
            String::from_utf8_lossy(&body).into_owned(),
        ))
    }
}

fn headers(parcel: &Parcel) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let usual = proto::cloud_event_headers(&parcel.delivery);
    let usual = usual
        .into_iter()
        .map(|(name, value)| (name, value.into_owned()));
    for (name, value) in usual.chain(parcel.headers.iter().cloned()) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if let Ok(kind) = HeaderValue::from_str(&parcel.delivery.content_type) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers
}
