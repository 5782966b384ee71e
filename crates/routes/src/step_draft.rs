use std::collections::{BTreeMap, BTreeSet};

use domain::StepId;
use drafts::{At, Check, Position, SLUG, list};
use jiff::civil::Time;

use crate::cycle;
use crate::role::AgencyRole;
use crate::route::{BoundaryPolicy, Step, Text, UnitRule};
use crate::route_file::{RouteFile, StepFile, TextFile};
use crate::times::{CLOCK, clock};

pub(crate) const WITHIN: &str =
    "a time limit like `same day`, `4 working hours`, `2 working days`, `5 days` or `1 month`";
const UNIT: &str = "one of `competent`, `receiving`, `province`";

/// Reads all steps of a version; `None` when a problem was found.
pub(crate) fn read_all(
    check: &mut Check<'_>,
    raw: &RouteFile,
    at: Position,
    cut_off: Option<Time>,
    policy: Option<BoundaryPolicy>,
) -> Option<Vec<(Step, Position)>> {
    let files = check.list("steps", raw.steps.as_ref(), at, "at least one step");
    if files.is_empty() {
        return None;
    }
    let ids: Vec<&At<String>> = files.iter().filter_map(|s| s.value.id.as_ref()).collect();
    let mut sound = unique(check, &ids);
    let mut steps = Vec::new();
    for file in files {
        check.about("step", file.value.id.as_ref());
        let after = after(check, &file.value, &ids);
        match step(check, file, after.clone().unwrap_or_default(), cut_off) {
            Some((step, agency)) => {
                sound &= stays_inside(check, &file.value, &step, policy);
                steps.push((step, agency));
            }
            None => sound = false,
        }
        sound &= after.is_some();
    }
    check.about("route", raw.route.as_ref());
    sound &= acyclic(check, files);
    sound.then_some(steps)
}

fn step(
    check: &mut Check<'_>,
    raw: &At<StepFile>,
    after: Vec<StepId>,
    route_cut_off: Option<Time>,
) -> Option<(Step, Position)> {
    let At {
        value: raw,
        position: at,
    } = raw;
    let at = *at;
    let id = check.parsed("id", raw.id.as_ref(), at, SLUG);
    let who = "the agency's role, one of the six clarities (who)";
    let agency = check.needed("agency", raw.agency.as_ref(), at, who);
    let role = agency
        .and_then(|text| check.value("agency", text, SLUG, |text| text.parse::<AgencyRole>().ok()));
    let unit = check.needed("unit", raw.unit.as_ref(), at, UNIT);
    let unit = unit.and_then(|text| check.value("unit", text, UNIT, unit_of));
    let task = text(
        check,
        "task",
        raw.task.as_ref(),
        at,
        "what is to be done, one of the six clarities (work)",
    );
    let when = format!("{WITHIN}, one of the six clarities (time)");
    let within = check.needed("within", raw.within.as_ref(), at, &when);
    let within =
        within.and_then(|text| check.value("within", text, WITHIN, |text| text.parse().ok()));
    let cut_off = cut_off(check, raw.cut_off.as_ref());
    let what = "what the step ends with, one of the six clarities (product)";
    let product = text(check, "product", raw.product.as_ref(), at, what);
    let whose = "who answers for it, one of the six clarities (responsibility)";
    let responsible = text(check, "responsible", raw.responsible.as_ref(), at, whose);
    let law = "decree and article, one of the six clarities (authority)";
    let legal_basis = check.words("legal_basis", raw.legal_basis.as_ref(), at, law);
    let inherited = route_cut_off.filter(|_| after.is_empty());
    let step = Step {
        id: id?,
        after,
        agency: role?,
        unit: unit?,
        task: task?,
        within: within?,
        cut_off: cut_off?.or(inherited),
        product: product?,
        responsible: responsible?,
        legal_basis: legal_basis?,
    };
    Some((step, agency?.position))
}

/// Work that may not leave the competent unit cannot go to the province above it.
fn stays_inside(
    check: &mut Check<'_>,
    raw: &StepFile,
    step: &Step,
    policy: Option<BoundaryPolicy>,
) -> bool {
    let leaves = step.unit == UnitRule::Province && policy == Some(BoundaryPolicy::Strict);
    if let Some(unit) = raw.unit.as_ref().filter(|_| leaves) {
        let found = "`unit` is `province`, but the boundary is `strict`, so that work may not leave the competent unit";
        let expected = "`competent`, or a `boundary.policy` of `province` or `national`";
        check.problem(unit.position, found, expected);
    }
    !leaves
}

fn after(check: &mut Check<'_>, raw: &StepFile, ids: &[&At<String>]) -> Option<Vec<StepId>> {
    let own = raw.id.as_ref().map(|id| id.value.as_str());
    let others: BTreeSet<&str> = ids.iter().map(|id| id.value.as_str()).collect();
    let mut after = Vec::new();
    let mut complete = true;
    for before in &raw.after {
        if others.contains(before.value.as_str()) {
            // A step id that is no slug is reported where it is defined.
            after.extend(before.value.parse::<StepId>().ok());
            continue;
        }
        let found = format!(
            "`after` names `{}`, which is no step of this route",
            before.value
        );
        let rest = others.iter().filter(|id| Some(**id) != own);
        let expected = format!("one of {}", list(rest));
        check.problem(before.position, &found, expected);
        complete = false;
    }
    complete.then_some(after)
}

fn unique(check: &mut Check<'_>, ids: &[&At<String>]) -> bool {
    let mut seen = BTreeMap::new();
    let mut unique = true;
    for id in ids {
        if let Some(first) = seen.insert(id.value.as_str(), id.position) {
            let found = format!("step `{}` is defined a second time", id.value);
            check.problem(
                id.position,
                &found,
                format!("an id other than that of line {}", first.line),
            );
            unique = false;
        }
    }
    unique
}

fn acyclic(check: &mut Check<'_>, files: &[At<StepFile>]) -> bool {
    let mut waits = BTreeMap::new();
    for At { value: step, .. } in files {
        if let Some(id) = &step.id {
            let after = step.after.iter().map(|before| before.value.as_str());
            waits.insert(id.value.as_str(), after.collect());
        }
    }
    let Some(ring) = cycle::find(&waits) else {
        return true;
    };
    // Each of the ring waits for the next one, the last for the first.
    let first = ring.first().copied();
    let next = ring.get(1).copied().or(first);
    let is_first =
        |step: &&At<StepFile>| step.value.id.as_ref().map(|id| id.value.as_str()) == first;
    let names_next = |before: &&At<String>| Some(before.value.as_str()) == next;
    let place = files
        .iter()
        .find(is_first)
        .and_then(|step| step.value.after.iter().find(names_next));
    if let Some(place) = place {
        let way: Vec<_> = ring.iter().chain(&first).copied().collect();
        let found = format!("steps wait for each other: {}", way.join(" → "));
        check.problem(
            place.position,
            &found,
            "an order in which each step can open",
        );
    }
    false
}

pub(crate) fn text(
    check: &mut Check<'_>,
    field: &str,
    raw: Option<&At<TextFile>>,
    parent: Position,
    expected: &str,
) -> Option<Text> {
    let At { value, position } = check.needed(field, raw, parent, expected)?;
    let vi = check.words(
        &format!("{field}.vi"),
        value.vi.as_ref(),
        *position,
        expected,
    );
    let en = check.words(
        &format!("{field}.en"),
        value.en.as_ref(),
        *position,
        expected,
    );
    Some(Text { vi: vi?, en: en? })
}

/// The outer `None` is a problem, the inner one no cut-off.
pub(crate) fn cut_off(check: &mut Check<'_>, text: Option<&At<String>>) -> Option<Option<Time>> {
    match text {
        Some(text) => check.value("cut_off", text, CLOCK, clock).map(Some),
        None => Some(None),
    }
}

fn unit_of(text: &str) -> Option<UnitRule> {
    match text {
        "competent" => Some(UnitRule::Competent),
        "receiving" => Some(UnitRule::Receiving),
        "province" => Some(UnitRule::Province),
        _ => None,
    }
}
