//! A recorded log as cases and events. Pure but for the reader that the rows come from.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
};

use domain::{DossierKey, Event, EventId, EventKind, ProcedureCode, UnitCode, UnitRef};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    mapping::{Mapping, Word},
    rows::{self, Row},
};

/// A log, ready to be published.
#[derive(Debug)]
pub(super) struct Recording {
    /// Rows read, the refused ones too.
    pub(super) rows: u64,
    /// The cases that have events.
    pub(super) cases: Vec<Case>,
    /// All events in the order of their times; at the same time in the order of the file, the end of
    /// a case after its activities.
    pub(super) entries: Vec<Entry>,
    /// Rows that cannot be sent.
    pub(super) refused: Vec<Refused>,
}

/// One case: one dossier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// Its key.
    pub(super) key: DossierKey,
    /// When it is planned to end.
    pub(super) planned: Option<Timestamp>,
    /// When it must end by law.
    pub(super) deadline: Option<Timestamp>,
}

/// One event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The event.
    pub(super) event: Event,
    /// Its case, by place in [`Recording::cases`].
    pub(super) case: usize,
    /// The line that it comes from.
    pub(super) line: u64,
    /// Whether it is made of the column of the case's end.
    pub(super) is_end: bool,
}

/// A row or an event that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refused {
    /// The line of the log.
    pub(super) line: u64,
    /// The column, or the event's field.
    pub(super) field: String,
    /// What is wrong with it.
    pub(super) reason: String,
}

/// Why a log cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordingError {
    /// A column is missing.
    #[error("no column `{column}`, which `{field}` of the mapping names; there are {found}")]
    NoColumn {
        /// The column.
        column: String,
        /// The field of the mapping.
        field: String,
        /// The columns that there are.
        found: String,
    },
    /// The rows cannot be read on.
    #[error("the rows cannot be read on")]
    Unreadable(#[from] csv::Error),
}

/// A case while its rows are read. Each time comes with the line that gave it.
pub(super) struct Draft {
    pub(super) key: DossierKey,
    pub(super) seen: u64,
    pub(super) planned: Option<(Timestamp, u64)>,
    pub(super) deadline: Option<(Timestamp, u64)>,
    pub(super) end: Option<(Timestamp, u64)>,
}

/// What tells one event of a case from another.
struct Fact {
    id: EventId,
    kind: EventKind,
    at: Timestamp,
    procedure: ProcedureCode,
    unit: UnitCode,
}

/// The places of a case's first and last row and what its end event needs.
struct Span {
    case: usize,
    first: usize,
    last: usize,
    procedure: ProcedureCode,
    unit: UnitCode,
}

// === impl Recording ===

impl Recording {
    /// Reads a log by its mapping.
    ///
    /// # Errors
    /// A column is missing, or the rows cannot be read on. A single bad row is only refused.
    pub(super) fn read(log: impl io::Read, mapping: &Mapping) -> Result<Self, RecordingError> {
        let rows::Rows {
            count,
            drafts,
            mut rows,
            refused,
        } = rows::read(log, mapping)?;
        rows.sort_by_key(|row| row.at);
        let spans = spans(&rows);
        let mut recording = Self {
            rows: count,
            cases: Vec::new(),
            entries: Vec::new(),
            refused,
        };
        let mut by_case: Vec<_> = spans.iter().collect();
        by_case.sort_by_key(|(_, span)| span.case);
        let drafted = by_case.iter().map(|(draft, _)| &drafts[**draft]);
        recording.cases.extend(drafted.map(Case::from));
        for (place, row) in rows.into_iter().enumerate() {
            let span = &spans[&row.draft];
            let kind = kind(
                mapping,
                &row.activity,
                place == span.first,
                place == span.last,
            );
            let case = span.case;
            let data = data(&recording.cases[case], Some(&row.activity), row.carried);
            let Row {
                id,
                at,
                procedure,
                unit,
                line,
                ..
            } = row;
            let fact = Fact {
                id,
                kind,
                at,
                procedure,
                unit,
            };
            let event = event(mapping, &recording.cases[case], fact, &data);
            recording.entries.push(Entry {
                event,
                case,
                line,
                is_end: false,
            });
        }
        if let Some(Word(kind)) = mapping.events.end {
            let ends = by_case
                .iter()
                .map(|(draft, span)| (&drafts[**draft], *span));
            recording.add_ends(ends, kind, mapping);
        }
        recording.entries.sort_by_key(|entry| entry.event.time);
        recording.refused.sort_by_key(|refused| refused.line);
        Ok(recording)
    }

    fn add_ends<'a>(
        &mut self,
        ends: impl Iterator<Item = (&'a Draft, &'a Span)>,
        kind: EventKind,
        mapping: &Mapping,
    ) {
        let taken: HashSet<EventId> = self.entries.iter().map(|e| e.event.id.clone()).collect();
        for (draft, span) in ends {
            let Some((at, line)) = draft.end else {
                continue;
            };
            let id = match format!("{}-end", draft.key).parse::<EventId>() {
                Ok(id) if !taken.contains(&id) => id,
                Ok(id) => {
                    self.refuse(line, format!("the id `{id}` of the end is that of a row"));
                    continue;
                }
                Err(error) => {
                    self.refuse(line, error.to_string());
                    continue;
                }
            };
            let case = &self.cases[span.case];
            let data = data(case, None, BTreeMap::new());
            let (procedure, unit) = (span.procedure.clone(), span.unit);
            let event = event(
                mapping,
                case,
                Fact {
                    id,
                    kind,
                    at,
                    procedure,
                    unit,
                },
                &data,
            );
            self.entries.push(Entry {
                event,
                case: span.case,
                line,
                is_end: true,
            });
        }
    }

    fn refuse(&mut self, line: u64, reason: String) {
        self.refused.push(Refused {
            line,
            field: "case_end".to_owned(),
            reason,
        });
    }

    /// The events of each case, in their order.
    pub(super) fn by_case(&self) -> Vec<Vec<usize>> {
        let mut places = vec![Vec::new(); self.cases.len()];
        for (place, entry) in self.entries.iter().enumerate() {
            places[entry.case].push(place);
        }
        places
    }

    /// The latest time in the log.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.entries.last().map(|entry| entry.event.time)
    }
}

/// By draft: the case's number and its first and last row. Rows are in the order of their times.
fn spans(rows: &[Row]) -> HashMap<usize, Span> {
    let mut spans: HashMap<usize, Span> = HashMap::new();
    for (place, row) in rows.iter().enumerate() {
        let case = spans.len();
        let span = spans.entry(row.draft).or_insert_with(|| Span {
            case,
            first: place,
            last: place,
            procedure: row.procedure.clone(),
            unit: row.unit,
        });
        span.last = place;
    }
    spans
}

fn kind(mapping: &Mapping, activity: &str, is_first: bool, is_last: bool) -> EventKind {
    let events = &mapping.events;
    let by_place = match (is_first, is_last) {
        (true, _) if events.first.is_some() => events.first,
        (_, true) => events.last,
        _ => None,
    };
    by_place
        .or_else(|| events.activities.get(activity).copied())
        .unwrap_or(events.default)
        .0
}

/// The same rows give the same bytes: a repeat must not look like another event.
fn data(case: &Case, activity: Option<&str>, carried: BTreeMap<String, String>) -> Value {
    let times = [("planned", case.planned), ("deadline", case.deadline)];
    let times = times
        .into_iter()
        .filter_map(|(name, at)| Some((name, at?.to_string())));
    let activity = activity.map(|activity| ("activity", activity.to_owned()));
    let own = times
        .chain(activity)
        .map(|(name, text)| (name.to_owned(), text));
    let fields: Map<String, Value> = own
        .chain(carried)
        .map(|(name, text)| (name, Value::String(text)))
        .collect();
    Value::Object(fields)
}

fn event(mapping: &Mapping, case: &Case, fact: Fact, data: &Value) -> Event {
    let in_vietnam = || jiff::tz::Offset::constant(7).to_datetime(fact.at).date();
    let valid_on = mapping.unit_valid_on.unwrap_or_else(in_vietnam);
    Event {
        id: fact.id,
        source: mapping.source.clone(),
        kind: fact.kind,
        time: fact.at,
        dossier: case.key.clone(),
        code: None,
        procedure: fact.procedure,
        unit: UnitRef {
            code: fact.unit,
            valid_on,
        },
        step: None,
        classification: mapping.classification,
        content_type: "application/json".to_owned(),
        traceparent: None,
        data: data.to_string().into(),
    }
}

// === impl Case ===

impl From<&Draft> for Case {
    fn from(draft: &Draft) -> Self {
        let at = |time: Option<(Timestamp, u64)>| time.map(|(at, _)| at);
        Self {
            key: draft.key.clone(),
            planned: at(draft.planned),
            deadline: at(draft.deadline),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{super::mapping::tests as mapping, *};

    /// Three cases, invented; `b` ends before its last row, `c` does not end.
    pub(in super::super) const LOG: &str = "\
case,what,when,plan,law,done,door
b,take it,2026-01-05T08:00:00+07:00,2026-01-06T00:00:00Z,2026-01-07T00:00:00Z,2026-01-08T00:00:00Z,desk
a,take it,2026-01-05T08:00:00+07:00,2026-01-06T00:00:00Z,2026-01-09T00:00:00Z,2026-01-07T00:00:00Z,post
a,write it,2026-01-06T08:00:00+07:00,2026-01-06T00:00:00Z,2026-01-09T00:00:00Z,2026-01-07T00:00:00Z,post
a,look at it,2026-01-05T09:00:00+07:00,2026-01-06T00:00:00Z,2026-01-09T00:00:00Z,2026-01-07T00:00:00Z,post
b,write it,2026-01-09T08:00:00+07:00,2026-01-06T00:00:00Z,2026-01-07T00:00:00Z,2026-01-08T00:00:00Z,desk
c,take it,2026-01-05T10:00:00+07:00,,2026-01-08T00:00:00Z,,
";

    pub(in super::super) fn read(log: &str) -> Recording {
        Recording::read(log.as_bytes(), &mapping::parse(mapping::GOOD).unwrap()).unwrap()
    }

    fn told(recording: &Recording) -> Vec<String> {
        let tell = |e: &Entry| format!("{} {} {}", e.line, e.event.id, e.event.kind.word());
        recording.entries.iter().map(tell).collect()
    }

    #[test]
    fn events_are_in_the_order_of_time_with_the_rules_applied() {
        let expected = [
            "2 oth-b-1 accepted",
            "3 oth-a-1 accepted",
            "5 oth-a-3 in-process",
            "7 oth-c-1 accepted",
            "4 oth-a-2 noted",
            "3 oth-a-end processed",
            "2 oth-b-end processed",
            "6 oth-b-2 noted",
        ];
        assert_eq!(told(&read(LOG)), expected);
    }

    #[test]
    fn a_second_reading_gives_the_same_ids_and_the_same_bytes() {
        assert_eq!(read(LOG).entries, read(LOG).entries);
    }

    #[test]
    fn ids_of_other_rows_stay_when_a_row_is_mended() {
        let broken = read(&LOG.replacen("2026-01-06T08:00:00+07:00", "yesterday", 1));
        let ids = |recording: &Recording| -> Vec<_> {
            recording
                .entries
                .iter()
                .map(|e| e.event.id.to_string())
                .collect()
        };
        let mut whole = ids(&read(LOG));
        whole.retain(|id| id != "oth-a-2");
        assert_eq!(ids(&broken), whole);
        assert_eq!(broken.refused[0].line, 4);
    }

    #[test]
    fn deadlines_and_carried_columns_travel_in_the_data() {
        let recording = read(LOG);
        let data = |place: usize| String::from_utf8(recording.entries[place].event.data.to_vec());
        assert_eq!(
            data(1).unwrap(),
            r#"{"activity":"take it","channel":"post","deadline":"2026-01-09T00:00:00Z","planned":"2026-01-06T00:00:00Z"}"#
        );
        assert_eq!(
            data(3).unwrap(),
            r#"{"activity":"take it","deadline":"2026-01-08T00:00:00Z"}"#
        );
    }
}
