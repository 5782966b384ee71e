//! Payloads of a lane: in memory as far as the budget goes, otherwise in the store.

use domain::DeliveryId;
use tokio::time::Instant;

use super::{Engine, PAUSE, READ_AHEAD};
use crate::Error;
use crate::entry::Place;
use crate::payload::{Budget, Payload};
use crate::stored::Stored;
use crate::telemetry;

impl Engine {
    /// Reads the payloads that are not in memory, and some of those whose turn comes next.
    pub(super) async fn load(&mut self, taken: &[DeliveryId]) -> Result<(), Error> {
        let lacks = |id: &DeliveryId| !self.payloads.contains_key(id);
        let line = self.lane.line();
        let place = |id: &DeliveryId| line.entry(*id).map(|entry| entry.place);
        let mut places: Vec<Place> = taken
            .iter()
            .filter(|id| lacks(id))
            .filter_map(place)
            .collect();
        if places.is_empty() {
            return Ok(());
        }
        if self.shared.budget.has_room() {
            let ahead = line.upcoming().filter(|entry| lacks(&entry.id));
            places.extend(ahead.take(READ_AHEAD).map(|entry| entry.place));
        }
        match Stored::at(&self.shared.store, &places).await {
            Ok(rows) => {
                rows.into_iter()
                    .for_each(|row| self.keep_payload(taken, row));
                self.abandon_lost(taken);
                Ok(())
            }
            Err(error) if error.is_transient() => {
                telemetry::read_again(&self.bound.destination.id, &error);
                self.quiet_until = Some(Instant::now() + PAUSE);
                Ok(())
            }
            Err(error) => Err(Error::Payloads(error)),
        }
    }

    pub(super) fn keep_payload(&mut self, taken: &[DeliveryId], row: Stored) {
        let id = row.entry.id;
        let payload = if taken.contains(&id) {
            unbudgeted(row)
        } else {
            budgeted(&self.shared.budget, row)
        };
        if let Some(payload) = payload {
            self.payloads.insert(id, payload);
        }
    }

    /// The store answered and has no readable payload: the lane goes on without the delivery, whose
    /// row stays as it is for a person.
    pub(super) fn abandon_lost(&mut self, taken: &[DeliveryId]) {
        let now = self.now();
        for id in taken {
            if !self.payloads.contains_key(id) {
                telemetry::payload_lost(&self.bound.destination.id, *id);
                self.lane.abandon(*id, now);
            }
        }
    }
}

pub(super) fn unbudgeted(row: Stored) -> Option<Payload> {
    let body = row.payload?;
    let delivery = proto::decode_delivery(body.clone()).ok()?;
    Some(Payload::new(body, &delivery, row.appended_at))
}

fn budgeted(budget: &Budget, row: Stored) -> Option<Payload> {
    let body = row.payload?;
    let delivery = proto::decode_delivery(body.clone()).ok()?;
    Payload::cached(budget, &body, &delivery, row.appended_at)
}
