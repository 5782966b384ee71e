//! The world outside the pipeline: agencies with scripted slowness and failures, one-stop desks with the
//! real volumes of a real province, and the checker that compares what they saw with what the pipeline
//! claims.
//!
//! ```text
//!  Desk ──▶ Publisher ──▶ gateway … courier ──▶ Agency ──▶ Publisher ──▶ gateway …
//!    │                                            │
//!    └───────────────▶ History ◀──────────────────┘ ──▶ check(record, tracker view)
//! ```
//!
//! [`Conformance`] plays the published case list against somebody's endpoint; [`Agency`] is the reference
//! implementation that passes it, or that fails it as its [`Script`] says.
//!
//! Everything random is seeded and depends on ids, never on the order of arrival; time comes from a
//! [`runtime::Clock`]. It never looks into the pipeline: it uses the same doors as everybody else.

mod agency;
mod chance;
mod checker;
mod conformance;
mod demo;
mod desk;
mod history;
mod instant_inbox;
mod lateness;
mod publisher;
mod report;
mod script;
mod tracker_queries;

pub use agency::{Agency, AgencyOptions, BindError, Protocol};
pub use checker::{Invariant, TrackerView, Violation, check};
pub use conformance::{
    Case, CaseReport, CaseResult, Conformance, ConformanceOptions, KitError, Sample, UnknownCase,
};
pub use demo::{
    Demo, DemoError, DemoPorts, DemoSettings, DemoTargets, LaneReport, LaneSnapshot, Phase,
    Progress, Rest, Snapshot,
};
pub use desk::{Desk, DeskOptions, DeskPlan, Filing, Load, Mix, PlanError, Share};
pub use history::{Arrival, Digest, Fate, History, Reaction, Record, Sent};
pub use instant_inbox::{InstantInbox, Measure};
pub use publisher::{
    Answer, Closed, InvalidAddress, Pending, Publisher, PublisherCounts, PublisherOptions,
};
pub use report::{DestinationReport, LateDossier, Report};
pub use script::{
    Beyond, Capacity, Early, Flapping, Manners, Script, ScriptError, ScriptedAnswer, Signatures,
    Spread, Window,
};
pub use tracker_queries::{QueryError, TrackerQueries};

#[cfg(test)]
mod test_support;
#[cfg(test)]
mod toy_pipeline;
