use std::collections::{BTreeMap, BTreeSet};

use calendar::Calendars;
use domain::Envelope;
use drafts::{At, Check, Position, Problem, Source, list};
use territory::Territory;

use crate::binding::Reach;
use crate::destination_draft::{self, DestinationDraft, Known};
use crate::destination_file::DestinationsFile;
use crate::role::AgencyRole;
use crate::route::Route;
use crate::route_draft::{self, RouteDraft};
use crate::route_file::RouteFile;
use crate::route_set::{RouteSet, Served};
use crate::schema::SHAPE;
use crate::source::{self, Templates};
use crate::validity::Validity;
use crate::warning;

/// What is taken on some days already, by whom and where.
struct Taken<'a> {
    valid: Validity,
    /// Its index among all that were read.
    draft: usize,
    by: String,
    file: &'a str,
    at: Position,
}

/// Reads all files, then checks them against each other.
pub(crate) fn assemble(
    routes: &[Source<'_>],
    destinations: &[Source<'_>],
    templates: Templates<'_>,
    calendars: &Calendars,
) -> Result<RouteSet, Vec<Problem>> {
    let mut problems = Vec::new();
    let route_drafts = read_routes(routes, calendars, &mut problems);
    let in_routes = problems.len();
    let destination_drafts = match Territory::embedded() {
        Ok(territory) => {
            let known = Known {
                calendars,
                territory: &territory,
                templates,
            };
            read_destinations(destinations, known, &mut problems)
        }
        Err(error) => {
            let expected = "the data that this build embeds";
            problems.push(Problem::whole("territory", error.to_string(), expected));
            Vec::new()
        }
    };
    // When a destination cannot be read, its agency would only seem to be missing.
    if problems.len() == in_routes {
        known_agencies(&route_drafts, &destination_drafts, &mut problems);
    }
    one_version_a_day(&route_drafts, &mut problems);
    one_route_a_code(&route_drafts, &mut problems);
    unique_ids(&destination_drafts, &mut problems);
    one_destination_a_unit(&destination_drafts, &mut problems);
    if !problems.is_empty() {
        problems.sort();
        return Err(problems);
    }
    let digest = source::digest([routes, destinations, &used_templates(&destination_drafts)]);
    let warnings = warning::gather(&route_drafts, &destination_drafts, calendars);
    Ok(RouteSet {
        digest,
        warnings,
        ..index(route_drafts, destination_drafts)
    })
}

fn read_routes<'a>(
    sources: &[Source<'a>],
    calendars: &Calendars,
    problems: &mut Vec<Problem>,
) -> Vec<RouteDraft<'a>> {
    let mut drafts = Vec::new();
    for Source { name, text } in sources {
        let mut check = Check::new(name, problems);
        let versions: Option<Vec<At<RouteFile>>> = check.documents(text, SHAPE);
        if versions.as_ref().is_some_and(Vec::is_empty) {
            check.whole("the file is empty", "at least one version of a route");
        }
        let read = |raw| route_draft::read(name, raw, calendars, &mut check);
        drafts.extend(versions.iter().flatten().filter_map(read));
    }
    drafts
}

fn read_destinations<'a>(
    sources: &[Source<'a>],
    known: Known<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<DestinationDraft<'a>> {
    let mut drafts = Vec::new();
    for Source { name, text } in sources {
        let mut check = Check::new(name, problems);
        let list: Option<DestinationsFile> = check.document(text, SHAPE);
        let read = |raw| destination_draft::read(name, raw, known, &mut check);
        drafts.extend(list.iter().flatten().filter_map(read));
    }
    drafts
}

/// The templates of a set, each under the name of the destination that uses it.
fn used_templates<'a>(drafts: &'a [DestinationDraft<'_>]) -> Vec<Source<'a>> {
    let template = |draft: &'a DestinationDraft<'_>| {
        let destination = &draft.binding.destination;
        match &destination.terms.envelope {
            Envelope::CloudEvent => None,
            Envelope::Soap { template, .. } => Some(Source {
                name: destination.id.as_str(),
                text: template,
            }),
        }
    };
    drafts.iter().filter_map(template).collect()
}

fn one_version_a_day(drafts: &[RouteDraft<'_>], problems: &mut Vec<Problem>) {
    let mut by_name: BTreeMap<&str, Vec<Taken<'_>>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let taken = by_name.entry(draft.route.name()).or_default();
        let this = Taken {
            valid: draft.route.valid,
            draft: index,
            by: draft.route.id.to_string(),
            file: draft.file,
            at: draft.at,
        };
        if let Some(other) = clash(&*taken, &this) {
            let found = format!("versions `{}` and `{}` overlap", other.by, this.by);
            Check::new(draft.file, problems).problem(draft.at, &found, apart(other));
        }
        taken.push(this);
    }
}

fn one_route_a_code(drafts: &[RouteDraft<'_>], problems: &mut Vec<Problem>) {
    let mut by_code: BTreeMap<&str, Vec<Taken<'_>>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        for (code, valid, at) in &draft.codes {
            let taken = by_code.entry(code.as_str()).or_default();
            let this = Taken {
                valid: *valid,
                draft: index,
                by: draft.route.id.to_string(),
                file: draft.file,
                at: *at,
            };
            // Versions of one route that overlap have been reported as such.
            let version = |other: &&Taken<'_>| {
                let name = drafts.get(other.draft).map(|other| other.route.name());
                other.draft != index && name == Some(draft.route.name())
            };
            if let Some(other) = clash(taken.iter().filter(|other| !version(other)), &this) {
                let found = format!("procedure `{code}` is also served by `{}`", other.by);
                Check::new(draft.file, problems).problem(*at, &found, apart(other));
            }
            taken.push(this);
        }
    }
}

fn unique_ids(drafts: &[DestinationDraft<'_>], problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<&str, (&str, Position)> = BTreeMap::new();
    for draft in drafts {
        let id = draft.binding.destination.id.as_str();
        if let Some((file, at)) = seen.insert(id, (draft.file, draft.at)) {
            let found = format!("destination `{id}` is defined a second time");
            let expected = format!("an id other than that of {file}:{at}");
            Check::new(draft.file, problems).problem(draft.at, &found, expected);
        }
    }
}

fn one_destination_a_unit(drafts: &[DestinationDraft<'_>], problems: &mut Vec<Problem>) {
    let mut by_reach: BTreeMap<(&AgencyRole, Reach), Vec<Taken<'_>>> = BTreeMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        let role = &draft.binding.role;
        for (reach, at) in &draft.reaches {
            let taken = by_reach.entry((role, *reach)).or_default();
            let this = Taken {
                valid: draft.binding.valid,
                draft: index,
                by: draft.binding.destination.id.to_string(),
                file: draft.file,
                at: *at,
            };
            if let Some(other) = clash(&*taken, &this) {
                let units = match reach {
                    Reach::Unit(code) => format!("unit {code}"),
                    Reach::Province(code) => format!("province {code}"),
                    Reach::All => "all provinces".to_owned(),
                };
                let (mine, theirs) = (&this.by, &other.by);
                let found = format!(
                    "destination `{mine}`: `{theirs}` also serves agency `{role}` for {units}"
                );
                Check::new(draft.file, problems).problem(*at, &found, apart(other));
            }
            taken.push(this);
        }
    }
}

fn known_agencies(
    routes: &[RouteDraft<'_>],
    destinations: &[DestinationDraft<'_>],
    problems: &mut Vec<Problem>,
) {
    let known: BTreeSet<_> = destinations
        .iter()
        .map(|draft| &draft.binding.role)
        .collect();
    for draft in routes {
        for (step, at) in draft.route.steps.iter().zip(&draft.agencies) {
            if !known.contains(&step.agency) {
                let (id, agency) = (&step.id, &step.agency);
                let found = format!("step `{id}`: no destination serves agency `{agency}`");
                let expected = format!("one of the agencies {}", list(&known));
                Check::new(draft.file, problems).problem(*at, &found, expected);
            }
        }
    }
}

fn clash<'a: 'b, 'b>(
    taken: impl IntoIterator<Item = &'b Taken<'a>>,
    this: &Taken<'_>,
) -> Option<&'b Taken<'a>> {
    let meets = |other: &&Taken<'_>| other.valid.intersection(&this.valid).is_some();
    taken.into_iter().find(meets)
}

fn apart(other: &Taken<'_>) -> String {
    let Taken {
        valid, file, at, ..
    } = other;
    format!("days other than those of {file}:{at}, {valid}")
}

fn index(routes: Vec<RouteDraft<'_>>, destinations: Vec<DestinationDraft<'_>>) -> RouteSet {
    let mut by_procedure: BTreeMap<String, Vec<Served>> = BTreeMap::new();
    for draft in &routes {
        for (code, valid, _) in &draft.codes {
            by_procedure
                .entry(code.base().to_owned())
                .or_default()
                .push(Served {
                    valid: *valid,
                    route: draft.route.id.clone(),
                });
        }
    }
    for served in by_procedure.values_mut() {
        served.sort_by_key(|served| served.valid.from);
    }
    let mut by_reach: BTreeMap<AgencyRole, BTreeMap<Reach, Vec<usize>>> = BTreeMap::new();
    for (index, draft) in destinations.iter().enumerate() {
        let of_role = by_reach.entry(draft.binding.role.clone()).or_default();
        for reach in draft.binding.serves.reaches() {
            of_role.entry(reach).or_default().push(index);
        }
    }
    let destination = |(index, draft): (usize, &DestinationDraft<'_>)| {
        (draft.binding.destination.id.clone(), index)
    };
    let by_id = destinations.iter().enumerate().map(destination).collect();
    let with_id = |route: Route| (route.id.clone(), route);
    let named = |draft: &DestinationDraft<'_>| {
        let id = draft.binding.destination.id.clone();
        Some((id, (draft.file.to_owned(), draft.replies_at?)))
    };
    let replies_at = destinations.iter().filter_map(named).collect();
    RouteSet {
        routes: routes
            .into_iter()
            .map(|draft| with_id(draft.route))
            .collect(),
        by_procedure,
        bindings: destinations
            .into_iter()
            .map(|draft| draft.binding)
            .collect(),
        by_reach,
        by_id,
        replies_at,
        digest: String::new(),
        warnings: Vec::new(),
    }
}
