use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use calendar::Calendars;
use domain::{Destination, DestinationId, ProcedureCode, ProvinceCode, RouteId, UnitCode};
use drafts::{OwnedSource, list};
use jiff::civil::Date;

use crate::{
    AgencyRole, DestinationBinding, NoDestination, Position, Problem, Route, Source, Validity,
    Warning, assemble, binding::Reach, source,
};

/// Routes and destinations that were validated together. Immutable: share it behind an `Arc`, and replace
/// it as a whole.
#[derive(Clone, Debug)]
pub struct RouteSet {
    pub(crate) routes: BTreeMap<RouteId, Route>,
    pub(crate) by_procedure: BTreeMap<String, Vec<Served>>,
    pub(crate) bindings: Vec<DestinationBinding>,
    pub(crate) by_reach: BTreeMap<AgencyRole, BTreeMap<Reach, Vec<usize>>>,
    pub(crate) by_id: BTreeMap<DestinationId, usize>,
    /// Where destinations name the rules for their replies: file and place.
    pub(crate) replies_at: BTreeMap<DestinationId, (String, Position)>,
    pub(crate) digest: String,
    pub(crate) warnings: Vec<Warning>,
}

/// The days of receipt on which a route version serves a procedure code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) valid: Validity,
    pub(crate) route: RouteId,
}

/// No route serves a procedure code on the day of receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no route serves procedure `{procedure}` received on {received_on}{}", OtherDays(.served))]
pub struct NoRoute {
    /// The code, as it was sent.
    pub procedure: ProcedureCode,
    /// The day of receipt.
    pub received_on: Date,
    /// The days on which the code is served, and by which version; empty for an unknown code.
    pub served: Vec<(Validity, RouteId)>,
}

struct OtherDays<'a>(&'a [(Validity, RouteId)]);

// === impl RouteSet ===

impl RouteSet {
    /// Reads every `*.yaml` of the two directories, and the templates that destinations name; a calendar named in them must be among `calendars`.
    ///
    /// # Errors
    /// Every problem that was found, ordered by place.
    pub fn load(
        routes_dir: &Path,
        destinations_dir: &Path,
        calendars: &Calendars,
    ) -> Result<Self, Vec<Problem>> {
        let (routes, problems) = source::read_dir(routes_dir);
        Self::load_with(&routes, problems, destinations_dir, calendars)
    }

    /// Reads the destinations of a directory without any route, and the templates that they name.
    ///
    /// # Errors
    /// Every problem that was found, ordered by place.
    pub fn load_destinations(dir: &Path, calendars: &Calendars) -> Result<Self, Vec<Problem>> {
        Self::load_with(&[], Vec::new(), dir, calendars)
    }

    fn load_with(
        routes: &[OwnedSource],
        mut problems: Vec<Problem>,
        destinations_dir: &Path,
        calendars: &Calendars,
    ) -> Result<Self, Vec<Problem>> {
        let (destinations, more) = source::read_dir(destinations_dir);
        problems.extend(more);
        if !problems.is_empty() {
            return Err(problems);
        }
        let routes: Vec<_> = routes.iter().map(OwnedSource::as_source).collect();
        let destinations: Vec<_> = destinations.iter().map(OwnedSource::as_source).collect();
        let templates = |name: &str| source::read_template(destinations_dir, name);
        assemble::assemble(&routes, &destinations, &templates, calendars)
    }

    /// The routes and destinations of `deploy`, for the demo and for tests.
    ///
    /// # Errors
    /// Every problem that was found; with [`Calendars::built_in`] there is none.
    pub fn built_in(calendars: &Calendars) -> Result<Self, Vec<Problem>> {
        Self::from_sources(source::ROUTES, source::DESTINATIONS, calendars)
    }

    /// Validates texts that are already in memory; a destination among them cannot name a template.
    ///
    /// # Errors
    /// Every problem that was found, ordered by place.
    pub fn from_sources(
        routes: &[Source<'_>],
        destinations: &[Source<'_>],
        calendars: &Calendars,
    ) -> Result<Self, Vec<Problem>> {
        let templates = |_: &str| Err("these destinations lie in no directory".to_owned());
        assemble::assemble(routes, destinations, &templates, calendars)
    }

    /// The route version that serves a procedure for dossiers received on that day.
    ///
    /// # Errors
    /// No version serves the code's base on that day.
    pub fn resolve(&self, procedure: &ProcedureCode, received_on: Date) -> Result<&Route, NoRoute> {
        let served = self
            .by_procedure
            .get(procedure.base())
            .map_or(&[][..], Vec::as_slice);
        served
            .iter()
            .find(|served| served.valid.contains(received_on))
            .and_then(|served| self.routes.get(&served.route))
            .ok_or_else(|| {
                let pair = |served: &Served| (served.valid, served.route.clone());
                NoRoute {
                    procedure: procedure.clone(),
                    received_on,
                    served: served.iter().map(pair).collect(),
                }
            })
    }

    /// The same set with another destination in the place of the one with its id; unchanged when there is
    /// none. For simulated agencies, which listen where there is room.
    #[must_use]
    pub fn with_destination(mut self, destination: &Destination) -> Self {
        let same = |binding: &&mut DestinationBinding| binding.destination.id == destination.id;
        for binding in self.bindings.iter_mut().filter(same) {
            binding.destination = destination.clone();
        }
        self
    }

    /// The route version of that id.
    pub fn route(&self, id: &RouteId) -> Option<&Route> {
        self.routes.get(id)
    }

    /// All route versions, by name and first day.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values()
    }

    /// The one destination that serves an agency role for a unit on a day: a binding of the unit itself wins
    /// over one of its province, that over one of all provinces. Without a unit it is the one for the
    /// province itself.
    ///
    /// # Errors
    /// None does.
    pub fn destination(
        &self,
        agency: &AgencyRole,
        unit: Option<UnitCode>,
        province: ProvinceCode,
        on: Date,
    ) -> Result<&DestinationBinding, NoDestination> {
        let bound = |reach: Reach| {
            let candidates = self.by_reach.get(agency)?.get(&reach)?;
            let bindings = candidates
                .iter()
                .filter_map(|index| self.bindings.get(*index));
            bindings
                .into_iter()
                .find(|binding| binding.valid.contains(on))
        };
        unit.and_then(|unit| bound(Reach::Unit(unit)))
            .or_else(|| bound(Reach::Province(province)))
            .or_else(|| bound(Reach::All))
            .ok_or_else(|| NoDestination {
                agency: agency.clone(),
                unit,
                province,
                on,
            })
    }

    /// All destinations, whatever their days.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.bindings.iter().map(|binding| &binding.destination)
    }

    /// The destination of that id.
    pub fn destination_of(&self, id: &DestinationId) -> Option<&Destination> {
        let binding = self.bindings.get(*self.by_id.get(id)?)?;
        Some(&binding.destination)
    }

    /// Destinations that name rules for their replies which are not among `known`, ordered by place. The
    /// rules are read by `replies`, and so unknown here.
    pub fn unknown_replies<'a>(&self, known: impl IntoIterator<Item = &'a str>) -> Vec<Problem> {
        let known: BTreeSet<&str> = known.into_iter().collect();
        let problem = |destination: &Destination| {
            let name = destination.terms.replies.as_deref()?;
            let (file, position) = self.replies_at.get(&destination.id)?;
            (!known.contains(name)).then(|| Problem {
                file: file.clone(),
                position: Some(*position),
                found: format!("destination `{}`: `replies` is `{name}`", destination.id),
                expected: known_or_new(&known, name),
            })
        };
        let mut problems: Vec<_> = self.destinations().filter_map(problem).collect();
        problems.sort();
        problems
    }

    /// All destinations with what they serve and when.
    pub fn bindings(&self) -> impl Iterator<Item = &DestinationBinding> {
        self.bindings.iter()
    }

    /// What is valid and yet deserves a look, ordered by place.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// A short digest of the names and texts of all files; equal for equal files wherever they lie.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn known_or_new(known: &BTreeSet<&str>, name: &str) -> String {
    let new = format!("a file `replies/{name}.yaml` beside this one");
    if known.is_empty() {
        format!("{new}, as there are no rule sets, or no `replies`")
    } else {
        format!("one of the rule sets {}, or {new}", list(known))
    }
}

// === impl OtherDays ===

impl fmt::Display for OtherDays<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (valid, route)) in self.0.iter().enumerate() {
            let lead = if index == 0 { "; served" } else { "," };
            write!(f, "{lead} {valid} by {route}")?;
        }
        Ok(())
    }
}
