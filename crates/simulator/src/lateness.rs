use std::{collections::BTreeMap, sync::Arc};

use calendar::{Calendar, Calendars, WorkingTime};
use jiff::Timestamp;
use proto::{
    timestamp_from_wire,
    v1::{DeadlineState, DeliveryState, Dossier, Step},
};

/// Says where a late dossier's time went, in the working time of who had it.
#[derive(Clone, Debug)]
pub(crate) struct Lateness {
    calendars: Arc<Calendars>,
    /// Calendar ids by destination.
    of: BTreeMap<String, String>,
}

// === impl Lateness ===

impl Lateness {
    pub(crate) const DEFAULT_CALENDAR: &'static str = "national-office";

    pub(crate) fn new(calendars: Arc<Calendars>, of: BTreeMap<String, String>) -> Self {
        Self { calendars, of }
    }

    /// The working time between two instants at a destination; plain time where no calendar is known.
    pub(crate) fn working(&self, destination: &str, from: Timestamp, to: Timestamp) -> WorkingTime {
        match self.calendar(destination) {
            Some(calendar) => calendar.budget(from, to),
            None => WorkingTime::from_seconds(to.duration_since(from).as_secs()),
        }
    }

    fn calendar(&self, destination: &str) -> Option<&Calendar> {
        let id = self.of.get(destination).map(String::as_str);
        self.calendars.get(id.unwrap_or(Self::DEFAULT_CALENDAR))
    }

    pub(crate) fn reason(&self, dossier: &Dossier) -> String {
        if !dossier.hold_reason.is_empty() {
            return format!("held: {}", dossier.hold_reason);
        }
        let late = |step: &&Step| {
            let deadline = step.deadline();
            deadline == DeadlineState::Missed || deadline == DeadlineState::Overdue
        };
        let latest = |step: &&Step| {
            let ended = step.ended_at.map(|at| (at.seconds, at.nanos));
            (late(step), ended.is_none(), ended)
        };
        match dossier.steps.iter().max_by_key(latest) {
            Some(step) => self.of_step(step),
            None => "no step was opened".to_owned(),
        }
    }

    fn of_step(&self, step: &Step) -> String {
        let at = |wire| timestamp_from_wire("step", wire).ok();
        let (id, destination) = (&step.id, &step.destination);
        let tries = match step.attempts {
            1 => "1 attempt".to_owned(),
            n => format!("{n} attempts"),
        };
        match step.delivery_state() {
            DeliveryState::Delivered => {}
            DeliveryState::Dead => {
                return format!("{id}: {destination} refused it for good ({tries})");
            }
            DeliveryState::Pending | DeliveryState::Unspecified => {
                return format!("{id}: {destination} has not taken it ({tries})");
            }
        }
        let (opened, delivered) = (at(step.opened_at), at(step.delivered_at));
        let due = at(step.due_at);
        let (Some(opened), Some(delivered), Some(due)) = (opened, delivered, due) else {
            return format!("{id}: at {destination}");
        };
        let allowed = self.working(destination, opened, due);
        let waited = self.working(destination, opened, delivered);
        let Some(ended) = at(step.ended_at) else {
            return format!(
                "{id}: {destination} has not answered; {allowed} of working time were allowed"
            );
        };
        let worked = self.working(destination, delivered, ended);
        if waited > worked {
            format!(
                "{id}: waited {waited} for {destination} ({tries}); {allowed} of working time were allowed"
            )
        } else {
            format!("{id}: {destination} worked {worked}; {allowed} of working time were allowed")
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proto::timestamp_to_wire;

    use super::*;
    use crate::test_support::monday;

    fn lateness() -> Lateness {
        let calendars = Arc::new(Calendars::built_in().unwrap());
        Lateness::new(calendars, BTreeMap::new())
    }

    /// A step opened at 09:00 that was due at 11:00; minutes after the opening.
    fn reason(delivered: Option<i64>, ended: Option<i64>) -> String {
        let at = |minutes| {
            Some(timestamp_to_wire(
                monday() + SignedDuration::from_mins(minutes),
            ))
        };
        let state = match delivered {
            Some(_) => DeliveryState::Delivered,
            None => DeliveryState::Pending,
        };
        let step = Step {
            id: "residence".to_owned(),
            destination: "police".to_owned(),
            attempts: 3,
            delivery_state: state.into(),
            deadline: DeadlineState::Missed.into(),
            opened_at: at(0),
            due_at: at(120),
            delivered_at: delivered.and_then(at),
            ended_at: ended.and_then(at),
            ..Step::default()
        };
        let dossier = Dossier {
            steps: vec![Step::default(), step],
            ..Dossier::default()
        };
        lateness().reason(&dossier)
    }

    #[test]
    fn the_reason_names_who_had_the_time() {
        assert_eq!(
            reason(Some(100), Some(140)),
            "residence: waited 1h 40m for police (3 attempts); 2h of working time were allowed"
        );
        assert_eq!(
            reason(Some(1), Some(141)),
            "residence: police worked 2h 20m; 2h of working time were allowed"
        );
        assert_eq!(
            reason(None, None),
            "residence: police has not taken it (3 attempts)"
        );
        assert_eq!(
            reason(Some(1), None),
            "residence: police has not answered; 2h of working time were allowed"
        );
    }

    #[test]
    fn a_hold_is_the_reason_where_there_is_one() {
        let dossier = Dossier {
            hold_reason: "no-route".to_owned(),
            ..Dossier::default()
        };
        assert_eq!(lateness().reason(&dossier), "held: no-route");
    }
}
