//! Windows in which a destination takes nothing, against the legal limits that run through it.

use std::collections::BTreeMap;

use calendar::{Calendar, WorkingTime};
use domain::Terms;
use jiff::{SignedDuration, Timestamp};

use crate::destination_draft::DestinationDraft;
use crate::route::{Route, Step, UnitRule};
use crate::{DestinationBinding, Provinces, Validity, Warning};

/// A span in which a destination takes nothing, of one announced outage or of several that meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: Timestamp,
    to: Timestamp,
    /// The index of the outage with which it begins.
    outage: usize,
}

/// A limit that ends before the window does in which it began.
struct Conflict<'a> {
    window: Window,
    /// How much working time the window takes.
    takes: WorkingTime,
    limit: Limit<'a>,
    due: Timestamp,
}

/// A step that goes to the destination.
#[derive(Clone, Copy)]
struct Limit<'a> {
    route: &'a Route,
    step: &'a Step,
}

/// What to say about one destination and the routes that lead to it.
pub(crate) fn warnings<'a>(
    draft: &DestinationDraft<'_>,
    routes: impl Iterator<Item = &'a Route>,
    calendar: &Calendar,
) -> Vec<Warning> {
    let binding = &draft.binding;
    let terms = &binding.destination.terms;
    if terms.outages.is_empty() {
        return Vec::new();
    }
    let limits = limits(binding, routes);
    let mut by_outage: BTreeMap<usize, (Conflict<'_>, usize)> = BTreeMap::new();
    for window in windows(terms, binding.valid, calendar) {
        if let Some(conflict) = conflict(window, &limits, calendar) {
            let entry = by_outage.entry(window.outage);
            entry.or_insert((conflict, 0)).1 += 1;
        }
    }
    let warning = |(outage, (conflict, count)): (&usize, &(Conflict<'_>, usize))| {
        Some(Warning {
            file: draft.file.to_owned(),
            position: *draft.outages_at.get(*outage)?,
            found: words(conflict, *count, draft, calendar),
        })
    };
    by_outage.iter().filter_map(warning).collect()
}

/// All windows that begin while the binding and the calendar hold, in order. Those that meet are one. A
/// destination that is only there in its office hours stays away until it opens.
fn windows(terms: &Terms, valid: Validity, calendar: &Calendar) -> Vec<Window> {
    let days = Validity {
        from: calendar.valid_from(),
        until: Some(calendar.valid_until()),
    };
    let Some(days) = days.intersection(&valid) else {
        return Vec::new();
    };
    let offset = calendar.offset();
    let midnight = offset.to_timestamp(days.from.to_datetime(jiff::civil::Time::midnight()));
    let Ok(before) = midnight.map(|midnight| midnight - SignedDuration::from_nanos(1)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (outage, away) in terms.outages.iter().enumerate() {
        let mut at = before;
        while let Some(from) = away.when.next_start(at, offset)
            && days.contains(calendar.date_of(from))
            && let Some(to) = away.when.closes(from, offset)
        {
            let opening = calendar
                .next_open(to)
                .ok()
                .filter(|_| terms.office_hours_only);
            let to = opening.unwrap_or(to);
            all.push(Window { from, to, outage });
            at = from;
        }
    }
    all.sort_by_key(|window| window.from);
    merge(all)
}

fn merge(windows: Vec<Window>) -> Vec<Window> {
    let mut merged: Vec<Window> = Vec::new();
    for window in windows {
        match merged.last_mut() {
            Some(last) if window.from <= last.to => last.to = last.to.max(window.to),
            _ => merged.push(window),
        }
    }
    merged
}

fn limits<'a>(
    binding: &DestinationBinding,
    routes: impl Iterator<Item = &'a Route>,
) -> Vec<Limit<'a>> {
    let only_units = match &binding.serves.provinces {
        Provinces::All => false,
        Provinces::Only(provinces) => provinces.is_empty(),
    };
    let goes_here = |step: &&Step| {
        step.agency == binding.role && !(only_units && step.unit == UnitRule::Province)
    };
    let of_route = |route: &'a Route| {
        let steps = route.steps.iter().filter(goes_here);
        steps
            .map(move |step| Limit { route, step })
            .collect::<Vec<_>>()
    };
    routes.flat_map(of_route).collect()
}

/// The limit that ends first of those that begin with the window, if it ends before the window does. A limit
/// ends in working time, of which it has some: a window that takes none never conflicts.
fn conflict<'a>(window: Window, limits: &[Limit<'a>], calendar: &Calendar) -> Option<Conflict<'a>> {
    let day = calendar.date_of(window.from);
    let in_force = limits
        .iter()
        .filter(|limit| limit.route.valid.contains(day));
    let due = |limit: &Limit<'a>| {
        let Step {
            within, cut_off, ..
        } = limit.step;
        let due = calendar.deadline(window.from, within, *cut_off).ok()?;
        Some((*limit, due))
    };
    let (limit, due) = in_force.filter_map(due).min_by_key(|(_, due)| *due)?;
    (due < window.to).then(|| Conflict {
        window,
        takes: calendar.budget(window.from, window.to),
        limit,
        due,
    })
}

fn words(
    conflict: &Conflict<'_>,
    count: usize,
    draft: &DestinationDraft<'_>,
    calendar: &Calendar,
) -> String {
    let Conflict {
        window,
        takes,
        limit,
        due,
    } = conflict;
    let clock = |t: Timestamp| calendar.offset().to_datetime(t).strftime("%Y-%m-%d %H:%M");
    let others = match count {
        1 => String::new(),
        _ => format!(" (the first of {count} such windows)"),
    };
    format!(
        "the window {} to {}{others} of destination `{}` takes {takes} of working time; step `{}` of route `{}` has a \
         limit of `{}`, which ends at {} when it begins with the window",
        clock(window.from),
        clock(window.to),
        draft.binding.destination.id,
        limit.step.id,
        limit.route.id,
        limit.step.within,
        clock(*due),
    )
}
