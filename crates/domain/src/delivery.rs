use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    AgencyId, Classification, DestinationId, DossierCode, DossierKey, EventId, ProcedureCode,
    ProvinceCode, RouteId, StepId, UnitRef,
};

/// A record's id: the first 16 bytes of the SHA-256 of what caused it. Never of time, host, attempt
/// or chance, so the same cause always gives the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId([u8; 16]);

/// Identifies one delivery for good; agencies drop repeats by it. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId(RecordId);

/// The text is not a delivery id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("delivery id must be 32 hexadecimal digits, got `{0}`")]
pub struct InvalidDeliveryId(String);

/// One message to be handed to one destination for one step of one dossier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The id, derived from dossier, route, step and ordinal.
    pub id: DeliveryId,
    /// The dossier.
    pub dossier: DossierKey,
    /// Its official code, once issued.
    pub code: Option<DossierCode>,
    /// What is asked for.
    pub procedure: ProcedureCode,
    /// The route version in force on the day of receipt.
    pub route: RouteId,
    /// The step this delivery opens.
    pub step: StepId,
    /// The agency that must act.
    pub agency: AgencyId,
    /// Where the message goes.
    pub destination: DestinationId,
    /// The commune-level unit that the matter belongs to, after succession. It does the step, unless its
    /// province does.
    pub unit: UnitRef,
    /// The province that does the step in the unit's place.
    pub province: Option<ProvinceCode>,
    /// How far the content may travel.
    pub classification: Classification,
    /// When the dossier was received.
    pub received_at: Timestamp,
    /// When the step became due: the time of the event that opened it.
    pub opened_at: Timestamp,
    /// The step's legal deadline.
    pub due_at: Timestamp,
    /// The whole dossier's legal deadline.
    pub dossier_due_at: Timestamp,
    /// The task in words.
    pub task: String,
    /// What the step ends with: certificate, registration, card.
    pub product: String,
    /// Decree and article that give the agency the authority.
    pub legal_basis: String,
    /// The source and id of the event that caused it.
    pub cause: (AgencyId, EventId),
    /// Media type of `data`.
    pub content_type: String,
    /// The payload of the accepting event.
    pub data: Bytes,
}

/// One try of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from one.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// How the answer was classified.
    pub class: AttemptClass,
    /// The answer or error in words, shortened; never personal data.
    pub detail: String,
}

/// How the end of an attempt is classified. A closed set: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptClass {
    /// The destination took the delivery.
    Accepted,
    /// The destination had taken it before.
    Duplicate,
    /// The destination is busy or failing; another attempt may succeed.
    Retryable,
    /// No connection could be made.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The destination refuses us, not this delivery: wrong credentials, address or method.
    Blocked,
    /// The destination refuses this delivery and always will.
    Permanent,
    /// The destination lacks what should have come before; another attempt may succeed.
    OutOfOrder,
    /// The destination says that a person must look.
    NeedsPerson,
    /// An answer that no rule reads; another attempt may succeed, and a person should look.
    Unclear,
}

// === impl Delivery ===

impl Delivery {
    /// The code of the unit that does the step: two digits of a province, or five.
    pub fn acting_unit(&self) -> &str {
        match &self.province {
            Some(province) => province.as_str(),
            None => self.unit.code.as_str(),
        }
    }
}

// === impl RecordId ===

impl RecordId {
    /// The id of the record of `kind` caused by `parts`, each counted with its length.
    pub fn of(kind: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(&kind).chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for RecordId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.map(|byte| {
            let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
            [digit(byte >> 4), digit(byte & 15)]
        });
        let mut text = [0; 32];
        for (place, digit) in text.iter_mut().zip(digits.as_flattened()) {
            *place = *digit as u8;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl DeliveryId ===

impl DeliveryId {
    /// The delivery that opens `step` of a dossier on a route; `ordinal` counts deliberate repeats.
    pub fn derive(dossier: &DossierKey, route: &RouteId, step: &StepId, ordinal: u32) -> Self {
        let ordinal = ordinal.to_string();
        Self(RecordId::of(
            "delivery",
            &[dossier.as_str(), route.as_str(), step.as_str(), &ordinal],
        ))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<[u8; 16]> for DeliveryId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(RecordId(bytes))
    }
}

impl FromStr for DeliveryId {
    type Err = InvalidDeliveryId;

    fn from_str(text: &str) -> Result<Self, InvalidDeliveryId> {
        let invalid = || InvalidDeliveryId(text.chars().take(64).collect());
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        u128::from_str_radix(text, 16)
            .map(|n| Self::from(n.to_be_bytes()))
            .map_err(|_| invalid())
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = InvalidDeliveryId;

    fn try_from(text: String) -> Result<Self, InvalidDeliveryId> {
        text.parse()
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> String {
        id.to_string()
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

// === impl AttemptClass ===

impl AttemptClass {
    /// Every class.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Retryable,
        Self::Unreachable,
        Self::Timeout,
        Self::Blocked,
        Self::Permanent,
        Self::OutOfOrder,
        Self::NeedsPerson,
        Self::Unclear,
    ];

    /// The metric label and page word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Retryable => "retryable",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Blocked => "blocked",
            Self::Permanent => "permanent",
            Self::OutOfOrder => "out-of-order",
            Self::NeedsPerson => "needs-person",
            Self::Unclear => "unclear",
        }
    }

    /// Whether the delivery has arrived.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Accepted | Self::Duplicate)
    }

    /// Whether the fault lies with the destination as a whole rather than with this delivery.
    pub fn blames_destination(self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout | Self::Blocked => true,
            Self::Accepted | Self::Duplicate | Self::Retryable | Self::Permanent => false,
            Self::OutOfOrder | Self::NeedsPerson | Self::Unclear => false,
        }
    }
}

impl fmt::Display for AttemptClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derive(dossier: &str, step: &str, ordinal: u32) -> DeliveryId {
        let route = "birth@2026-09-01".parse().unwrap();
        DeliveryId::derive(
            &dossier.parse().unwrap(),
            &route,
            &step.parse().unwrap(),
            ordinal,
        )
    }

    #[test]
    fn the_same_cause_gives_the_same_id_and_another_cause_another() {
        assert_eq!(derive("d-1", "residence", 0), derive("d-1", "residence", 0));
        let ids = [
            derive("d-1", "residence", 0),
            derive("d-1", "residence", 1),
            derive("d-2", "residence", 0),
            derive("d-1", "health-card", 0),
        ];
        assert_eq!(
            ids.iter().collect::<std::collections::BTreeSet<_>>().len(),
            4
        );
    }

    #[test]
    fn parts_cannot_run_into_one_another() {
        assert_ne!(
            RecordId::of("k", &["ab", "c"]),
            RecordId::of("k", &["a", "bc"])
        );
    }

    #[test]
    fn ids_go_round_as_text() {
        let id = derive("d-1", "residence", 0);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "xyz", &"g".repeat(32), &"+".repeat(32)] {
            assert!(text.parse::<DeliveryId>().is_err());
        }
    }
}
