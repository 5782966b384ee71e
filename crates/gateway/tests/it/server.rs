//! A gateway on a free port, its log, and a client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use gateway::{Config, Gateway, Limits};
use log::{
    AppendError, Backend, Bounds, Cursor, Limit, Log, Position, Read, Reader, Record, Topic,
};
use proto::v1::{self, gateway_client::GatewayClient, publish_stream_response::Answer};
use runtime::{Clock, Health, Tasks};
use tokio::sync::watch;
use tonic::transport::Channel;

pub(crate) const NOW: &str = "2026-09-21T02:00:00Z";

/// What the log does with an append.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mood {
    Takes,
    /// It does not answer until the mood changes.
    Silent,
    Fails(AppendError),
}

/// A log in memory whose mood the test sets.
pub(crate) struct Moody {
    inner: Log,
    mood: watch::Receiver<Mood>,
    asked: Arc<AtomicUsize>,
}

pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) log: Log,
    pub(crate) mood: watch::Sender<Mood>,
    /// How many appends the log was asked for.
    pub(crate) asked: Arc<AtomicUsize>,
    pub(crate) health: Health,
    pub(crate) tasks: Tasks,
}

// === impl Moody ===

impl Backend for Moody {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut mood = self.mood.clone();
        async move {
            let mood = mood.wait_for(|mood| *mood != Mood::Silent).await;
            let mood = mood.map_or(Mood::Takes, |mood| mood.clone());
            match mood {
                Mood::Fails(error) => Err(error),
                Mood::Takes | Mood::Silent => self.inner.append(topic, records).await,
            }
        }
        .boxed()
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, log::ReadError>> {
        self.inner.reader(from).boxed()
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, log::ReadError>> {
        self.inner.bounds(topic).boxed()
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.inner.committed(group, offsets);
    }

    fn oldest_unread(
        &self,
        at: Cursor,
    ) -> BoxFuture<'_, Result<Option<jiff::Timestamp>, log::ReadError>> {
        self.inner.oldest_unread(at).boxed()
    }
}

// === impl Server ===

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let inner = Log::memory(Arc::new(|| NOW.parse().unwrap()));
        let (mood, watched) = watch::channel(Mood::Takes);
        let asked = Arc::new(AtomicUsize::new(0));
        let log = Log::wrap(Moody {
            inner: inner.clone(),
            mood: watched,
            asked: Arc::clone(&asked),
        });
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            allow_plaintext: false,
            limits,
        };
        let clock = Clock::scaled(NOW.parse().unwrap(), 1.0);
        let (health, tasks) = (Health::default(), Tasks::default());
        let gateway = Gateway::new(config, log, clock, health.clone(), tasks.clone());
        let bound = gateway.bind().await.unwrap();
        let address = format!("http://{}", bound.address());
        tasks.spawn("gateway", |stop| bound.run(stop));
        Self {
            address,
            log: inner,
            mood,
            asked,
            health,
            tasks,
        }
    }

    pub(crate) async fn client(&self) -> GatewayClient<Channel> {
        GatewayClient::connect(self.address.clone()).await.unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(self.address.clone()).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// The log was asked for so many appends.
    pub(crate) async fn asked(&self, appends: usize) {
        while self.asked.load(Ordering::SeqCst) < appends {
            tokio::task::yield_now().await;
        }
    }

    /// The ids in the log, in order.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let end = self.log.bounds(Topic::Events).await.unwrap()[0].end as usize;
        let mut reader = self.log.reader_from_start(Topic::Events).await.unwrap();
        let limit = Limit {
            records: 100_000,
            bytes: 1 << 30,
        };
        let mut ids = Vec::new();
        while ids.len() < end {
            for read in reader.next(limit, Duration::from_secs(1)).await.unwrap() {
                let Read::Ok(stored) = read else {
                    panic!("{read:?}")
                };
                ids.push(stored.record.header("id").unwrap().to_owned());
            }
        }
        ids
    }
}

/// A whole event.
pub(crate) fn event(id: &str) -> v1::Event {
    v1::Event {
        id: id.to_owned(),
        source: "thanh-hoa-desk".to_owned(),
        r#type: "vn.lienthong.dossier.accepted.v1".to_owned(),
        time: Some(proto::timestamp_to_wire(NOW.parse().unwrap())),
        dossier: "d-1".to_owned(),
        procedure: "3.000722".to_owned(),
        unit: "14797".to_owned(),
        unit_valid_on: "2026-09-21".to_owned(),
        data: "invented".into(),
        ..v1::Event::default()
    }
}

pub(crate) fn unary(event: v1::Event) -> v1::PublishRequest {
    v1::PublishRequest { event: Some(event) }
}

pub(crate) fn streamed(event: v1::Event) -> v1::PublishStreamRequest {
    v1::PublishStreamRequest { event: Some(event) }
}

/// `accepted`, `refused field` or `unknown`, with the event's id.
pub(crate) fn said(response: &v1::PublishStreamResponse) -> String {
    let answer = match response.answer.as_ref().unwrap() {
        Answer::Accepted(_) => "accepted".to_owned(),
        Answer::Refused(refused) => format!("refused {}", refused.field),
        Answer::Unknown(_) => "unknown".to_owned(),
    };
    format!("{} {answer}", response.event_id)
}

/// One change that makes an event wrong, and the field at fault.
pub(crate) type Fault = (fn(&mut v1::Event), &'static str);

/// The bad inputs: wrong unit, unknown type, code of the wrong form, time in the future, and so on.
pub(crate) const FAULTS: &[Fault] = &[
    (|e| e.id.clear(), "event.id"),
    (|e| e.id = "two words".to_owned(), "event.id"),
    (|e| e.source = "Thanh Hóa".to_owned(), "event.source"),
    (|e| e.r#type = "vanished".to_owned(), "event.type"),
    (|e| e.time = None, "event.time"),
    (|e| e.time.as_mut().unwrap().seconds += 301, "event.time"),
    (|e| e.time.as_mut().unwrap().nanos = -1, "event.time"),
    (|e| e.dossier.clear(), "event.dossier"),
    (
        |e| e.dossier_code = "12345".to_owned(),
        "event.dossier_code",
    ),
    (|e| e.procedure = "3.72".to_owned(), "event.procedure"),
    (|e| e.unit = "999".to_owned(), "event.unit"),
    (
        |e| e.unit_valid_on = "21/09/2026".to_owned(),
        "event.unit_valid_on",
    ),
    (|e| e.step = "A Step".to_owned(), "event.step"),
    (|e| e.classification = 99, "event.classification"),
    (|e| e.content_type = "json".to_owned(), "event.content_type"),
    (|e| e.traceparent = "??".to_owned(), "event.traceparent"),
];
