use std::collections::{BTreeMap, BTreeSet};

use calendar::Calendars;
use domain::{CalendarId, ProcedureCode, RouteId, StepId};
use jiff::civil::Time;

use crate::at::At;
use crate::check::{CLOCK, CODE, Check, SLUG, clock, date, list};
use crate::cycle;
use crate::problem::Position;
use crate::role::AgencyRole;
use crate::route::{Alias, Boundary, BoundaryPolicy, Route, Step, Text, UnitRule};
use crate::route_file::{AliasFile, BoundaryFile, RouteFile, StepFile, TextFile};
use crate::validity::Validity;

const WITHIN: &str =
    "a time limit like `same day`, `4 working hours`, `2 working days`, `5 days` or `1 month`";
const POLICY: &str = "one of `strict`, `province`, `national`";
const UNIT: &str = "one of `competent`, `receiving`, `province`";

/// A route version that is valid by itself, with the places that later checks need.
pub(crate) struct RouteDraft<'a> {
    pub(crate) file: &'a str,
    pub(crate) at: Position,
    pub(crate) route: Route,
    /// Each code with its days of receipt.
    pub(crate) codes: Vec<(ProcedureCode, Validity, Position)>,
    /// Where each step names its agency.
    pub(crate) agencies: Vec<Position>,
}

/// Reads one version; `None` when a problem was found.
pub(crate) fn read<'a>(
    file: &'a str,
    raw: &At<RouteFile>,
    calendars: &Calendars,
    check: &mut Check<'_>,
) -> Option<RouteDraft<'a>> {
    let At {
        value: raw,
        position: at,
    } = raw;
    let at = *at;
    check.about("route", raw.route.as_ref());
    let name = check.needed("route", raw.route.as_ref(), at, SLUG);
    let id =
        name.and_then(|name| check.value("route", name, SLUG, |text| text.parse::<StepId>().ok()));
    let title = text(
        check,
        "title",
        raw.title.as_ref(),
        at,
        "what the citizen asks for",
    );
    let valid = check.validity(raw.valid.as_ref(), at);
    let boundary = boundary(check, raw.boundary.as_ref(), at);
    let calendar = self::calendar(check, raw.calendar.as_ref(), at, calendars);
    let within = check.parsed("within", raw.within.as_ref(), at, WITHIN);
    let cut_off = cut_off(check, raw.cut_off.as_ref());
    let basis = "what the limit of the whole dossier rests on: decree and article";
    let legal_basis = check.words("legal_basis", raw.legal_basis.as_ref(), at, basis);
    let codes = codes(check, raw, at, valid);
    let cut_off = cut_off?;
    let steps = steps(check, raw, at, cut_off);

    let (valid, codes, steps) = (valid?, codes?, steps?);
    let route_id: RouteId = format!("{}@{}", id?, valid.from).parse().ok()?;
    let (steps, agencies) = steps.into_iter().unzip();
    Some(RouteDraft {
        file,
        at: name?.position,
        route: Route {
            id: route_id,
            title: title?,
            procedures: codes.procedures,
            aliases: codes.aliases,
            valid,
            boundary: boundary?,
            calendar: calendar?,
            within: within?,
            cut_off,
            legal_basis: legal_basis?,
            steps,
        },
        codes: codes.all,
        agencies,
    })
}

struct Codes {
    procedures: Vec<ProcedureCode>,
    aliases: Vec<Alias>,
    all: Vec<(ProcedureCode, Validity, Position)>,
}

fn codes(
    check: &mut Check<'_>,
    raw: &RouteFile,
    at: Position,
    valid: Option<Validity>,
) -> Option<Codes> {
    if raw.procedures.is_empty() {
        check.problem(at, "`procedures` is missing or empty", CODE);
    }
    let mut codes = Codes {
        procedures: Vec::new(),
        aliases: Vec::new(),
        all: Vec::new(),
    };
    let mut complete = !raw.procedures.is_empty();
    for text in &raw.procedures {
        let code = check.value("procedures", text, CODE, base_code);
        complete &= code.is_some();
        if let (Some(code), Some(valid)) = (code, valid) {
            codes.procedures.push(code.clone());
            codes.all.push((code, valid, text.position));
        }
    }
    for raw in &raw.aliases {
        let found = alias(check, raw, valid);
        complete &= found.is_some();
        if let Some((alias, position)) = found {
            codes.all.push((alias.code.clone(), alias.valid, position));
            codes.aliases.push(alias);
        }
    }
    complete.then_some(codes)
}

fn alias(
    check: &mut Check<'_>,
    raw: &At<AliasFile>,
    valid: Option<Validity>,
) -> Option<(Alias, Position)> {
    let At {
        value: raw,
        position: at,
    } = raw;
    let text = check.needed("aliases.code", raw.code.as_ref(), *at, CODE);
    let code = text.and_then(|text| check.value("aliases.code", text, CODE, base_code));
    let from = match &raw.from {
        Some(text) => Some(check.value("aliases.from", text, crate::check::DATE, date)?),
        None => None,
    };
    let until = check.until(raw.until.as_ref(), from);
    let (text, code, until, valid) = (text?, code?, until?, valid?);
    let days = Validity {
        from: from.unwrap_or(valid.from),
        until,
    };
    let inside = valid.intersection(&days);
    // An alias that begins after its last day has no days either: `from` may come from the version.
    let inside = inside.filter(|inside| inside.until.is_none_or(|until| inside.from <= until));
    let Some(inside) = inside else {
        let found = format!("alias `{code}` has no day in common with its version");
        check.problem(*at, &found, format!("days {valid}"));
        return None;
    };
    let alias = Alias {
        code,
        valid: inside,
        note: raw.note.clone(),
    };
    Some((alias, text.position))
}

fn boundary(
    check: &mut Check<'_>,
    raw: Option<&At<BoundaryFile>>,
    parent: Position,
) -> Option<Boundary> {
    let At { value, position } = check.needed("boundary", raw, parent, "how far work may go")?;
    let policy = check.needed("boundary.policy", value.policy.as_ref(), *position, POLICY);
    let policy = policy.and_then(|text| check.value("boundary.policy", text, POLICY, policy_of));
    let law = "the law that says how far work may go";
    let basis = value.legal_basis.as_ref();
    let legal_basis = check.words("boundary.legal_basis", basis, *position, law);
    Some(Boundary {
        policy: policy?,
        legal_basis: legal_basis?,
    })
}

pub(crate) fn calendar(
    check: &mut Check<'_>,
    text: Option<&At<String>>,
    parent: Position,
    calendars: &Calendars,
) -> Option<CalendarId> {
    let known = list(calendars.iter().map(calendar::Calendar::id));
    let expected = format!("one of the calendars {known}");
    let text = check.needed("calendar", text, parent, &expected)?;
    let existing = |id: &str| {
        calendars
            .get(id)
            .and_then(|calendar| calendar.id().parse().ok())
    };
    check.value("calendar", text, &expected, existing)
}

fn steps(
    check: &mut Check<'_>,
    raw: &RouteFile,
    at: Position,
    cut_off: Option<Time>,
) -> Option<Vec<(Step, Position)>> {
    if raw.steps.is_empty() {
        check.problem(at, "`steps` is missing or empty", "at least one step");
        return None;
    }
    let ids: Vec<&At<String>> = raw
        .steps
        .iter()
        .filter_map(|s| s.value.id.as_ref())
        .collect();
    let mut sound = unique(check, &ids);
    let mut steps = Vec::new();
    for raw in &raw.steps {
        check.about("step", raw.value.id.as_ref());
        let after = after(check, &raw.value, &ids);
        match step(check, raw, after.clone().unwrap_or_default(), cut_off) {
            Some(step) => steps.push(step),
            None => sound = false,
        }
        sound &= after.is_some();
    }
    check.about("route", raw.route.as_ref());
    sound &= acyclic(check, raw);
    sound.then_some(steps)
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

fn acyclic(check: &mut Check<'_>, raw: &RouteFile) -> bool {
    let mut waits = BTreeMap::new();
    let mut places = BTreeMap::new();
    for step in &raw.steps {
        if let Some(id) = &step.value.id {
            let after = &step.value.after;
            let place = after.first().map_or(id.position, |first| first.position);
            waits.insert(
                id.value.as_str(),
                after.iter().map(|b| b.value.as_str()).collect(),
            );
            places.insert(id.value.as_str(), place);
        }
    }
    let Some(ring) = cycle::find(&waits) else {
        return true;
    };
    if let Some(place) = ring.first().and_then(|first| places.get(first)) {
        let way = ring
            .iter()
            .chain(ring.first())
            .copied()
            .collect::<Vec<_>>()
            .join(" → ");
        let found = format!("steps wait for each other: {way}");
        check.problem(*place, &found, "an order in which each step can open");
    }
    false
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

fn text(
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
fn cut_off(check: &mut Check<'_>, text: Option<&At<String>>) -> Option<Option<Time>> {
    match text {
        Some(text) => check.value("cut_off", text, CLOCK, clock).map(Some),
        None => Some(None),
    }
}

fn base_code(text: &str) -> Option<ProcedureCode> {
    let code: ProcedureCode = text.parse().ok()?;
    code.suffix().is_none().then_some(code)
}

fn policy_of(text: &str) -> Option<BoundaryPolicy> {
    match text {
        "strict" => Some(BoundaryPolicy::Strict),
        "province" => Some(BoundaryPolicy::Province),
        "national" => Some(BoundaryPolicy::National),
        _ => None,
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
