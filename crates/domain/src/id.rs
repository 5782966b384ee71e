use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text is not a valid identifier of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {max} {rule}, got `{text}`")]
pub struct InvalidId {
    what: &'static str,
    max: usize,
    rule: &'static str,
    text: String,
}

const VISIBLE: &str = "visible ASCII characters without spaces";
const SLUG: &str = "lowercase letters, digits or hyphens";

fn is_visible(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

fn is_slug(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn is_versioned_slug(byte: u8) -> bool {
    is_slug(byte) || byte == b'@' || byte == b'.'
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $rule:expr, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The longest text allowed, in bytes.
            pub const MAX_LEN: usize = $max;

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            fn check(text: &str) -> Result<(), InvalidId> {
                if (1..=$max).contains(&text.len()) && text.bytes().all($allowed) {
                    return Ok(());
                }
                let text = text.chars().take($max + 1).collect();
                Err(InvalidId { what: $what, max: $max, rule: $rule, text })
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Identifies one event within its source. Sent again with the same id after an unknown answer.
    EventId, "event id", 128, VISIBLE, is_visible
);
id!(
    /// Identifies one dossier from its first event on, before any official code exists.
    DossierKey, "dossier key", 128, VISIBLE, is_visible
);
id!(
    /// Identifies one agency that takes part, for example `thanh-hoa-justice`.
    AgencyId, "agency id", 63, SLUG, is_slug
);
id!(
    /// Identifies one destination: a dated binding of an agency to an endpoint.
    DestinationId, "destination id", 63, SLUG, is_slug
);
id!(
    /// Identifies one step within a route, for example `residence`.
    StepId, "step id", 63, SLUG, is_slug
);
id!(
    /// Identifies one version of a route, for example `birth@2026-09-01`.
    RouteId, "route id", 95, "lowercase letters, digits, hyphens, dots or `@`", is_versioned_slug
);
id!(
    /// Identifies one calendar, for example `national-office`.
    CalendarId, "calendar id", 63, SLUG, is_slug
);
id!(
    /// Identifies one job of an operator; chosen by whoever starts it.
    JobId, "job id", 63, SLUG, is_slug
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agency_id_is_a_short_slug() {
        assert_eq!("tax-38".parse::<AgencyId>().unwrap().as_str(), "tax-38");
        for text in ["", "Tax", "a b", "ủy-ban", &"a".repeat(64)] {
            assert!(text.parse::<AgencyId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_rule_and_cuts_endless_text() {
        let error = "x"
            .repeat(10_000)
            .parse::<StepId>()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("step id must be 1 to 63 lowercase letters"),
            "{error}"
        );
        assert!(error.len() < 200);
    }

    #[test]
    fn serde_goes_through_the_same_door() {
        assert!(serde_json::from_str::<EventId>("\"two words\"").is_err());
        let id: EventId = serde_json::from_str("\"e-1\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"e-1\"");
    }
}
