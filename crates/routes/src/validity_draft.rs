use drafts::{At, Check, Position};
use jiff::civil::Date;

use crate::route_file::ValidFile;
use crate::times::{DATE, date};
use crate::validity::Validity;

/// Reads the days of something; `None` when a problem was found.
pub(crate) fn read(
    check: &mut Check<'_>,
    raw: Option<&At<ValidFile>>,
    parent: Position,
) -> Option<Validity> {
    let example = "the first day, like `{from: 2026-09-01}`";
    let At {
        value: raw,
        position: at,
    } = check.needed("valid", raw, parent, example)?;
    let from = check.needed("valid.from", raw.from.as_ref(), *at, DATE)?;
    let from = check.value("valid.from", from, DATE, date);
    let until = until(check, raw.until.as_ref(), from);
    Some(Validity {
        from: from?,
        until: until?,
    })
}

/// The optional last day, which is not before the first.
pub(crate) fn until(
    check: &mut Check<'_>,
    text: Option<&At<String>>,
    from: Option<Date>,
) -> Option<Option<Date>> {
    let Some(text) = text else {
        return Some(None);
    };
    let day = check.value("until", text, DATE, date)?;
    if let Some(from) = from.filter(|from| day < *from) {
        let expected = format!("{from} or later, the first day being {from}");
        check.problem(text.position, &format!("`until` is {day}"), expected);
        return None;
    }
    Some(Some(day))
}
