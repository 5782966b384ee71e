//! The deliveries of one run.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use domain::{Classification, Delivery, DeliveryId, UnitRef};
use jiff::{SignedDuration, Timestamp};
use log::{Log, Record, Topic};
use prost::Message;
use proto::v1;
use runtime::Clock;
use tokio::time;

/// Deliveries that go round the dossiers: number n is of dossier n modulo keys.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// First part of the dossiers' keys.
    pub(super) prefix: String,
    pub(super) keys: u64,
    /// Each dossier goes to one of so many destinations …
    pub(super) destinations: u64,
    /// … of which this is the first.
    pub(super) first: u64,
    pub(super) records: u64,
    /// Deliveries before these: their numbers go on from here.
    pub(super) from: u64,
}

const BATCH: u64 = 500;
pub(super) const PAYLOAD: &[u8] = &[b'x'; 1024];
const WORKING_DAYS: SignedDuration = SignedDuration::from_hours(5 * 24);
const NAP: Duration = Duration::from_millis(2);

/// A destination's id.
pub(super) fn destination_id(number: u64) -> String {
    format!("bench-{number:04}")
}

// === impl Load ===

impl Load {
    /// Appends everything, as fast as the log takes it.
    pub(super) async fn append(&self, log: &Log) -> anyhow::Result<()> {
        let (now, end) = (Clock::system().now(), self.from + self.records);
        let mut next = self.from;
        while next < end {
            let behind = end.min(next + BATCH);
            let records = (next..behind).map(|n| self.record(n, now));
            log.append(Topic::Deliveries, records.collect::<anyhow::Result<_>>()?)
                .await?;
            next = behind;
        }
        Ok(())
    }

    /// Appends so many a second. Each bears the time at which it should be appended, so that an append
    /// that is late counts against the figures.
    pub(super) async fn append_at(&self, log: &Log, rate: u64) -> anyhow::Result<()> {
        let (begun, start) = (Instant::now(), Clock::system().now());
        let due_at = |n: u64| {
            let after = Duration::from_secs_f64(n as f64 / rate as f64);
            start.saturating_add(after).unwrap_or(start)
        };
        let mut done = 0;
        while done < self.records {
            let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
            let due = due.min(self.records).min(done + BATCH);
            if due <= done {
                time::sleep(NAP).await;
                continue;
            }
            let records = (done..due).map(|n| self.record(self.from + n, due_at(n)));
            log.append(Topic::Deliveries, records.collect::<anyhow::Result<_>>()?)
                .await?;
            done = due;
        }
        Ok(())
    }

    fn record(&self, number: u64, at: Timestamp) -> anyhow::Result<Record> {
        let (key, ordinal) = (number % self.keys, number / self.keys);
        let delivery = self.delivery(key, u32::try_from(ordinal)?, at)?;
        let dossier = delivery.dossier.clone();
        let (attributes, data) = proto::encode_delivery(delivery);
        Ok(consumer::record(
            &dossier,
            attributes,
            numbered(&data, ordinal + 1),
        ))
    }

    fn delivery(&self, key: u64, ordinal: u32, at: Timestamp) -> anyhow::Result<Delivery> {
        let (dossier, step) = (
            format!("{}-{key:05}", self.prefix).parse()?,
            "measure".parse()?,
        );
        let route = "bench@2025-07-01".parse()?;
        let due_at = at.saturating_add(WORKING_DAYS)?;
        Ok(Delivery {
            id: DeliveryId::derive(&dossier, &route, &step, ordinal),
            dossier,
            code: None,
            procedure: "3.000722".parse()?,
            route,
            step,
            agency: "bench".parse()?,
            destination: destination_id(self.first + key % self.destinations).parse()?,
            unit: UnitRef {
                code: "14797".parse()?,
                valid_on: "2026-09-21".parse()?,
            },
            province: None,
            classification: Classification::Internal,
            received_at: at,
            opened_at: at,
            due_at,
            dossier_due_at: due_at,
            task: "Đo".to_owned(),
            product: "figure".to_owned(),
            legal_basis: "none".to_owned(),
            cause: ("bench-desk".parse()?, "e-1".parse()?),
            content_type: "application/json".to_owned(),
            data: Bytes::from_static(PAYLOAD),
        })
    }
}

/// The encoded delivery with its number within the dossier: fields that follow are part of a message.
fn numbered(delivery: &[u8], sequence: u64) -> Bytes {
    let number = v1::Delivery {
        sequence,
        ..v1::Delivery::default()
    };
    let mut bytes = BytesMut::with_capacity(delivery.len() + number.encoded_len());
    bytes.put_slice(delivery);
    bytes.put_slice(&number.encode_to_vec());
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_go_round_the_dossiers_and_are_numbered_within_them() {
        let load = Load {
            prefix: "d".to_owned(),
            keys: 3,
            destinations: 2,
            first: 0,
            records: 9,
            from: 0,
        };
        let of = |n| {
            let record = load.record(n, Timestamp::UNIX_EPOCH).unwrap();
            let wire = v1::Delivery::decode(record.value.clone()).unwrap();
            assert_eq!(record.key, wire.dossier);
            assert!(proto::decode_delivery(record.value).is_ok());
            (wire.dossier, wire.destination, wire.sequence)
        };
        let expected = |dossier: &str, destination: &str, sequence| {
            (dossier.to_owned(), destination.to_owned(), sequence)
        };
        assert_eq!(of(0), expected("d-00000", "bench-0000", 1));
        assert_eq!(of(2), expected("d-00002", "bench-0000", 1));
        assert_eq!(of(7), expected("d-00001", "bench-0001", 3));
    }
}
