//! One stream of events: answered in order, as many at once as have arrived.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};
use log::{Position, Record};
use proto::v1::{PublishStreamRequest, PublishStreamResponse, publish_stream_response::Answer};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::{
    service::{Shared, accepted, event_id, record},
    status::Rejection,
    telemetry,
};

/// A stream that is being served.
pub(crate) struct PublishStream {
    shared: Arc<Shared>,
    inbound: Streaming<PublishStreamRequest>,
    answers: mpsc::Sender<Result<PublishStreamResponse, Status>>,
    stop: CancellationToken,
    /// Checked events that wait for one append, and where in their order the refused ones stand.
    waiting: Vec<Waiting>,
}

/// One event on its way to its answer.
struct Waiting {
    id: String,
    result: Result<Record, Rejection>,
}

/// The caller is gone, or reads no answers at the stop.
struct Hung;

/// The most events, and about the most bytes, of one append.
const EVENTS: usize = 256;
const BYTES: usize = 1 << 20;
/// How long a caller may take to read its last answers once the stop was asked for.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

// === impl PublishStream ===

impl PublishStream {
    pub(crate) fn new(
        shared: Arc<Shared>,
        inbound: Streaming<PublishStreamRequest>,
        answers: mpsc::Sender<Result<PublishStreamResponse, Status>>,
    ) -> Self {
        let stop = shared.stop();
        Self {
            shared,
            inbound,
            answers,
            stop,
            waiting: Vec::new(),
        }
    }

    /// Serves until the caller has said everything, or until the stop. A caller that does not read its
    /// answers stops being read.
    pub(crate) async fn serve(mut self) {
        let _open = telemetry::Open::new();
        loop {
            let next = self.inbound.next();
            let Some(Some(first)) = self.stop.run_until_cancelled(next).await else {
                return;
            };
            let begun = Instant::now();
            let broken = self.gather(first).await;
            if self.flush(begun).await.is_err() {
                return;
            }
            if let Err(status) = broken {
                let _ = self.send(Err(status)).await;
                return;
            }
        }
    }

    /// Takes the first event and what else has arrived, up to a limit. An error breaks the stream once
    /// what came before it is answered.
    async fn gather(&mut self, first: Result<PublishStreamRequest, Status>) -> Result<(), Status> {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            bytes += self.admit(request?).await;
            if self.waiting.len() >= EVENTS || bytes >= BYTES {
                break;
            }
            next = self.inbound.next().now_or_never().flatten();
        }
        Ok(())
    }

    /// Checks an event and waits for its source's quota; answers first what waits, for the quota may
    /// take long.
    async fn admit(&mut self, request: PublishStreamRequest) -> usize {
        let id = event_id(request.event.as_ref());
        let event = match self.shared.check(request.event) {
            Ok(event) => event,
            Err(rejection) => {
                let result = Err(rejection);
                self.waiting.push(Waiting { id, result });
                return 0;
            }
        };
        while let Err(wait) = self.shared.take(&event) {
            // A caller that is gone is found out by the next flush.
            let _ = self.flush(Instant::now()).await;
            let wait = sleep(wait.max(Duration::from_millis(1)));
            if self.stop.run_until_cancelled(wait).await.is_none() {
                let result = Err(Rejection::Unknown("the gateway stops".to_owned()));
                self.waiting.push(Waiting { id, result });
                return 0;
            }
        }
        let record = record(event);
        let size = record.size();
        let result = Ok(record);
        self.waiting.push(Waiting { id, result });
        size
    }

    /// Appends what waits, and answers each event in its turn.
    async fn flush(&mut self, begun: Instant) -> Result<(), Hung> {
        let mut records = Vec::with_capacity(self.waiting.len());
        let mut checked = Vec::with_capacity(self.waiting.len());
        for Waiting { id, result } in self.waiting.drain(..) {
            checked.push((id, result.map(|record| records.push(record))));
        }
        let appended = if records.is_empty() {
            Ok(Vec::new())
        } else {
            self.shared.append(records).await
        };
        let mut positions = appended.map(Vec::into_iter);
        let mut count = 0;
        for (event_id, result) in checked {
            let answer = match result.and_then(|()| position(&mut positions)) {
                Ok(position) => {
                    count += 1;
                    Answer::Accepted(accepted(position))
                }
                Err(rejection) => {
                    telemetry::rejected("PublishStream", &event_id, &rejection);
                    rejection.into_answer()
                }
            };
            let answer = Some(answer);
            self.send(Ok(PublishStreamResponse { event_id, answer }))
                .await?;
        }
        if count > 0 {
            telemetry::accepted("PublishStream", count, begun.elapsed());
        }
        Ok(())
    }

    async fn send(&self, answer: Result<PublishStreamResponse, Status>) -> Result<(), Hung> {
        let patience = async {
            self.stop.cancelled().await;
            sleep(LAST_ANSWERS).await;
        };
        tokio::select! {
            biased;
            sent = self.answers.send(answer) => sent.map_err(|_| Hung),
            () = patience => Err(Hung),
        }
    }
}

/// The next record's position, or why there is none.
fn position(
    positions: &mut Result<impl Iterator<Item = Position>, Rejection>,
) -> Result<Position, Rejection> {
    match positions {
        Ok(positions) => positions
            .next()
            .ok_or_else(|| Rejection::Unknown("the log gave no position".to_owned())),
        Err(rejection) => Err(rejection.clone()),
    }
}
