//! What orders change in the store, and what lanes learn of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{DeliveryId, DestinationId, JobId, Outcome};
use store::{Op, Row, Table};

use crate::controls::Controls;
use crate::engine::Arrival;
use crate::entry::{Entry, Millis, Place};
use crate::sidelines::Sidelines;
use crate::tables::DELIVERIES;

/// What is to be written.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) redriven: Vec<Row>,
    pub(super) discarded: Vec<Row>,
    pub(super) settled: Vec<Op>,
    pub(super) proved: Vec<Op>,
    pub(super) controls: BTreeSet<DestinationId>,
    pub(super) jobs: BTreeSet<JobId>,
    pub(super) items: BTreeSet<(JobId, u32)>,
    pub(super) audit: Vec<Row>,
    pub(super) outcomes: Vec<Outcome>,
}

/// What lanes and runner learn once the orders are durable.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) arriving: BTreeMap<DestinationId, Vec<Arrival>>,
    /// Dead letters that were given up.
    pub(crate) discarded: BTreeMap<DestinationId, Vec<(DeliveryId, Millis)>>,
    /// Where unknown outcomes were settled.
    pub(crate) settled: Vec<Place>,
    /// Those that an event proves to have arrived, and by which.
    pub(crate) proved: BTreeMap<DestinationId, Vec<(DeliveryId, String)>>,
    pub(crate) redriven: BTreeMap<DestinationId, usize>,
    pub(crate) controls: BTreeMap<DestinationId, Controls>,
    pub(crate) sidelines: Option<Arc<Sidelines>>,
    pub(crate) jobs_changed: bool,
    /// Of the deliveries that changed, for couriers that hold their lanes elsewhere.
    pub(crate) places: Vec<Place>,
}

pub(super) fn upsert(ops: &mut Vec<Op>, table: &'static Table, rows: Vec<Row>) {
    if !rows.is_empty() {
        ops.push(Op::Upsert { table, rows });
    }
}

pub(super) fn update(ops: &mut Vec<Op>, columns: &'static [&'static str], rows: Vec<Row>) {
    if !rows.is_empty() {
        ops.push(Op::Update {
            table: &DELIVERIES,
            columns,
            rows,
        });
    }
}

/// Settled by whoever comes first: a person here, or the destination's own answer.
pub(super) fn settled(entry: Entry, arrived: bool) -> Op {
    let sql = if arrived {
        "update courier_deliveries set state = 1, payload = null \
         where part = $1 and place = $2 and state = 3"
    } else {
        "update courier_deliveries set state = 0, charged = 0, next_at = 0 \
         where part = $1 and place = $2 and state = 3"
    };
    Op::Sql {
        sql: sql.into(),
        params: vec![entry.place.partition.into(), entry.place.offset.into()],
    }
}

/// The first proof stays. The lane settles by it, for it alone knows whether an attempt is under way.
pub(super) fn proved(entry: Entry, proof: &str) -> Op {
    let sql = "update courier_deliveries set proof = $3 \
         where part = $1 and place = $2 and state in (3, 5) and proof is null";
    let Place { partition, offset } = entry.place;
    Op::Sql {
        sql: sql.into(),
        params: vec![partition.into(), offset.into(), proof.into()],
    }
}

// === impl News ===

impl News {
    pub(super) fn arrives(&mut self, destination: &DestinationId, entry: Entry) {
        self.places.push(entry.place);
        let arrival = Arrival {
            entry,
            payload: None,
        };
        self.arriving
            .entry(destination.clone())
            .or_default()
            .push(arrival);
    }

    pub(super) fn gone(&mut self, destination: &DestinationId, entry: Entry) {
        self.places.push(entry.place);
        let gone = (entry.id, entry.opened_at);
        let discarded = self.discarded.entry(destination.clone());
        discarded.or_default().push(gone);
    }

    pub(super) fn proved(&mut self, destination: &DestinationId, entry: Entry, proof: &str) {
        self.places.push(entry.place);
        let proved = self.proved.entry(destination.clone());
        proved.or_default().push((entry.id, proof.to_owned()));
    }

    pub(super) fn settled(&mut self, entry: Entry) {
        self.places.push(entry.place);
        self.settled.push(entry.place);
    }
}
