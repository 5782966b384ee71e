use std::time::Duration;

use proto::v1::{self, pull_server::Pull};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::work::Work;
use super::{Ask, Pulls, Refusal, not_zero};

/// The `Pull` service for agencies that cannot be called.
#[derive(Clone)]
pub struct PullApi(pub(crate) Pulls);

/// Leases that wait for the puller to read them.
const AHEAD: usize = 64;

#[tonic::async_trait]
impl Pull for PullApi {
    type WorkStream = ReceiverStream<Result<v1::WorkResponse, Status>>;

    async fn take(
        &self,
        request: Request<v1::TakeRequest>,
    ) -> Result<Response<v1::TakeResponse>, Status> {
        let request = request.into_inner();
        let max = usize::try_from(request.max).unwrap_or(usize::MAX);
        let wait = request.wait.map(proto::duration_from_wire);
        let ask = Ask::new(max, wait, span(request.lease))?;
        let leases = self.0.take(&request.destination, ask).await?;
        Ok(Response::new(v1::TakeResponse { leases }))
    }

    async fn confirm(
        &self,
        request: Request<v1::ConfirmRequest>,
    ) -> Result<Response<v1::ConfirmResponse>, Status> {
        let request = request.into_inner();
        let answers = self
            .0
            .confirm(&request.destination, request.confirmations)?;
        Ok(Response::new(v1::ConfirmResponse { answers }))
    }

    async fn extend(
        &self,
        request: Request<v1::ExtendRequest>,
    ) -> Result<Response<v1::ExtendResponse>, Status> {
        let request = request.into_inner();
        let by = not_zero("by", span(request.by))?;
        let answers = self.0.extend(&request.destination, request.tokens, by)?;
        Ok(Response::new(v1::ExtendResponse { answers }))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        let request = request.into_inner();
        let answers = self.0.release(&request.destination, request.tokens)?;
        Ok(Response::new(v1::ReleaseResponse { answers }))
    }

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let (responses, received) = tokio::sync::mpsc::channel(AHEAD);
        let work = Work::new(self.0.clone(), request.into_inner(), responses);
        self.0.tasks.spawn_brief(work.run());
        Ok(Response::new(ReceiverStream::new(received)))
    }
}

pub(super) fn span(wire: Option<prost_types::Duration>) -> Option<Duration> {
    wire.map(proto::duration_from_wire)
}

// === impl Status ===

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::NoPull(_) => Self::not_found(message),
            Refusal::Closed(_) => Self::unavailable(message),
            Refusal::Invalid { .. } => Self::invalid_argument(message),
        }
    }
}
