//! Reading records: what came in.

use consumer::Fresh;
use domain::{Delivery, DeliveryId, DossierKey, Event, InvalidAttribute, Outcome};
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
    /// An operator ordered that a dead letter be sent again.
    RedriveOrdered {
        delivery: DeliveryId,
        at: Timestamp,
        reason: String,
    },
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

// === impl Arrival ===

impl Arrival {
    pub(crate) fn read(fresh: &Fresh) -> Result<Self, Unreadable> {
        let (topic, record) = (fresh.stored.topic, &fresh.stored.record);
        let recorded_at = fresh.stored.appended_at;
        if fresh.conflict {
            let dossier = header(record, "subject")?;
            return Ok(Self {
                dossier,
                recorded_at,
                news: conflict(record, recorded_at),
            });
        }
        let (dossier, news) = match topic {
            Topic::Events => {
                let get = |name: &str| record.header(name);
                let event = Event::from_attributes(get, record.value.clone())?;
                (event.dossier.clone(), News::Event(event))
            }
            Topic::Deliveries if record.header("type") == Some(proto::REDRIVE_TYPE) => {
                (header(record, "subject")?, redrive(record)?)
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
        Ok(Self {
            dossier,
            recorded_at,
            news,
        })
    }
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

fn redrive(record: &Record) -> Result<News, Unreadable> {
    let text = std::str::from_utf8(&record.value).unwrap_or_default();
    let wrong = |error: domain::InvalidDeliveryId| Unreadable::Header {
        attribute: "data",
        reason: error.to_string(),
    };
    Ok(News::RedriveOrdered {
        delivery: text.parse().map_err(wrong)?,
        at: header(record, "time")?,
        reason: record.header("reason").unwrap_or_default().to_owned(),
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
