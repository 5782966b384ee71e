use std::{pin::Pin, sync::Arc, time::Duration};

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
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{AsciiMetadataValue, MetadataMap},
};

use super::{
    case::Case,
    cuttable::Cutter,
    reception::{Answer, Reception, Said},
    visit::Visit,
    words::{CONFLICT, OUT_OF_ORDER, SIGNATURE, has_unknown_member, seconds},
};
use crate::{Digest, Reaction, ScriptedAnswer, Signatures};

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
        let cutter = request.extensions().get::<Cutter>().cloned();
        check_signature(&self.reception, request.metadata())?;
        let mut visit = Visit::begin(&self.reception);
        let delivery = request.into_inner().delivery;
        let answer = answer(&self.reception, &mut visit, delivery).await;
        let answer = heard(answer?, cutter.as_ref()).await;
        visit.answered();
        let verdict = Some(verdict(&self.reception, answer)?);
        Ok(Response::new(DeliverResponse { verdict }))
    }

    async fn deliver_stream(
        &self,
        request: Request<Streaming<DeliverStreamRequest>>,
    ) -> Result<Response<Verdicts>, Status> {
        let reception = Arc::clone(&self.reception);
        let cutter = request.extensions().get::<Cutter>().cloned();
        check_signature(&reception, request.metadata())?;
        let deliveries = tokio_stream::StreamExt::map_while(request.into_inner(), Result::ok);
        let verdicts = deliveries
            .map(move |request| {
                one_of_stream(Arc::clone(&reception), cutter.clone(), request.delivery)
            })
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
    cutter: Option<Cutter>,
    delivery: Option<v1::Delivery>,
) -> Result<DeliverStreamResponse, Status> {
    let delivery_id = delivery
        .as_ref()
        .map(|delivery| delivery.id.clone())
        .unwrap_or_default();
    let mut visit = Visit::begin(&reception);
    let answer = answer(&reception, &mut visit, delivery).await;
    let answer = heard(answer?, cutter.as_ref()).await;
    visit.answered();
    // A failure of one delivery is no reason to cut the others off: on a stream it reads as busy.
    let verdict = match (answer.reaction, &answer.said) {
        (Reaction::Failed, Said::Usual) => busy(None, "simulated failure"),
        (_, Said::Scripted(scripted)) if scripted.code != Code::Ok => {
            busy(scripted.retry_after, &scripted.text)
        }
        _ => verdict(&reception, answer)?,
    };
    Ok(DeliverStreamResponse {
        delivery_id,
        verdict: Some(verdict),
    })
}

/// A delivery that is none is refused, unless the script takes anything.
async fn answer(
    reception: &Reception,
    visit: &mut Visit,
    delivery: Option<v1::Delivery>,
) -> Result<Answer, Status> {
    let manners = &reception.script().manners;
    let delivery = delivery.unwrap_or_default();
    let message = Digest::of(&delivery.encode_to_vec());
    let delivery = match Delivery::try_from(delivery) {
        Ok(delivery) => delivery,
        Err(_) if manners.takes_garbage => {
            return Ok(Answer {
                reaction: Reaction::Taken,
                delay: Duration::ZERO,
                said: Said::Usual,
            });
        }
        Err(error) => return Err(Status::invalid_argument(error.to_string())),
    };
    if !manners.ignores_unknown && has_unknown_member(&delivery.data) {
        return Err(Status::invalid_argument(
            "simulated: an unknown field in the data",
        ));
    }
    Ok(visit.receive(Case::new(delivery, message)).await)
}

/// What never reaches the caller ends here.
async fn heard(answer: Answer, cutter: Option<&Cutter>) -> Answer {
    match (&answer.said, cutter) {
        (Said::Dropped, Some(cutter)) => {
            cutter.cut();
            std::future::pending().await
        }
        (Said::Never, _) => std::future::pending().await,
        _ => answer,
    }
}

fn check_signature(reception: &Reception, metadata: &MetadataMap) -> Result<(), Status> {
    match reception.script().manners.signatures {
        _ if !metadata.contains_key(SIGNATURE) => Ok(()),
        Signatures::Ignore => Ok(()),
        Signatures::Check => Err(Status::unauthenticated("simulated: the signature is wrong")),
        Signatures::Fail => Err(Status::internal("simulated failure over a signature")),
    }
}

fn verdict(reception: &Reception, answer: Answer) -> Result<Verdict, Status> {
    use v1::verdict::Verdict as Kind;
    let not_taken = |code: &str, reason: &str| {
        Kind::NotTaken(NotTaken {
            code: code.to_owned(),
            reason: reason.to_owned(),
        })
    };
    let verdict = match (answer.said, answer.reaction) {
        (Said::Lost, _) => return Err(Status::unavailable("simulated loss of the answer")),
        (Said::Scripted(scripted), _) if scripted.code == Code::Ok => Kind::Taken(Taken {}),
        (Said::Scripted(scripted), _) => return Err(status(&scripted)),
        (Said::Early, _) => not_taken("out-of-order", OUT_OF_ORDER),
        (Said::Conflict, _) => not_taken("conflict", CONFLICT),
        (Said::TooLarge, _) => not_taken("too-large", "simulated: the payload is too large"),
        (Said::Locked, _) => return Ok(busy(None, "simulated: a cut call left it locked")),
        (Said::TooMany, _) => return Err(Status::resource_exhausted("simulated overload")),
        (_, Reaction::Taken) => Kind::Taken(Taken {}),
        (_, Reaction::AlreadyTaken) => Kind::AlreadyTaken(AlreadyTaken {}),
        (_, Reaction::Busy) => return Ok(busy(reception.retry_after(), "simulated overload")),
        (_, Reaction::NotTaken) => not_taken("simulated", "simulated refusal"),
        (_, Reaction::Failed) => return Err(Status::internal("simulated failure")),
    };
    Ok(Verdict {
        verdict: Some(verdict),
    })
}

fn status(scripted: &ScriptedAnswer) -> Status {
    let mut status = Status::new(scripted.code, scripted.text.clone());
    if let Some(wait) = scripted.retry_after {
        let seconds = AsciiMetadataValue::from(seconds(wait));
        status.metadata_mut().insert("retry-after", seconds);
    }
    status
}

fn busy(retry_after: Option<Duration>, reason: &str) -> Verdict {
    Verdict {
        verdict: Some(v1::verdict::Verdict::Busy(Busy {
            retry_after: retry_after.map(duration_to_wire),
            reason: reason.to_owned(),
        })),
    }
}
