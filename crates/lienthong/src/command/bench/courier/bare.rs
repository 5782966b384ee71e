//! The bare loop: what is left when everything that the courier promises is taken away, but for the
//! order of each dossier, which is kept in memory.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Uri, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use log::{Read, Topic};
use prost::Message;
use proto::v1;
use runtime::Tasks;
use tokio::sync::{Semaphore, mpsc};

use super::ground::Ground;

/// What its workers share.
struct Loop {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    room: Semaphore,
}

const WAIT: Duration = Duration::from_millis(500);

/// Consumes so many deliveries and posts each to `base/{destination}`; a dossier's next goes out when its
/// last was answered.
pub(super) async fn run(
    ground: &Ground,
    base: String,
    in_flight: usize,
    records: u64,
) -> anyhow::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(in_flight)
        .pool_timer(TokioTimer::new())
        .build(connector);
    let shared = Arc::new(Loop {
        client,
        base,
        room: Semaphore::new(in_flight),
    });
    let tasks = Tasks::default();
    let (mut queues, mut workers) = (HashMap::new(), Vec::new());
    let mut reader = ground.log.reader_from_start(Topic::Deliveries).await?;
    let mut read = 0;
    while read < records {
        for one in reader.next(ground.limit(), WAIT).await? {
            let Read::Ok(stored) = one else {
                anyhow::bail!("a record of the measurement is broken");
            };
            let queue = queues.entry(stored.record.key).or_insert_with(|| {
                let (sender, queue) = mpsc::unbounded_channel();
                workers.push(tasks.spawn_brief(Arc::clone(&shared).work(queue)));
                sender
            });
            let _ = queue.send(v1::Delivery::decode(stored.record.value)?);
            read += 1;
        }
    }
    drop(queues);
    for ended in try_join_all(workers).await? {
        ended?;
    }
    Ok(())
}

// === impl Loop ===

impl Loop {
    /// Posts the deliveries of one dossier, one after the other.
    async fn work(
        self: Arc<Self>,
        mut queue: mpsc::UnboundedReceiver<v1::Delivery>,
    ) -> anyhow::Result<()> {
        while let Some(delivery) = queue.recv().await {
            let _room = self.room.acquire().await?;
            let response = self.client.request(self.request(delivery)?).await?;
            let status = response.status();
            response.into_body().collect().await?;
            anyhow::ensure!(status.is_success(), "an endpoint answered {status}");
        }
        Ok(())
    }

    fn request(&self, delivery: v1::Delivery) -> anyhow::Result<Request<Full<Bytes>>> {
        let opened_at = proto::timestamp_from_wire("delivery.opened_at", delivery.opened_at)?;
        let uri: Uri = format!("{}/{}", self.base, delivery.destination).parse()?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header("ce-specversion", "1.0")
            .header("ce-id", delivery.id)
            .header("ce-source", "lienthong")
            .header("ce-type", proto::DELIVERY_TYPE)
            .header("ce-time", opened_at.to_string())
            .header("ce-subject", delivery.dossier)
            .header("ce-sequence", delivery.sequence)
            .header(CONTENT_TYPE, delivery.content_type);
        Ok(request.body(Full::new(delivery.data))?)
    }
}
