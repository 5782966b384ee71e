use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{AgencyId, DeliveryId, DossierKey, Event, EventId, EventKind, StepId};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::Answer;

/// What the world outside the pipeline saw: every event that was sent with the answer to it, and every
/// delivery that arrived. Cheap to clone; clones write the same log.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    record: Record,
    /// Where arrivals go instead of into the record.
    reader: Option<mpsc::UnboundedSender<Arrival>>,
    /// How many events have each fate.
    fates: [usize; 3],
}

/// A history as it stood at one moment.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Events by source and id.
    pub sent: BTreeMap<(AgencyId, EventId), Sent>,
    /// Arrivals in the order in which the agencies saw them.
    pub arrivals: Vec<Arrival>,
}

/// One event that was sent, perhaps several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its dossier.
    pub dossier: DossierKey,
    /// What it said.
    pub kind: EventKind,
    /// The step it was about.
    pub step: Option<StepId>,
    /// Of its payload.
    pub data: Digest,
    /// What became of it.
    pub fate: Fate,
}

/// What the sender of an event knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// No answer came, or the answer was *unknown*.
    Unknown,
    /// The gateway will never take it.
    Refused,
    /// The gateway has it.
    Accepted,
}

/// One arrival of a delivery at an agency; repeats are arrivals of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The agency that it reached.
    pub receiver: AgencyId,
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its dossier.
    pub dossier: DossierKey,
    /// Its step.
    pub step: StepId,
    /// Its number within the dossier, where the protocol says so.
    pub sequence: Option<u64>,
    /// The event that caused it, where the protocol says so.
    pub cause: Option<(AgencyId, EventId)>,
    /// When the step became due.
    pub opened_at: Timestamp,
    /// Of the whole message.
    pub message: Digest,
    /// Of its payload.
    pub data: Digest,
    /// When it arrived.
    pub at: Timestamp,
    /// What the agency did with it.
    pub reaction: Reaction,
    /// What it answered, in a word or two.
    pub answer: &'static str,
}

/// What an agency did with a delivery that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Took it: the one effect that a delivery may have.
    Taken,
    /// Dropped it as a repeat.
    AlreadyTaken,
    /// Asked to try later.
    Busy,
    /// Refused it for good.
    NotTaken,
    /// Failed.
    Failed,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

// === impl History ===

impl History {
    /// Notes that an event is about to be sent.
    pub fn sent(&self, event: &Event) {
        let sent = Sent {
            dossier: event.dossier.clone(),
            kind: event.kind,
            step: event.step.clone(),
            data: Digest::of(&event.data),
            fate: Fate::Unknown,
        };
        let mut log = self.lock();
        let name = (event.source.clone(), event.id.clone());
        if let Entry::Vacant(first) = log.record.sent.entry(name) {
            first.insert(sent);
            log.fates[Fate::Unknown as usize] += 1;
        }
    }

    /// Notes the answer to an event; of several answers the surest one counts.
    pub fn answered(&self, source: &AgencyId, id: &EventId, answer: &Answer) {
        let fate = match answer {
            Answer::Accepted { .. } => Fate::Accepted,
            Answer::Refused { .. } => Fate::Refused,
        };
        let mut log = self.lock();
        let Log { record, fates, .. } = &mut *log;
        if let Some(sent) = record.sent.get_mut(&(source.clone(), id.clone())) {
            fates[sent.fate as usize] -= 1;
            sent.fate = sent.fate.max(fate);
            fates[sent.fate as usize] += 1;
        }
    }

    /// A history whose arrivals go to a reader, and are not kept.
    pub fn read_by(reader: mpsc::UnboundedSender<Arrival>) -> Self {
        let log = Log {
            reader: Some(reader),
            ..Log::default()
        };
        Self(Arc::new(Mutex::new(log)))
    }

    /// Notes an arrival.
    pub fn arrived(&self, arrival: Arrival) {
        let mut log = self.lock();
        match &log.reader {
            // A reader that has gone has read enough.
            Some(reader) => drop(reader.send(arrival)),
            None => log.record.arrivals.push(arrival),
        }
    }

    /// Everything so far.
    pub fn record(&self) -> Record {
        self.lock().record.clone()
    }

    /// How many events have this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.lock().fates[fate as usize]
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Record ===

impl Record {
    /// Source and id of every event with this fate.
    pub fn with_fate(&self, fate: Fate) -> impl Iterator<Item = &(AgencyId, EventId)> {
        self.sent
            .iter()
            .filter(move |(_, sent)| sent.fate == fate)
            .map(|(id, _)| id)
    }
}

// === impl Digest ===

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// All of it, in hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
