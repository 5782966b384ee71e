use std::{fmt, str::FromStr};

use bytes::Bytes;
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{
    AgencyId, Classification, DossierCode, DossierKey, EventId, ProcedureCode, RecordId, Status,
    StepId, UnitCode, UnitRef,
};

/// An immutable fact about a dossier, emitted by an agency. Attribute names follow CloudEvents 1.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique within the source; the same after an unknown answer.
    pub id: EventId,
    /// The agency that emits the event.
    pub source: AgencyId,
    /// What happened (`type` in CloudEvents).
    pub kind: EventKind,
    /// When it happened in the agency's world.
    pub time: Timestamp,
    /// The dossier's internal key (`subject` in CloudEvents).
    pub dossier: DossierKey,
    /// The dossier's official code, once issued.
    pub code: Option<DossierCode>,
    /// What is asked for.
    pub procedure: ProcedureCode,
    /// The competent unit as the sender knows it, with the day of that knowledge.
    pub unit: UnitRef,
    /// The step the event is about; `None` for the dossier as a whole.
    pub step: Option<StepId>,
    /// How far the content may travel.
    pub classification: Classification,
    /// Media type of `data`.
    pub content_type: String,
    /// W3C trace context of the sender.
    pub traceparent: Option<String>,
    /// The payload, opaque to the pipeline.
    pub data: Bytes,
}

/// What an event says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum EventKind {
    /// The dossier or step has a new portal status.
    Status(Status),
    /// An official code was issued for the dossier.
    CodeAssigned,
    /// Something happened that moves no status: kept on the timeline.
    Noted,
}

/// The text names no event type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown event type `{0}`, expected `vn.lienthong.dossier.<status>.v1`, `…code-assigned.v1` or `…noted.v1`"
)]
pub struct UnknownEventKind(String);

/// An attribute of a record is missing or malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute `{attribute}`: {reason}")]
pub struct InvalidAttribute {
    /// The CloudEvents attribute at fault.
    pub attribute: &'static str,
    /// What was wrong with it.
    pub reason: String,
}

// === impl EventKind ===

impl EventKind {
    const PREFIX: &'static str = "vn.lienthong.dossier.";
    const SUFFIX: &'static str = ".v1";

    /// The short word: `processed`, `code-assigned`, `noted`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::CodeAssigned => "code-assigned",
            Self::Noted => "noted",
        }
    }

    /// The status it carries, if any.
    pub fn status(self) -> Option<Status> {
        match self {
            Self::Status(status) => Some(status),
            Self::CodeAssigned | Self::Noted => None,
        }
    }

    /// The kind with a short word.
    pub fn from_word(word: &str) -> Result<Self, UnknownEventKind> {
        match word {
            "code-assigned" => Ok(Self::CodeAssigned),
            "noted" => Ok(Self::Noted),
            _ => Status::from_word(word)
                .map(Self::Status)
                .map_err(|_| UnknownEventKind(word.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", Self::PREFIX, self.word(), Self::SUFFIX)
    }
}

impl FromStr for EventKind {
    type Err = UnknownEventKind;

    fn from_str(text: &str) -> Result<Self, UnknownEventKind> {
        text.strip_prefix(Self::PREFIX)
            .and_then(|rest| rest.strip_suffix(Self::SUFFIX))
            .and_then(|word| Self::from_word(word).ok())
            .ok_or_else(|| UnknownEventKind(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for EventKind {
    type Error = UnknownEventKind;

    fn try_from(text: String) -> Result<Self, UnknownEventKind> {
        text.parse()
    }
}

impl From<EventKind> for String {
    fn from(kind: EventKind) -> String {
        kind.to_string()
    }
}

// === impl Event ===

impl Event {
    /// The event's CloudEvents attributes by name, `data` apart. [`Event::from_attributes`] undoes it.
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut list = Vec::with_capacity(15);
        list.push(("specversion", "1.0".to_owned()));
        list.push(("id", self.id.to_string()));
        list.push(("source", self.source.to_string()));
        list.push(("type", self.kind.to_string()));
        list.push(("time", self.time.to_string()));
        list.push(("subject", self.dossier.to_string()));
        list.push(("datacontenttype", self.content_type.clone()));
        list.push(("procedure", self.procedure.to_string()));
        list.push(("unit", self.unit.code.to_string()));
        list.push(("unitvalidon", self.unit.valid_on.to_string()));
        list.push(("classification", self.classification.to_string()));
        list.extend(
            self.code
                .as_ref()
                .map(|code| ("dossiercode", code.to_string())),
        );
        list.extend(self.step.as_ref().map(|step| ("step", step.to_string())));
        list.extend(
            self.traceparent
                .as_ref()
                .map(|trace| ("traceparent", trace.clone())),
        );
        list
    }

    /// Reads an event from its attributes; `get` looks one up by its CloudEvents name.
    pub fn from_attributes<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
        data: Bytes,
    ) -> Result<Self, InvalidAttribute> {
        Ok(Self {
            id: required(&get, "id")?,
            source: required(&get, "source")?,
            kind: required(&get, "type")?,
            time: required(&get, "time")?,
            dossier: required(&get, "subject")?,
            code: optional(&get, "dossiercode")?,
            procedure: required(&get, "procedure")?,
            unit: UnitRef {
                code: required::<UnitCode>(&get, "unit")?,
                valid_on: required::<Date>(&get, "unitvalidon")?,
            },
            step: optional(&get, "step")?,
            classification: optional(&get, "classification")?.unwrap_or_default(),
            content_type: get("datacontenttype")
                .unwrap_or("application/octet-stream")
                .to_owned(),
            traceparent: get("traceparent").map(str::to_owned),
            data,
        })
    }

    /// The id under which every inbox knows this event: source and id together.
    pub fn record_id(&self) -> RecordId {
        RecordId::of("event", &[self.source.as_str(), self.id.as_str()])
    }
}

fn required<'a, T>(
    get: impl Fn(&str) -> Option<&'a str>,
    attribute: &'static str,
) -> Result<T, InvalidAttribute>
where
    T: FromStr<Err: fmt::Display>,
{
    let missing = || InvalidAttribute {
        attribute,
        reason: "is missing".to_owned(),
    };
    optional(get, attribute)?.ok_or_else(missing)
}

fn optional<'a, T>(
    get: impl Fn(&str) -> Option<&'a str>,
    attribute: &'static str,
) -> Result<Option<T>, InvalidAttribute>
where
    T: FromStr<Err: fmt::Display>,
{
    get(attribute)
        .map(str::parse)
        .transpose()
        .map_err(|error: T::Err| InvalidAttribute {
            attribute,
            reason: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn event() -> Event {
        Event {
            id: "e-1".parse().unwrap(),
            source: "thanh-hoa-desk".parse().unwrap(),
            kind: EventKind::Status(Status::Accepted),
            time: "2026-09-21T08:00:00.25Z".parse().unwrap(),
            dossier: "d-1".parse().unwrap(),
            code: Some("H56.14-260921-0042".parse().unwrap()),
            procedure: "3.000722.H56".parse().unwrap(),
            unit: UnitRef {
                code: "14797".parse().unwrap(),
                valid_on: date(2026, 9, 21),
            },
            step: Some("residence".parse().unwrap()),
            classification: Classification::Personal,
            content_type: "application/json".to_owned(),
            traceparent: None,
            data: Bytes::from_static(b"{}"),
        }
    }

    fn read(attributes: &[(&'static str, String)]) -> Result<Event, InvalidAttribute> {
        let get = |name: &str| {
            attributes
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value.as_str())
        };
        Event::from_attributes(get, Bytes::from_static(b"{}"))
    }

    #[test]
    fn attributes_go_round() {
        assert_eq!(read(&event().attributes()), Ok(event()));
    }

    #[test]
    fn a_missing_or_wrong_attribute_is_named() {
        for name in [
            "id",
            "source",
            "type",
            "time",
            "subject",
            "procedure",
            "unit",
            "unitvalidon",
        ] {
            let mut attributes = event().attributes();
            attributes.retain(|(n, _)| *n != name);
            assert_eq!(read(&attributes).unwrap_err().attribute, name);
        }
        let mut attributes = event().attributes();
        attributes.iter_mut().find(|(n, _)| *n == "unit").unwrap().1 = "999".to_owned();
        assert_eq!(
            read(&attributes).unwrap_err().to_string(),
            "attribute `unit`: unit code must be 5 digits, got `999`"
        );
    }

    #[test]
    fn kinds_go_round() {
        let statuses = Status::ALL.into_iter().map(EventKind::Status);
        for kind in statuses.chain([EventKind::CodeAssigned, EventKind::Noted]) {
            assert_eq!(kind.to_string().parse::<EventKind>(), Ok(kind));
        }
        assert!(
            "vn.lienthong.dossier.vanished.v1"
                .parse::<EventKind>()
                .is_err()
        );
    }
}
