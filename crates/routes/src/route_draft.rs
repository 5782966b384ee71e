use calendar::Calendars;
use domain::{CalendarId, ProcedureCode, RouteId, StepId};
use drafts::{At, Check, Position, SLUG, list};

use crate::route::{Alias, Boundary, BoundaryPolicy, Route};
use crate::route_file::{AliasFile, BoundaryFile, RouteFile};
use crate::step_draft::{self, WITHIN, cut_off, text};
use crate::times::{DATE, date};
use crate::validity::Validity;
use crate::validity_draft;

const CODE: &str = "a base code like `3.000722`";
const POLICY: &str = "one of `strict`, `province`, `national`";

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
    let valid = validity_draft::read(check, raw.valid.as_ref(), at);
    let boundary = boundary(check, raw.boundary.as_ref(), at);
    let calendar = self::calendar(check, raw.calendar.as_ref(), at, calendars);
    let within = check.parsed("within", raw.within.as_ref(), at, WITHIN);
    let cut_off = cut_off(check, raw.cut_off.as_ref());
    let basis = "what the limit of the whole dossier rests on: decree and article";
    let legal_basis = check.words("legal_basis", raw.legal_basis.as_ref(), at, basis);
    let codes = codes(check, raw, at, valid);
    let cut_off = cut_off?;
    let policy = boundary.as_ref().map(|boundary| boundary.policy);
    let steps = step_draft::read_all(check, raw, at, cut_off, policy);

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
    let procedures = check.list("procedures", raw.procedures.as_ref(), at, CODE);
    let mut codes = Codes {
        procedures: Vec::new(),
        aliases: Vec::new(),
        all: Vec::new(),
    };
    let mut complete = !procedures.is_empty();
    for text in procedures {
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
        Some(text) => Some(check.value("aliases.from", text, DATE, date)?),
        None => None,
    };
    let until = validity_draft::until(check, raw.until.as_ref(), from);
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
