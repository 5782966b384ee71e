//! Reads the deliveries topic: new deliveries into the store and the lanes, orders of operators.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use consumer::{Decision, Fold, Fresh, Unreadable};
use domain::{DeliveryId, DestinationId, Outcome, OutcomeKind, RecordId};
use log::Topic;
use proto::{DELIVERY_TYPE, REDRIVE_TYPE};
use runtime::Tasks;
use store::{Op, ReadError, Row, Store, row};
use tokio::time::sleep;

use crate::engine::{Arrival, Input};
use crate::entry::{Entry, Millis, Place};
use crate::lanes::Lanes;
use crate::payload::{Budget, Payload};
use crate::stored::Stored;
use crate::tables::{DELIVERIES, REDRIVEN, State, new_entry, new_row};
use crate::telemetry;
use crate::verdicts::outcome_record;

/// The consumer group.
pub(crate) const GROUP: &str = "courier";

/// Folds the deliveries topic.
pub(crate) struct Deliveries {
    lanes: Lanes,
    budget: Budget,
    store: Store,
    tasks: Tasks,
    /// What goes to the lanes once the decision is durable.
    arriving: BTreeMap<DestinationId, Vec<Arrival>>,
    redriven: BTreeMap<DestinationId, usize>,
}

/// An order to send a dead letter again, as the log holds it.
struct Order<'a> {
    delivery: DeliveryId,
    fresh: &'a Fresh,
}

// === impl Deliveries ===

impl Deliveries {
    pub(crate) fn new(lanes: Lanes, budget: Budget, store: Store, tasks: Tasks) -> Self {
        Self {
            lanes,
            budget,
            store,
            tasks,
            arriving: BTreeMap::new(),
            redriven: BTreeMap::new(),
        }
    }

    /// The row of a new delivery, or why there is none.
    fn delivery(&mut self, fresh: &Fresh) -> Result<Row, String> {
        let stored = &fresh.stored;
        let body = stored.record.value.clone();
        let delivery = proto::decode_delivery(body.clone()).map_err(|error| error.to_string())?;
        let place = Place {
            partition: stored.position.partition,
            offset: stored.position.offset,
        };
        let appended_at = Millis::from(stored.appended_at);
        let payload = Payload::cached(&self.budget, &body, &delivery, appended_at);
        let arrival = Arrival {
            entry: new_entry(place, &delivery),
            payload,
        };
        let row = new_row(place, &delivery, appended_at, body);
        self.arriving
            .entry(delivery.destination)
            .or_default()
            .push(arrival);
        Ok(row)
    }

    /// Sends those of the named that are dead on their way again.
    async fn redrive(
        &mut self,
        orders: &[Order<'_>],
        store: &Store,
        decision: &mut Decision,
    ) -> Result<(), ReadError> {
        let ids: HashSet<DeliveryId> = orders.iter().map(|order| order.delivery).collect();
        let ids: Vec<DeliveryId> = ids.into_iter().collect();
        let mut dead: BTreeMap<DeliveryId, Stored> = Stored::of_ids(store, &ids)
            .await?
            .into_iter()
            .filter(|row| row.state == State::Dead)
            .map(|row| (row.entry.id, row))
            .collect();
        let mut rows = Vec::new();
        for order in orders {
            // An order for one that is not dead (any more) changes nothing.
            let Some(row) = dead.remove(&order.delivery) else {
                continue;
            };
            let place = row.entry.place;
            rows.push(row![
                place.partition,
                place.offset,
                State::Pending as i32,
                0,
                0
            ]);
            if let Some(outcome) = self.on_its_way(order, row) {
                decision
                    .outgoing
                    .push((Topic::Outcomes, outcome_record(outcome)));
            }
        }
        if !rows.is_empty() {
            decision.ops.push(Op::Update {
                table: &DELIVERIES,
                columns: REDRIVEN,
                rows,
            });
        }
        Ok(())
    }

    fn on_its_way(&mut self, order: &Order<'_>, row: Stored) -> Option<Outcome> {
        let delivery = proto::decode_delivery(row.payload?).ok()?;
        let entry = Entry {
            charged: 0,
            next_at: Millis::default(),
            ..row.entry
        };
        let destination = delivery.destination;
        let arrival = Arrival {
            entry,
            payload: None,
        };
        self.arriving
            .entry(destination.clone())
            .or_default()
            .push(arrival);
        *self.redriven.entry(destination.clone()).or_default() += 1;
        let stored = &order.fresh.stored;
        let cause = order.fresh.id.to_string();
        Some(Outcome {
            id: RecordId::of("outcome", &[&delivery.id.to_string(), "redriven", &cause]),
            dossier: delivery.dossier,
            at: stored.appended_at,
            kind: OutcomeKind::Redriven {
                delivery: delivery.id,
                step: delivery.step,
                destination,
                reason: stored
                    .record
                    .header("reason")
                    .unwrap_or_default()
                    .to_owned(),
            },
        })
    }

    /// The answer to a commit may have been lost although it landed; then nobody reads these records
    /// again, and the lanes would hear of them at the next start only.
    fn look_again(&mut self) {
        let places: Vec<Place> = self
            .arriving
            .values()
            .flatten()
            .map(|arrival| arrival.entry.place)
            .collect();
        self.forget();
        if places.is_empty() {
            return;
        }
        let (store, lanes, stop) = (
            self.store.clone(),
            self.lanes.clone(),
            self.tasks.stop_token(),
        );
        self.tasks.spawn_brief(async move {
            stop.run_until_cancelled(give_pending(&store, &lanes, &places))
                .await;
        });
    }

    fn forget(&mut self) {
        self.arriving.clear();
        self.redriven.clear();
    }
}

impl Fold for Deliveries {
    fn group(&self) -> &'static str {
        GROUP
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::Deliveries]
    }

    async fn decide(&mut self, batch: &[Fresh], store: &Store) -> Result<Decision, ReadError> {
        self.forget();
        let mut decision = Decision::default();
        let (mut rows, mut orders) = (Vec::new(), Vec::new());
        for fresh in batch {
            if fresh.conflict {
                telemetry::conflict(&fresh.id);
                continue;
            }
            let record = &fresh.stored.record;
            let read = match record.header("type") {
                Some(DELIVERY_TYPE) => self.delivery(fresh).map(|row| rows.push(row)),
                Some(REDRIVE_TYPE) => order(fresh).map(|order| orders.push(order)),
                other => Err(format!("unknown type `{}`", other.unwrap_or_default())),
            };
            if let Err(reason) = read {
                decision
                    .unreadable
                    .push(Unreadable::of(&fresh.stored, reason));
            }
        }
        if !rows.is_empty() {
            decision.ops.push(Op::Insert {
                table: &DELIVERIES,
                rows,
            });
        }
        if !orders.is_empty() {
            self.redrive(&orders, store, &mut decision).await?;
        }
        Ok(decision)
    }

    fn committed(&mut self) {
        for (destination, arrivals) in std::mem::take(&mut self.arriving) {
            self.lanes.give(&destination, Input::Arrived(arrivals));
        }
        for (destination, number) in std::mem::take(&mut self.redriven) {
            telemetry::redriven(destination.as_str(), number);
        }
    }

    fn rolled_back(&mut self) {
        self.look_again();
    }
}

/// Gives the lanes those of the places that are there and pending; lanes know what they have.
async fn give_pending(store: &Store, lanes: &Lanes, places: &[Place]) {
    const LATER: Duration = Duration::from_secs(2);
    let rows = loop {
        sleep(LATER).await;
        match Stored::at(store, places).await {
            Ok(rows) => break rows,
            Err(error) if error.is_transient() => {}
            // The consumer meets the same error and ends the process.
            Err(_) => return,
        }
    };
    for row in rows.into_iter().filter(|row| row.state == State::Pending) {
        if let Ok(destination) = row.destination.parse() {
            let arrival = Arrival {
                entry: row.entry,
                payload: None,
            };
            lanes.give(&destination, Input::Arrived(vec![arrival]));
        }
    }
}

fn order(fresh: &Fresh) -> Result<Order<'_>, String> {
    let text =
        std::str::from_utf8(&fresh.stored.record.value).map_err(|error| error.to_string())?;
    let delivery = text
        .parse()
        .map_err(|error: domain::InvalidDeliveryId| error.to_string())?;
    Ok(Order { delivery, fresh })
}
