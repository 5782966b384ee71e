use std::{fmt, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A commune-level unit's code: five digits (Decision 19/2025/QĐ-TTg).
///
/// Its meaning depends on a date: 1,794 codes were kept on 1 July 2025 with another name and extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitCode([u8; 5]);

/// A province's code: two digits (Decision 19/2025/QĐ-TTg).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProvinceCode([u8; 2]);

/// A unit code together with the day on which it was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitRef {
    /// The code as the sender knows it.
    pub code: UnitCode,
    /// The day whose meaning of the code counts.
    pub valid_on: Date,
}

/// The text is not a unit or province code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} code must be {len} digits, got `{text}`")]
pub struct InvalidUnitCode {
    what: &'static str,
    len: usize,
    text: String,
}

macro_rules! digits {
    ($name:ident, $what:literal, $len:literal) => {
        impl $name {
            /// The code as text.
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(&self.0).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = InvalidUnitCode;

            fn from_str(text: &str) -> Result<Self, InvalidUnitCode> {
                match <[u8; $len]>::try_from(text.as_bytes()) {
                    Ok(code) if code.iter().all(u8::is_ascii_digit) => Ok(Self(code)),
                    _ => Err(InvalidUnitCode {
                        what: $what,
                        len: $len,
                        text: text.chars().take(32).collect(),
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidUnitCode;

            fn try_from(text: String) -> Result<Self, InvalidUnitCode> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(code: $name) -> String {
                code.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

digits!(UnitCode, "unit", 5);
digits!(ProvinceCode, "province", 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_a_fixed_number_of_digits() {
        assert_eq!("14797".parse::<UnitCode>().unwrap().to_string(), "14797");
        assert_eq!("38".parse::<ProvinceCode>().unwrap().to_string(), "38");
        for text in ["", "1479", "147970", "1479x", "１４７９７"] {
            assert!(text.parse::<UnitCode>().is_err(), "{text}");
        }
    }
}
