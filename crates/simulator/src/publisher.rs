mod driver;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use domain::{Event, EventId};
use futures_util::{Stream, StreamExt};
use proto::v1;
use runtime::Tasks;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Endpoint;

use crate::History;
use driver::{Driver, Request};

/// Publishes events over one stream: many in flight, one answer each. Connects by itself and again after
/// a cut; an event with no answer, or with the answer *unknown*, is sent again under the same id until
/// the gateway accepts or refuses it. Cheap to clone; clones share the stream.
#[derive(Clone, Debug)]
pub struct Publisher {
    requests: mpsc::Sender<Request>,
    window: usize,
    history: Option<History>,
    counters: Arc<Counters>,
}

/// How a [`Publisher`] works.
#[derive(Clone, Debug)]
pub struct PublisherOptions {
    /// How many events may wait for their answer at once; at least one.
    pub window: usize,
    /// How long an answer may take before the stream counts as dead.
    pub answer_within: Duration,
    /// Where every event and its answer is noted, if wanted.
    pub history: Option<History>,
}

/// What became of an event for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is durable.
    Accepted {
        /// The partition of the events topic.
        partition: i32,
        /// The offset in the partition.
        offset: i64,
    },
    /// It is not taken, and never will be as it is.
    Refused {
        /// The field at fault.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// An answer to come. Dropping it does not take the event back.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Answer>);

/// The publisher stopped before the answer came: whether the event is taken is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the publisher stopped before the gateway answered")]
pub struct Closed;

/// The gateway's address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` is no gateway address, expected `host:port` or `http://host:port`")]
pub struct InvalidAddress {
    address: String,
    #[source]
    source: tonic::transport::Error,
}

/// How publishing went so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherCounts {
    /// Events sent again after an unknown answer or a cut.
    pub resent: u64,
    /// Streams opened.
    pub streams: u64,
}

#[derive(Debug, Default)]
struct Counters {
    resent: AtomicU64,
    streams: AtomicU64,
}

// === impl Publisher ===

impl Publisher {
    /// A publisher to the gateway at `host:port`. The connection is made with the first event and is
    /// owned by `tasks`.
    pub fn connect(
        address: &str,
        options: PublisherOptions,
        tasks: &Tasks,
    ) -> Result<Self, InvalidAddress> {
        let channel = endpoint(address)?.connect_lazy();
        let window = options.window.max(1);
        let (requests, incoming) = mpsc::channel(window);
        let counters = Arc::new(Counters::default());
        let publisher = Self {
            requests,
            window,
            history: options.history.clone(),
            counters: Arc::clone(&counters),
        };
        let driver = Driver::new(channel, incoming, options, counters);
        let stop = tasks.stop_token();
        tasks.spawn_brief(async move { stop.run_until_cancelled(driver.run()).await });
        Ok(publisher)
    }

    /// Publishes an event and waits for its answer.
    pub async fn publish(&self, event: Event) -> Result<Answer, Closed> {
        self.send(event).await?.await
    }

    /// Hands an event to the stream; waits only while the window is full.
    pub async fn send(&self, event: Event) -> Result<Pending, Closed> {
        if let Some(history) = &self.history {
            history.sent(&event);
        }
        let (reply, answer) = oneshot::channel();
        let request = Request::new(v1::Event::from(event), reply);
        self.requests.send(request).await.map_err(|_| Closed)?;
        Ok(Pending(answer))
    }

    /// Publishes all events of a stream with a full window; `on_answer` sees every answer in the order
    /// of the events. Returns how many there were.
    pub async fn pump<S>(
        &self,
        events: S,
        mut on_answer: impl FnMut(&EventId, &Answer),
    ) -> Result<u64, Closed>
    where
        S: Stream<Item = Event>,
    {
        let mut events = std::pin::pin!(events.fuse());
        let mut waiting: VecDeque<(EventId, Pending)> = VecDeque::with_capacity(self.window);
        let (mut open, mut count) = (true, 0);
        while open || !waiting.is_empty() {
            tokio::select! {
                biased;
                answer = first(&mut waiting), if !waiting.is_empty() => {
                    if let Some((id, _)) = waiting.pop_front() {
                        on_answer(&id, &answer?);
                        count += 1;
                    }
                }
                event = events.next(), if open && waiting.len() < self.window => match event {
                    Some(event) => waiting.push_back((event.id.clone(), self.send(event).await?)),
                    None => open = false,
                },
            }
        }
        Ok(count)
    }

    /// How publishing went so far.
    pub fn counts(&self) -> PublisherCounts {
        PublisherCounts {
            resent: self.counters.resent.load(Ordering::Relaxed),
            streams: self.counters.streams.load(Ordering::Relaxed),
        }
    }
}

async fn first(waiting: &mut VecDeque<(EventId, Pending)>) -> Result<Answer, Closed> {
    match waiting.front_mut() {
        Some((_, pending)) => pending.await,
        None => std::future::pending().await,
    }
}

/// A connection to one of our services at `host:port`, with windows wide enough for streams.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, InvalidAddress> {
    const STREAM_WINDOW: u32 = 4 << 20;
    let uri = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let endpoint = Endpoint::from_shared(uri).map_err(|source| InvalidAddress {
        address: address.to_owned(),
        source,
    })?;
    Ok(endpoint
        .connect_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(2 * STREAM_WINDOW)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10)))
}

// === impl PublisherOptions ===

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            window: 256,
            answer_within: Duration::from_secs(15),
            history: None,
        }
    }
}

// === impl Pending ===

impl Future for Pending {
    type Output = Result<Answer, Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(cx)).map_err(|_| Closed))
    }
}

// === impl Counters ===

impl Counters {
    fn resent(&self, events: usize) {
        self.resent.fetch_add(events as u64, Ordering::Relaxed);
    }

    fn stream_opened(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }
}
