use bytes::Bytes;
use domain::{Classification, Delivery, DeliveryId, ProcedureCode, RouteId, StepId, UnitRef};
use jiff::SignedDuration;
use proto::v1;
use serde_json::json;

use super::{Case, Stage};

/// What the invented deliveries are about. Name what the agency serves.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What is asked for.
    pub procedure: ProcedureCode,
    /// Where.
    pub unit: UnitRef,
    /// The agency's step.
    pub step: StepId,
    /// A step of the agency that comes after it.
    pub later_step: StepId,
    /// The agency and its destination, by one name.
    pub destination: domain::DestinationId,
}

/// One message to be sent, as it goes over the wire.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) delivery: v1::Delivery,
    /// Headers or metadata besides the usual ones.
    pub(super) headers: Vec<(&'static str, String)>,
    /// What is appended to the encoded message.
    pub(super) unknown: &'static [u8],
}

/// What a parcel carries besides the sample.
pub(super) struct Load {
    case: Case,
    dossier: u32,
    is_later: bool,
    note: &'static str,
    /// How many bytes of payload there are, at least.
    bytes: usize,
}

// === impl Load ===

impl Load {
    /// The first step of a dossier of a case.
    pub(super) fn of(case: Case, dossier: u32) -> Self {
        Self {
            case,
            dossier,
            is_later: false,
            note: "invented by the conformance kit",
            bytes: 0,
        }
    }

    /// A later step of the same dossier.
    pub(super) fn later(self) -> Self {
        Self {
            is_later: true,
            ..self
        }
    }

    pub(super) fn noting(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    pub(super) fn of_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

// === impl Stage ===

impl Stage {
    /// The parcel of a load. The same load always has the same id.
    pub(super) fn parcel(&self, load: Load) -> Parcel {
        let sample = &self.sample;
        let key = format!("conformance-{}-{}-{}", self.run, load.case, load.dossier);
        let dossier = key
            .parse()
            .expect("letters, digits and hyphens are a dossier key");
        let route: RouteId = "conformance@2026-01-01".parse().expect("is a route id");
        let step = if load.is_later {
            sample.later_step.clone()
        } else {
            sample.step.clone()
        };
        let agency: domain::AgencyId = "conformance-kit".parse().expect("is an agency id");
        let now = self.clock.now();
        let due_at = now
            .saturating_add(SignedDuration::from_hours(48))
            .unwrap_or(now);
        let filler = "x".repeat(load.bytes);
        let data = json!({ "conformance": true, "note": load.note, "filler": filler });
        let delivery = Delivery {
            id: DeliveryId::derive(&dossier, &route, &step, 0),
            cause: (
                agency.clone(),
                format!("{key}-accepted").parse().expect("is an event id"),
            ),
            dossier,
            code: None,
            procedure: sample.procedure.clone(),
            route,
            step,
            agency,
            destination: sample.destination.clone(),
            unit: sample.unit,
            province: None,
            classification: Classification::Internal,
            received_at: now,
            opened_at: now,
            due_at,
            dossier_due_at: due_at,
            task: "kiểm tra kết nối (conformance), không phải hồ sơ thật".to_owned(),
            product: "none".to_owned(),
            legal_basis: "none: invented by the conformance kit".to_owned(),
            content_type: "application/json".to_owned(),
            data: Bytes::from(data.to_string()),
        };
        Parcel {
            delivery: delivery.into(),
            headers: Vec::new(),
            unknown: &[],
        }
    }
}

// === impl Parcel ===

impl Parcel {
    pub(super) fn id(&self) -> &str {
        &self.delivery.id
    }

    /// With a JSON member more in its payload.
    pub(super) fn with_member(mut self, name: &str) -> Self {
        if let Ok(serde_json::Value::Object(mut members)) =
            serde_json::from_slice(&self.delivery.data)
        {
            members.insert(name.to_owned(), json!("?"));
            self.delivery.data = serde_json::Value::Object(members).to_string().into();
        }
        self
    }
}
