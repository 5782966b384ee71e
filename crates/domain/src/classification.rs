use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How far an event's content may travel.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Classification {
    /// May be shown to anybody.
    Public,
    /// For the agencies of the route.
    #[default]
    Internal,
    /// Personal data: only the agencies whose step needs it (Law 91/2025/QH15).
    Personal,
    /// Must not leave the competent unit.
    Confidential,
}

/// The text names no classification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("classification must be public, internal, personal or confidential, got `{0}`")]
pub struct UnknownClassification(String);

// === impl Classification ===

impl Classification {
    /// Every classification, least strict first.
    pub const ALL: [Self; 4] = [
        Self::Public,
        Self::Internal,
        Self::Personal,
        Self::Confidential,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Personal => "personal",
            Self::Confidential => "confidential",
        }
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Classification {
    type Err = UnknownClassification;

    fn from_str(text: &str) -> Result<Self, UnknownClassification> {
        Self::ALL
            .into_iter()
            .find(|c| c.as_str() == text)
            .ok_or_else(|| UnknownClassification(text.chars().take(32).collect()))
    }
}
