use bytes::Bytes;
use domain::{
    AgencyId, Classification, DossierCode, DossierKey, Event, EventKind, ProcedureCode, Status,
    UnitRef,
};
use jiff::Timestamp;
use serde_json::json;

/// One dossier as it is handed in at a desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filing {
    /// The dossier's internal key.
    pub dossier: DossierKey,
    /// The official code that the desk issues, where the form of its codes is known.
    pub code: Option<DossierCode>,
    /// Counted from one within the day.
    pub number: u32,
    /// What is asked for.
    pub procedure: ProcedureCode,
    /// The word for it in the payload.
    pub form: &'static str,
    /// The competent unit.
    pub unit: UnitRef,
    /// When it was filed online, if it was not accepted on the spot.
    pub filed_at: Option<Timestamp>,
    /// When the desk accepted it.
    pub accepted_at: Timestamp,
}

// === impl Filing ===

impl Filing {
    /// The desk's events: filed, if it was filed before, and accepted. The payload is padded with spaces
    /// to at least `payload` bytes. No person in it exists.
    pub fn events(&self, desk: &AgencyId, payload: usize) -> Vec<Event> {
        let applicant = format!("Người Nộp Thử {:04}", self.number);
        let mut data = json!({ "form": self.form, "applicant": applicant })
            .to_string()
            .into_bytes();
        data.resize(data.len().max(payload), b' ');
        let data = Bytes::from(data);
        let event = |status: Status, time| Event {
            id: format!("{}:{}", self.dossier, status.as_str())
                .parse()
                .expect("a key and a word are an event id"),
            source: desk.clone(),
            kind: EventKind::Status(status),
            time,
            dossier: self.dossier.clone(),
            code: self.code.clone(),
            procedure: self.procedure.clone(),
            unit: self.unit,
            step: None,
            classification: Classification::Personal,
            content_type: "application/json".to_owned(),
            traceparent: None,
            data: data.clone(),
        };
        let filed = self.filed_at.map(|at| event(Status::Filed, at));
        let accepted = event(Status::Accepted, self.accepted_at);
        filed.into_iter().chain([accepted]).collect()
    }
}
