use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use proto::v1::{
    self, PublishRequest, PublishStreamRequest, PublishStreamResponse,
    gateway_client::GatewayClient, publish_stream_response::Answer as WireAnswer,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{self, Instant, MissedTickBehavior},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Channel};
use tracing::{debug, warn};

use super::{Answer, Counters, PublisherOptions};

/// Owns the stream and every event that has no answer yet.
pub(super) struct Driver {
    channel: Channel,
    requests: mpsc::Receiver<Request>,
    options: PublisherOptions,
    counters: Arc<Counters>,
    /// Sent on the stream at hand, oldest first.
    in_flight: VecDeque<Request>,
    /// To be sent before anything new.
    waiting: VecDeque<Request>,
}

/// One event on its way.
#[derive(Debug)]
pub(super) struct Request {
    event: v1::Event,
    reply: oneshot::Sender<Answer>,
}

/// Why a stream ended.
enum Ended {
    /// Nobody can send any more, and everything is answered.
    Done,
    /// The stream broke; what was in flight has no answer.
    Cut(Status),
}

// === impl Driver ===

impl Driver {
    const FIRST_PAUSE: Duration = Duration::from_millis(20);
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);

    pub(super) fn new(
        channel: Channel,
        requests: mpsc::Receiver<Request>,
        options: PublisherOptions,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            channel,
            requests,
            options,
            counters,
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Works until every handle is gone and everything is answered.
    pub(super) async fn run(mut self) {
        let mut pause = Self::FIRST_PAUSE;
        loop {
            if self.waiting.is_empty() {
                match self.requests.recv().await {
                    Some(request) => self.waiting.push_back(request),
                    None => return,
                }
            }
            let open_before = self.open();
            let Ended::Cut(status) = self.stream().await else {
                return;
            };
            debug!(%status, in_flight = self.in_flight.len(), "publish stream cut");
            self.counters.resent(self.in_flight.len());
            let progressed = self.open() < open_before;
            let mut again = mem::take(&mut self.in_flight);
            again.append(&mut self.waiting);
            self.waiting = again;
            if blames_an_event(status.code()) {
                self.one_by_one().await;
            }
            pause = if progressed {
                Self::FIRST_PAUSE
            } else {
                (pause * 2).min(Self::LONGEST_PAUSE)
            };
            time::sleep(pause).await;
        }
    }

    fn open(&self) -> usize {
        self.in_flight.len() + self.waiting.len()
    }

    /// One stream from its opening to its end.
    async fn stream(&mut self) -> Ended {
        let (outgoing, messages) = mpsc::channel(self.window());
        self.send_waiting(&outgoing);
        let mut client = GatewayClient::new(self.channel.clone());
        let opening = client.publish_stream(ReceiverStream::new(messages));
        let answers = match time::timeout(self.options.answer_within, opening).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Ended::Cut(status),
            Err(_) => return Ended::Cut(Status::deadline_exceeded("the gateway does not answer")),
        };
        self.counters.stream_opened();
        self.converse(outgoing, answers).await
    }

    async fn converse(
        &mut self,
        outgoing: mpsc::Sender<PublishStreamRequest>,
        mut answers: Streaming<PublishStreamResponse>,
    ) -> Ended {
        let patience = self.options.answer_within;
        let mut watch = time::interval(patience / 4);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut resting: Option<(Instant, Duration)> = None;
        let mut open = true;
        while open || self.open() > 0 {
            let room = self.in_flight.len() < self.window();
            let until = resting.map_or(heard, |(until, _)| until);
            tokio::select! {
                biased;
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        heard = Instant::now();
                        if !self.settle(answer) {
                            resting = Some(rest(resting, heard));
                        } else if self.waiting.is_empty() {
                            resting = None;
                        }
                    }
                    Ok(None) => return Ended::Cut(Status::unavailable("the gateway closed the stream")),
                    Err(status) => return Ended::Cut(status),
                },
                request = self.requests.recv(), if open && room && self.waiting.is_empty() => {
                    if self.in_flight.is_empty() {
                        heard = Instant::now();
                    }
                    open = request.is_some();
                    self.waiting.extend(request);
                    self.send_waiting(&outgoing);
                }
                () = time::sleep_until(until), if !self.waiting.is_empty() && room => {
                    self.send_waiting(&outgoing);
                }
                _ = watch.tick() => {
                    if !self.in_flight.is_empty() && heard.elapsed() > patience {
                        return Ended::Cut(Status::deadline_exceeded("the gateway does not answer"));
                    }
                }
            }
        }
        Ended::Done
    }

    /// Sends what waits, as far as the window goes.
    fn send_waiting(&mut self, outgoing: &mpsc::Sender<PublishStreamRequest>) {
        while self.in_flight.len() < self.window() {
            let Some(request) = self.waiting.pop_front() else {
                return;
            };
            let event = Some(request.event.clone());
            let sent = outgoing.try_send(PublishStreamRequest { event });
            // A full or closed channel means that the stream is about to end: the event stays ours.
            self.in_flight.push_back(request);
            if sent.is_err() {
                return;
            }
        }
    }

    /// Takes an answer; false when it was *unknown* and the event has to be sent again.
    fn settle(&mut self, response: PublishStreamResponse) -> bool {
        let at = match self.in_flight.front() {
            Some(request) if request.event.id == response.event_id => Some(0),
            _ => self
                .in_flight
                .iter()
                .position(|request| request.event.id == response.event_id),
        };
        let Some(request) = at.and_then(|at| self.in_flight.remove(at)) else {
            warn!(
                event = response.event_id,
                "answer to an event that was not sent"
            );
            return true;
        };
        match response.answer {
            Some(WireAnswer::Accepted(accepted)) => self.answer(request, accepted.into()),
            Some(WireAnswer::Refused(refused)) => self.answer(request, refused.into()),
            Some(WireAnswer::Unknown(_)) | None => {
                self.counters.resent(1);
                self.waiting.push_back(request);
                return false;
            }
        }
        true
    }

    /// After a stream that was broken by one bad event: finds it by sending each on its own.
    async fn one_by_one(&mut self) {
        let mut client = GatewayClient::new(self.channel.clone());
        for request in mem::take(&mut self.waiting) {
            let event = Some(request.event.clone());
            let call = client.publish(PublishRequest { event });
            match time::timeout(self.options.answer_within, call).await {
                Ok(Ok(response)) => {
                    let accepted = response.into_inner().accepted.unwrap_or_default();
                    self.answer(request, accepted.into());
                }
                Ok(Err(status)) if blames_an_event(status.code()) => {
                    self.answer(request, refusal(status.message()));
                }
                Ok(Err(_)) | Err(_) => self.waiting.push_back(request),
            }
        }
    }

    fn answer(&self, request: Request, answer: Answer) {
        if let Some(history) = &self.options.history
            && let (Ok(source), Ok(id)) = (request.event.source.parse(), request.event.id.parse())
        {
            history.answered(&source, &id, &answer);
        }
        // Whoever asked may have gone.
        let _ = request.reply.send(answer);
    }

    fn window(&self) -> usize {
        self.options.window.max(1)
    }
}

/// The next rest after an unknown answer: each one in a row twice as long.
fn rest(last: Option<(Instant, Duration)>, now: Instant) -> (Instant, Duration) {
    match last {
        Some((until, pause)) if until > now => (until, pause),
        Some((_, pause)) => {
            let pause = (pause * 2).min(Driver::LONGEST_PAUSE);
            (now + pause, pause)
        }
        None => (now + Driver::FIRST_PAUSE, Driver::FIRST_PAUSE),
    }
}

/// Whether a status speaks of an event rather than of the connection.
fn blames_an_event(code: Code) -> bool {
    matches!(code, Code::InvalidArgument | Code::OutOfRange)
}

/// Reads `field: reason`.
fn refusal(message: &str) -> Answer {
    let (field, reason) = message.split_once(": ").unwrap_or(("event", message));
    Answer::Refused {
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}

// === impl Request ===

impl Request {
    pub(super) fn new(event: v1::Event, reply: oneshot::Sender<Answer>) -> Self {
        Self { event, reply }
    }
}

// === impl Answer ===

impl From<v1::Accepted> for Answer {
    fn from(accepted: v1::Accepted) -> Self {
        Self::Accepted {
            partition: accepted.partition,
            offset: accepted.offset,
        }
    }
}

impl From<v1::Refused> for Answer {
    fn from(refused: v1::Refused) -> Self {
        Self::Refused {
            field: refused.field,
            reason: refused.reason,
        }
    }
}
