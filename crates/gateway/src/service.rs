use std::{pin::Pin, sync::Arc, time::Duration};

use domain::Event;
use futures_util::Stream;
use log::{Log, Position, Record, Topic};
use proto::v1::{self, Accepted, PublishRequest, PublishResponse, PublishStreamResponse};
use runtime::{Clock, Health, Readiness, Tasks};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    Limits, check::check, quota::Quotas, status::Rejection, stream::PublishStream, telemetry,
};

/// The role's name in health and metrics.
pub(crate) const ROLE: &str = "gateway";

/// Answers that wait for a caller to read them; beyond, the caller is not read any more.
const ANSWERS: usize = 1024;

/// The `Gateway` service.
#[derive(Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
}

/// What all calls share.
pub(crate) struct Shared {
    log: Log,
    clock: Clock,
    health: Health,
    tasks: Tasks,
    limits: Limits,
    quotas: Quotas,
    bytes: Semaphore,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(
        log: Log,
        clock: Clock,
        health: Health,
        tasks: Tasks,
        limits: Limits,
    ) -> Self {
        let quotas = Quotas::new(limits.rate, limits.burst);
        let bytes = Semaphore::new(limits.bytes_in_flight);
        Self {
            shared: Arc::new(Shared {
                log,
                clock,
                health,
                tasks,
                limits,
                quotas,
                bytes,
            }),
        }
    }
}

#[tonic::async_trait]
impl v1::gateway_server::Gateway for Service {
    type PublishStreamStream =
        Pin<Box<dyn Stream<Item = Result<PublishStreamResponse, Status>> + Send>>;

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let _open = telemetry::Open::new();
        let begun = Instant::now();
        let wire = request.into_inner().event;
        let id = event_id(wire.as_ref());
        match self.shared.publish_one(wire).await {
            Ok(position) => {
                telemetry::accepted("Publish", 1, begun.elapsed());
                Ok(Response::new(PublishResponse {
                    accepted: Some(accepted(position)),
                }))
            }
            Err(rejection) => {
                telemetry::rejected("Publish", &id, &rejection);
                Err(rejection.into_status())
            }
        }
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<v1::PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(ANSWERS);
        let stream = PublishStream::new(Arc::clone(&self.shared), request.into_inner(), answers);
        self.shared.tasks.spawn_brief(stream.serve());
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

// === impl Shared ===

impl Shared {
    async fn publish_one(&self, wire: Option<v1::Event>) -> Result<Position, Rejection> {
        let event = self.check(wire)?;
        self.take(&event).map_err(Rejection::OverQuota)?;
        let mut positions = self.append(vec![record(event)]).await?;
        positions
            .pop()
            .ok_or_else(|| Rejection::Unknown("the log gave no position".to_owned()))
    }

    pub(crate) fn check(&self, wire: Option<v1::Event>) -> Result<Event, Rejection> {
        check(wire, self.clock.now(), self.limits.clock_skew).map_err(Rejection::Invalid)
    }

    /// Takes one event out of its source's quota, or says how long until there is room.
    pub(crate) fn take(&self, event: &Event) -> Result<(), Duration> {
        self.quotas.take(&event.source, Instant::now())
    }

    pub(crate) fn stop(&self) -> CancellationToken {
        self.tasks.stop_token()
    }

    /// Appends, and answers within the time that an answer may take.
    pub(crate) async fn append(&self, records: Vec<Record>) -> Result<Vec<Position>, Rejection> {
        let within = self.limits.answer_within;
        let deadline = Instant::now() + within;
        let bytes: usize = records.iter().map(Record::size).sum();
        let permits = u32::try_from(bytes.min(self.limits.bytes_in_flight)).unwrap_or(u32::MAX);
        let Ok(_permit) = timeout_at(deadline, self.bytes.acquire_many(permits)).await else {
            return Err(self.refused(Rejection::Busy(within)));
        };
        let sizes: Vec<usize> = records.iter().map(Record::size).collect();
        let append = self.log.append(Topic::Events, records);
        match timeout_at(deadline, append).await {
            Ok(Ok(positions)) => {
                sizes.into_iter().for_each(telemetry::sized);
                if !self.stop().is_cancelled() {
                    self.health.set(ROLE, Readiness::Ready);
                }
                Ok(positions)
            }
            Ok(Err(error)) => Err(self.refused(error.into())),
            Err(_) => Err(self.refused(Rejection::Unknown(format!(
                "the log did not answer within {within:?}"
            )))),
        }
    }

    /// Says so where the log, and not the event, is at fault.
    fn refused(&self, rejection: Rejection) -> Rejection {
        match &rejection {
            Rejection::Invalid(_) | Rejection::OverQuota(_) => {}
            Rejection::Busy(_) | Rejection::NotWritten(_) | Rejection::Unknown(_) => {
                telemetry::not_taken(&rejection);
                let reason = Readiness::NotReady(rejection.to_string());
                self.health.set(ROLE, reason);
            }
        }
        rejection
    }
}

pub(crate) fn accepted(position: Position) -> Accepted {
    Accepted {
        partition: position.partition,
        offset: position.offset,
    }
}

/// The event's id, cut where it is longer than an id may be.
pub(crate) fn event_id(wire: Option<&v1::Event>) -> String {
    wire.map(|event| event.id.chars().take(domain::EventId::MAX_LEN).collect())
        .unwrap_or_default()
}

pub(crate) fn record(event: Event) -> Record {
    let attributes = event.attributes();
    let headers = attributes
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
    Record {
        key: event.dossier.to_string(),
        headers,
        value: event.data,
    }
}
