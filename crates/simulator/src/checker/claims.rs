//! What the tracker claims, against what was sent.

use std::collections::{BTreeMap, BTreeSet};

use domain::{DossierClock, DossierKey, EventKind, Status};
use proto::v1::{DeadlineState, DeliveryState, Dossier, DossierState};

use super::{Case, Invariant};
use crate::{Fate, Sent};

/// One destination's deliveries: pending, delivered, dead.
type Figures = (u64, u64, u64);

// === impl Case ===

impl Case<'_> {
    /// I1 and I5 for events.
    pub(super) fn events(&mut self) {
        let (record, view) = (self.record, self.view);
        for (name @ (source, id), sent) in &record.sent {
            let missing = view.missing.contains(name);
            match sent.fate {
                Fate::Accepted if missing => self.add(
                    Invariant::NoLoss,
                    format!(
                        "accepted event {source}/{id} of {} is on no timeline",
                        sent.dossier
                    ),
                ),
                Fate::Refused if !missing => self.add(
                    Invariant::NothingRefused,
                    format!(
                        "refused event {source}/{id} of {} is on a timeline",
                        sent.dossier
                    ),
                ),
                Fate::Accepted | Fate::Refused | Fate::Unknown => {}
            }
        }
    }

    /// I1 and I6 for dossiers and their deliveries.
    pub(super) fn dossiers(&mut self) {
        let (record, view) = (self.record, self.view);
        let mut ended_steps: BTreeSet<(&DossierKey, &str)> = BTreeSet::new();
        let mut accepted: BTreeSet<&DossierKey> = BTreeSet::new();
        for sent in record
            .sent
            .values()
            .filter(|sent| sent.fate == Fate::Accepted)
        {
            match (&sent.step, sent.kind) {
                (None, EventKind::Status(Status::Accepted)) => {
                    accepted.insert(&sent.dossier);
                }
                (Some(step), _) if ends(sent) => {
                    ended_steps.insert((&sent.dossier, step.as_str()));
                }
                _ => {}
            }
        }
        for key in accepted {
            match view.dossiers.get(key) {
                None => self.add(
                    Invariant::NoLoss,
                    format!("accepted dossier {key} is unknown"),
                ),
                Some(dossier) => self.dossier(key, dossier, &ended_steps),
            }
        }
    }

    fn dossier(
        &mut self,
        key: &DossierKey,
        dossier: &Dossier,
        ended_steps: &BTreeSet<(&DossierKey, &str)>,
    ) {
        let open = dossier.state() == DossierState::Open;
        if open && dossier.steps.is_empty() {
            let detail = format!("accepted dossier {key} is open, not held, and has no step");
            self.add(Invariant::NoLoss, detail);
        } else if open {
            let done = dossier.steps.iter().all(|step| {
                step.delivery_state() == DeliveryState::Delivered
                    && ended_steps.contains(&(key, step.id.as_str()))
            });
            if done {
                let detail = format!("every step of {key} has ended, and it is still open");
                self.add(Invariant::NoLoss, detail);
            }
        }
        for step in &dossier.steps {
            if step.delivery_state() == DeliveryState::Pending {
                let (delivery, destination) = (&step.delivery, &step.destination);
                let detail = format!("delivery {delivery} of {key} to {destination} is pending");
                self.add(Invariant::Drained, detail);
            }
        }
    }

    /// I7.
    pub(super) fn totals(&mut self) {
        let (record, view) = (self.record, self.view);
        let summary = &view.summary;
        let on_timelines = record
            .sent
            .keys()
            .filter(|name| !view.missing.contains(*name));
        self.equal("events", summary.events, on_timelines.count());
        self.equal("unreadable records", summary.unreadable, 0);

        let mut states: BTreeMap<i32, u64> = BTreeMap::new();
        let mut deadlines: BTreeMap<DeadlineState, u64> = BTreeMap::new();
        let mut destinations: BTreeMap<&str, Figures> = BTreeMap::new();
        for dossier in view.dossiers.values() {
            *states.entry(dossier.state).or_default() += 1;
            *deadlines.entry(dossier.deadline()).or_default() += 1;
            for step in &dossier.steps {
                let figures = destinations.entry(&step.destination).or_default();
                match step.delivery_state() {
                    DeliveryState::Pending => figures.0 += 1,
                    DeliveryState::Delivered => figures.1 += 1,
                    DeliveryState::Dead => figures.2 += 1,
                    DeliveryState::Unspecified => {}
                }
            }
        }
        let claimed = |state: i32| {
            let counts = summary.states.iter().filter(|count| count.state == state);
            counts.map(|count| count.count).sum::<u64>()
        };
        for state in DossierState::Open.into()..=DossierState::Withdrawn.into() {
            let name = DossierState::try_from(state)
                .unwrap_or_default()
                .as_str_name();
            self.equal(
                name,
                claimed(state),
                states.get(&state).copied().unwrap_or(0),
            );
        }
        let of = |state| deadlines.get(&state).copied().unwrap_or(0);
        let late = of(DeadlineState::Missed) + of(DeadlineState::Overdue);
        self.equal("dossiers on time", summary.on_time, of(DeadlineState::Met));
        self.equal("late dossiers", summary.late, late);
        self.destinations(destinations);
    }

    fn destinations(&mut self, mut destinations: BTreeMap<&str, Figures>) {
        let view = self.view;
        for claim in &view.summary.destinations {
            let id = claim.destination.as_str();
            let (pending, delivered, dead) = destinations.remove(id).unwrap_or_default();
            self.equal(&format!("pending at {id}"), claim.pending, pending);
            self.equal(&format!("delivered at {id}"), claim.delivered, delivered);
            self.equal(&format!("dead at {id}"), claim.dead, dead);
        }
        for (id, (pending, delivered, dead)) in destinations {
            self.equal(
                &format!("deliveries at {id}"),
                0,
                pending + delivered + dead,
            );
        }
    }

    fn equal<N>(&mut self, what: &str, claimed: u64, counted: N)
    where
        N: TryInto<u64>,
    {
        let counted = counted.try_into().unwrap_or(u64::MAX);
        if claimed != counted {
            let detail = format!("{what}: {claimed} claimed, {counted} counted");
            self.add(Invariant::Totals, detail);
        }
    }
}

/// Whether an event ends what it is about.
fn ends(sent: &Sent) -> bool {
    let status = sent.kind.status();
    status.is_some_and(|status| status.clock() == DossierClock::Ended)
}
