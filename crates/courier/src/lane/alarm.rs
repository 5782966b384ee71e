//! How much of the time for a step has passed while its delivery has not arrived.

use calendar::{Calendar, WorkingTime};

use super::Lane;
use crate::entry::{Entry, Millis};

/// So much of a delivery's budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// The delivery, with the new level in it.
    pub(crate) entry: Entry,
    /// 50, 80 or 100.
    pub(crate) percent: u8,
    /// When that level was reached.
    pub(crate) at: Millis,
}

/// So many are told at once; the others follow at once.
const AT_ONCE: usize = 256;
/// Levels at which somebody is told.
const LEVELS: [u8; 3] = [50, 80, 100];

// === impl Lane ===

impl Lane {
    /// The alarms that are due; each level of each delivery once.
    pub(crate) fn take_alarms(&mut self, now: Millis) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        while alarms.len() < AT_ONCE
            && let Some(mut entry) = self.line.due_alarm(now)
        {
            let reached = |level: &u8| reached_at(&self.setup.calendar, &entry, *level) <= now;
            let mut passed = LEVELS.into_iter().filter(|level| *level > entry.announced);
            // After a long absence the highest level alone is told.
            let Some(percent) = passed.rfind(reached) else {
                self.line.set_alarm(entry.id, None, entry.announced);
                continue;
            };
            let at = reached_at(&self.setup.calendar, &entry, percent);
            entry.announced = percent;
            alarms.push(Alarm { entry, percent, at });
            let next = self.next_level(&entry);
            self.line.set_alarm(entry.id, next, percent);
        }
        alarms
    }

    /// An alarm could not be told: it is due again soon.
    pub(crate) fn tell_later(&mut self, alarm: &Alarm, at: Millis) {
        let before = LEVELS.into_iter().rfind(|level| *level < alarm.percent);
        self.line
            .set_alarm(alarm.entry.id, Some(at), before.unwrap_or(0));
    }

    /// What had passed before a delivery came here is nothing to tell.
    pub(super) fn plan_alarm(&mut self, entry: &Entry, now: Millis) {
        let mut entry = *entry;
        if entry.tries == 0 && entry.announced == 0 {
            let reached = |level: &u8| reached_at(&self.setup.calendar, &entry, *level) <= now;
            let passed = LEVELS.into_iter().rfind(reached);
            entry.announced = passed.unwrap_or(0);
        }
        let next = self.next_level(&entry);
        self.line.set_alarm(entry.id, next, entry.announced);
    }

    fn next_level(&self, entry: &Entry) -> Option<Millis> {
        let next = LEVELS.into_iter().find(|level| *level > entry.announced)?;
        Some(reached_at(&self.setup.calendar, entry, next))
    }
}

/// When so much of the working time from opening to deadline has passed.
fn reached_at(calendar: &Calendar, entry: &Entry, percent: u8) -> Millis {
    if percent >= 100 {
        return entry.due_at;
    }
    let opened = entry.opened_at.timestamp();
    let total = calendar
        .budget(opened, entry.due_at.timestamp())
        .as_seconds();
    let part = WorkingTime::from_seconds(total.max(0) * i64::from(percent) / 100);
    calendar
        .add(opened, part)
        .map_or(entry.due_at, Millis::from)
        .min(entry.due_at)
}
