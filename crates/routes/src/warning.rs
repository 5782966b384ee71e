use std::fmt;

use calendar::Calendars;

use crate::destination_draft::DestinationDraft;
use crate::route_draft::RouteDraft;
use crate::{Position, conflict};

/// Something in a destination file that is no mistake, but that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The name under which the file was read.
    pub file: String,
    /// Where in the file.
    pub position: Position,
    /// What was found, and what it leads to.
    pub found: String,
}

// === impl Warning ===

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.position, self.found)
    }
}

/// Everything that deserves a look, ordered by place.
pub(crate) fn gather(
    routes: &[RouteDraft<'_>],
    destinations: &[DestinationDraft<'_>],
    calendars: &Calendars,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for draft in destinations {
        warnings.extend(unsettled(draft));
        let routes = routes.iter().map(|draft| &draft.route);
        if let Some(calendar) = calendars.get(draft.binding.destination.calendar.as_str()) {
            warnings.extend(conflict::warnings(draft, routes, calendar));
        }
    }
    warnings.sort();
    warnings
}

/// An unknown outcome that only a person can settle.
fn unsettled(draft: &DestinationDraft<'_>) -> Option<Warning> {
    let destination = &draft.binding.destination;
    let position = draft.idempotent_at?;
    (!destination.terms.idempotent && !destination.terms.queryable).then(|| Warning {
        file: draft.file.to_owned(),
        position,
        found: format!(
            "destination `{}` is neither idempotent nor queryable: after an attempt without an answer, only a later \
             event or a person can tell what became of the delivery",
            destination.id
        ),
    })
}
