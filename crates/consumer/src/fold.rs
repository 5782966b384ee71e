use std::future::Future;

use bytes::Bytes;
use domain::{DossierKey, RecordId};
use jiff::Timestamp;
use log::{Position, Record, Stored, Topic};
use store::{Op, Store};

/// What a role does with a batch of records.
pub trait Fold: Send + 'static {
    /// The consumer group: also the store's group and the metric label.
    fn group(&self) -> &'static str;

    /// The topics it reads.
    fn topics(&self) -> &'static [Topic];

    /// Reads state for the batch and decides; the answer is one value, committed as a whole. Repeats
    /// were dropped before. An error is tried again with the same records.
    fn decide(
        &mut self,
        batch: &[Fresh],
        store: &Store,
    ) -> impl Future<Output = Result<Decision, store::ReadError>> + Send;

    /// The last decision is durable: its effects in memory may happen now.
    fn committed(&mut self);

    /// The last decision did not become durable: forget it.
    fn rolled_back(&mut self);
}

/// A record that this group has not seen before.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The record and its place.
    pub stored: Stored,
    /// Of source and id together.
    pub id: RecordId,
    /// Whether the same id came before with another body.
    pub conflict: bool,
}

/// What a batch amounts to.
#[derive(Debug, Default)]
pub struct Decision {
    /// Changes of the role's own tables.
    pub ops: Vec<Op>,
    /// Records to publish once the transaction has landed.
    pub outgoing: Vec<(Topic, Record)>,
    /// Records whose content could not be read; kept with the reason.
    pub unreadable: Vec<Unreadable>,
}

/// A record that cannot be read: kept whole, so that a person can look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The topic that holds it.
    pub topic: Topic,
    /// Its place.
    pub position: Position,
    /// When the log took it.
    pub appended_at: Timestamp,
    /// Why it cannot be read.
    pub reason: String,
    /// Its bytes.
    pub raw: Bytes,
}

// === impl Unreadable ===

impl Unreadable {
    /// The whole record, with the reason why its content cannot be read.
    pub fn of(stored: &Stored, reason: impl ToString) -> Self {
        Self {
            topic: stored.topic,
            position: stored.position,
            appended_at: stored.appended_at,
            reason: reason.to_string(),
            raw: log::encode_batch(std::slice::from_ref(&stored.record)),
        }
    }
}

/// A record of the log from CloudEvents attributes and data.
pub fn record(
    dossier: &DossierKey,
    attributes: Vec<(&'static str, String)>,
    data: Bytes,
) -> Record {
    let headers = attributes
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
    Record {
        key: dossier.to_string(),
        headers,
        value: data,
    }
}
