//! The shape of a destination file; its doc comments are what an editor shows while somebody writes one.

use std::fmt;

use drafts::At;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::route_file::ValidFile;
use crate::terms_file::{CanaryFile, EnvelopeFile, OutageFile, RateFile};

/// A list of destinations: dated bindings of agencies and units to endpoints.
pub(crate) type DestinationsFile = Vec<At<DestinationFile>>;

/// One destination.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Destination")]
pub(crate) struct DestinationFile {
    /// The destination's name, unique among all: lowercase letters, digits, hyphens.
    #[schemars(required, regex(pattern = r"^[a-z0-9-]{1,63}$"))]
    pub(crate) id: Option<At<String>>,
    /// The agency role that it answers for, as the routes have it.
    #[schemars(required, regex(pattern = r"^[a-z0-9-]{1,63}$"))]
    pub(crate) agency: Option<At<String>>,
    /// The organisation behind it.
    #[schemars(required, regex(pattern = r"^[a-z0-9-]{1,63}$"))]
    pub(crate) agency_id: Option<At<String>>,
    /// For which units. A named unit wins over a named province, this over all.
    #[schemars(required)]
    pub(crate) serves: Option<At<ServesFile>>,
    /// `grpc://host:port` (a stream), `grpc+unary://host:port` or `http://host:port/path`; with TLS `grpcs`,
    /// `grpcs+unary`, `https`. `"pull:"` (in quotes): the agency fetches. `kafka:TOPIC`: a topic of its own.
    #[schemars(
        required,
        regex(
            pattern = r"^((grpcs?|grpcs?\+unary|https?)://\S+|pull:|kafka:[a-zA-Z0-9._-]{1,249})$"
        )
    )]
    pub(crate) endpoint: Option<At<String>>,
    /// The calendar of its working time.
    #[schemars(required)]
    pub(crate) calendar: Option<At<String>>,
    /// How many deliveries may be in flight at once.
    #[schemars(required, range(min = 1))]
    pub(crate) max_in_flight: Option<At<u32>>,
    /// How long one attempt may take: `500ms`, `10s`, `1m`.
    #[schemars(required, regex(pattern = r"^[0-9]+(ms|s|m|h)$"))]
    pub(crate) timeout: Option<At<String>>,
    /// When to try again.
    #[schemars(required)]
    pub(crate) retry: Option<At<RetryFile>>,
    /// The days on which it serves.
    #[schemars(required)]
    pub(crate) valid: Option<At<ValidFile>>,
    /// Whether a repeat under the same id has no second effect; without this field, `true`.
    pub(crate) idempotent: Option<At<bool>>,
    /// Whether it answers what became of a delivery; without this field, `false`.
    pub(crate) queryable: Option<At<bool>>,
    /// How many deliveries it takes in a time, by contract.
    pub(crate) rate: Option<At<RateFile>>,
    /// When it is away by announcement.
    #[serde(default)]
    pub(crate) outages: Vec<At<OutageFile>>,
    /// Whether it takes deliveries in its office hours only; without this field, `false`.
    pub(crate) office_hours_only: Option<At<bool>>,
    /// How to ask whether it works, without a delivery: `health` (gRPC) or `{get: /path}` (HTTP).
    pub(crate) canary: Option<At<CanaryFile>>,
    /// The name of the rules by which its replies are read.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,63}$"))]
    pub(crate) replies: Option<At<String>>,
    /// Where its endpoint may lie: `host:port`, `*.suffix:port` or `a.b.c.d/bits:port`; without this field,
    /// only where the endpoint itself says.
    #[schemars(length(min = 1), inner(regex(pattern = r"^\S+:[0-9]{1,5}$")))]
    pub(crate) allow: Option<At<Vec<At<String>>>>,
    /// What a delivery is wrapped in; without this field, a CloudEvent.
    pub(crate) envelope: Option<At<EnvelopeFile>>,
}

/// Units of a destination.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Serves")]
pub(crate) struct ServesFile {
    /// `all`, or a list of province codes of two digits.
    #[serde(default)]
    pub(crate) provinces: ProvincesFile,
    /// Single units, by their codes of five digits.
    #[schemars(inner(regex(pattern = r"^[0-9]{5}$")))]
    #[serde(default)]
    pub(crate) units: Vec<At<String>>,
}

pub(crate) enum ProvincesFile {
    All,
    Only(Vec<At<String>>),
}

/// The waits after failed attempts, before the remaining time hurries them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Retry")]
pub(crate) struct RetryFile {
    /// The wait after each failed attempt; the last one repeats.
    #[schemars(
        required,
        length(min = 1),
        inner(regex(pattern = r"^[0-9]+(ms|s|m|h)$"))
    )]
    pub(crate) steps: Option<At<Vec<At<String>>>>,
    /// After this many attempts the delivery is a dead letter.
    #[schemars(required, range(min = 1))]
    pub(crate) attempts: Option<At<u32>>,
}

struct ProvincesVisitor;

// === impl ProvincesFile ===

impl Default for ProvincesFile {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

impl<'de> Deserialize<'de> for ProvincesFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProvincesVisitor)
    }
}

impl JsonSchema for ProvincesFile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Provinces".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "const": "all" },
                { "type": "array", "items": { "type": "string", "pattern": "^[0-9]{2}$" } },
            ]
        })
    }
}

// === impl ProvincesVisitor ===

impl<'de> Visitor<'de> for ProvincesVisitor {
    type Value = ProvincesFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`all` or a list of province codes of two digits in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ProvincesFile, E> {
        match text {
            "all" => Ok(ProvincesFile::All),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut codes: A) -> Result<ProvincesFile, A::Error> {
        let mut all = Vec::new();
        while let Some(code) = codes.next_element()? {
            all.push(code);
        }
        Ok(ProvincesFile::Only(all))
    }
}
