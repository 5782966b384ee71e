use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// What an agency is for a route, for example `justice`; with a unit and a day it becomes one destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgencyRole(Arc<str>);

/// The text is not an agency role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("agency role must be 1 to 63 lowercase letters, digits or hyphens, got `{0}`")]
pub struct InvalidAgencyRole(String);

// === impl AgencyRole ===

impl AgencyRole {
    /// The longest text allowed, in bytes.
    pub const MAX_LEN: usize = 63;

    /// The role as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgencyRole {
    type Err = InvalidAgencyRole;

    fn from_str(text: &str) -> Result<Self, InvalidAgencyRole> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        let cut = text.chars().take(Self::MAX_LEN + 1).collect();
        Err(InvalidAgencyRole(cut))
    }
}

impl TryFrom<String> for AgencyRole {
    type Error = InvalidAgencyRole;

    fn try_from(text: String) -> Result<Self, InvalidAgencyRole> {
        text.parse()
    }
}

impl From<AgencyRole> for String {
    fn from(role: AgencyRole) -> Self {
        role.0.as_ref().to_owned()
    }
}

impl fmt::Display for AgencyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
