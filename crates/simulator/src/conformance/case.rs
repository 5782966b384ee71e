use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// One case of the published list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// One delivery.
    Happy,
    /// The same delivery again.
    Duplicate,
    /// The same id with another content.
    Conflict,
    /// A later step before an earlier one.
    OutOfOrder,
    /// A few at once, each within the time-out.
    Slow,
    /// The largest payload that may come.
    Large,
    /// Fields and headers that nobody has heard of.
    UnknownField,
    /// A wrong signature.
    BadSignature,
    /// A call that the caller cuts midway.
    Cancel,
    /// Many at once.
    Burst,
    /// What is no delivery.
    Malformed,
}

/// The text names no case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no case `{text}`; there are: {}", Case::ALL.map(Case::as_str).join(", "))]
pub struct UnknownCase {
    text: String,
}

// === impl Case ===

impl Case {
    /// The whole list, in the order in which it is played.
    pub const ALL: [Self; 11] = [
        Self::Happy,
        Self::Duplicate,
        Self::Conflict,
        Self::OutOfOrder,
        Self::Slow,
        Self::Large,
        Self::UnknownField,
        Self::BadSignature,
        Self::Cancel,
        Self::Burst,
        Self::Malformed,
    ];

    /// Its published name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Happy => "happy",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::OutOfOrder => "out-of-order",
            Self::Slow => "slow",
            Self::Large => "large",
            Self::UnknownField => "unknown-field",
            Self::BadSignature => "bad-signature",
            Self::Cancel => "cancel",
            Self::Burst => "burst",
            Self::Malformed => "malformed",
        }
    }

    /// What to do when it fails.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Happy => {
                "answer a valid delivery with a 2xx status or the verdict `taken` once it is stored; \
                 if procedure, step or unit are unknown to you, name ones that you serve \
                 (--procedure, --step, --unit)"
            }
            Self::Duplicate => {
                "store the delivery id in the same transaction as its effect; answer a repeat with \
                 success (200, `already_taken`) and do nothing else"
            }
            Self::Conflict => {
                "keep a digest of the content beside the id; answer another content under a known id \
                 with 409 or 422, or `not_taken`, or say that the id is taken already"
            }
            Self::OutOfOrder => {
                "take the later step, or refuse it at once and say so: 409 with a text, \
                 FAILED_PRECONDITION, or `not_taken` with the code `out-of-order`; take it when its \
                 predecessor has come"
            }
            Self::Slow => {
                "store the delivery and answer; work on it afterwards. Or declare a longer time-out \
                 in the destination file"
            }
            Self::Large => {
                "raise the limits for bodies and messages of server, proxy and firewall to 1 MiB"
            }
            Self::UnknownField => {
                "ignore headers, fields and JSON members that you do not know: later versions add some"
            }
            Self::BadSignature => {
                "refuse a wrong signature with 401 or UNAUTHENTICATED; never fail over it"
            }
            Self::Cancel => {
                "hold no lock and no half-made record beyond a call that was cut: roll back, or finish \
                 and answer the repeat with success"
            }
            Self::Burst => {
                "answer what is too much with 429, 503 or `busy`, with Retry-After if you can; never \
                 cut connections and never fail"
            }
            Self::Malformed => {
                "check before you take: answer what is no delivery with 400 or INVALID_ARGUMENT"
            }
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Case {
    type Err = UnknownCase;

    fn from_str(text: &str) -> Result<Self, UnknownCase> {
        let found = Self::ALL.into_iter().find(|case| case.as_str() == text);
        found.ok_or_else(|| UnknownCase {
            text: text.chars().take(64).collect(),
        })
    }
}

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
