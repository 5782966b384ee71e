use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures_util::{StreamExt, stream};
use proto::v1::{
    Accepted, PublishRequest, PublishResponse, PublishStreamRequest, PublishStreamResponse,
    Refused, Unknown,
    gateway_server::{Gateway, GatewayServer},
    publish_stream_response::Answer as WireAnswer,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::*;
use crate::{Fate, instant_inbox::bind, test_support::event};

/// A gateway that answers by a script: what the n-th arrival of an event gets.
type Answers = fn(&v1::Event, u32) -> Reply;

enum Reply {
    Take,
    Refuse,
    Unsure,
    /// The stream ends with this status before the answer.
    Cut(Status),
}

#[derive(Clone)]
struct Scripted {
    answers: Answers,
    arrivals: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Scripted {
    fn reply(&self, event: &v1::Event) -> Reply {
        let mut arrivals = self.arrivals.lock().unwrap();
        let count = arrivals.entry(event.id.clone()).or_default();
        *count += 1;
        (self.answers)(event, *count)
    }

    fn answer(&self, event: v1::Event) -> Result<PublishStreamResponse, Status> {
        let answer = match self.reply(&event) {
            Reply::Take => WireAnswer::Accepted(Accepted {
                partition: 0,
                offset: 7,
            }),
            Reply::Refuse => WireAnswer::Refused(Refused {
                field: "event.unit".to_owned(),
                reason: "no such unit".to_owned(),
            }),
            Reply::Unsure => WireAnswer::Unknown(Unknown {
                reason: "scripted".to_owned(),
            }),
            Reply::Cut(status) => return Err(status),
        };
        Ok(PublishStreamResponse {
            event_id: event.id,
            answer: Some(answer),
        })
    }
}

#[tonic::async_trait]
impl Gateway for Scripted {
    type PublishStreamStream = ReceiverStream<Result<PublishStreamResponse, Status>>;

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        match self.reply(&request.into_inner().event.unwrap_or_default()) {
            Reply::Take => Ok(Response::new(PublishResponse {
                accepted: Some(Accepted::default()),
            })),
            Reply::Cut(status) => Err(status),
            Reply::Refuse => Err(Status::invalid_argument("event.unit: no such unit")),
            Reply::Unsure => Err(Status::unavailable("scripted")),
        }
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let mut events = request.into_inner();
        let (answers, stream) = mpsc::channel(16);
        let gateway = self.clone();
        Tasks::default().spawn_brief(async move {
            while let Some(Ok(request)) = events.next().await {
                let answer = gateway.answer(request.event.unwrap_or_default());
                let cut = answer.is_err();
                if answers.send(answer).await.is_err() || cut {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn start(answers: Answers, window: usize) -> (Publisher, History, Scripted) {
    let tasks = Tasks::default();
    let gateway = Scripted {
        answers,
        arrivals: Arc::default(),
    };
    let (incoming, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let service = GatewayServer::new(gateway.clone());
    tasks.spawn("gateway", |stop| {
        Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
    });
    let history = History::default();
    let options = PublisherOptions {
        window,
        history: Some(history.clone()),
        ..PublisherOptions::default()
    };
    let publisher = Publisher::connect(&address.to_string(), options, &tasks).unwrap();
    (publisher, history, gateway)
}

async fn pump(publisher: &Publisher, count: usize) -> Vec<(EventId, Answer)> {
    let events = stream::iter((0..count).map(|n| event(&format!("e-{n:03}"))));
    let mut answers = Vec::new();
    let pumped = publisher
        .pump(events, |id, answer| {
            answers.push((id.clone(), answer.clone()))
        })
        .await;
    assert_eq!(pumped, Ok(count as u64));
    answers
}

fn is_accepted(answer: &Answer) -> bool {
    matches!(answer, Answer::Accepted { .. })
}

/// G10: a stream cut at any event.
#[tokio::test]
async fn events_of_a_cut_stream_are_sent_again_under_their_ids() {
    let cut_often = |event: &v1::Event, arrival| {
        let cut = arrival == 1 && event.id.ends_with(['3', '7']);
        if cut {
            Reply::Cut(Status::unavailable("scripted"))
        } else {
            Reply::Take
        }
    };
    let (publisher, history, gateway) = start(cut_often, 8);

    let answers = pump(&publisher, 50).await;

    assert!(answers.iter().all(|(_, answer)| is_accepted(answer)));
    assert_eq!(history.count(Fate::Accepted), 50);
    assert_eq!(gateway.arrivals.lock().unwrap().len(), 50);
    assert!(publisher.counts().streams > 5, "{:?}", publisher.counts());
    assert!(publisher.counts().resent >= 10, "{:?}", publisher.counts());
}

/// P4: the unknown answer.
#[tokio::test]
async fn an_unknown_answer_is_asked_again_until_it_is_known() {
    let unsure_twice = |event: &v1::Event, arrival| match arrival {
        1 | 2 if event.id == "e-001" => Reply::Unsure,
        _ => Reply::Take,
    };
    let (publisher, history, gateway) = start(unsure_twice, 4);

    let answers = pump(&publisher, 10).await;

    assert!(answers.iter().all(|(_, answer)| is_accepted(answer)));
    assert_eq!(gateway.arrivals.lock().unwrap()["e-001"], 3);
    assert_eq!(
        (publisher.counts().resent, publisher.counts().streams),
        (2, 1)
    );
    assert_eq!(history.count(Fate::Unknown), 0);
}

#[tokio::test]
async fn a_refusal_is_final_and_names_the_field() {
    let (publisher, history, gateway) = start(|_, _| Reply::Refuse, 4);

    let answer = publisher.publish(event("e-1")).await.unwrap();

    let refused = Answer::Refused {
        field: "event.unit".to_owned(),
        reason: "no such unit".to_owned(),
    };
    assert_eq!(answer, refused);
    assert_eq!(gateway.arrivals.lock().unwrap()["e-1"], 1);
    assert_eq!(history.count(Fate::Refused), 1);
}

#[tokio::test]
async fn an_event_that_breaks_the_stream_is_found_and_does_not_hold_the_others_up() {
    let poison = |event: &v1::Event, _| {
        if event.id == "e-004" {
            Reply::Cut(Status::out_of_range("message too large"))
        } else {
            Reply::Take
        }
    };
    let (publisher, history, _gateway) = start(poison, 8);

    let answers = pump(&publisher, 20).await;

    let refused: Vec<_> = answers
        .iter()
        .filter(|(_, answer)| !is_accepted(answer))
        .collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].0.as_str(), "e-004");
    assert_eq!(
        (history.count(Fate::Accepted), history.count(Fate::Refused)),
        (19, 1)
    );
}

#[tokio::test]
async fn a_stopped_publisher_leaves_the_fate_open() {
    let tasks = Tasks::default();
    let history = History::default();
    let options = PublisherOptions {
        history: Some(history.clone()),
        ..PublisherOptions::default()
    };
    // Port 9 (discard) has no listener here: nothing will ever answer.
    let publisher = Publisher::connect("127.0.0.1:9", options, &tasks).unwrap();
    let pending = publisher.send(event("e-1")).await.unwrap();

    tasks.drain(Duration::from_secs(10)).await.unwrap();

    assert_eq!(pending.await, Err(Closed));
    assert_eq!(history.count(Fate::Unknown), 1);
}
