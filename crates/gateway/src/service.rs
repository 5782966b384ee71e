use std::{pin::Pin, sync::Arc, time::Duration};

use domain::Event;
use futures_util::{Stream, StreamExt};
use log::{Log, Position, Record, Topic};
use proto::v1::{
    self, Accepted, PublishRequest, PublishResponse, PublishStreamRequest, PublishStreamResponse,
    publish_stream_response::Answer,
};
use runtime::{Clock, Health, Readiness, Tasks};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{Limits, check::check, quota::Quotas, status::Rejection, telemetry};

/// The role's name in health and metrics.
pub(crate) const ROLE: &str = "gateway";

const CHUNK: usize = 256;
const CHUNKS_OF_ANSWERS: usize = 4;

/// The `Gateway` service.
#[derive(Clone)]
pub(crate) struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    log: Log,
    clock: Clock,
    health: Health,
    tasks: Tasks,
    limits: Limits,
    quotas: Quotas,
    bytes: Semaphore,
}

/// One event of a stream, on its way to its answer.
struct Pending {
    id: String,
    result: Result<Record, Rejection>,
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
        request: Request<Streaming<PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let (answers, receiver) = mpsc::channel(CHUNK * CHUNKS_OF_ANSWERS);
        let shared = Arc::clone(&self.shared);
        let inbound = request.into_inner();
        self.shared
            .tasks
            .spawn_brief(async move { shared.serve_stream(inbound, answers).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

// === impl Shared ===

impl Shared {
    async fn publish_one(&self, wire: Option<v1::Event>) -> Result<Position, Rejection> {
        let event = self.check(wire)?;
        self.quotas
            .take(&event.source, Instant::now())
            .map_err(Rejection::OverQuota)?;
        let record = record(event);
        let mut positions = self.append(vec![record]).await?;
        positions
            .pop()
            .ok_or_else(|| Rejection::Unknown("the log gave no position".to_owned()))
    }

    fn check(&self, wire: Option<v1::Event>) -> Result<Event, Rejection> {
        check(wire, self.clock.now(), self.limits.clock_skew).map_err(Rejection::Invalid)
    }

    async fn append(&self, records: Vec<Record>) -> Result<Vec<Position>, Rejection> {
        let bytes: usize = records.iter().map(Record::size).sum();
        for record in &records {
            telemetry::sized(record.size());
        }
        let permits = u32::try_from(bytes.min(self.limits.bytes_in_flight)).unwrap_or(u32::MAX);
        let _permit = self.bytes.acquire_many(permits).await;
        let appended = timeout(
            self.limits.answer_within,
            self.log.append(Topic::Events, records),
        );
        match appended.await {
            Ok(Ok(positions)) => {
                self.health.set(ROLE, Readiness::Ready);
                Ok(positions)
            }
            Ok(Err(error)) => {
                self.health
                    .set(ROLE, Readiness::NotReady(error.to_string()));
                Err(error.into())
            }
            Err(_) => {
                let within = self.limits.answer_within;
                Err(Rejection::Unknown(format!(
                    "the log did not answer within {within:?}"
                )))
            }
        }
    }

    /// Answers a stream's events in order, as many at once as have arrived; a caller that does not read
    /// its answers stops being read.
    async fn serve_stream(
        &self,
        inbound: Streaming<PublishStreamRequest>,
        answers: mpsc::Sender<Result<PublishStreamResponse, Status>>,
    ) {
        let _open = telemetry::Open::new();
        let stop = self.tasks.stop_token();
        let mut chunks = inbound.ready_chunks(CHUNK);
        while let Some(Some(chunk)) = stop.run_until_cancelled(chunks.next()).await {
            let begun = Instant::now();
            let mut pending = Vec::with_capacity(chunk.len());
            let mut broken = None;
            for request in chunk {
                match request {
                    Ok(request) => pending.push(self.prepare(request.event).await),
                    Err(status) => broken = Some(status),
                }
            }
            for answer in self.answer(pending, begun).await {
                if answers.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
            if let Some(status) = broken {
                let _ = answers.send(Err(status)).await;
                return;
            }
        }
    }

    async fn prepare(&self, wire: Option<v1::Event>) -> Pending {
        let id = event_id(wire.as_ref());
        let event = match self.check(wire) {
            Ok(event) => event,
            Err(rejection) => {
                return Pending {
                    id,
                    result: Err(rejection),
                };
            }
        };
        while let Err(wait) = self.quotas.take(&event.source, Instant::now()) {
            sleep(wait.max(Duration::from_millis(1))).await;
        }
        Pending {
            id,
            result: Ok(record(event)),
        }
    }

    async fn answer(&self, pending: Vec<Pending>, begun: Instant) -> Vec<PublishStreamResponse> {
        let mut records = Vec::with_capacity(pending.len());
        let mut checked = Vec::with_capacity(pending.len());
        for Pending { id, result } in pending {
            checked.push((id, result.map(|record| records.push(record))));
        }
        let count = records.len() as u64;
        let appended = if records.is_empty() {
            Ok(Vec::new())
        } else {
            self.append(records).await
        };
        let mut positions = match appended {
            Ok(positions) => {
                telemetry::accepted("PublishStream", count, begun.elapsed());
                Ok(positions.into_iter())
            }
            Err(rejection) => Err(format!("{}", Reason(&rejection))),
        };
        let answers = checked.into_iter().map(|(event_id, result)| {
            let answer = match (result, &mut positions) {
                (Ok(()), Ok(positions)) => positions.next().map(accepted).map(Answer::Accepted),
                (Ok(()), Err(reason)) => {
                    Some(reject(&event_id, Rejection::Unknown(reason.clone())))
                }
                (Err(rejection), _) => Some(reject(&event_id, rejection)),
            };
            PublishStreamResponse { event_id, answer }
        });
        answers.collect()
    }
}

struct Reason<'a>(&'a Rejection);

impl std::fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Rejection::Invalid(error) => error.fmt(f),
            Rejection::OverQuota(wait) => write!(f, "over quota, wait {wait:.1?}"),
            Rejection::NotWritten(error) => error.fmt(f),
            Rejection::Unknown(reason) => f.write_str(reason),
        }
    }
}

fn reject(event: &str, rejection: Rejection) -> Answer {
    telemetry::rejected("PublishStream", event, &rejection);
    rejection.into_answer()
}

fn accepted(position: Position) -> Accepted {
    Accepted {
        partition: position.partition,
        offset: position.offset,
    }
}

fn event_id(wire: Option<&v1::Event>) -> String {
    wire.map(|event| event.id.chars().take(domain::EventId::MAX_LEN).collect())
        .unwrap_or_default()
}

fn record(event: Event) -> Record {
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
