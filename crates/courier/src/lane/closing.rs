//! When a destination takes nothing by announcement: outages, and hours outside its office.

use calendar::Calendar;
use domain::Outage;

use crate::controls::Window;
use crate::entry::Millis;

/// What was announced for a destination.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    calendar: Calendar,
    outages: Vec<Outage>,
    office_hours_only: bool,
    /// Announced by operators.
    windows: Vec<Window>,
}

/// The destination is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// When it opens.
    pub(crate) until: Millis,
    /// Why, in words.
    pub(crate) reason: String,
}

/// Windows that touch are followed this far; then somebody looks again.
const MOST_LINKS: usize = 64;

// === impl Announced ===

impl Announced {
    pub(crate) fn new(calendar: Calendar, outages: Vec<Outage>, office_hours_only: bool) -> Self {
        Self {
            calendar,
            outages,
            office_hours_only,
            windows: Vec::new(),
        }
    }

    /// Takes the place of what operators announced before.
    pub(crate) fn set_windows(&mut self, windows: Vec<Window>) {
        self.windows = windows;
    }

    /// Whether it is closed now, and until when, spans that touch taken together.
    pub(crate) fn closed(&self, now: Millis) -> Option<Closed> {
        let mut closed = self.closed_by_one(now)?;
        for _ in 0..MOST_LINKS {
            match self.closed_by_one(closed.until) {
                Some(next) if next.until > closed.until => closed.until = next.until,
                _ => break,
            }
        }
        Some(closed)
    }

    fn closed_by_one(&self, at: Millis) -> Option<Closed> {
        let outage = || {
            let offset = self.calendar.offset();
            self.outages.iter().find_map(|outage| {
                let until = outage.when.closes(at.timestamp(), offset)?;
                Some(Closed {
                    until: until.into(),
                    reason: format!("announced outage: {}", outage.reason),
                })
            })
        };
        let window = || {
            let inside = |window: &&Window| (window.from..window.to).contains(&at);
            self.windows.iter().find(inside).map(|window| Closed {
                until: window.to,
                reason: format!("announced outage: {}", window.reason),
            })
        };
        let office = || {
            let closed = self.office_hours_only && !self.calendar.is_open(at.timestamp());
            let opens = || self.calendar.next_open(at.timestamp()).ok();
            let until = closed.then(opens)??;
            Some(Closed {
                until: until.into(),
                reason: "outside its office hours".to_owned(),
            })
        };
        outage().or_else(window).or_else(office)
    }
}

#[cfg(test)]
mod tests {
    use calendar::Calendars;
    use domain::OutageTime;

    use super::*;

    fn at(text: &str) -> Millis {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn announced(outages: Vec<Outage>, office_hours_only: bool) -> Announced {
        let calendars = Calendars::built_in().unwrap();
        let calendar = calendars.get("national-office").unwrap().clone();
        Announced::new(calendar, outages, office_hours_only)
    }

    fn once(from: &str, to: &str) -> Outage {
        Outage {
            when: OutageTime::Once {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
            },
            reason: "maintenance".to_owned(),
        }
    }

    #[test]
    fn spans_that_touch_are_one() {
        let outages = vec![
            once("2026-09-21T01:00:00Z", "2026-09-21T02:00:00Z"),
            once("2026-09-21T02:00:00Z", "2026-09-21T03:00:00Z"),
        ];
        let mut announced = announced(outages, false);
        announced.set_windows(vec![Window {
            from: at("2026-09-21T02:30:00Z"),
            to: at("2026-09-21T04:00:00Z"),
            reason: "by phone".parse().unwrap(),
        }]);
        let closed = announced.closed(at("2026-09-21T01:30:00Z")).unwrap();
        assert_eq!(closed.until, at("2026-09-21T04:00:00Z"));
        assert_eq!(closed.reason, "announced outage: maintenance");
        assert_eq!(announced.closed(at("2026-09-21T04:00:00Z")), None);
        assert_eq!(announced.closed(at("2026-09-21T00:59:59Z")), None);
    }

    #[test]
    fn an_outage_that_runs_into_the_night_ends_when_the_office_opens() {
        // Friday 16:00 to 19:00 in Vietnam; the office opens on Monday at 07:30.
        let outages = vec![once("2026-09-18T09:00:00Z", "2026-09-18T12:00:00Z")];
        let announced = announced(outages, true);
        let closed = announced.closed(at("2026-09-18T09:30:00Z")).unwrap();
        assert_eq!(closed.until, at("2026-09-21T00:30:00Z"));
        let lunch = announced.closed(at("2026-09-21T05:30:00Z")).unwrap();
        assert_eq!(lunch.reason, "outside its office hours");
    }
}
