use std::collections::{BTreeMap, HashMap};

use consumer::{Decision, Fold, Fresh, Unreadable, record};
use domain::{DossierKey, Event};
use log::{Record, Topic};
use store::{Op, ReadError, Row, Store, row};

use crate::{Dossier, Effects, GROUP, Plan, decide, encode, tables::DOSSIERS, telemetry::Tally};

/// The router as a fold over the events topic.
pub(crate) struct RouterFold {
    pub(crate) plan: Plan,
    pub(crate) tally: Tally,
}

/// A larger event would make deliveries that the log does not take: room for the route's words.
const MAX_EVENT_BYTES: usize = log::MAX_RECORD_BYTES - 100_000;

impl Fold for RouterFold {
    fn group(&self) -> &'static str {
        GROUP
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::Events]
    }

    async fn decide(&mut self, batch: &[Fresh], store: &Store) -> Result<Decision, ReadError> {
        let mut decision = Decision::default();
        let mut events = Vec::with_capacity(batch.len());
        for fresh in batch {
            match read_event(&fresh.stored.record) {
                Ok(event) => events.push((event, fresh.conflict)),
                Err(reason) => {
                    self.tally.invalid();
                    decision
                        .unreadable
                        .push(Unreadable::of(&fresh.stored, reason));
                }
            }
        }
        let mut dossiers = load(store, events.iter().map(|(event, _)| &event.dossier)).await?;
        for (event, conflict) in &events {
            let dossier = dossiers
                .entry(event.dossier.clone())
                .or_insert_with(|| Dossier::new(event.dossier.clone()));
            let was_held = dossier.held.is_some();
            let effects = decide(dossier, event, *conflict, &self.plan);
            self.tally.decided(event, &effects);
            self.tally.held(was_held, dossier.held.is_some());
            emit(effects, &mut decision.outgoing);
        }
        decision.ops.extend(save(dossiers.values()));
        Ok(decision)
    }

    fn committed(&mut self) {
        std::mem::take(&mut self.tally).count();
    }

    fn rolled_back(&mut self) {
        self.tally = Tally::default();
    }
}

fn read_event(record: &Record) -> Result<Event, String> {
    let size = record.size();
    if size > MAX_EVENT_BYTES {
        return Err(format!(
            "the event has {size} bytes, more than {MAX_EVENT_BYTES}"
        ));
    }
    let event = Event::from_attributes(|name| record.header(name), record.value.clone())
        .map_err(|error| error.to_string())?;
    if record.key == event.dossier.as_str() {
        Ok(event)
    } else {
        Err(format!(
            "the record's key `{}` is not its dossier",
            record.key
        ))
    }
}

/// The state of the named dossiers, as far as there is any.
pub(crate) async fn load<'a>(
    store: &Store,
    keys: impl Iterator<Item = &'a DossierKey>,
) -> Result<BTreeMap<DossierKey, Dossier>, ReadError> {
    let wanted: HashMap<&str, &DossierKey> = keys.map(|key| (key.as_str(), key)).collect();
    let rows = store
        .get(
            &DOSSIERS,
            wanted.keys().map(|key| row![*key]).collect::<Vec<_>>(),
        )
        .await?;
    let mut dossiers = BTreeMap::new();
    for row in rows {
        if let Some(key) = wanted.get(row.text(0)?) {
            dossiers.insert((*key).clone(), read_row((*key).clone(), &row)?);
        }
    }
    Ok(dossiers)
}

pub(crate) fn read_row(key: DossierKey, row: &Row) -> Result<Dossier, ReadError> {
    let fatal = |error| ReadError::Fatal(std::sync::Arc::new(error));
    encode::decode(key, row.blob(2)?.clone()).map_err(fatal)
}

pub(crate) fn save<'a>(dossiers: impl Iterator<Item = &'a Dossier>) -> Option<Op> {
    let rows: Vec<Row> = dossiers
        .map(|dossier| {
            let held = dossier.held.as_ref().map(|held| held.reason.to_string());
            row![dossier.key.as_str(), held, encode::encode(dossier)]
        })
        .collect();
    (!rows.is_empty()).then_some(Op::Upsert {
        table: &DOSSIERS,
        rows,
    })
}

pub(crate) fn emit(effects: Effects, outgoing: &mut Vec<(Topic, Record)>) {
    for delivery in effects.deliveries {
        let dossier = delivery.dossier.clone();
        let (attributes, data) = proto::encode_delivery(delivery);
        outgoing.push((Topic::Deliveries, record(&dossier, attributes, data)));
    }
    // Behind the deliveries that they are about: the key is the same.
    for order in effects.orders {
        if let Some(dossier) = order.action.dossier() {
            let (attributes, data) = proto::encode_order(&order);
            outgoing.push((Topic::Deliveries, record(dossier, attributes, data)));
        }
    }
    for outcome in effects.outcomes {
        let dossier = outcome.dossier.clone();
        let (attributes, data) = proto::encode_outcome(outcome);
        outgoing.push((Topic::Outcomes, record(&dossier, attributes, data)));
    }
}
