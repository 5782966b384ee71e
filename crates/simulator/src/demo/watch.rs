//! What the lanes went through while a demo was played, from looking at them again and again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proto::v1::Lane;
use serde::Serialize;

/// What one lane went through, as far as it was seen: between two looks much may happen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LaneReport {
    /// How often its breaker opened.
    pub breaker_opened: u64,
    /// For how many seconds of the pipeline's clock it held, by the reason's short word.
    pub held_seconds: BTreeMap<String, f64>,
    /// The most deliveries that were under way at once.
    pub highest_backlog: u64,
    /// How many it gave at once at least and at most, while it worked.
    pub limits: Option<(u64, u64)>,
    /// When it rested as a whole, at most [`LaneReport::MOST_RESTS`].
    pub rests: Vec<Rest>,
}

/// A time in which a lane rested as a whole, and how it caught up afterwards. Rests without a catch-up
/// between them are one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rest {
    /// The short word of the first reason.
    pub why: String,
    /// When it began.
    pub from: Timestamp,
    /// When the lane worked again.
    pub to: Option<Timestamp>,
    /// What had come together by then.
    pub backlog: u64,
    /// When nothing was due any more.
    pub caught_up_at: Option<Timestamp>,
}

/// All lanes.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(BTreeMap<String, Course>);

#[derive(Clone, Debug)]
struct Course {
    latest: Lane,
    seen_at: Timestamp,
    report: LaneReport,
}

/// Words of holds in which a lane rests as a whole.
const RESTS: [&str; 3] = ["announced-outage", "paused", "breaker"];
const BREAKER: &str = "breaker";

// === impl Watch ===

impl Watch {
    pub(super) fn see(&mut self, lanes: Vec<Lane>, now: Timestamp) {
        for lane in lanes {
            match self.0.get_mut(&lane.destination) {
                Some(course) => course.see(lane, now),
                None => {
                    self.0
                        .insert(lane.destination.clone(), Course::new(lane, now));
                }
            }
        }
    }

    /// How a lane stood at the last look.
    pub(super) fn latest(&self, destination: &str) -> Option<&Lane> {
        Some(&self.0.get(destination)?.latest)
    }

    /// Whether a lane works off what came together while it rested.
    pub(super) fn catches_up(&self, destination: &str) -> bool {
        let course = self.0.get(destination);
        course.is_some_and(|course| {
            let last = course.report.rests.last();
            last.is_some_and(|rest| rest.to.is_some() && rest.caught_up_at.is_none())
        })
    }

    pub(super) fn report(&self, destination: &str) -> Option<LaneReport> {
        Some(self.0.get(destination)?.report.clone())
    }
}

// === impl Course ===

impl Course {
    fn new(lane: Lane, now: Timestamp) -> Self {
        let mut course = Self {
            latest: Lane::default(),
            seen_at: now,
            report: LaneReport::default(),
        };
        course.see(lane, now);
        course
    }

    fn see(&mut self, lane: Lane, now: Timestamp) {
        let before = self.latest.hold_word.as_str();
        if !before.is_empty() {
            let held = self
                .report
                .held_seconds
                .entry(before.to_owned())
                .or_default();
            *held += now.duration_since(self.seen_at).as_secs_f64().max(0.0);
        }
        let opened = lane.hold_word == BREAKER && before != BREAKER;
        self.report.breaker_opened += u64::from(opened);
        let backlog = lane.queued + lane.in_flight + lane.waiting;
        self.report.highest_backlog = self.report.highest_backlog.max(backlog);
        if rests(&lane) {
            self.rests(&lane, now);
        } else {
            self.works(&lane, backlog, now);
        }
        self.latest = lane;
        self.seen_at = now;
    }

    fn rests(&mut self, lane: &Lane, now: Timestamp) {
        let rests = &mut self.report.rests;
        let has_room = rests.len() < LaneReport::MOST_RESTS;
        match rests.last_mut().filter(|last| last.caught_up_at.is_none()) {
            Some(last) => last.to = None,
            None if has_room => rests.push(Rest {
                why: lane.hold_word.clone(),
                from: now,
                to: None,
                backlog: 0,
                caught_up_at: None,
            }),
            None => {}
        }
    }

    fn works(&mut self, lane: &Lane, backlog: u64, now: Timestamp) {
        let (least, most) = self.report.limits.unwrap_or((lane.limit, lane.limit));
        self.report.limits = Some((least.min(lane.limit), most.max(lane.limit)));
        let last = self.report.rests.last_mut();
        let Some(last) = last.filter(|last| last.caught_up_at.is_none()) else {
            return;
        };
        if last.to.is_none() {
            last.to = Some(now);
            last.backlog = backlog;
        }
        if lane.queued == 0 {
            last.caught_up_at = Some(now);
        }
    }
}

fn rests(lane: &Lane) -> bool {
    RESTS.contains(&lane.hold_word.as_str())
}

// === impl LaneReport ===

impl LaneReport {
    /// How many rests are named.
    pub const MOST_RESTS: usize = 100;
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn lane(word: &str, queued: u64, limit: u64) -> Lane {
        Lane {
            destination: "tax".to_owned(),
            queued,
            in_flight: 1,
            hold_word: word.to_owned(),
            limit,
            ..Lane::default()
        }
    }

    #[test]
    fn a_rest_ends_with_its_catch_up() {
        let mut watch = Watch::default();
        let seen = [
            (0, "", 0, 16),
            (10, "breaker", 0, 16),
            (20, "breaker", 40, 16),
            (30, "", 60, 1),
            // It goes away again before it has caught up: the same rest.
            (32, "breaker", 50, 1),
            (40, "limit", 70, 1),
            (44, "limit", 30, 8),
            (50, "", 0, 16),
            (60, "announced-outage", 0, 16),
            (70, "announced-outage", 5, 16),
        ];
        for (minute, word, queued, limit) in seen {
            watch.see(vec![lane(word, queued, limit)], at(minute));
            let catches_up = (30..50).contains(&minute) && minute != 32;
            assert_eq!(watch.catches_up("tax"), catches_up, "{minute}");
        }
        let report = watch.report("tax").unwrap();
        assert_eq!(report.breaker_opened, 2);
        assert_eq!(report.highest_backlog, 71);
        assert_eq!(report.limits, Some((1, 16)));
        let held = |word: &str| report.held_seconds[word] / 60.0;
        assert_eq!(
            (held("breaker"), held("limit"), held("announced-outage")),
            (28.0, 10.0, 10.0)
        );
        let rest = Rest {
            why: "breaker".to_owned(),
            from: at(10),
            to: Some(at(40)),
            backlog: 71,
            caught_up_at: Some(at(50)),
        };
        let open = Rest {
            why: "announced-outage".to_owned(),
            from: at(60),
            to: None,
            backlog: 0,
            caught_up_at: None,
        };
        assert_eq!(report.rests, [rest, open]);
        assert_eq!(watch.report("nobody"), None);
    }
}
