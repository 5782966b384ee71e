//! The shape of what a destination file says about terms.

use std::fmt;

use drafts::At;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// How many deliveries may begin in a time.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Rate")]
pub(crate) struct RateFile {
    /// In a second.
    #[schemars(range(min = 1))]
    pub(crate) per_second: Option<At<u32>>,
    /// In an hour of its working time.
    #[schemars(range(min = 1))]
    pub(crate) per_working_hour: Option<At<u32>>,
}

/// A span in which it is away by announcement: once, or every week.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Outage")]
pub(crate) struct OutageFile {
    /// The days on which it begins, every week; without them it happens once.
    #[schemars(
        length(min = 1),
        inner(regex(pattern = r"^(mon|tue|wed|thu|fri|sat|sun)$"))
    )]
    pub(crate) weekly: Option<At<Vec<At<String>>>>,
    /// From then on, on the clock of the destination's calendar: `2026-12-01T18:00`, weekly `"22:00"`.
    #[schemars(
        required,
        regex(pattern = r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T)?[0-2][0-9]:[0-5][0-9]$")
    )]
    pub(crate) from: Option<At<String>>,
    /// Until then. Weekly and not after `from`, it is a time of the next day.
    #[schemars(
        required,
        regex(pattern = r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T)?[0-2][0-9]:[0-5][0-9]$")
    )]
    pub(crate) to: Option<At<String>>,
    /// Why, for people.
    #[schemars(required, length(min = 1))]
    pub(crate) reason: Option<At<String>>,
}

/// How to ask whether it works, without a delivery.
pub(crate) enum CanaryFile {
    Health,
    Get(GetFile),
}

/// A GET request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Get")]
pub(crate) struct GetFile {
    /// The path; any 2xx is health.
    #[schemars(required, regex(pattern = r"^/\S*$"))]
    pub(crate) get: Option<At<String>>,
}

/// What a delivery is wrapped in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Envelope")]
pub(crate) struct EnvelopeFile {
    /// A SOAP message made from a template.
    #[schemars(required)]
    pub(crate) soap: Option<At<SoapFile>>,
}

/// A SOAP message made from a template.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Soap")]
pub(crate) struct SoapFile {
    /// The `SOAPAction` header.
    #[schemars(required, length(min = 1))]
    pub(crate) action: Option<At<String>>,
    /// The template's file, beside this one.
    #[schemars(required, regex(pattern = r"^[^./\\][^/\\]*$"))]
    pub(crate) template: Option<At<String>>,
}

struct CanaryVisitor;

// === impl CanaryFile ===

impl<'de> Deserialize<'de> for CanaryFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CanaryVisitor)
    }
}

impl JsonSchema for CanaryFile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Canary".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let get = generator.subschema_for::<GetFile>();
        json_schema!({ "oneOf": [{ "const": "health" }, get] })
    }
}

// === impl CanaryVisitor ===

impl<'de> Visitor<'de> for CanaryVisitor {
    type Value = CanaryFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`health` or `{get: /path}`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<CanaryFile, E> {
        match text {
            "health" => Ok(CanaryFile::Health),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CanaryFile, A::Error> {
        GetFile::deserialize(MapAccessDeserializer::new(map)).map(CanaryFile::Get)
    }
}
