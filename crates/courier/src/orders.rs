//! Orders of operators: how they stand in the log and in the audit, and what they amount to.

mod book;
mod changes;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Action, DestinationId, Order, RecordId};
use jiff::{SignedDuration, Timestamp};
use log::Record;
use store::{Kind, ReadError, Row, Store, Value};

use crate::boundary::Boundary;
use crate::config::Config;
use crate::entry::Millis;

pub(crate) use book::Book;
pub(crate) use changes::News;

const MILLISECOND: SignedDuration = SignedDuration::from_millis(1);

/// An order as the log brought it.
pub(crate) struct Received {
    pub(crate) order: Order,
    /// The record's id in the inbox.
    pub(crate) cause: RecordId,
    pub(crate) appended_at: Timestamp,
}

/// Which deliveries may be sent again.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) destinations: Arc<BTreeSet<DestinationId>>,
    pub(crate) boundary: Boundary,
}

/// The record of an order.
pub(crate) fn record(order: &Order) -> Record {
    let (attributes, value) = proto::encode_order(order);
    let headers = attributes
        .into_iter()
        .map(|(name, value)| (name.into(), value));
    Record {
        key: order.action.key(),
        headers: headers.collect(),
        value,
    }
}

/// Gives each order a millisecond of its own, the audit's unit: the audit shows the orders that one
/// courier took in the order in which it took them.
#[derive(Clone, Default)]
pub(crate) struct Stamps(Arc<Mutex<Timestamp>>);

/// A row of the audit.
pub(crate) struct Audited {
    pub(crate) at: Millis,
    pub(crate) by: String,
    pub(crate) action: String,
    pub(crate) reason: String,
    pub(crate) result: String,
}

/// The newest orders on a subject, the newest first.
pub(crate) async fn on(
    store: &Store,
    subject: &str,
    most: usize,
) -> Result<Vec<Audited>, ReadError> {
    let sql = format!(
        "select at, actor, action, reason, result from courier_orders \
         where subject = $1 order by at desc, id limit {most}"
    );
    let kinds = &[Kind::Int, Kind::Text, Kind::Text, Kind::Text, Kind::Text];
    let rows = store.query(sql, [Value::from(subject)], kinds).await?;
    let read = |row: &Row| {
        Ok(Audited {
            at: Millis(row.int(0)?),
            by: row.text(1)?.to_owned(),
            action: row.text(2)?.to_owned(),
            reason: row.text(3)?.to_owned(),
            result: row.text(4)?.to_owned(),
        })
    };
    rows.iter().map(read).collect()
}

// === impl Stamps ===

impl Stamps {
    /// Now, or the millisecond after the last order where the clock has not come so far. A clock that
    /// was set back is believed.
    pub(crate) fn next(&self, now: Timestamp) -> Timestamp {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = last.duration_since(now);
        if ahead > -MILLISECOND && ahead < SignedDuration::from_secs(1) {
            *last = last.checked_add(MILLISECOND).unwrap_or(now);
        } else {
            *last = now;
        }
        *last
    }
}

// === impl Gate ===

impl Gate {
    pub(crate) fn of(config: &Config) -> Self {
        let ids = config.destinations.iter().map(|one| one.id.clone());
        Self {
            destinations: Arc::new(ids.collect()),
            boundary: config.boundary.clone(),
        }
    }

    /// Whether the delivery may go to its destination as things stand, or in words why not.
    pub(crate) fn may_go(&self, delivery: &domain::Delivery) -> Result<(), String> {
        if !self.destinations.contains(&delivery.destination) {
            let id = &delivery.destination;
            return Err(format!("no destination `{id}` in the configuration"));
        }
        self.boundary.may_go(delivery)
    }
}

/// What was ordered, as the audit shows it.
fn words(action: &Action) -> String {
    match action {
        Action::Lane { action, .. } => action.to_string(),
        Action::Sideline { rule: None, .. } => "sideline lifted".to_owned(),
        Action::Sideline {
            rule: Some((way, until)),
            ..
        } => format!("sideline {} until {until}", way.as_str()),
        Action::Redrive { item: None, .. } => "redrive".to_owned(),
        Action::Redrive {
            item: Some((job, number)),
            ..
        } => format!("redrive {job}/{number}"),
        Action::Settle { arrived: true, .. } => "settle: arrived".to_owned(),
        Action::Settle { arrived: false, .. } => "settle: not arrived".to_owned(),
        Action::Prove { .. } => "prove".to_owned(),
        Action::StartJob { rate, total, .. } => format!("job-start of {total} at {rate}/s"),
        Action::JobItems {
            first, deliveries, ..
        } => format!(
            "job-items {first} and {} more",
            deliveries.len().saturating_sub(1)
        ),
        Action::Discard { .. } | Action::CancelJob { .. } => action.word().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanosecond: i128) -> Timestamp {
        Timestamp::from_nanosecond(1_800_000_000_000_000_000 + nanosecond).unwrap()
    }

    /// Orders given at these moments, in nanoseconds, and the times that they get.
    fn stamped(given: &[i128]) -> Vec<Timestamp> {
        let stamps = Stamps::default();
        given.iter().map(|given| stamps.next(at(*given))).collect()
    }

    #[test]
    fn orders_of_one_millisecond_get_one_each() {
        let expected = [at(5), at(1_000_005), at(2_000_005), at(3_500_000)];
        assert_eq!(stamped(&[5, 6, 999_999, 3_500_000]), expected);
    }

    #[test]
    fn a_clock_that_was_set_back_is_believed() {
        assert_eq!(stamped(&[5_000_000_000, 7]), [at(5_000_000_000), at(7)]);
    }
}
