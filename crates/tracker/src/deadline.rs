//! Legal deadlines: when they end, when they are at risk, and how they stand.

use std::collections::{BTreeMap, HashMap};

use calendar::{Calendar, Calendars, WorkingTime};
use domain::{CalendarId, DestinationId, RouteId};
use jiff::Timestamp;

/// The calendars by which the tracker counts.
#[derive(Clone, Debug)]
pub struct Clocks {
    by_destination: HashMap<DestinationId, Calendar>,
    by_route: HashMap<RouteId, Calendar>,
    usual: Calendar,
}

/// A calendar that is named is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no calendar `{calendar}`, which {user} needs: add its file or name another one")]
pub struct UnknownCalendar {
    /// The calendar.
    pub calendar: String,
    /// What is counted by it.
    pub user: String,
}

/// How a legal clock stands, as far as that does not depend on the present time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LegalClock {
    /// No deadline is known.
    #[default]
    Unknown,
    /// It runs.
    Running,
    /// It stands still: a supplement or a payment is awaited.
    Paused,
    /// Ended in time.
    Met,
    /// Ended after the deadline.
    Missed,
}

/// A deadline as counted from the facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    /// How the clock stands.
    pub clock: LegalClock,
    /// The deadline, closed pauses included.
    pub due_at: Option<Timestamp>,
    /// The last instant with a fifth of the working budget left.
    pub risk_at: Option<Timestamp>,
    /// When the work ended.
    pub ended_at: Option<Timestamp>,
}

/// The limit as it was set when the work began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) started_at: Timestamp,
    pub(crate) due_at: Timestamp,
}

/// How a deadline stands at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// No deadline is known.
    Unknown,
    /// Open, and time is left.
    OnTrack,
    /// Open, and less than a fifth of the working budget is left.
    AtRisk,
    /// Open, and the deadline has passed.
    Overdue,
    /// Ended in time.
    Met,
    /// Ended after the deadline.
    Missed,
    /// The clock stands still.
    Paused,
}

/// Pauses as [`domain::Fold`] gives them.
pub(crate) type Pauses<'a> = &'a [(Timestamp, Option<Timestamp>)];

// === impl Clocks ===

impl Clocks {
    /// The calendar of routes and destinations that are not named.
    pub const USUAL: &'static str = "national-office";

    /// Looks the calendars up.
    ///
    /// # Errors
    /// One of them is not there.
    pub fn new(
        calendars: &Calendars,
        of_destinations: &BTreeMap<DestinationId, CalendarId>,
        of_routes: &BTreeMap<RouteId, CalendarId>,
    ) -> Result<Self, UnknownCalendar> {
        let find = |calendar: &str, user: String| {
            let unknown = || UnknownCalendar {
                calendar: calendar.to_owned(),
                user,
            };
            calendars.get(calendar).cloned().ok_or_else(unknown)
        };
        let by_destination = of_destinations.iter().map(|(id, calendar)| {
            let user = format!("destination `{id}`");
            Ok((id.clone(), find(calendar.as_str(), user)?))
        });
        let by_route = of_routes.iter().map(|(id, calendar)| {
            let user = format!("route `{id}`");
            Ok((id.clone(), find(calendar.as_str(), user)?))
        });
        Ok(Self {
            by_destination: by_destination.collect::<Result<_, _>>()?,
            by_route: by_route.collect::<Result<_, _>>()?,
            usual: find(Self::USUAL, "every other route".to_owned())?,
        })
    }

    pub(crate) fn of_destination(&self, destination: &DestinationId) -> &Calendar {
        self.by_destination.get(destination).unwrap_or(&self.usual)
    }

    pub(crate) fn of_route(&self, route: &RouteId) -> &Calendar {
        self.by_route.get(route).unwrap_or(&self.usual)
    }

    pub(crate) fn usual(&self) -> &Calendar {
        &self.usual
    }
}

// === impl Deadline ===

impl Deadline {
    /// Counts a deadline.
    ///
    /// A pause that begins after the deadline moves nothing: the clock had run out. Where the
    /// calendar does not reach, the deadline stays as it was set, which is the stricter reading.
    pub(crate) fn count(
        calendar: &Calendar,
        limit: Option<Limit>,
        pauses: Pauses<'_>,
        ended_at: Option<Timestamp>,
    ) -> Self {
        let Some(limit) = limit else {
            return Self {
                ended_at,
                ..Self::default()
            };
        };
        let (due, paused) = lengthened(calendar, limit, pauses, ended_at);
        let fifth = calendar
            .budget(limit.started_at, limit.due_at)
            .as_seconds()
            .max(0)
            / 5;
        let risk = calendar
            .add(due, WorkingTime::from_seconds(-fifth))
            .unwrap_or(due);
        let clock = match ended_at {
            Some(end) if end <= due => LegalClock::Met,
            Some(_) => LegalClock::Missed,
            None if paused => LegalClock::Paused,
            None => LegalClock::Running,
        };
        Self {
            clock,
            due_at: Some(due),
            risk_at: Some(risk),
            ended_at,
        }
    }

    /// How it stands now.
    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.clock {
            LegalClock::Unknown => Standing::Unknown,
            LegalClock::Met => Standing::Met,
            LegalClock::Missed => Standing::Missed,
            LegalClock::Paused => Standing::Paused,
            LegalClock::Running if self.due_at.is_some_and(|due| now > due) => Standing::Overdue,
            LegalClock::Running if self.risk_at.is_some_and(|risk| now > risk) => Standing::AtRisk,
            LegalClock::Running => Standing::OnTrack,
        }
    }
}

/// The deadline after the closed pauses, and whether the clock stands still.
fn lengthened(
    calendar: &Calendar,
    limit: Limit,
    pauses: Pauses<'_>,
    ended_at: Option<Timestamp>,
) -> (Timestamp, bool) {
    let mut due = limit.due_at;
    let mut paused = false;
    for (from, to) in pauses {
        if *from > due {
            break;
        }
        match to.or(ended_at) {
            Some(to) => {
                let from = (*from).max(limit.started_at);
                due = calendar.resume(due, from, to).unwrap_or(due);
            }
            None => paused = true,
        }
    }
    (due, paused)
}

// === impl LegalClock ===

impl LegalClock {
    /// Every value, in the order of [`LegalClock::code`].
    pub(crate) const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Running,
        Self::Paused,
        Self::Met,
        Self::Missed,
    ];

    /// The number under which tables keep it.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::Running => 1,
            Self::Paused => 2,
            Self::Met => 3,
            Self::Missed => 4,
        }
    }

    pub(crate) fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|clock| clock.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 21 September 2026 is a Monday.
    fn at(text: &str) -> Timestamp {
        format!("2026-09-{text}:00+07:00").parse().unwrap()
    }

    fn office() -> Calendar {
        Calendars::built_in()
            .unwrap()
            .get(Clocks::USUAL)
            .unwrap()
            .clone()
    }

    fn count(pauses: Pauses<'_>, ended: Option<&str>) -> Deadline {
        let limit = Limit {
            started_at: at("21T08:00"),
            due_at: at("25T17:00"),
        };
        Deadline::count(&office(), Some(limit), pauses, ended.map(at))
    }

    #[track_caller]
    fn check(deadline: &Deadline, now: &str, expected: Standing) {
        assert_eq!(
            deadline.standing(at(now)),
            expected,
            "{deadline:?} at {now}"
        );
    }

    #[test]
    fn a_running_clock_passes_through_all_its_standings() {
        let deadline = count(&[], None);
        check(&deadline, "21T09:00", Standing::OnTrack);
        let risk = deadline.risk_at.unwrap();
        let left = office().budget(risk, at("25T17:00"));
        let whole = office().budget(at("21T08:00"), at("25T17:00"));
        assert_eq!(left.as_seconds(), whole.as_seconds() / 5);
        assert_eq!(deadline.standing(risk), Standing::OnTrack);
        let after = risk + jiff::SignedDuration::from_secs(1);
        assert_eq!(deadline.standing(after), Standing::AtRisk);
        check(&deadline, "25T17:00", Standing::AtRisk);
        check(&deadline, "25T17:01", Standing::Overdue);
    }

    #[test]
    fn ended_at_the_deadline_is_in_time() {
        check(&count(&[], Some("25T17:00")), "30T08:00", Standing::Met);
        check(&count(&[], Some("25T17:01")), "30T08:00", Standing::Missed);
    }

    #[test]
    fn a_pause_lengthens_by_its_working_time() {
        let pause = [(at("22T09:00"), Some(at("23T10:00")))];
        let deadline = count(&pause, None);
        let paused = office().between(at("22T09:00"), at("23T10:00")).unwrap();
        assert_eq!(deadline.due_at, office().add(at("25T17:00"), paused).ok());
        assert!(deadline.due_at > Some(at("28T00:00")));
        check(&count(&pause, Some("28T08:00")), "30T08:00", Standing::Met);
    }

    #[test]
    fn an_open_pause_stands_still_and_the_end_closes_it() {
        let open = [(at("24T09:00"), None)];
        check(&count(&open, None), "30T08:00", Standing::Paused);
        check(&count(&open, Some("29T09:00")), "30T08:00", Standing::Met);
    }

    #[test]
    fn a_pause_after_the_deadline_saves_nobody() {
        let late = [(at("28T09:00"), None)];
        check(&count(&late, None), "29T08:00", Standing::Overdue);
        let late = [(at("28T09:00"), Some(at("29T09:00")))];
        check(
            &count(&late, Some("29T10:00")),
            "30T08:00",
            Standing::Missed,
        );
    }

    #[test]
    fn without_a_limit_nothing_is_known() {
        let deadline = Deadline::count(&office(), None, &[], Some(at("21T09:00")));
        check(&deadline, "30T08:00", Standing::Unknown);
        assert_eq!(deadline.ended_at, Some(at("21T09:00")));
    }

    #[test]
    fn where_the_calendar_ends_the_deadline_stays() {
        let far: Timestamp = "2090-01-05T17:00:00+07:00".parse().unwrap();
        let limit = Limit {
            started_at: at("21T08:00"),
            due_at: far,
        };
        let pauses = [(at("22T09:00"), Some(at("23T10:00")))];
        let deadline = Deadline::count(&office(), Some(limit), &pauses, None);
        assert_eq!((deadline.due_at, deadline.risk_at), (Some(far), Some(far)));
    }

    #[test]
    fn a_missing_calendar_is_named() {
        let of = BTreeMap::from([("police-38".parse().unwrap(), "moon".parse().unwrap())]);
        let error =
            Clocks::new(&Calendars::built_in().unwrap(), &of, &BTreeMap::new()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no calendar `moon`, which destination `police-38` needs: add its file or name another one"
        );
    }

    #[test]
    fn codes_go_round() {
        for clock in LegalClock::ALL {
            assert_eq!(LegalClock::from_code(clock.code()), Some(clock));
        }
        assert_eq!(LegalClock::from_code(9), None);
    }
}
