use domain::{Classification, Event, UnitRef};
use jiff::civil::Date;

use crate::{
    error::{InvalidField, parse, parse_optional},
    time::{timestamp_from_wire, timestamp_to_wire},
    v1,
};

pub(crate) fn classification_from_wire(
    field: &'static str,
    number: i32,
) -> Result<Classification, InvalidField> {
    let known = v1::Classification::try_from(number)
        .map_err(|_| InvalidField::new(field, format!("unknown number {number}")))?;
    Ok(match known {
        v1::Classification::Unspecified | v1::Classification::Internal => Classification::Internal,
        v1::Classification::Public => Classification::Public,
        v1::Classification::Personal => Classification::Personal,
        v1::Classification::Confidential => Classification::Confidential,
    })
}

pub(crate) fn classification_to_wire(classification: Classification) -> i32 {
    let known = match classification {
        Classification::Public => v1::Classification::Public,
        Classification::Internal => v1::Classification::Internal,
        Classification::Personal => v1::Classification::Personal,
        Classification::Confidential => v1::Classification::Confidential,
    };
    known.into()
}

impl TryFrom<v1::Event> for Event {
    type Error = InvalidField;

    fn try_from(wire: v1::Event) -> Result<Self, InvalidField> {
        let content_type = if wire.content_type.is_empty() {
            "application/octet-stream".to_owned()
        } else {
            parse_media_type(wire.content_type)?
        };
        Ok(Self {
            id: parse("event.id", &wire.id)?,
            source: parse("event.source", &wire.source)?,
            kind: parse("event.type", &wire.r#type)?,
            time: timestamp_from_wire("event.time", wire.time)?,
            dossier: parse("event.dossier", &wire.dossier)?,
            code: parse_optional("event.dossier_code", &wire.dossier_code)?,
            procedure: parse("event.procedure", &wire.procedure)?,
            unit: UnitRef {
                code: parse("event.unit", &wire.unit)?,
                valid_on: parse::<Date>("event.unit_valid_on", &wire.unit_valid_on)?,
            },
            step: parse_optional("event.step", &wire.step)?,
            classification: classification_from_wire("event.classification", wire.classification)?,
            content_type,
            traceparent: parse_trace(wire.traceparent)?,
            data: wire.data,
        })
    }
}

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        Self {
            id: event.id.into(),
            source: event.source.into(),
            r#type: event.kind.to_string(),
            time: Some(timestamp_to_wire(event.time)),
            dossier: event.dossier.into(),
            dossier_code: event.code.map(String::from).unwrap_or_default(),
            procedure: event.procedure.into(),
            unit: event.unit.code.into(),
            unit_valid_on: event.unit.valid_on.to_string(),
            step: event.step.map(String::from).unwrap_or_default(),
            classification: classification_to_wire(event.classification),
            content_type: event.content_type,
            data: event.data,
            traceparent: event.traceparent.unwrap_or_default(),
        }
    }
}

fn parse_media_type(text: String) -> Result<String, InvalidField> {
    let ok =
        text.len() <= 128 && text.contains('/') && text.bytes().all(|b| (32..127).contains(&b));
    if ok {
        Ok(text)
    } else {
        Err(InvalidField::new(
            "event.content_type",
            "must be a media type",
        ))
    }
}

fn parse_trace(text: String) -> Result<Option<String>, InvalidField> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() <= 64 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Ok(Some(text));
    }
    Err(InvalidField::new(
        "event.traceparent",
        "must be a W3C trace context",
    ))
}
