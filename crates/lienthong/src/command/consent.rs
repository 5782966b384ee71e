//! Whether a command acts or only says what it would do.

use anyhow::anyhow;

use crate::{cli::Consent, exit::Failure, output};

/// Who asks and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

// === impl Consent ===

impl Consent {
    /// Who asks and why, if it is to be done; otherwise says what would be done.
    ///
    /// # Errors
    /// It is to be done, and the reason is missing.
    pub fn or_say(self, what: impl std::fmt::Display) -> Result<Option<Signature>, Failure> {
        if !self.yes {
            output::note(format_args!("{what}; add --yes --reason TEXT to do it"));
            return Ok(None);
        }
        let Some(reason) = self.reason else {
            return Err(Failure::Usage(anyhow!("--yes needs --reason TEXT")));
        };
        let by = self.by;
        Ok(Some(Signature { by, reason }))
    }
}
