use std::time::Duration;

use bytes::Bytes;
use calendar::{OutOfRange, WorkingTime};
use domain::{
    AgencyId, Classification, Delivery, DeliveryId, DossierCode, DossierKey, Event, EventId,
    EventKind, ProcedureCode, RecordId, Status, StepId, UnitRef,
};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use crate::{Digest, Script, chance::chance};

/// One delivery as an agency sees it, whatever protocol brought it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) delivery: DeliveryId,
    pub(crate) dossier: DossierKey,
    pub(crate) code: Option<DossierCode>,
    pub(crate) procedure: ProcedureCode,
    pub(crate) unit: UnitRef,
    pub(crate) step: StepId,
    /// Its number within the dossier, where the protocol says so.
    pub(crate) sequence: Option<u64>,
    pub(crate) classification: Classification,
    pub(crate) cause: Option<(AgencyId, EventId)>,
    pub(crate) opened_at: Timestamp,
    pub(crate) message: Digest,
    pub(crate) data: Digest,
    /// How long the payload is.
    pub(crate) bytes: usize,
}

/// An event that the agency will send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// When it is sent.
    pub(crate) send_at: Timestamp,
    /// What is sent; its time says when it happened.
    pub(crate) event: Event,
}

/// Decides everything about one case at once.
struct Planner<'a> {
    script: &'a Script,
    agency: &'a AgencyId,
    case: &'a Case,
    planned: Vec<Planned>,
}

// === impl Case ===

impl Case {
    pub(crate) fn new(delivery: Delivery, message: Digest) -> Self {
        Self {
            data: Digest::of(&delivery.data),
            bytes: delivery.data.len(),
            sequence: None,
            message,
            delivery: delivery.id,
            dossier: delivery.dossier,
            code: delivery.code,
            procedure: delivery.procedure,
            unit: delivery.unit,
            step: delivery.step,
            classification: delivery.classification,
            cause: Some(delivery.cause),
            opened_at: delivery.opened_at,
        }
    }

    /// The events by which an agency that took this case at `taken_at` answers, in the order of sending.
    pub(crate) fn plan(
        &self,
        script: &Script,
        agency: &AgencyId,
        seed: u64,
        taken_at: Timestamp,
    ) -> Vec<Planned> {
        let planner = Planner {
            script,
            agency,
            case: self,
            planned: Vec::with_capacity(4),
        };
        planner.plan(seed, taken_at)
    }

    fn event(&self, agency: &AgencyId, status: Status, ordinal: u32, time: Timestamp) -> Event {
        let (delivery, ordinal_text) = (self.delivery.to_string(), ordinal.to_string());
        let parts = [agency.as_str(), &delivery, status.as_str(), &ordinal_text];
        let id = RecordId::of("agency-event", &parts).to_string();
        Event {
            id: id.parse().expect("hexadecimal digits are an event id"),
            source: agency.clone(),
            kind: EventKind::Status(status),
            time,
            dossier: self.dossier.clone(),
            code: self.code.clone(),
            procedure: self.procedure.clone(),
            unit: self.unit,
            step: Some(self.step.clone()),
            classification: self.classification,
            content_type: "application/json".to_owned(),
            traceparent: None,
            data: Bytes::from_static(br#"{"note":"simulated"}"#),
        }
    }
}

// === impl Planner ===

impl Planner<'_> {
    const LONGEST_FIRST_LOOK: Duration = Duration::from_secs(15 * 60);

    fn plan(mut self, seed: u64, taken_at: Timestamp) -> Vec<Planned> {
        let script = self.script;
        let delivery = self.case.delivery.to_string();
        let mut rng = chance(seed, "case", &[self.agency.as_str(), &delivery]);
        // All chances are drawn, needed or not, so that one rate does not move the others.
        let work = script.work.sample(&mut rng);
        let first_look = (work / 4).min(Self::LONGEST_FIRST_LOOK);
        let moment = work / 50;
        let pause = script.supplement.sample(&mut rng);
        let handover = script.handover.sample(&mut rng);
        let supplement = rng.random_bool(script.supplement_rate);
        let refused = rng.random_bool(script.refusal_rate);
        let handed_over = rng.random_bool(script.handover_rate);
        let out_of_order = rng.random_bool(script.out_of_order_rate);

        let looked_at = self.after(taken_at, first_look);
        self.add(Status::InProcess, 0, looked_at);
        let mut rest_from = looked_at;
        if supplement {
            let asked_at = self.after(looked_at, work / 4);
            rest_from = self.after(asked_at, pause);
            self.add(Status::SupplementRequested, 0, asked_at);
            self.add(Status::InProcess, 1, rest_from);
        }
        let ended_at = self.after(rest_from, work.saturating_sub(first_look));
        if refused {
            self.add(Status::Stopped, 0, ended_at);
        } else {
            self.add(Status::Processed, 0, ended_at);
            let shortly_after = self.after(ended_at, moment);
            if out_of_order && let Some(first) = self.planned.first_mut() {
                first.send_at = shortly_after;
            }
            if handed_over {
                let at = self.after(ended_at, handover);
                self.add(Status::HandedOver, 0, at);
            }
        }
        for at in 0..self.planned.len() {
            if rng.random_bool(script.duplicate_reply_rate) {
                let again = Planned {
                    send_at: self.after(self.planned[at].send_at, moment),
                    event: self.planned[at].event.clone(),
                };
                self.planned.push(again);
            }
        }
        self.planned.sort_by_key(|planned| planned.send_at);
        self.planned
    }

    fn add(&mut self, status: Status, ordinal: u32, at: Timestamp) {
        let event = self.case.event(self.agency, status, ordinal, at);
        self.planned.push(Planned { send_at: at, event });
    }

    /// When so much working time has passed; beyond the calendar time simply passes.
    fn after(&self, from: Timestamp, time: Duration) -> Timestamp {
        let plain = || {
            let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
            from.saturating_add(time).unwrap_or(Timestamp::MAX)
        };
        let Some(office) = &self.script.office else {
            return plain();
        };
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let open = || -> Result<Timestamp, OutOfRange> {
            office.add(office.next_open(from)?, WorkingTime::from_seconds(seconds))
        };
        open().unwrap_or_else(|_| plain())
    }
}
