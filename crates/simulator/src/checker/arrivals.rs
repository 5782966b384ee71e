//! What arrived at the agencies, against what was sent and what the tracker claims.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use domain::{AgencyId, DeliveryId, DossierKey, EventKind, Status};
use proto::v1::DeliveryState;

use super::{Case, Invariant};
use crate::{Arrival, Digest, Fate, Reaction};

/// What one agency saw of one delivery: the places of arrivals in the record.
struct Seen<'a> {
    first: usize,
    taken: Option<usize>,
    arrival: &'a Arrival,
}

// === impl Case ===

impl Case<'_> {
    /// I2 and I5: every arrival has a cause that was not refused, and carries its payload.
    pub(super) fn causes(&mut self) {
        let (record, _) = (self.record, self.view);
        let mut payloads: BTreeMap<&DossierKey, BTreeSet<Digest>> = BTreeMap::new();
        for sent in record
            .sent
            .values()
            .filter(|sent| sent.fate != Fate::Refused)
        {
            let digests = payloads.entry(&sent.dossier).or_default();
            if sent.kind == EventKind::Status(Status::Accepted) && sent.step.is_none() {
                digests.insert(sent.data);
            }
        }
        let mut messages: BTreeMap<DeliveryId, Digest> = BTreeMap::new();
        for arrival in &record.arrivals {
            let (id, dossier) = (arrival.delivery, &arrival.dossier);
            match payloads.get(dossier) {
                None => self.add(
                    Invariant::NothingInvented,
                    format!("delivery {id} is for {dossier}, of which nothing was sent"),
                ),
                Some(digests) if !digests.contains(&arrival.data) => self.add(
                    Invariant::NothingInvented,
                    format!(
                        "delivery {id} carries payload {}, which {dossier} was not accepted with",
                        arrival.data
                    ),
                ),
                Some(_) => {}
            }
            let first = *messages.entry(id).or_insert(arrival.message);
            if first != arrival.message {
                let detail = format!("delivery {id} came as {first} and as {}", arrival.message);
                self.add(Invariant::NothingInvented, detail);
            }
            self.cause(arrival);
        }
    }

    fn cause(&mut self, arrival: &Arrival) {
        let Some((source, event)) = &arrival.cause else {
            return;
        };
        let id = arrival.delivery;
        let sent = self.record.sent.get(&(source.clone(), event.clone()));
        match sent.map(|sent| sent.fate) {
            None => self.add(
                Invariant::NothingInvented,
                format!("delivery {id} names {source}/{event} as its cause, which was never sent"),
            ),
            Some(Fate::Refused) => self.add(
                Invariant::NothingRefused,
                format!("delivery {id} was caused by {source}/{event}, which was refused"),
            ),
            Some(Fate::Accepted | Fate::Unknown) => {}
        }
    }

    /// I1 and I3: what was taken is claimed as delivered and the reverse; nothing was taken twice, under
    /// one id or under two.
    pub(super) fn effects(&mut self) {
        let record = self.record;
        let mut takers: BTreeMap<DeliveryId, Vec<&AgencyId>> = BTreeMap::new();
        let mut works: BTreeMap<(&AgencyId, &DossierKey, &str), DeliveryId> = BTreeMap::new();
        for arrival in record
            .arrivals
            .iter()
            .filter(|a| a.reaction == Reaction::Taken)
        {
            let (id, receiver) = (arrival.delivery, &arrival.receiver);
            takers.entry(id).or_default().push(receiver);
            match works.entry((receiver, &arrival.dossier, arrival.step.as_str())) {
                Entry::Vacant(first) => {
                    first.insert(id);
                }
                Entry::Occupied(first) if *first.get() != id => {
                    let (dossier, step, first) = (&arrival.dossier, &arrival.step, *first.get());
                    let detail =
                        format!("{receiver} has {step} of {dossier} as {first} and as {id}");
                    self.add(Invariant::OneEffect, detail);
                }
                Entry::Occupied(_) => {}
            }
        }
        for (id, agencies) in &takers {
            if agencies.len() > 1 {
                let names: Vec<_> = agencies.iter().map(|agency| agency.as_str()).collect();
                let detail = format!("delivery {id} was taken by {}", names.join(" and by "));
                self.add(Invariant::OneEffect, detail);
            }
            match self.steps.get(id).map(|(_, step)| step.delivery_state()) {
                Some(DeliveryState::Delivered | DeliveryState::Pending) => {}
                Some(state) => self.add(
                    Invariant::NoLoss,
                    format!("delivery {id} was taken, and the tracker has it as {state:?}"),
                ),
                None => self.add(
                    Invariant::NoLoss,
                    format!("delivery {id} was taken, and the tracker does not know it"),
                ),
            }
        }
        let claimed: Vec<_> = self
            .steps
            .iter()
            .filter(|(id, (_, step))| {
                step.delivery_state() == DeliveryState::Delivered && !takers.contains_key(id)
            })
            .map(|(id, (key, step))| {
                format!(
                    "delivery {id} of {key} to {} is claimed as delivered, and nobody took it",
                    step.destination
                )
            })
            .collect();
        for detail in claimed {
            self.add(Invariant::NoLoss, detail);
        }
    }

    /// I4: a later delivery of a dossier does not come before an earlier one was taken or put aside.
    pub(super) fn order(&mut self) {
        let record = self.record;
        let mut lanes: BTreeMap<(&AgencyId, &DossierKey), BTreeMap<DeliveryId, Seen<'_>>> =
            BTreeMap::new();
        for (place, arrival) in record.arrivals.iter().enumerate() {
            let lane = lanes
                .entry((&arrival.receiver, &arrival.dossier))
                .or_default();
            let seen = lane.entry(arrival.delivery).or_insert(Seen {
                first: place,
                taken: None,
                arrival,
            });
            if arrival.reaction == Reaction::Taken {
                seen.taken.get_or_insert(place);
            }
        }
        for ((receiver, dossier), lane) in &lanes {
            for (earlier, before) in lane {
                for (later, after) in lane {
                    if before.arrival.opened_at >= after.arrival.opened_at || self.is_dead(earlier)
                    {
                        continue;
                    }
                    if before.taken.is_none_or(|taken| after.first < taken) {
                        let detail = format!(
                            "at {receiver} delivery {later} of {dossier} came before {earlier} was taken"
                        );
                        self.add(Invariant::Order, detail);
                    }
                }
            }
        }
    }

    fn is_dead(&self, id: &DeliveryId) -> bool {
        let step = self.steps.get(id);
        step.is_some_and(|(_, step)| step.delivery_state() == DeliveryState::Dead)
    }
}
