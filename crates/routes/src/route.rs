use std::collections::BTreeSet;

use calendar::Within;
use domain::{CalendarId, ProcedureCode, RouteId, StepId};
use jiff::civil::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AgencyRole, Validity};

/// One version of the declared way of a procedure through agencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The route's name and the first day of this version: `birth@2026-09-01`.
    pub id: RouteId,
    /// What the citizen asks for.
    pub title: Text,
    /// The codes that this version serves on every day of its validity; base codes, never with a suffix.
    pub procedures: Vec<ProcedureCode>,
    /// Further codes that it accepts, each for its own days.
    pub aliases: Vec<Alias>,
    /// The days of receipt for which it holds.
    pub valid: Validity,
    /// Where the work may go.
    pub boundary: Boundary,
    /// The calendar in which the whole dossier's limit is counted.
    pub calendar: CalendarId,
    /// The limit of the whole dossier.
    pub within: Within,
    /// Dossiers received later than this count from the next working day.
    pub cut_off: Option<Time>,
    /// What the limit of the whole dossier rests on.
    pub legal_basis: String,
    /// The steps, in the order of the file; never empty, without cycles.
    pub steps: Vec<Step>,
}

/// One agency's part of a route. It answers all six clarities: who (agency and unit), what (task), when
/// (within), whose responsibility, which product, by which authority (legal basis).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The id, unique within its route.
    pub id: StepId,
    /// The steps that must have ended before this one opens.
    pub after: Vec<StepId>,
    /// Who does it.
    pub agency: AgencyRole,
    /// Which unit of the agency.
    pub unit: UnitRule,
    /// What is to be done.
    pub task: Text,
    /// By when, counted from the opening of the step.
    pub within: Within,
    /// Opened later than this, the step counts from the next working day. A first step takes it from its
    /// route unless it has its own; a later step has only its own.
    pub cut_off: Option<Time>,
    /// What the step ends with.
    pub product: Text,
    /// Who answers for it.
    pub responsible: Text,
    /// The authority: decree and article.
    pub legal_basis: String,
}

/// The same words in both languages of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

/// A further procedure code that a route version accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The base code.
    pub code: ProcedureCode,
    /// The days of receipt on which it is accepted; within the version's own validity.
    pub valid: Validity,
    /// Why it is accepted.
    pub note: Option<String>,
}

/// Where work may go, and which law says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// How far.
    pub policy: BoundaryPolicy,
    /// The law.
    pub legal_basis: String,
}

/// How far from the competent unit the work of a dossier may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BoundaryPolicy {
    /// It never leaves the competent unit.
    Strict,
    /// Any unit of the same province may receive it.
    Province,
    /// Any unit of the country may receive it.
    National,
}

/// Which unit of an agency does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnitRule {
    /// The unit that decides the case, which is often not the one that received it.
    Competent,
    /// The unit where the citizen filed. An event names one unit, the competent one, and the agency that
    /// received the dossier, but not where: until it does, this is the unit that the event names.
    Receiving,
    /// The province above the competent unit. A destination of single communes does not serve it.
    Province,
}

// === impl Route ===

impl Route {
    /// The route's name, which all its versions share.
    pub fn name(&self) -> &str {
        let id = self.id.as_str();
        id.split_once('@').map_or(id, |(name, _)| name)
    }

    /// The step of that id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == *id)
    }

    /// The steps that open when the dossier is accepted.
    pub fn first_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.after.is_empty())
    }

    /// The steps that are due once the given ones have ended: all that they wait for has ended, and they
    /// themselves have not. A step that is open already is among them.
    pub fn opened_by<'a>(&'a self, ended: &'a BTreeSet<StepId>) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(|step| {
            !ended.contains(&step.id) && step.after.iter().all(|before| ended.contains(before))
        })
    }
}
