use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use domain::RecordId;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use log::{AppendError, Backend, Bounds, Cursor, Log, Position, ReadError, Reader, Record, Topic};

/// A log in which every publication of a delivery gets an id of its own, as if ids were made from the
/// clock.
pub(super) struct ClockIds {
    inner: Log,
    ticks: AtomicU64,
}

// === impl ClockIds ===

impl ClockIds {
    pub(super) fn over(inner: Log) -> Self {
        Self {
            inner,
            ticks: AtomicU64::new(0),
        }
    }

    fn with_new_id(&self, record: Record) -> Record {
        if record.header("type") != Some(proto::DELIVERY_TYPE) {
            return record;
        }
        let tick = self.ticks.fetch_add(1, Ordering::Relaxed).to_string();
        let id = *RecordId::of("tick", &[&tick]).as_bytes();
        let mut delivery = proto::decode_delivery(record.value).unwrap();
        delivery.id = id.into();
        let (attributes, value) = proto::encode_delivery(delivery);
        let headers = attributes.into_iter();
        Record {
            key: record.key,
            headers: headers.map(|(name, value)| (name.into(), value)).collect(),
            value,
        }
    }
}

impl Backend for ClockIds {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        let records = records
            .into_iter()
            .map(|record| self.with_new_id(record))
            .collect();
        Box::pin(async move {
            let positions = self.inner.append(topic, records).await;
            // The log answers slowly, so that a kill may come before the outbox is marked.
            if topic == Topic::Deliveries {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            positions
        })
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        Box::pin(self.inner.reader(from))
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>> {
        Box::pin(self.inner.bounds(topic))
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.inner.committed(group, offsets);
    }

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        Box::pin(self.inner.oldest_unread(at))
    }
}
