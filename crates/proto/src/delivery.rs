use domain::{Delivery, UnitRef};
use jiff::civil::Date;

use crate::{
    error::{InvalidField, parse, parse_optional},
    event::{classification_from_wire, classification_to_wire},
    time::{timestamp_from_wire, timestamp_to_wire},
    v1,
};

impl TryFrom<v1::Delivery> for Delivery {
    type Error = InvalidField;

    fn try_from(wire: v1::Delivery) -> Result<Self, InvalidField> {
        Ok(Self {
            id: parse("delivery.id", &wire.id)?,
            dossier: parse("delivery.dossier", &wire.dossier)?,
            code: parse_optional("delivery.dossier_code", &wire.dossier_code)?,
            procedure: parse("delivery.procedure", &wire.procedure)?,
            route: parse("delivery.route", &wire.route)?,
            step: parse("delivery.step", &wire.step)?,
            agency: parse("delivery.agency", &wire.agency)?,
            destination: parse("delivery.destination", &wire.destination)?,
            unit: UnitRef {
                code: parse("delivery.unit", &wire.unit)?,
                valid_on: parse::<Date>("delivery.unit_valid_on", &wire.unit_valid_on)?,
            },
            province: parse_optional("delivery.province", &wire.province)?,
            classification: classification_from_wire(
                "delivery.classification",
                wire.classification,
            )?,
            received_at: timestamp_from_wire("delivery.received_at", wire.received_at)?,
            opened_at: timestamp_from_wire("delivery.opened_at", wire.opened_at)?,
            due_at: timestamp_from_wire("delivery.due_at", wire.due_at)?,
            dossier_due_at: timestamp_from_wire("delivery.dossier_due_at", wire.dossier_due_at)?,
            task: wire.task,
            product: wire.product,
            legal_basis: wire.legal_basis,
            cause: (
                parse("delivery.cause_source", &wire.cause_source)?,
                parse("delivery.cause_id", &wire.cause_id)?,
            ),
            content_type: wire.content_type,
            data: wire.data,
        })
    }
}

impl From<Delivery> for v1::Delivery {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id.to_string(),
            dossier: delivery.dossier.into(),
            dossier_code: delivery.code.map(String::from).unwrap_or_default(),
            procedure: delivery.procedure.into(),
            route: delivery.route.into(),
            step: delivery.step.into(),
            agency: delivery.agency.into(),
            destination: delivery.destination.into(),
            unit: delivery.unit.code.into(),
            unit_valid_on: delivery.unit.valid_on.to_string(),
            classification: classification_to_wire(delivery.classification),
            received_at: Some(timestamp_to_wire(delivery.received_at)),
            opened_at: Some(timestamp_to_wire(delivery.opened_at)),
            due_at: Some(timestamp_to_wire(delivery.due_at)),
            dossier_due_at: Some(timestamp_to_wire(delivery.dossier_due_at)),
            task: delivery.task,
            product: delivery.product,
            legal_basis: delivery.legal_basis,
            cause_source: delivery.cause.0.into(),
            cause_id: delivery.cause.1.into(),
            content_type: delivery.content_type,
            data: delivery.data,
            province: delivery.province.map(String::from).unwrap_or_default(),
            sequence: 0,
        }
    }
}
