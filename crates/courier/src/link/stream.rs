//! One long stream with many deliveries in flight; it is opened again when it breaks.

use std::future::{Future, pending};
use std::pin::Pin;

use bytes::Bytes;
use dial::Protocol;
use domain::AttemptClass;
use futures_util::{FutureExt, StreamExt};
use proto::v1;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status, Streaming};

use super::calls::since;
use super::sent::{Sent, Since};
use super::unary::{LARGEST_ANSWER, endpoint};
use super::way::{Reach, not_connected};
use super::{Answered, Job, Link, Patience, codec::AsStored};
use crate::answer::{Answer, causes};

struct Stream {
    reach: Reach,
    link: Link,
    wire: Wire,
    sent: Sent,
    /// When the destination last said anything.
    heard: Option<Instant>,
}

type Verdicts = Streaming<v1::DeliverStreamResponse>;
type Opening = Pin<Box<dyn Future<Output = Result<Verdicts, Answer>> + Send>>;
/// Never full: the lane bounds what is in flight.
type Outbound = mpsc::UnboundedSender<Bytes>;

enum Wire {
    Down,
    Opening(Outbound, Opening),
    Up(Outbound, Box<Verdicts>),
}

enum Event {
    Opened(Verdicts),
    Heard(Vec<v1::DeliverStreamResponse>),
    Gone(Answer),
}

const BATCHES: usize = 64;
const VERDICTS_AT_ONCE: usize = 256;
const DELIVER_STREAM: &str = "/lienthong.v1.Inbox/DeliverStream";

/// Hands over jobs until no more can come.
pub(crate) async fn run(reach: Reach, link: Link) {
    let stream = Stream {
        reach,
        link,
        wire: Wire::Down,
        sent: Sent::default(),
        heard: None,
    };
    stream.run().await;
}

// === impl Stream ===

impl Stream {
    async fn run(mut self) {
        let mut batches = Vec::new();
        loop {
            let expiry = self
                .sent
                .oldest()
                .map(|sent| sent + self.link.patience.real());
            tokio::select! {
                received = self.link.jobs.recv_many(&mut batches, BATCHES) => {
                    if received == 0 {
                        return;
                    }
                    self.send(batches.drain(..).flatten());
                }
                event = self.wire.next() => self.happened(event),
                () = at(expiry) => self.expire(),
            }
        }
    }

    fn send(&mut self, jobs: impl Iterator<Item = Job>) {
        let since = Since {
            instant: Instant::now(),
            at: self.link.clock.now(),
        };
        if matches!(self.wire, Wire::Down) {
            self.wire = Wire::open(&self.reach, &self.link.patience);
        }
        for job in jobs {
            self.sent.add(job.id, since);
            if let Wire::Opening(outbound, _) | Wire::Up(outbound, _) = &self.wire {
                // When the stream has just ended, `Gone` follows and answers this one too.
                let _ = outbound.send(job.body);
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Opened(verdicts) => {
                if let Wire::Opening(outbound, _) = std::mem::replace(&mut self.wire, Wire::Down) {
                    self.wire = Wire::Up(outbound, Box::new(verdicts));
                }
            }
            Event::Heard(responses) => {
                self.heard = Some(Instant::now());
                let answered = responses
                    .into_iter()
                    .filter_map(|response| self.verdict(response))
                    .collect();
                self.link.report(answered);
            }
            Event::Gone(answer) => self.give_up(&answer),
        }
    }

    /// The verdict on one delivery; one on a delivery that is not in flight is left out.
    fn verdict(&mut self, response: v1::DeliverStreamResponse) -> Option<Answered> {
        let id = response.delivery_id.parse().ok()?;
        let sent = self.sent.take(id)?;
        let (reader, now) = (&self.link.reader, self.link.clock.now());
        let answer = reader.of_verdict(response.verdict, &response.delivery_id, now);
        Some(self.answered((id, sent), answer))
    }

    fn expire(&mut self) {
        let patience = &self.link.patience;
        let answer = Answer::timeout(patience.timeout);
        let expired = self.sent.expire(Instant::now(), patience.real());
        let Some((_, last)) = expired.last().copied() else {
            return;
        };
        let answered = expired
            .into_iter()
            .map(|one| self.answered(one, answer.clone()))
            .collect();
        self.link.report(answered);
        if self.heard.is_none_or(|heard| heard < last.instant) {
            self.give_up(&Answer::new(
                AttemptClass::Timeout,
                "the stream was closed because it had fallen silent",
            ));
        }
    }

    /// The stream is gone, and with it every verdict that was still to come.
    fn give_up(&mut self, answer: &Answer) {
        self.wire = Wire::Down;
        self.heard = None;
        let open = self.sent.take_all();
        let answered = open
            .into_iter()
            .map(|one| self.answered(one, answer.clone()))
            .collect();
        self.link.report(answered);
    }

    fn answered(&self, (id, sent): (domain::DeliveryId, Since), answer: Answer) -> Answered {
        Answered {
            id,
            started_at: sent.at,
            took: since(&self.link.clock, sent.at),
            answer,
        }
    }
}

// === impl Wire ===

impl Wire {
    fn open(reach: &Reach, patience: &Patience) -> Self {
        let (outbound, deliveries) = mpsc::unbounded_channel();
        let endpoint = endpoint(reach);
        let connector = reach.connector(Protocol::Http2, patience);
        let opening = async move {
            let unreachable = |error: tonic::transport::Error| {
                let other = || {
                    let detail = format!("{error}{}", causes(&error));
                    Answer::new(AttemptClass::Unreachable, detail)
                };
                not_connected(&error).unwrap_or_else(other)
            };
            let channel = endpoint
                .map_err(unreachable)?
                .connect_with_connector(connector)
                .await
                .map_err(unreachable)?;
            let mut grpc = Grpc::new(channel).max_decoding_message_size(LARGEST_ANSWER);
            grpc.ready().await.map_err(unreachable)?;
            let request = Request::new(UnboundedReceiverStream::new(deliveries));
            let path = PathAndQuery::from_static(DELIVER_STREAM);
            let codec = AsStored::<v1::DeliverStreamResponse>::default();
            let response = grpc.streaming(request, path, codec).await;
            response
                .map(tonic::Response::into_inner)
                .map_err(|status| of_stream(&status))
        };
        Self::Opening(outbound, Box::pin(opening))
    }

    /// What happens next; safe to be dropped while it waits.
    async fn next(&mut self) -> Event {
        match self {
            Self::Down => pending().await,
            Self::Opening(_, opening) => opening.await.map_or_else(Event::Gone, Event::Opened),
            Self::Up(_, verdicts) => match verdicts.next().await {
                Some(Ok(first)) => Event::Heard(and_more(first, verdicts)),
                Some(Err(status)) => Event::Gone(of_stream(&status)),
                None => Event::Gone(Answer::new(
                    AttemptClass::Timeout,
                    "the destination ended the stream before its verdict",
                )),
            },
        }
    }
}

/// What has come already besides the first; an error or the end shows again at the next poll.
fn and_more(
    first: v1::DeliverStreamResponse,
    verdicts: &mut Verdicts,
) -> Vec<v1::DeliverStreamResponse> {
    let mut all = vec![first];
    while all.len() < VERDICTS_AT_ONCE {
        match verdicts.next().now_or_never() {
            Some(Some(Ok(next))) => all.push(next),
            Some(Some(Err(_)) | None) | None => break,
        }
    }
    all
}

/// The reading of a status that ends a whole stream: it is never the verdict on one delivery.
fn of_stream(status: &Status) -> Answer {
    let answer = Answer::of_status(status, true);
    match answer.class {
        AttemptClass::Permanent | AttemptClass::Duplicate | AttemptClass::Accepted => Answer {
            class: AttemptClass::Retryable,
            ..answer
        },
        AttemptClass::Retryable
        | AttemptClass::Unreachable
        | AttemptClass::Timeout
        | AttemptClass::Blocked
        | AttemptClass::OutOfOrder
        | AttemptClass::NeedsPerson
        | AttemptClass::Unclear => answer,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
