use std::collections::BTreeSet;

use calendar::Calendars;
use domain::{Destination, ProvinceCode, RetrySteps, UnitCode};
use drafts::{At, Check, Position, SLUG};
use jiff::tz::Offset;
use territory::{TWO_TIER_SINCE, Territory};

use crate::binding::{DestinationBinding, Provinces, Reach, Serves};
use crate::destination_file::{DestinationFile, ProvincesFile, RetryFile, ServesFile};
use crate::route_draft::calendar;
use crate::source::Templates;
use crate::times::{DURATION, duration};
use crate::{terms_draft, validity_draft};

const ENDPOINT: &str = "`grpc://host:port`, `grpc+unary://host:port` or `http://host:port/path` (with TLS `grpcs`, \
                        `grpcs+unary`, `https`), `\"pull:\"` or `kafka:TOPIC`";
const SERVES: &str = "`provinces: all`, a list of provinces, or a list of units";
const AT_LEAST_ONE: &str = "a whole number from 1 on";

/// A destination that is valid by itself, with the places that later checks need.
pub(crate) struct DestinationDraft<'a> {
    pub(crate) file: &'a str,
    pub(crate) at: Position,
    pub(crate) binding: DestinationBinding,
    /// Where it says what it serves.
    pub(crate) reaches: Vec<(Reach, Position)>,
    /// Where it says whether it is idempotent.
    pub(crate) idempotent_at: Option<Position>,
    /// Where it names the rules for its replies.
    pub(crate) replies_at: Option<Position>,
    /// Where each of its outages stands.
    pub(crate) outages_at: Vec<Position>,
}

/// What destinations are read against.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) calendars: &'a Calendars,
    pub(crate) territory: &'a Territory,
    pub(crate) templates: Templates<'a>,
}

/// Reads one destination; `None` when a problem was found.
pub(crate) fn read<'a>(
    file: &'a str,
    raw: &At<DestinationFile>,
    known: Known<'_>,
    check: &mut Check<'_>,
) -> Option<DestinationDraft<'a>> {
    let At {
        value: raw,
        position: at,
    } = raw;
    let at = *at;
    check.about("destination", raw.id.as_ref());
    let id = check.parsed("id", raw.id.as_ref(), at, SLUG);
    let role = check.parsed("agency", raw.agency.as_ref(), at, SLUG);
    let agency = check.parsed("agency_id", raw.agency_id.as_ref(), at, SLUG);
    let endpoint = check.parsed("endpoint", raw.endpoint.as_ref(), at, ENDPOINT);
    let calendar = calendar(check, raw.calendar.as_ref(), at, known.calendars);
    let max_in_flight = count(check, "max_in_flight", raw.max_in_flight.as_ref(), at);
    let timeout = check.needed("timeout", raw.timeout.as_ref(), at, DURATION);
    let timeout = timeout.and_then(|text| check.value("timeout", text, DURATION, duration));
    let retry = retry(check, raw.retry.as_ref(), at);
    let valid = validity_draft::read(check, raw.valid.as_ref(), at);
    let offset = calendar
        .as_ref()
        .and_then(|id| known.calendars.get(id.as_str()))
        .map_or(Offset::UTC, calendar::Calendar::offset);
    let terms = terms_draft::read(check, raw, endpoint.as_ref(), offset, known.templates);
    let reaches = serves(check, raw.serves.as_ref(), at, known.territory)?;
    let terms = terms?;
    let destination = Destination {
        id: id?,
        agency: agency?,
        endpoint: endpoint?,
        calendar: calendar?,
        max_in_flight: max_in_flight?,
        timeout: timeout?,
        retry: retry?,
        terms: terms.terms,
    };
    Some(DestinationDraft {
        file,
        at: raw.id.as_ref()?.position,
        binding: DestinationBinding {
            destination,
            role: role?,
            serves: gather(&reaches),
            valid: valid?,
        },
        reaches,
        idempotent_at: terms.idempotent_at,
        replies_at: terms.replies_at,
        outages_at: terms.outages_at,
    })
}

pub(crate) fn count(
    check: &mut Check<'_>,
    field: &str,
    number: Option<&At<u32>>,
    parent: Position,
) -> Option<u32> {
    let number = check.needed(field, number, parent, AT_LEAST_ONE)?;
    if number.value == 0 {
        check.problem(number.position, &format!("`{field}` is 0"), AT_LEAST_ONE);
        return None;
    }
    Some(number.value)
}

fn retry(
    check: &mut Check<'_>,
    raw: Option<&At<RetryFile>>,
    parent: Position,
) -> Option<RetrySteps> {
    let example = "waits and attempts like `{steps: [\"1m\", \"15m\", \"1h\"], attempts: 12}`";
    let At {
        value: raw,
        position: at,
    } = check.needed("retry", raw, parent, example)?;
    let texts = check.list("retry.steps", raw.steps.as_ref(), *at, DURATION);
    let mut steps = Vec::new();
    for text in texts {
        steps.extend(check.value("retry.steps", text, DURATION, duration));
    }
    let max_attempts = count(check, "retry.attempts", raw.attempts.as_ref(), *at)?;
    let complete = !steps.is_empty() && steps.len() == texts.len();
    complete.then_some(RetrySteps {
        steps,
        max_attempts,
    })
}

fn serves(
    check: &mut Check<'_>,
    raw: Option<&At<ServesFile>>,
    parent: Position,
    territory: &Territory,
) -> Option<Vec<(Reach, Position)>> {
    let At {
        value: raw,
        position: at,
    } = check.needed("serves", raw, parent, SERVES)?;
    let province = |text: &str| province(territory, text);
    let unit = |text: &str| unit(territory, text);
    let mut reaches = Vec::new();
    let mut codes = raw.units.len();
    match &raw.provinces {
        ProvincesFile::All => reaches.push((Reach::All, *at)),
        ProvincesFile::Only(provinces) => {
            codes += provinces.len();
            for text in provinces {
                let known = "one of the 34 province codes";
                let code = check.value("serves.provinces", text, known, province);
                reaches.extend(code.map(|code| (Reach::Province(code), text.position)));
            }
        }
    }
    for text in &raw.units {
        let known = "the code of a unit in force since 2025-07-01";
        let code = check.value("serves.units", text, known, unit);
        reaches.extend(code.map(|code| (Reach::Unit(code), text.position)));
    }
    if codes == 0 && reaches.is_empty() {
        check.problem(*at, "`serves` names nothing", SERVES);
    }
    let complete = reaches
        .iter()
        .filter(|(reach, _)| *reach != Reach::All)
        .count()
        == codes;
    (complete && !reaches.is_empty()).then_some(reaches)
}

fn province(territory: &Territory, text: &str) -> Option<ProvinceCode> {
    let code: ProvinceCode = text.parse().ok()?;
    territory.province(code.as_str()).map(|_| code)
}

/// Destinations are asked for today's units, to which `territory` leads old codes.
fn unit(territory: &Territory, text: &str) -> Option<UnitCode> {
    let code: UnitCode = text.parse().ok()?;
    territory.unit(&code, TWO_TIER_SINCE).map(|_| code)
}

fn gather(reaches: &[(Reach, Position)]) -> Serves {
    let mut provinces = BTreeSet::new();
    let mut units = BTreeSet::new();
    let mut all = false;
    for (reach, _) in reaches {
        match reach {
            Reach::Unit(code) => {
                units.insert(*code);
            }
            Reach::Province(code) => {
                provinces.insert(*code);
            }
            Reach::All => all = true,
        }
    }
    let provinces = if all {
        Provinces::All
    } else {
        Provinces::Only(provinces)
    };
    Serves { provinces, units }
}
