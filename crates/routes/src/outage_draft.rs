use domain::{Outage, OutageTime};
use drafts::{At, Check, Position};
use jiff::Timestamp;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::Offset;

use crate::terms_file::OutageFile;
use crate::times::{CLOCK, clock};

const MOMENT: &str = "a moment like `2026-12-01T18:00`, on the clock of the destination's calendar";
const DAY: &str = "one of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`";

/// Reads one outage; `None` when a problem was found.
pub(crate) fn read(
    check: &mut Check<'_>,
    raw: &At<OutageFile>,
    offset: Offset,
) -> Option<(Outage, Position)> {
    let At {
        value: raw,
        position: at,
    } = raw;
    let when = match &raw.weekly {
        Some(days) => weekly(check, raw, days, *at),
        None => once(check, raw, *at, offset),
    };
    let why = "why it is away, for people";
    let reason = check.words("outages.reason", raw.reason.as_ref(), *at, why);
    let outage = Outage {
        when: when?,
        reason: reason?,
    };
    Some((outage, *at))
}

fn weekly(
    check: &mut Check<'_>,
    raw: &OutageFile,
    days: &At<Vec<At<String>>>,
    at: Position,
) -> Option<OutageTime> {
    let texts = check.list("outages.weekly", Some(days), at, DAY);
    let mut days = Vec::new();
    for text in texts {
        days.extend(check.value("outages.weekly", text, DAY, weekday));
    }
    let mut time = |field: &str, text: Option<&At<String>>| {
        let text = check.needed(field, text, at, CLOCK)?;
        check.value(field, text, CLOCK, clock)
    };
    let from = time("outages.from", raw.from.as_ref());
    let to = time("outages.to", raw.to.as_ref());
    let complete = !days.is_empty() && days.len() == texts.len();
    let (from, to) = (from?, to?);
    complete.then_some(OutageTime::Weekly { days, from, to })
}

fn once(
    check: &mut Check<'_>,
    raw: &OutageFile,
    at: Position,
    offset: Offset,
) -> Option<OutageTime> {
    let mut time = |field: &str, text: Option<&At<String>>| {
        let text = check.needed(field, text, at, MOMENT)?;
        check.value(field, text, MOMENT, |text| moment(text, offset))
    };
    let from = time("outages.from", raw.from.as_ref());
    let to = time("outages.to", raw.to.as_ref());
    let (from, to) = (from?, to?);
    if to <= from {
        let text = raw.to.as_ref()?;
        let found = format!("`outages.to` is `{}`", text.value);
        check.problem(text.position, &found, "a moment later than `from`");
        return None;
    }
    Some(OutageTime::Once { from, to })
}

/// `YYYY-MM-DDTHH:MM` and nothing looser.
fn moment(text: &str, offset: Offset) -> Option<Timestamp> {
    let local: DateTime = text.parse().ok().filter(|_| text.len() == 16)?;
    offset.to_timestamp(local).ok()
}

fn weekday(text: &str) -> Option<Weekday> {
    match text {
        "mon" => Some(Weekday::Monday),
        "tue" => Some(Weekday::Tuesday),
        "wed" => Some(Weekday::Wednesday),
        "thu" => Some(Weekday::Thursday),
        "fri" => Some(Weekday::Friday),
        "sat" => Some(Weekday::Saturday),
        "sun" => Some(Weekday::Sunday),
        _ => None,
    }
}
