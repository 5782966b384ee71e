//! Events for the bench, and a publisher that costs as little as may be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use futures_util::StreamExt;
use proto::v1::{
    Event, PublishStreamRequest, gateway_client::GatewayClient, publish_stream_response::Answer,
};
use runtime::{Clock, Tasks};
use tokio::{
    sync::{Semaphore, mpsc},
    time,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// The procedure whose only step goes to the agency that answers at once.
pub(crate) const QUICK: &str = "9.000001";
/// The procedure whose only step goes to an agency that is not there.
pub(crate) const DEAD: &str = "9.000002";

/// Over which as much as possible is published.
pub(crate) const STREAMS: u64 = 4;
const PAYLOAD: usize = 1024;

/// An accepting event of a dossier of its own, with 1 KiB of payload.
pub(crate) fn event(run: &str, number: u64, procedure: &str, clock: &Clock) -> Event {
    Event {
        id: format!("{run}-{number}"),
        source: "bench-desk".to_owned(),
        r#type: "vn.lienthong.dossier.accepted.v1".to_owned(),
        time: Some(proto::timestamp_to_wire(clock.now())),
        dossier: format!("bench-{run}-{number}"),
        procedure: procedure.to_owned(),
        unit: "14797".to_owned(),
        unit_valid_on: "2026-11-20".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        data: vec![b'x'; PAYLOAD].into(),
        ..Event::default()
    }
}

/// Publishes over several streams; `room` bounds how far publishing may run ahead.
pub(crate) struct Load {
    pub(crate) accepted: Arc<AtomicU64>,
    pub(crate) failed: Arc<AtomicU64>,
    pub(crate) sent: Arc<AtomicU64>,
}

/// How fast a load goes.
#[derive(Clone)]
pub(crate) enum Pace {
    /// As fast as there is room: the semaphore's permits are given back by the far end.
    Room(Arc<Semaphore>),
    /// So many a second, whatever comes back.
    Rate(u64),
}

// === impl Load ===

impl Load {
    /// Starts publishing `count` events over `streams` streams.
    pub(crate) async fn start(
        gateway: &str,
        run: &str,
        procedure: &'static str,
        streams: u64,
        count: u64,
        pace: Pace,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let load = Self {
            accepted: Arc::default(),
            failed: Arc::default(),
            sent: Arc::default(),
        };
        for index in 0..streams {
            let channel = Endpoint::from_shared(format!("http://{gateway}"))?
                .tcp_nodelay(true)
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(4 << 20)
                .connect()
                .await
                .context("the gateway does not answer")?;
            let client = GatewayClient::new(channel);
            let feed = Feed {
                run: format!("{run}-{index}"),
                procedure,
                count: count / streams,
                pace: pace.divided(streams),
                begun: time::Instant::now(),
                sent: Arc::clone(&load.sent),
            };
            let (share, failed) = (feed.count, Arc::clone(&load.failed));
            let accepted = Arc::clone(&load.accepted);
            tasks.spawn_brief(async move {
                let counted = publish(client, feed, accepted).await.unwrap_or(0);
                failed.fetch_add(share.saturating_sub(counted), Ordering::Relaxed);
            });
        }
        Ok(load)
    }

    /// Publishes `count` events as fast as they are accepted; all of them are when this returns.
    pub(crate) async fn publish_all(
        gateway: &str,
        run: &str,
        procedure: &'static str,
        count: u64,
    ) -> anyhow::Result<()> {
        let tasks = Tasks::default();
        let pace = Pace::Room(Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)));
        let load = Self::start(gateway, run, procedure, STREAMS, count, pace, &tasks).await?;
        let deadline = time::Instant::now() + Duration::from_secs(300);
        while load.accepted() < count / STREAMS * STREAMS {
            anyhow::ensure!(
                time::Instant::now() < deadline,
                "{count} events were not accepted in 300 s"
            );
            time::sleep(Duration::from_millis(50)).await;
        }
        let _ = tasks.drain(Duration::from_millis(100)).await;
        Ok(())
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn publish(
    mut client: GatewayClient<tonic::transport::Channel>,
    feed: Feed,
    accepted: Arc<AtomicU64>,
) -> anyhow::Result<u64> {
    let (requests, receiver) = mpsc::channel(256);
    let reading = async move {
        let stream = ReceiverStream::new(receiver);
        let mut answers = client.publish_stream(stream).await?.into_inner();
        let mut counted = 0;
        while let Some(answer) = answers.next().await {
            if let Some(Answer::Accepted(_)) = answer?.answer {
                accepted.fetch_add(1, Ordering::Relaxed);
                counted += 1;
            }
        }
        anyhow::Ok(counted)
    };
    let (counted, ()) = tokio::join!(reading, feed.run(requests));
    counted
}

/// What one stream publishes.
struct Feed {
    run: String,
    procedure: &'static str,
    count: u64,
    pace: Pace,
    begun: time::Instant,
    sent: Arc<AtomicU64>,
}

// === impl Feed ===

impl Feed {
    async fn run(self, requests: mpsc::Sender<PublishStreamRequest>) {
        for number in 0..self.count {
            if !self.turn(number).await {
                return;
            }
            self.sent.fetch_add(1, Ordering::Relaxed);
            let event = event(&self.run, number, self.procedure, &Clock::system());
            if requests
                .send(PublishStreamRequest { event: Some(event) })
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Waits for this event's turn; false when there is none any more.
    async fn turn(&self, number: u64) -> bool {
        match &self.pace {
            Pace::Room(room) => room
                .acquire()
                .await
                .map(tokio::sync::SemaphorePermit::forget)
                .is_ok(),
            Pace::Rate(rate) => {
                let due = Duration::from_secs_f64(number as f64 / *rate as f64);
                time::sleep_until(self.begun + due).await;
                true
            }
        }
    }
}

// === impl Pace ===

impl Pace {
    fn divided(&self, streams: u64) -> Self {
        match self {
            Self::Room(room) => Self::Room(Arc::clone(room)),
            Self::Rate(rate) => Self::Rate((rate / streams).max(1)),
        }
    }
}
