//! What a case's timeline proves: order, sameness, and when the case ended.

use domain::{EventKind, Fact, History};
use jiff::Timestamp;
use proto::v1::TimelineEntry;

use super::recording::{Case, Entry};

/// What the tracker's timeline of one case shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// Its events are listed and were taken in the recorded order.
    pub(super) in_order: bool,
    /// An event is listed with another word or time, or came with another body.
    pub(super) is_changed: bool,
    /// When the case ended, folded from its statuses.
    pub(super) ended_at: Option<Timestamp>,
}

/// How an end stands to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Against {
    /// No limit is known.
    NoLimit,
    /// Ended by then, or not over yet.
    InTime,
    /// Ended after it.
    Late,
    /// Not ended, and the limit had passed when the log ended.
    OpenPast,
}

/// Where the log put an event: partition and offset.
pub(super) type Position = (i32, i64);

// === impl Trace ===

impl Trace {
    /// Compares what was sent, in its order, with the timeline that came back. `positions` are those
    /// of the sent events, where known.
    pub(super) fn of(
        sent: &[&Entry],
        positions: &[Option<Position>],
        timeline: &[TimelineEntry],
    ) -> Self {
        let source = sent.first().map_or("", |entry| entry.event.source.as_str());
        let ours = |entry: &&TimelineEntry| {
            entry.who == source && sent.iter().any(|sent| sent.event.id.as_str() == entry.id)
        };
        let (listed, conflicts): (Vec<_>, Vec<_>) = timeline
            .iter()
            .filter(ours)
            .partition(|entry| entry.what != "conflict");
        let there = |sent: &&&Entry| listed.iter().any(|l| l.id == sent.event.id.as_str());
        let expected: Vec<_> = sent.iter().filter(there).collect();
        let same_order = expected.len() == listed.len()
            && expected
                .iter()
                .zip(&listed)
                .all(|(sent, l)| l.id == sent.event.id.as_str());
        let is_changed = listed
            .iter()
            .any(|l| !sent.iter().any(|sent| is_same(sent, l)));
        let recorded = |entry: &&TimelineEntry| entry.recorded_at.map(|at| (at.seconds, at.nanos));
        Self {
            in_order: same_order
                && listed.is_sorted_by_key(recorded)
                && is_rising(positions.iter().flatten()),
            is_changed: is_changed || !conflicts.is_empty(),
            ended_at: ended_at(&listed),
        }
    }
}

fn is_same(sent: &Entry, listed: &TimelineEntry) -> bool {
    sent.event.id.as_str() == listed.id
        && sent.event.kind.word() == listed.what
        && Some(sent.event.time) == time(listed)
}

/// One partition, offsets that rise.
fn is_rising<'a>(positions: impl Iterator<Item = &'a Position>) -> bool {
    let mut last: Option<Position> = None;
    for position in positions {
        if last.is_some_and(|last| last.0 != position.0 || last.1 >= position.1) {
            return false;
        }
        last = Some(*position);
    }
    true
}

fn time(entry: &TimelineEntry) -> Option<Timestamp> {
    let at = entry.at?;
    Timestamp::new(at.seconds, at.nanos).ok()
}

fn ended_at(listed: &[&TimelineEntry]) -> Option<Timestamp> {
    let mut history = History::default();
    let mut last = None;
    for entry in listed {
        let status = EventKind::from_word(&entry.what)
            .ok()
            .and_then(EventKind::status);
        let Some((at, status)) = time(entry).zip(status) else {
            continue;
        };
        // A history is bounded; a status that repeats the last one says nothing new.
        if last.replace(status) != Some(status) {
            history.insert(Fact { at, status });
        }
    }
    history.fold()?.ended_at
}

// === impl Against ===

impl Against {
    /// `log_ends_at`: by when an open case is judged.
    pub(super) fn of(
        ended_at: Option<Timestamp>,
        limit: Option<Timestamp>,
        log_ends_at: Option<Timestamp>,
    ) -> Self {
        match (limit, ended_at) {
            (None, _) => Self::NoLimit,
            (Some(limit), Some(ended_at)) if ended_at > limit => Self::Late,
            (Some(limit), None) if log_ends_at.is_some_and(|end| end > limit) => Self::OpenPast,
            (Some(_), _) => Self::InTime,
        }
    }

    /// Against the case's own deadline and against its planned end.
    pub(super) fn both(
        case: &Case,
        ended_at: Option<Timestamp>,
        log_ends_at: Option<Timestamp>,
    ) -> [Self; 2] {
        [case.deadline, case.planned].map(|limit| Self::of(ended_at, limit, log_ends_at))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::recording::tests::{LOG, read},
        *,
    };

    /// The timeline as the tracker would tell it.
    pub(in super::super) fn timeline(sent: &[&Entry]) -> Vec<TimelineEntry> {
        let tell = |(place, entry): (usize, &&Entry)| TimelineEntry {
            at: Some(proto::timestamp_to_wire(entry.event.time)),
            recorded_at: Some(prost_types::Timestamp {
                seconds: place as i64,
                nanos: 0,
            }),
            what: entry.event.kind.word().to_owned(),
            who: entry.event.source.to_string(),
            step: String::new(),
            detail: String::new(),
            id: entry.event.id.to_string(),
        };
        let mut timeline: Vec<_> = sent.iter().enumerate().map(tell).collect();
        timeline.push(TimelineEntry {
            what: "fact-kept".to_owned(),
            who: "lienthong".to_owned(),
            ..timeline[0].clone()
        });
        timeline
    }

    /// Case `a` of the sample: accepted, in process, noted, processed.
    #[track_caller]
    fn check(
        change: impl FnOnce(&mut Vec<TimelineEntry>),
        in_order: bool,
        is_changed: bool,
    ) -> Trace {
        let recording = read(LOG);
        let sent: Vec<_> = recording.by_case()[1]
            .iter()
            .map(|p| &recording.entries[*p])
            .collect();
        let positions: Vec<_> = (0..4).map(|offset| Some((0, 10 + offset))).collect();
        let mut timeline = timeline(&sent);
        change(&mut timeline);
        let trace = Trace::of(&sent, &positions, &timeline);
        assert_eq!((trace.in_order, trace.is_changed), (in_order, is_changed));
        trace
    }

    #[test]
    fn a_timeline_as_sent_is_in_order_and_tells_the_end() {
        let trace = check(|_| {}, true, false);
        assert_eq!(
            trace.ended_at,
            Some("2026-01-07T00:00:00Z".parse().unwrap())
        );
    }

    #[test]
    fn a_missing_event_is_no_disorder() {
        let trace = check(|timeline| drop(timeline.remove(3)), true, false);
        assert_eq!(trace.ended_at, None);
    }

    #[test]
    fn disorder_shows_in_the_list_and_in_the_times_of_arrival() {
        check(|timeline| timeline.swap(1, 2), false, false);
        check(
            |timeline| timeline[2].recorded_at = timeline[0].recorded_at,
            false,
            false,
        );
        check(|timeline| timeline.push(timeline[2].clone()), false, false);
    }

    #[test]
    fn another_word_time_or_body_is_a_change() {
        check(|timeline| timeline[1].what = "noted".to_owned(), true, true);
        check(|timeline| timeline[1].at = None, true, true);
        let conflict = |timeline: &mut Vec<TimelineEntry>| {
            let entry = TimelineEntry {
                what: "conflict".to_owned(),
                ..timeline[1].clone()
            };
            timeline.push(entry);
        };
        check(conflict, true, true);
    }

    #[test]
    fn offsets_of_a_case_rise_in_one_partition() {
        assert!(is_rising([(1, 4), (1, 5), (1, 9)].iter()));
        assert!(!is_rising([(1, 4), (1, 4)].iter()));
        assert!(!is_rising([(1, 4), (2, 5)].iter()));
    }

    #[test]
    fn late_is_after_the_limit_and_open_cases_are_judged_by_the_end_of_the_log() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let end = at(100);
        assert_eq!(Against::of(at(51), at(50), end), Against::Late);
        assert_eq!(Against::of(at(50), at(50), end), Against::InTime);
        assert_eq!(Against::of(None, at(50), end), Against::OpenPast);
        assert_eq!(Against::of(None, at(150), end), Against::InTime);
        assert_eq!(Against::of(at(51), None, end), Against::NoLimit);
    }
}
