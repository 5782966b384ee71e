//! Reading records: what came in.

use consumer::Fresh;
use domain::{Action, Delivery, DossierKey, Event, InvalidAttribute, Order, Outcome};
use jiff::Timestamp;
use log::{Record, Topic};
use proto::InvalidField;

use crate::entry::payload;

/// One record that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) dossier: DossierKey,
    /// When the log took it.
    pub(crate) recorded_at: Timestamp,
    pub(crate) news: News,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Event(Event),
    Delivery(Delivery),
    Outcome(Outcome),
    /// An operator ordered something of the dossier.
    Ordered(Order),
    /// A record whose id came before with another body. The first one stands.
    Conflict {
        at: Timestamp,
        who: String,
        step: String,
        id: String,
        detail: String,
    },
}

/// A record that says nothing which the tracker understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Attribute(#[from] InvalidAttribute),
    #[error(transparent)]
    Field(#[from] InvalidField),
    #[error("attribute `{attribute}`: {reason}")]
    Header {
        attribute: &'static str,
        reason: String,
    },
}

/// The types of orders that are always about a dossier.
const OF_DOSSIERS: [&str; 3] = [
    proto::REDRIVE_TYPE,
    "vn.lienthong.control.settle.v1",
    "vn.lienthong.control.discard.v1",
];

// === impl Arrival ===

impl Arrival {
    /// What the record says of a dossier; `None` for an order that is about no dossier.
    pub(crate) fn read(fresh: &Fresh) -> Result<Option<Self>, Unreadable> {
        let (topic, record) = (fresh.stored.topic, &fresh.stored.record);
        let recorded_at = fresh.stored.appended_at;
        if topic == Topic::Deliveries && names_no_dossier(record) {
            return Ok(None);
        }
        if fresh.conflict {
            let dossier = header(record, "subject")?;
            return Ok(Some(Self {
                dossier,
                recorded_at,
                news: conflict(record, recorded_at),
            }));
        }
        let (dossier, news) = match topic {
            Topic::Events => {
                let get = |name: &str| record.header(name);
                let event = Event::from_attributes(get, record.value.clone())?;
                (event.dossier.clone(), News::Event(event))
            }
            Topic::Deliveries if record.header("type").is_some_and(proto::is_order) => {
                let order = proto::decode_order(|name| record.header(name), &record.value)?;
                (header(record, "subject")?, News::Ordered(order))
            }
            Topic::Deliveries => {
                let delivery = proto::decode_delivery(record.value.clone())?;
                (delivery.dossier.clone(), News::Delivery(delivery))
            }
            Topic::Outcomes => {
                let outcome = proto::decode_outcome(&record.value)?;
                (outcome.dossier.clone(), News::Outcome(outcome))
            }
        };
        Ok(Some(Self {
            dossier,
            recorded_at,
            news,
        }))
    }
}

/// Orders on lanes, procedures, senders and jobs, and those of kinds that later versions know.
fn names_no_dossier(record: &Record) -> bool {
    let kind = record.header("type").unwrap_or_default();
    if !proto::is_order(kind) || OF_DOSSIERS.contains(&kind) {
        return false;
    }
    let order = proto::decode_order(|name| record.header(name), &record.value);
    !order.is_ok_and(|order| {
        matches!(order.action, Action::Sideline { .. }) && order.action.dossier().is_some()
    })
}

fn header<T>(record: &Record, attribute: &'static str) -> Result<T, Unreadable>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = record.header(attribute).unwrap_or_default();
    text.parse().map_err(|error: T::Err| Unreadable::Header {
        attribute,
        reason: error.to_string(),
    })
}

fn conflict(record: &Record, recorded_at: Timestamp) -> News {
    let text = |name| record.header(name).unwrap_or_default().to_owned();
    let detail = format!(
        "the id came before with another body, which stands; this one says `{}`, {}",
        text("type"),
        payload(&record.value)
    );
    News::Conflict {
        at: header(record, "time").unwrap_or(recorded_at),
        who: text("source"),
        step: text("step"),
        id: text("id"),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use domain::{LaneAction, RecordId};
    use log::{Position, Stored};

    use super::*;
    use crate::testing::{delivery_id, hour};

    fn fresh(record: Record) -> Fresh {
        let position = Position {
            partition: 0,
            offset: 0,
        };
        Fresh {
            stored: Stored {
                topic: Topic::Deliveries,
                position,
                appended_at: hour(2),
                record,
            },
            id: RecordId::of("test", &[]),
            conflict: false,
        }
    }

    fn record(action: Action) -> Record {
        let order = Order {
            id: RecordId::of("order", &[]),
            at: hour(1),
            by: "Người Trực Thử".parse().unwrap(),
            reason: "incident".parse().unwrap(),
            action,
        };
        let (attributes, value) = proto::encode_order(&order);
        let headers = attributes
            .into_iter()
            .map(|(name, value)| (name.into(), value));
        Record {
            key: order.action.key(),
            headers: headers.collect(),
            value,
        }
    }

    #[test]
    fn orders_that_are_about_no_dossier_are_passed_over() {
        let read = |record| Arrival::read(&fresh(record)).unwrap().is_some();
        let pause = record(Action::Lane {
            destination: "justice-38".parse().unwrap(),
            action: LaneAction::Pause,
        });
        assert!(!read(pause.clone()));
        let rule = Some((domain::SidelineWay::Hold, hour(9)));
        let aside = |subject: &str| Action::Sideline {
            subject: subject.parse().unwrap(),
            rule,
        };
        assert!(!read(record(aside("agency desk"))));
        assert!(read(record(aside("dossier d-1"))));
        let mut later = pause;
        for (name, value) in &mut later.headers {
            if name == "type" {
                *value = "vn.lienthong.control.of-a-later-version.v1".to_owned();
            }
        }
        assert!(!read(later));
    }

    #[test]
    fn a_redrive_order_of_an_earlier_version_is_read() {
        let (delivery, dossier) = (delivery_id("residence"), "d-1".parse().unwrap());
        let mut record = record(Action::Redrive {
            delivery,
            dossier,
            item: None,
        });
        record.headers.retain(|(name, _)| name != "by");
        let arrival = Arrival::read(&fresh(record)).unwrap().unwrap();
        let News::Ordered(order) = arrival.news else {
            panic!("it is an order");
        };
        assert_eq!(
            (arrival.dossier.as_str(), order.by.as_str()),
            ("d-1", "operator")
        );
    }
}
