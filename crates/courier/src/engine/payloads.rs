//! Payloads of a lane: in memory as far as the budget goes, otherwise in the store.

use domain::DeliveryId;
use store::ReadError;
use tokio::time::Instant;

use super::{Engine, PAUSE, READ_AHEAD};
use crate::Error;
use crate::entry::Place;
use crate::lane::Standing;
use crate::payload::{Budget, Payload};
use crate::stored::Stored;
use crate::telemetry;
use crate::verdicts::Report;

/// Payloads on their way from memory to the store.
#[derive(Default)]
pub(super) struct Leaving {
    reports: Vec<Report>,
    /// Whether any may not be durable yet: they are read back only then.
    pub(super) are_on_their_way: bool,
    /// Whether the lane rested when something came last.
    pub(super) rests: bool,
    /// When to look for payloads that wait too long in memory alone.
    pub(super) look_at: Option<Instant>,
}

impl Engine {
    /// Keeps a payload in memory until its turn comes.
    pub(super) fn take_payload(&mut self, id: DeliveryId, payload: Payload) {
        if self.lane.line().entry(id).is_none() {
            return;
        }
        if !payload.is_stored && self.leaving.look_at.is_none() {
            self.leaving.look_at = Some(Instant::now() + self.shared.stored_after);
        }
        self.payloads.insert(id, payload);
    }

    /// Gives the memory of a payload up.
    pub(super) fn put_away(&mut self, place: Place, mut payload: Payload) {
        self.leaving.reports.extend(payload.store_at(place));
    }

    /// Gives the memory up of all that are not in flight: other lanes need it more.
    pub(super) fn put_waiting_away(&mut self) {
        let line = self.lane.line();
        let waits = |id: &DeliveryId| line.standing(*id) != Some(Standing::InFlight);
        let waiting = self.payloads.extract_if(|id, _| waits(id)).collect();
        self.put_each_away(waiting);
        self.payloads.shrink_to_fit();
    }

    fn put_each_away(&mut self, payloads: Vec<(DeliveryId, Payload)>) {
        for (id, payload) in payloads {
            if let Some(place) = self.lane.line().entry(id).map(|entry| entry.place) {
                self.put_away(place, payload);
            }
        }
    }

    /// Stores what the log alone would have once this lane has ended.
    pub(super) async fn put_all_away(&mut self) {
        let all = self.payloads.drain().collect();
        self.put_each_away(all);
        self.store_leaving().await;
    }

    /// Stores what a look found for the second time.
    pub(super) fn look_for_waiting(&mut self) {
        let line = self.lane.line();
        let mut is_any_left = false;
        for (id, payload) in &mut self.payloads {
            if payload.is_stored {
                continue;
            }
            if !std::mem::replace(&mut payload.has_waited, true) {
                is_any_left = true;
            } else if let Some(entry) = line.entry(*id) {
                self.leaving.reports.extend(payload.store_at(entry.place));
            }
        }
        let next = Instant::now() + self.shared.stored_after;
        self.leaving.look_at = is_any_left.then_some(next);
    }

    /// Reports what is leaving, to be stored beside the work.
    pub(super) async fn store_leaving(&mut self) {
        if self.leaving.reports.is_empty() {
            return;
        }
        let reports = std::mem::take(&mut self.leaving.reports);
        self.report(reports).await;
        self.leaving.are_on_their_way = true;
    }

    /// The rows of these places, with every payload that has left the memory.
    pub(super) async fn rows(&mut self, places: &[Place]) -> Result<Vec<Stored>, ReadError> {
        self.store_leaving().await;
        if std::mem::take(&mut self.leaving.are_on_their_way) {
            self.settle_reports().await;
        }
        Stored::at(&self.shared.store, places).await
    }

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
        match self.rows(&places).await {
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
