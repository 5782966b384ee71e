//! The conformance kit: a published list of cases (`docs/conformance.md`), played against the endpoint
//! of an agency as the courier would call it. Every delivery is invented.

mod case;
mod client;
mod duties;
mod reading;
mod sample;
#[cfg(test)]
mod tests;
mod troubles;
mod wire;

use std::time::{Duration, Instant};

use domain::Endpoint;
use runtime::Clock;
use serde::Serialize;

use crate::InvalidAddress;
pub use case::{Case, UnknownCase};
use client::Client;
pub use sample::Sample;

/// The kit, ready to play against one endpoint.
#[derive(Debug)]
pub struct Conformance {
    stage: Stage,
}

/// What is played, and against whom.
#[derive(Clone, Debug)]
pub struct ConformanceOptions {
    /// The agency's endpoint.
    pub endpoint: Endpoint,
    /// How long the agency may take for one answer: what its destination declares.
    pub timeout: Duration,
    /// What the deliveries are about.
    pub sample: Sample,
    /// Tells the deliveries of this run from those of others.
    pub run: String,
}

/// What a case found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// The case.
    pub case: Case,
    /// How it ended.
    pub result: CaseResult,
    /// What was seen.
    pub reason: String,
    /// What to do about it; empty unless it failed.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub remedy: &'static str,
    /// How long the case took, in milliseconds.
    pub took_millis: u64,
}

/// The endpoint cannot be played against.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// Its address cannot be used.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// It is no endpoint that is called, or one behind TLS.
    #[error(
        "the kit calls plain `grpc://`, `grpc+unary://` and `http://` endpoints only, not `{0}`; \
         test what is behind TLS or pulls from inside its network"
    )]
    NotPlain(Endpoint),
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaseResult {
    /// The endpoint does what is expected.
    Passed,
    /// It does not.
    Failed,
    /// It cannot be told from outside, or the rule is not in force for it.
    NotChecked,
}

/// What every case works with.
#[derive(Debug)]
struct Stage {
    client: Client,
    sample: Sample,
    run: String,
    timeout: Duration,
    clock: Clock,
}

/// How a case ended, before it is reported.
type Finding = Result<String, Trouble>;

/// Why a case did not pass.
#[derive(Debug)]
enum Trouble {
    Failed(String),
    NotChecked(String),
}

// === impl Conformance ===

impl Conformance {
    /// A kit for an endpoint. Nothing is sent yet.
    ///
    /// # Errors
    /// The endpoint cannot be an address.
    pub fn new(options: ConformanceOptions, clock: Clock) -> Result<Self, KitError> {
        let client = Client::new(&options.endpoint, options.timeout)?;
        let stage = Stage {
            client,
            sample: options.sample,
            run: options.run,
            timeout: options.timeout,
            clock,
        };
        Ok(Self { stage })
    }

    /// Plays one case.
    pub async fn play(&self, case: Case) -> CaseReport {
        let begun = Instant::now();
        let stage = &self.stage;
        let finding = match case {
            Case::Happy => stage.happy().await,
            Case::Duplicate => stage.duplicate().await,
            Case::Conflict => stage.conflict().await,
            Case::OutOfOrder => stage.out_of_order().await,
            Case::Slow => stage.slow().await,
            Case::Large => stage.large().await,
            Case::UnknownField => stage.unknown_field().await,
            Case::BadSignature => stage.bad_signature().await,
            Case::Cancel => stage.cancel().await,
            Case::Burst => stage.burst().await,
            Case::Malformed => stage.malformed().await,
        };
        let (result, reason) = match finding {
            Ok(seen) => (CaseResult::Passed, seen),
            Err(Trouble::NotChecked(reason)) => (CaseResult::NotChecked, reason),
            Err(Trouble::Failed(reason)) => (CaseResult::Failed, reason),
        };
        let has_failed = result == CaseResult::Failed;
        CaseReport {
            case,
            result,
            reason,
            remedy: if has_failed { case.remedy() } else { "" },
            took_millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
