//! The shape of a route file; its doc comments are what an editor shows while somebody writes one.

use drafts::At;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::route::{BoundaryPolicy, UnitRule};

/// One version of a route. A file holds one or more, divided by lines of `---`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Route")]
pub(crate) struct RouteFile {
    /// The route's name, the same in all its versions: lowercase letters, digits, hyphens.
    #[schemars(required, regex(pattern = r"^[a-z0-9-]{1,63}$"))]
    pub(crate) route: Option<At<String>>,
    /// What the citizen asks for.
    #[schemars(required)]
    pub(crate) title: Option<At<TextFile>>,
    /// The base procedure codes served on every day of this version.
    #[schemars(
        required,
        length(min = 1),
        inner(regex(pattern = r"^[0-9]\.[0-9]{6}$"))
    )]
    pub(crate) procedures: Option<At<Vec<At<String>>>>,
    /// Further codes that are accepted: predecessors, codes seen in use.
    #[serde(default)]
    pub(crate) aliases: Vec<At<AliasFile>>,
    /// The days of receipt for which this version holds.
    #[schemars(required)]
    pub(crate) valid: Option<At<ValidFile>>,
    /// How far the work may go, and which law says so.
    #[schemars(required)]
    pub(crate) boundary: Option<At<BoundaryFile>>,
    /// The calendar in which the whole dossier's limit is counted.
    #[schemars(required)]
    pub(crate) calendar: Option<At<String>>,
    /// The limit of the whole dossier: `same day`, `4 working hours`, `4 working days`, `5 days`, `1 month`.
    #[schemars(
        required,
        regex(pattern = r"^(same day|[0-9]+ (working hours?|working days?|days?|months?))$")
    )]
    pub(crate) within: Option<At<String>>,
    /// Received later than this, a dossier counts from the next working day: `"15:00"`.
    #[schemars(regex(pattern = r"^[0-2][0-9]:[0-5][0-9]$"))]
    pub(crate) cut_off: Option<At<String>>,
    /// What the limit of the whole dossier rests on: decree and article.
    #[schemars(required)]
    pub(crate) legal_basis: Option<At<String>>,
    /// The steps. Those without `after` open first, all at once.
    #[schemars(required, length(min = 1))]
    pub(crate) steps: Option<At<Vec<At<StepFile>>>>,
}

/// One agency's part. It answers all six clarities: who, what, when, whose responsibility, which product, by
/// which authority.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Step")]
pub(crate) struct StepFile {
    /// The step's name, unique in its route: lowercase letters, digits, hyphens.
    #[schemars(required, regex(pattern = r"^[a-z0-9-]{1,63}$"))]
    pub(crate) id: Option<At<String>>,
    /// The steps that must have ended before this one opens.
    #[serde(default)]
    pub(crate) after: Vec<At<String>>,
    /// Who: the agency's role, as the destination files have it.
    #[schemars(required, regex(pattern = r"^[a-z0-9-]{1,63}$"))]
    pub(crate) agency: Option<At<String>>,
    /// Who: which unit of the agency.
    #[schemars(with = "UnitRule")]
    pub(crate) unit: Option<At<String>>,
    /// What is to be done.
    #[schemars(required)]
    pub(crate) task: Option<At<TextFile>>,
    /// By when, counted from the opening of the step: `same day`, `2 working days`, `5 days`.
    #[schemars(
        required,
        regex(pattern = r"^(same day|[0-9]+ (working hours?|working days?|days?|months?))$")
    )]
    pub(crate) within: Option<At<String>>,
    /// Opened later than this, the step counts from the next working day. A step without `after` takes the
    /// route's.
    #[schemars(regex(pattern = r"^[0-2][0-9]:[0-5][0-9]$"))]
    pub(crate) cut_off: Option<At<String>>,
    /// What the step ends with.
    #[schemars(required)]
    pub(crate) product: Option<At<TextFile>>,
    /// Who answers for it.
    #[schemars(required)]
    pub(crate) responsible: Option<At<TextFile>>,
    /// The authority: decree and article.
    #[schemars(required)]
    pub(crate) legal_basis: Option<At<String>>,
}

/// The same words in both languages.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Text")]
pub(crate) struct TextFile {
    /// Vietnamese.
    #[schemars(required, length(min = 1))]
    pub(crate) vi: Option<At<String>>,
    /// English.
    #[schemars(required, length(min = 1))]
    pub(crate) en: Option<At<String>>,
}

/// A further procedure code. Without dates it is accepted as long as the version holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Alias")]
pub(crate) struct AliasFile {
    /// The base code.
    #[schemars(required, regex(pattern = r"^[0-9]\.[0-9]{6}$"))]
    pub(crate) code: Option<At<String>>,
    /// The first day of receipt on which it is accepted.
    #[schemars(regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub(crate) from: Option<At<String>>,
    /// The last day of receipt on which it is accepted.
    #[schemars(regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub(crate) until: Option<At<String>>,
    /// Why it is accepted.
    pub(crate) note: Option<String>,
}

/// Days; both ends are included.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Valid")]
pub(crate) struct ValidFile {
    /// The first day.
    #[schemars(required, regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub(crate) from: Option<At<String>>,
    /// The last day; without it, no end is known.
    #[schemars(regex(pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub(crate) until: Option<At<String>>,
}

/// How far the work may go, and which law says so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Boundary")]
pub(crate) struct BoundaryFile {
    /// How far.
    #[schemars(with = "BoundaryPolicy")]
    pub(crate) policy: Option<At<String>>,
    /// The law.
    #[schemars(required)]
    pub(crate) legal_basis: Option<At<String>>,
}
