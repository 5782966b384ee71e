//! The route language: YAML files of routes and destinations → one validated [`RouteSet`].
//!
//! ```text
//!  routes/*.yaml ───────┐                         ┌─▶ resolve(procedure, day) ─▶ Route ─▶ opened_by
//!                       ├─▶ all problems, or RouteSet
//!  destinations/*.yaml ─┘                         └─▶ destination(role, unit, province, day)
//! ```
//!
//! A file that is wrong in any way is refused with *every* [`Problem`] found, each with its place, what
//! stands there and what was expected. What is valid has exactly one answer: one route for a procedure code
//! on each day, at most one destination for an agency role and a unit on each day. What is valid and yet
//! deserves a look is a [`Warning`].
//!
//! Pure but for [`RouteSet::load`], which reads the two directories and the templates beside destinations. It does not decide a case, does not
//! compute a deadline (`calendar` does) and does not follow units through mergers (`territory` does).

mod assemble;
mod binding;
mod conflict;
mod cycle;
mod destination_draft;
mod destination_file;
mod outage_draft;
mod role;
mod route;
mod route_draft;
mod route_file;
mod route_set;
mod schema;
mod source;
mod step_draft;
mod terms_draft;
mod terms_file;
mod times;
mod validity;
mod validity_draft;
mod warning;

pub use binding::{DestinationBinding, NoDestination, Provinces, Serves};
pub use drafts::{Position, Problem, Source};
pub use role::{AgencyRole, InvalidAgencyRole};
pub use route::{Alias, Boundary, BoundaryPolicy, Route, Step, Text, UnitRule};
pub use route_set::{NoRoute, RouteSet};
pub use schema::json_schema;
pub use validity::Validity;
pub use warning::Warning;
