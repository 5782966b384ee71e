use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use domain::{Canary, Endpoint, Envelope, Rate, Terms};
use drafts::{At, Check, Position, SLUG, slug};
use jiff::tz::Offset;

use crate::destination_file::DestinationFile;
use crate::source::Templates;
use crate::terms_file::{CanaryFile, EnvelopeFile, RateFile};
use crate::{destination_draft, outage_draft};

const PATH: &str = "a path like `/health`";
const ALLOW: &str = "`host:port`, `*.suffix:port` or `a.b.c.d/bits:port`";
const ACTION: &str = "the value of the `SOAPAction` header, in visible ASCII";
const TEMPLATE: &str = "the name of a UTF-8 file beside this one, at most 64 KiB";
const RATE: &str = "`per_second`, `per_working_hour` or both";

/// The terms of a destination, with the places that later checks need.
pub(crate) struct TermsDraft {
    pub(crate) terms: Terms,
    pub(crate) idempotent_at: Option<Position>,
    pub(crate) replies_at: Option<Position>,
    /// Where each of the outages stands.
    pub(crate) outages_at: Vec<Position>,
}

/// Reads what a destination says about terms; `None` when a problem was found.
pub(crate) fn read(
    check: &mut Check<'_>,
    raw: &DestinationFile,
    endpoint: Option<&Endpoint>,
    offset: Offset,
    templates: Templates<'_>,
) -> Option<TermsDraft> {
    let default = Terms::default();
    let fits = endpoint.is_none_or(|endpoint| fits(check, raw, endpoint));
    let rate = optional(raw.rate.as_ref(), |raw| rate(check, raw));
    let mut outages = Vec::new();
    for outage in &raw.outages {
        outages.extend(outage_draft::read(check, outage, offset));
    }
    let canary = optional(raw.canary.as_ref(), |raw| canary(check, raw));
    let replies = optional(raw.replies.as_ref(), |text| {
        check.value("replies", text, SLUG, slug)
    });
    let allow = allow(check, raw.allow.as_ref());
    let envelope = optional(raw.envelope.as_ref(), |raw| envelope(check, raw, templates));
    let complete = fits && outages.len() == raw.outages.len();
    let (outages, outages_at) = outages.into_iter().unzip();
    let bool_or = |raw: &Option<At<bool>>, default| raw.as_ref().map_or(default, |raw| raw.value);
    let terms = Terms {
        idempotent: bool_or(&raw.idempotent, default.idempotent),
        queryable: bool_or(&raw.queryable, default.queryable),
        rate: rate?.unwrap_or_default(),
        outages,
        office_hours_only: bool_or(&raw.office_hours_only, default.office_hours_only),
        canary: canary?,
        replies: replies?,
        allow: allow?,
        envelope: envelope?.unwrap_or_default(),
    };
    complete.then_some(TermsDraft {
        terms,
        idempotent_at: raw.idempotent.as_ref().map(|raw| raw.position),
        replies_at: raw.replies.as_ref().map(|raw| raw.position),
        outages_at,
    })
}

/// The outer `None` is a problem, the inner one a field that is not there.
fn optional<T, U>(
    raw: Option<&At<T>>,
    read: impl FnOnce(&At<T>) -> Option<U>,
) -> Option<Option<U>> {
    match raw {
        Some(raw) => read(raw).map(Some),
        None => Some(None),
    }
}

/// Whether the terms make sense at that endpoint.
fn fits(check: &mut Check<'_>, raw: &DestinationFile, endpoint: &Endpoint) -> bool {
    let queried = raw.queryable.as_ref().filter(|queryable| queryable.value);
    let canary = raw.canary.as_ref();
    let envelope = raw.envelope.as_ref().map(|raw| raw.position);
    let mut found: Vec<(Position, String, &str)> = Vec::new();
    match endpoint {
        Endpoint::Pull | Endpoint::Topic(_) => {
            let fields = [
                ("queryable: true", queried.map(|raw| raw.position)),
                ("canary", canary.map(|raw| raw.position)),
                ("allow", raw.allow.as_ref().map(|raw| raw.position)),
                ("envelope", envelope),
            ];
            for (field, at) in fields {
                let none_called = format!("`{field}` at `{endpoint}`, where nobody is called");
                found.extend(at.map(|at| (at, none_called, "this field to be left out")));
            }
        }
        Endpoint::GrpcStream(_) | Endpoint::GrpcUnary(_) => {
            if let Some(canary) = canary.filter(|raw| matches!(raw.value, CanaryFile::Get(_))) {
                let words = "`canary` is a GET, but the endpoint is a gRPC one".to_owned();
                found.push((canary.position, words, "`canary: health`"));
            }
            let words = "`envelope` at a gRPC endpoint, which takes no SOAP".to_owned();
            let expected = "an `http://` or `https://` endpoint, or no `envelope`";
            found.extend(envelope.map(|at| (at, words, expected)));
        }
        Endpoint::Http(_) => {
            if let Some(canary) = canary.filter(|raw| matches!(raw.value, CanaryFile::Health)) {
                let words = "`canary` is the gRPC health check, but the endpoint is an HTTP one";
                found.push((canary.position, words.to_owned(), "`canary: {get: /path}`"));
            }
            if let Some(queried) = queried.filter(|_| envelope.is_some()) {
                let words = "`queryable: true` with an `envelope`, which has no question for it";
                let expected = "only one of the two";
                found.push((queried.position, words.to_owned(), expected));
            }
        }
    }
    for (at, words, expected) in &found {
        check.problem(*at, words, *expected);
    }
    found.is_empty()
}

fn rate(check: &mut Check<'_>, raw: &At<RateFile>) -> Option<Rate> {
    let At {
        value: raw,
        position: at,
    } = raw;
    if raw.per_second.is_none() && raw.per_working_hour.is_none() {
        check.problem(*at, "`rate` names no number", RATE);
        return None;
    }
    let mut number = |field: &str, number: Option<&At<u32>>| {
        optional(number, |number| {
            destination_draft::count(check, field, Some(number), *at).and_then(NonZeroU32::new)
        })
    };
    let per_second = number("rate.per_second", raw.per_second.as_ref());
    let per_working_hour = number("rate.per_working_hour", raw.per_working_hour.as_ref());
    Some(Rate {
        per_second: per_second?,
        per_working_hour: per_working_hour?,
    })
}

fn canary(check: &mut Check<'_>, raw: &At<CanaryFile>) -> Option<Canary> {
    let get = match &raw.value {
        CanaryFile::Health => return Some(Canary::Health),
        CanaryFile::Get(get) => get.get.as_ref(),
    };
    let path = check.needed("canary.get", get, raw.position, PATH)?;
    let path = check.value("canary.get", path, PATH, |text| {
        let is_path = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic());
        is_path.then(|| text.to_owned())
    });
    path.map(Canary::Get)
}

fn allow(check: &mut Check<'_>, raw: Option<&At<Vec<At<String>>>>) -> Option<Vec<String>> {
    let Some(raw) = raw else {
        return Some(Vec::new());
    };
    let texts = check.list("allow", Some(raw), raw.position, ALLOW);
    let mut places = Vec::new();
    for text in texts {
        let place = |text: &str| is_place(text).then(|| text.to_owned());
        places.extend(check.value("allow", text, ALLOW, place));
    }
    (!texts.is_empty() && places.len() == texts.len()).then_some(places)
}

fn is_place(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+');
    let is_v6 = |text: &str| {
        let inside = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        inside.is_some_and(|inside| inside.parse::<Ipv6Addr>().is_ok())
    };
    let is_host = match (host.split_once('/'), host.strip_prefix("*.")) {
        (Some((network, bits)), _) => {
            network.parse::<Ipv4Addr>().is_ok()
                && bits.parse::<u8>().is_ok_and(|bits| bits <= 32)
                && !bits.starts_with('+')
        }
        (None, Some(suffix)) => is_name(suffix),
        (None, None) => is_v6(host) || host.parse::<Ipv4Addr>().is_ok() || is_name(host),
    };
    is_port && is_host
}

/// A name of the DNS; its last part is not a number, so that a mistaken address is no name.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(legal)
    };
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 253
        && text.split('.').all(is_label)
        && !text.rsplit('.').next().is_some_and(is_number)
}

fn envelope(
    check: &mut Check<'_>,
    raw: &At<EnvelopeFile>,
    templates: Templates<'_>,
) -> Option<Envelope> {
    let soap = "`soap: {action: NAME, template: file.xml}`";
    let soap = check.needed("envelope.soap", raw.value.soap.as_ref(), raw.position, soap)?;
    let (at, soap) = (soap.position, &soap.value);
    let action = check.needed("envelope.soap.action", soap.action.as_ref(), at, ACTION);
    let action = action.and_then(|text| {
        check.value("envelope.soap.action", text, ACTION, |text| {
            let visible = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            visible.then(|| text.to_owned())
        })
    });
    let name = soap.template.as_ref();
    let name = check.needed("envelope.soap.template", name, at, TEMPLATE)?;
    let is_plain = |text: &str| {
        let is_plain = !text.is_empty() && !text.starts_with('.') && !text.contains(['/', '\\']);
        is_plain.then_some(())
    };
    check.value("envelope.soap.template", name, TEMPLATE, is_plain)?;
    let template = templates(&name.value).map_err(|why| {
        let found = format!("`envelope.soap.template` is `{}`: {why}", name.value);
        check.problem(name.position, &found, TEMPLATE);
    });
    Some(Envelope::Soap {
        action: action?,
        template: template.ok()?,
    })
}
