//! Payloads that an earlier process left in the log alone: see [`crate::payload`].

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use consumer::Start;
use domain::DeliveryId;
use log::{Cursor, Limit, Log, Read, ReadError, Topic};
use runtime::Clock;
use store::{CommitError, Fence, Op, Row, Store, Write, row};

use super::Fault;
use super::follow::START;
use crate::entry::Place;
use crate::tables::{self, DELIVERIES, PAYLOAD};
use crate::telemetry;

/// Brings them from the log to the store.
pub(super) struct Payloads<'a> {
    pub(super) start: &'a Start,
    pub(super) log: &'a Log,
    pub(super) store: &'a Store,
    pub(super) clock: &'a Clock,
    pub(super) fence: Fence,
}

/// Deliveries without a stored payload, of one partition, by offset.
type Missing = BTreeMap<i64, DeliveryId>;

const TOPIC: Topic = Topic::Deliveries;
const AT_ONCE: Limit = Limit {
    records: 1_000,
    bytes: 4 << 20,
};
/// What the log holds, it gives within this time.
const PATIENCE: Duration = Duration::from_secs(5);

// === impl Payloads ===

impl Payloads<'_> {
    /// Stores them, so that nothing depends on how long the log keeps what was read.
    pub(super) async fn store(&self) -> Result<(), Fault> {
        let (mut after, mut number) = (START, 0);
        let mut tries = self.start.tries();
        loop {
            let page = tables::unstored(self.store, after).await;
            let page = tries.settle(page, store::ReadError::is_transient).await;
            let Some(page) = page.map_err(Fault::Read)? else {
                continue;
            };
            let Some((last, _)) = page.last() else {
                break;
            };
            after = *last;
            let rows = self.rows(&page).await?;
            telemetry::payloads_missing(page.len() - rows.len());
            number += rows.len();
            self.write(&rows).await?;
        }
        if number > 0 {
            telemetry::payloads_stored(number);
        }
        Ok(())
    }

    async fn rows(&self, page: &[(Place, DeliveryId)]) -> Result<Vec<Row>, Fault> {
        let mut missing: BTreeMap<i32, Missing> = BTreeMap::new();
        for (Place { partition, offset }, id) in page {
            let missing = missing.entry(*partition).or_default();
            missing.insert(*offset, *id);
        }
        let mut rows = Vec::with_capacity(page.len());
        let mut tries = self.start.tries();
        for (partition, missing) in missing {
            let bodies = loop {
                let read = read(self.log, partition, &missing).await;
                let read = tries.settle(read, ReadError::is_transient).await;
                if let Some(bodies) = read.map_err(Fault::Log)? {
                    break bodies;
                }
            };
            let row = |(offset, body): (i64, Bytes)| row![partition, offset, body];
            rows.extend(bodies.into_iter().map(row));
        }
        Ok(rows)
    }

    async fn write(&self, rows: &[Row]) -> Result<(), Fault> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut tries = self.start.tries();
        loop {
            let now = self.clock.now().as_millisecond();
            let mut write = Write::new(self.fence.clone(), now);
            write.ops.push(Op::Update {
                table: &DELIVERIES,
                columns: PAYLOAD,
                rows: rows.to_vec(),
            });
            let written = self.store.commit(write).await;
            let written = tries.settle(written, CommitError::is_transient).await;
            if written.map_err(Fault::TakeOver)?.is_some() {
                return Ok(());
            }
        }
    }
}

/// The payloads of these deliveries, as far as the log holds them.
async fn read(
    log: &Log,
    partition: i32,
    missing: &Missing,
) -> Result<Vec<(i64, Bytes)>, ReadError> {
    let bounds = log.bounds(TOPIC).await?;
    let held = bounds.iter().find(|bounds| bounds.partition == partition);
    let held = held.map_or(0..0, |bounds| bounds.first..bounds.end);
    let mut offsets = missing.range(held).map(|(offset, _)| *offset);
    let Some(first) = offsets.next() else {
        return Ok(Vec::new());
    };
    let last = offsets.next_back().unwrap_or(first);
    let mut at = Cursor {
        topic: TOPIC,
        partition,
        offset: first,
    };
    let mut reader = log.reader(vec![at]).await?;
    let mut bodies = Vec::with_capacity(missing.len());
    while at.offset <= last {
        let reads = reader.next(AT_ONCE, PATIENCE).await?;
        let Some(end) = reads.last() else {
            return Err(ReadError::Transient {
                reason: format!("nothing came from {TOPIC}/{partition} at {}", at.offset),
            });
        };
        at = end.after();
        for read in reads {
            if let Read::Ok(stored) = read
                && let Some(id) = missing.get(&stored.position.offset)
                && is_of(*id, &stored.record.value)
            {
                bodies.push((stored.position.offset, stored.record.value));
            }
        }
    }
    Ok(bodies)
}

/// The log may be another one than the one that the rows were read from.
fn is_of(id: DeliveryId, body: &Bytes) -> bool {
    proto::decode_delivery(body.clone()).is_ok_and(|delivery| delivery.id == id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::{Classification, Delivery, UnitRef};
    use jiff::Timestamp;
    use log::Record;

    use super::*;

    const NUMBER: i64 = 3;

    fn id(number: i64) -> DeliveryId {
        DeliveryId::from([u8::try_from(number).unwrap(); 16])
    }

    fn record(number: i64) -> Record {
        let delivery = Delivery {
            id: id(number),
            dossier: "d-1".parse().unwrap(),
            code: None,
            procedure: "3.000722".parse().unwrap(),
            route: "birth@2026-09-01".parse().unwrap(),
            step: "residence".parse().unwrap(),
            agency: "justice".parse().unwrap(),
            destination: "desk".parse().unwrap(),
            unit: UnitRef {
                code: "14797".parse().unwrap(),
                valid_on: "2026-09-21".parse().unwrap(),
            },
            province: None,
            classification: Classification::Internal,
            received_at: Timestamp::UNIX_EPOCH,
            opened_at: Timestamp::UNIX_EPOCH,
            due_at: Timestamp::UNIX_EPOCH,
            dossier_due_at: Timestamp::UNIX_EPOCH,
            task: "residence".to_owned(),
            product: "registration".to_owned(),
            legal_basis: "Decree 61/2018/NĐ-CP".to_owned(),
            cause: ("desk".parse().unwrap(), "e-1".parse().unwrap()),
            content_type: "application/json".to_owned(),
            data: Bytes::from_static(b"{}"),
        };
        let dossier = delivery.dossier.clone();
        let (attributes, data) = proto::encode_delivery(delivery);
        consumer::record(&dossier, attributes, data)
    }

    async fn log() -> Log {
        let log = Log::memory(Arc::new(|| Timestamp::UNIX_EPOCH));
        let records = (0..NUMBER).map(record).collect();
        log.append(TOPIC, records).await.unwrap();
        log
    }

    #[tokio::test]
    async fn the_log_gives_what_it_has_of_these_deliveries_alone() {
        let missing = Missing::from([(0, id(0)), (1, id(9)), (2, id(2)), (NUMBER, id(3))]);
        let bodies = read(&log().await, 0, &missing).await.unwrap();
        let found: Vec<i64> = bodies.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(found, [0, 2]);
        assert!(is_of(id(2), &bodies[1].1));
    }

    #[tokio::test]
    async fn what_the_log_does_not_have_is_left_out() {
        let log = log().await;
        let behind = Missing::from([(NUMBER, id(3))]);
        assert_eq!(read(&log, 0, &behind).await, Ok(Vec::new()));
        let elsewhere = Missing::from([(0, id(0))]);
        assert_eq!(read(&log, 5, &elsewhere).await, Ok(Vec::new()));
    }
}
