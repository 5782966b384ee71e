use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A procedure's official code: `d.dddddd`, with an optional unit suffix in one of two styles
/// (`2.002621.H56`, `1.000656.000.00.00.H56`). Base and suffix are kept apart: routes know the base.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcedureCode {
    text: std::sync::Arc<str>,
}

/// The text is not a procedure code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("procedure code must look like `1.001193` or `1.001193.H56`, got `{0}`")]
pub struct InvalidProcedureCode(String);

// === impl ProcedureCode ===

impl ProcedureCode {
    const BASE_LEN: usize = 8;
    const MAX_LEN: usize = 40;

    /// The code without its unit suffix.
    pub fn base(&self) -> &str {
        &self.text[..Self::BASE_LEN]
    }

    /// The unit suffix, if there is one: `H56` or `000.00.00.H56`.
    pub fn suffix(&self) -> Option<&str> {
        self.text.get(Self::BASE_LEN + 1..)
    }

    /// The whole code as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn is_valid(text: &str) -> bool {
        let bytes = text.as_bytes();
        if bytes.len() < Self::BASE_LEN || bytes.len() > Self::MAX_LEN {
            return false;
        }
        let (base, suffix) = bytes.split_at(Self::BASE_LEN);
        let base_ok =
            base[0].is_ascii_digit() && base[1] == b'.' && base[2..].iter().all(u8::is_ascii_digit);
        let part_ok = |part: &[u8]| {
            (2..=5).contains(&part.len())
                && part
                    .iter()
                    .all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        };
        base_ok
            && (suffix.is_empty()
                || (suffix[0] == b'.' && suffix[1..].split(|b| *b == b'.').all(part_ok)))
    }
}

impl FromStr for ProcedureCode {
    type Err = InvalidProcedureCode;

    fn from_str(text: &str) -> Result<Self, InvalidProcedureCode> {
        if Self::is_valid(text) {
            Ok(Self { text: text.into() })
        } else {
            Err(InvalidProcedureCode(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for ProcedureCode {
    type Error = InvalidProcedureCode;

    fn try_from(text: String) -> Result<Self, InvalidProcedureCode> {
        text.parse()
    }
}

impl From<ProcedureCode> for String {
    fn from(code: ProcedureCode) -> String {
        code.text.as_ref().to_owned()
    }
}

impl fmt::Display for ProcedureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, Option<&str>)>) {
        let code = text.parse::<ProcedureCode>().ok();
        assert_eq!(code.as_ref().map(|c| (c.base(), c.suffix())), expected);
    }

    #[test]
    fn base_and_suffix_are_kept_apart() {
        check("3.000722", Some(("3.000722", None)));
        check("2.002621.H56", Some(("2.002621", Some("H56"))));
        check(
            "1.000656.000.00.00.H56",
            Some(("1.000656", Some("000.00.00.H56"))),
        );
        for text in [
            "",
            "3000722",
            "3.00722",
            "3.0007221",
            "3.000722.",
            "3.000722.h56",
            "a.000722",
        ] {
            check(text, None);
        }
    }
}
