use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::v1::{DeliverResponse, DeliverStreamResponse, QueryRequest, inbox_client::InboxClient};
use tokio::{sync::mpsc, time::timeout_at};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    metadata::{AsciiMetadataKey, AsciiMetadataValue},
    transport::Channel,
};

use super::{Malformed, Queried};
use crate::{
    InvalidAddress,
    conformance::{
        reading::Reply,
        sample::Parcel,
        wire::{AsBytes, GARBAGE, request},
    },
    publisher::endpoint,
};

/// The `Inbox` service of the endpoint under test.
#[derive(Debug)]
pub(super) struct Inbox(Channel);

const DELIVER: &str = "/lienthong.v1.Inbox/Deliver";
const DELIVER_STREAM: &str = "/lienthong.v1.Inbox/DeliverStream";

// === impl Inbox ===

impl Inbox {
    pub(super) fn new(authority: &str, patience: Duration) -> Result<Self, InvalidAddress> {
        let endpoint = endpoint(authority)?.connect_timeout(patience);
        Ok(Self(endpoint.connect_lazy()))
    }

    pub(super) async fn call(&self, parcel: &Parcel) -> Reply {
        self.unary(request(parcel), &headers(parcel)).await
    }

    pub(super) async fn malformed(&self, what: Malformed) -> Reply {
        let bytes = match what {
            Malformed::Garbage => GARBAGE,
            Malformed::Empty => &[],
        };
        self.unary(Bytes::from_static(bytes), &[]).await
    }

    async fn unary(&self, bytes: Bytes, headers: &[(&'static str, String)]) -> Reply {
        let mut grpc = Grpc::new(self.0.clone());
        if let Err(error) = grpc.ready().await {
            return Reply::cut(error.to_string());
        }
        let codec = AsBytes::<DeliverResponse>::default();
        let path = PathAndQuery::from_static(DELIVER);
        match grpc.unary(with_headers(bytes, headers), path, codec).await {
            Ok(response) => Reply::of_verdict(response.into_inner().verdict),
            Err(status) => Reply::of_status(&status),
        }
    }

    pub(super) async fn query(&self, id: &str) -> Queried {
        let request = QueryRequest {
            delivery_id: id.to_owned(),
        };
        match InboxClient::new(self.0.clone()).query(request).await {
            Ok(response) if response.get_ref().taken => Queried::Found {
                effects: None,
                digest: None,
            },
            Ok(_) => Queried::Missing,
            Err(_) => Queried::NotOffered,
        }
    }

    /// All parcels over one stream; it is closed when all are answered.
    pub(super) async fn stream(&self, parcels: &[Parcel], limit: Duration) -> Vec<Reply> {
        let begun = Instant::now();
        let until = tokio::time::Instant::now() + limit;
        let mut replies: HashMap<String, Reply> = HashMap::new();
        let ended = timeout_at(until, self.answers(parcels, begun, &mut replies)).await;
        let rest = match ended {
            Ok(Err(status)) => Reply::of_status(&status),
            Ok(Ok(())) => Reply::cut("the stream ended before its verdict"),
            Err(_) => Reply::silent(limit),
        };
        let rest = rest.after(begun.elapsed());
        let mut reply = |parcel: &Parcel| replies.remove(parcel.id());
        parcels
            .iter()
            .map(|parcel| reply(parcel).unwrap_or_else(|| rest.clone()))
            .collect()
    }

    async fn answers(
        &self,
        parcels: &[Parcel],
        begun: Instant,
        replies: &mut HashMap<String, Reply>,
    ) -> Result<(), Status> {
        let (outbound, requests) = mpsc::unbounded_channel();
        let others = parcels.first().map(|parcel| parcel.headers.clone());
        for parcel in parcels {
            // The receiver is held just below.
            let _ = outbound.send(request(parcel));
        }
        let requests = UnboundedReceiverStream::new(requests);
        let mut verdicts = self.open(requests, &others.unwrap_or_default()).await?;
        while replies.len() < parcels.len() {
            let Some(response) = verdicts.message().await? else {
                return Ok(());
            };
            let reply = Reply::of_verdict(response.verdict).after(begun.elapsed());
            replies.insert(response.delivery_id, reply);
        }
        drop(outbound);
        Ok(())
    }

    async fn open(
        &self,
        requests: UnboundedReceiverStream<Bytes>,
        headers: &[(&'static str, String)],
    ) -> Result<Streaming<DeliverStreamResponse>, Status> {
        let mut grpc = Grpc::new(self.0.clone());
        let unreachable = |error: tonic::transport::Error| Status::from_error(Box::new(error));
        grpc.ready().await.map_err(unreachable)?;
        let codec = AsBytes::<DeliverStreamResponse>::default();
        let path = PathAndQuery::from_static(DELIVER_STREAM);
        let request = with_headers(requests, headers);
        Ok(grpc.streaming(request, path, codec).await?.into_inner())
    }
}

fn headers(parcel: &Parcel) -> Vec<(&'static str, String)> {
    let key = ("idempotency-key", parcel.id().to_owned());
    parcel.headers.iter().cloned().chain([key]).collect()
}

fn with_headers<T>(message: T, headers: &[(&'static str, String)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        if let Ok(value) = AsciiMetadataValue::try_from(value) {
            let name = AsciiMetadataKey::from_static(name);
            request.metadata_mut().insert(name, value);
        }
    }
    request
}
