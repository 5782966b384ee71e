//! The shape of a file of reply rules.

use std::collections::BTreeMap;
use std::fmt;

use drafts::{At, Shape};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::one_or_more::OneOrMore;

/// A file of another shape is told this.
pub(crate) const SHAPE: Shape = Shape {
    expected: "YAML as docs/replies.md describes it",
    plainer: &[],
};

/// One rule set and its recorded replies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSetFile {
    pub(crate) rules: Option<At<Vec<At<RuleFile>>>>,
    pub(crate) otherwise: Option<At<String>>,
    #[serde(default)]
    pub(crate) fixtures: Vec<At<FixtureFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    pub(crate) name: Option<At<String>>,
    pub(crate) when: Option<At<WhenFile>>,
    pub(crate) then: Option<At<String>>,
    pub(crate) retry_after: Option<At<RetryAfterFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhenFile {
    pub(crate) status: Option<At<OneOrMore<StatusFile>>>,
    pub(crate) grpc: Option<At<OneOrMore<String>>>,
    pub(crate) header: Option<At<OneOrMore<HeaderFile>>>,
    pub(crate) json: Option<At<OneOrMore<JsonFile>>>,
    pub(crate) soap_fault: Option<At<SoapFaultFile>>,
    pub(crate) text: Option<At<WordsFile>>,
    pub(crate) names_delivery: Option<bool>,
}

/// Statuses: `409`, or `500-599`; a number or a text to YAML.
pub(crate) struct StatusFile(pub(crate) String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WordsFile {
    pub(crate) equals: Option<At<OneOrMore<String>>>,
    pub(crate) contains: Option<At<OneOrMore<String>>>,
    pub(crate) matches: Option<At<OneOrMore<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderFile {
    pub(crate) name: Option<At<String>>,
    pub(crate) equals: Option<At<OneOrMore<String>>>,
    pub(crate) contains: Option<At<OneOrMore<String>>>,
    pub(crate) matches: Option<At<OneOrMore<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonFile {
    pub(crate) pointer: Option<At<String>>,
    pub(crate) equals: Option<At<OneOrMore<String>>>,
    pub(crate) contains: Option<At<OneOrMore<String>>>,
    pub(crate) matches: Option<At<OneOrMore<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SoapFaultFile {
    pub(crate) code: Option<At<WordsFile>>,
    pub(crate) text: Option<At<WordsFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryAfterFile {
    pub(crate) header: Option<At<String>>,
    pub(crate) json: Option<At<String>>,
    pub(crate) seconds: Option<u32>,
}

/// A recorded reply, and how it is to be read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixtureFile {
    pub(crate) name: Option<At<String>>,
    pub(crate) status: Option<u16>,
    pub(crate) grpc: Option<At<String>>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) delivery: String,
    pub(crate) reads: Option<At<String>>,
    pub(crate) by: Option<At<String>>,
    pub(crate) retry_after: Option<String>,
}

struct StatusVisitor;

// === impl WhenFile ===

impl WhenFile {
    /// Whether it asks for nothing, and so holds for every reply.
    pub(crate) fn is_empty(&self) -> bool {
        self.status.is_none()
            && self.grpc.is_none()
            && self.header.is_none()
            && self.json.is_none()
            && self.soap_fault.is_none()
            && self.text.is_none()
            && self.names_delivery.is_none()
    }
}

// === impl StatusFile ===

impl<'de> Deserialize<'de> for StatusFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

// === impl StatusVisitor ===

impl Visitor<'_> for StatusVisitor {
    type Value = StatusFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status, a range like `500-599`, or a list of them")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<StatusFile, E> {
        Ok(StatusFile(number.to_string()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<StatusFile, E> {
        Ok(StatusFile(text.to_owned()))
    }
}
