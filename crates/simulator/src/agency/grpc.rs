use std::{pin::Pin, sync::Arc};

use domain::Delivery;
use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use proto::{
    duration_to_wire,
    v1::{
        self, AlreadyTaken, Busy, DeliverRequest, DeliverResponse, DeliverStreamRequest,
        DeliverStreamResponse, NotTaken, QueryRequest, QueryResponse, Taken, Verdict,
        inbox_server::Inbox,
    },
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    case::Case,
    reception::{Answer, Reception},
};
use crate::{Digest, Reaction};

/// The `Inbox` service of an agency.
pub(super) struct GrpcInbox {
    pub(super) reception: Arc<Reception>,
    /// Ends streams when the agency goes away.
    pub(super) closing: CancellationToken,
}

type Verdicts = Pin<Box<dyn Stream<Item = Result<DeliverStreamResponse, Status>> + Send>>;

/// How many deliveries of one stream an agency has in hand.
const IN_HAND: usize = 1_024;

// === impl GrpcInbox ===

#[tonic::async_trait]
impl Inbox for GrpcInbox {
    type DeliverStreamStream = Verdicts;

    async fn deliver(
        &self,
        request: Request<DeliverRequest>,
    ) -> Result<Response<DeliverResponse>, Status> {
        let answer = answer(&self.reception, request.into_inner().delivery).await?;
        let verdict = Some(verdict(&self.reception, answer)?);
        Ok(Response::new(DeliverResponse { verdict }))
    }

    async fn deliver_stream(
        &self,
        request: Request<Streaming<DeliverStreamRequest>>,
    ) -> Result<Response<Verdicts>, Status> {
        let reception = Arc::clone(&self.reception);
        let deliveries = tokio_stream::StreamExt::map_while(request.into_inner(), Result::ok);
        let verdicts = deliveries
            .map(move |request| one_of_stream(Arc::clone(&reception), request.delivery))
            .buffer_unordered(IN_HAND)
            .take_until(self.closing.clone().cancelled_owned());
        let gone = || Err(Status::unavailable("the agency went away"));
        let closing = self.closing.clone();
        let ending = stream::once(async move { closing.is_cancelled() })
            .filter_map(move |closed| async move { closed.then(gone) });
        Ok(Response::new(Box::pin(verdicts.chain(ending))))
    }

    async fn query(
        &self,
        request: Request<QueryRequest>,
    ) -> Result<Response<QueryResponse>, Status> {
        let id = request.into_inner().delivery_id.parse();
        let id = id.map_err(|error: domain::InvalidDeliveryId| {
            Status::invalid_argument(error.to_string())
        })?;
        let taken = self.reception.has(id);
        Ok(Response::new(QueryResponse { taken }))
    }
}

async fn one_of_stream(
    reception: Arc<Reception>,
    delivery: Option<v1::Delivery>,
) -> Result<DeliverStreamResponse, Status> {
    let delivery_id = delivery
        .as_ref()
        .map(|delivery| delivery.id.clone())
        .unwrap_or_default();
    let answer = answer(&reception, delivery).await?;
    // A failure of one delivery is no reason to cut the others off: on a stream it reads as busy.
    let verdict = match answer.reaction {
        Reaction::Failed => busy(None, "simulated failure"),
        _ => verdict(&reception, answer)?,
    };
    Ok(DeliverStreamResponse {
        delivery_id,
        verdict: Some(verdict),
    })
}

async fn answer(reception: &Reception, delivery: Option<v1::Delivery>) -> Result<Answer, Status> {
    let delivery = delivery.ok_or_else(|| Status::invalid_argument("delivery: is missing"))?;
    let message = Digest::of(&delivery.encode_to_vec());
    let delivery = Delivery::try_from(delivery)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    let answer = reception.receive(Case::new(delivery, message));
    if !answer.delay.is_zero() {
        reception.clock().sleep(answer.delay).await;
    }
    Ok(answer)
}

fn verdict(reception: &Reception, answer: Answer) -> Result<Verdict, Status> {
    use v1::verdict::Verdict as Kind;
    if answer.lost {
        return Err(Status::unavailable("simulated loss of the answer"));
    }
    let verdict = match answer.reaction {
        Reaction::Taken => Kind::Taken(Taken {}),
        Reaction::AlreadyTaken => Kind::AlreadyTaken(AlreadyTaken {}),
        Reaction::Busy => return Ok(busy(reception.retry_after(), "simulated overload")),
        Reaction::NotTaken => Kind::NotTaken(NotTaken {
            code: "simulated".to_owned(),
            reason: "simulated refusal".to_owned(),
        }),
        Reaction::Failed => return Err(Status::internal("simulated failure")),
    };
    Ok(Verdict {
        verdict: Some(verdict),
    })
}

fn busy(retry_after: Option<std::time::Duration>, reason: &str) -> Verdict {
    Verdict {
        verdict: Some(v1::verdict::Verdict::Busy(Busy {
            retry_after: retry_after.map(duration_to_wire),
            reason: reason.to_owned(),
        })),
    }
}
