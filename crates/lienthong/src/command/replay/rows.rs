//! The rows of a recorded log, each read and checked by itself.

use std::{
    collections::{BTreeMap, HashMap, hash_map},
    io,
    str::FromStr,
};

use csv::{ErrorKind, Position, StringRecord, Terminator};
use domain::{DossierKey, EventId, ProcedureCode, UnitCode};
use jiff::Timestamp;

use super::{
    mapping::{Cell, Mapping},
    recording::{Draft, RecordingError, Refused},
};

/// One row that can be sent.
pub(super) struct Row {
    pub(super) line: u64,
    /// Its case, by place in [`Rows::drafts`].
    pub(super) draft: usize,
    pub(super) id: EventId,
    pub(super) at: Timestamp,
    pub(super) activity: String,
    pub(super) procedure: ProcedureCode,
    pub(super) unit: UnitCode,
    pub(super) carried: BTreeMap<String, String>,
}

/// All rows, in the order of the file.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) count: u64,
    pub(super) drafts: Vec<Draft>,
    pub(super) rows: Vec<Row>,
    pub(super) refused: Vec<Refused>,
}

/// Where the mapping's columns are.
struct Places<'a> {
    mapping: &'a Mapping,
    by_name: HashMap<&'a str, usize>,
}

/// What is wrong with a row: the column, and why.
type Wrong = (String, String);

#[derive(Default)]
struct Known {
    drafts: HashMap<DossierKey, usize>,
    lines: HashMap<EventId, u64>,
}

pub(super) fn read(log: impl io::Read, mapping: &Mapping) -> Result<Rows, RecordingError> {
    // Lines end with `\n` alone: with `\r\n` the reader would count them one short. Texts are trimmed.
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(mapping.delimiter.0)
        .terminator(Terminator::Any(b'\n'))
        .flexible(true)
        .from_reader(log);
    let header = reader.headers()?.clone();
    let places = Places::find(&header, mapping)?;
    let (mut rows, mut known) = (Rows::default(), Known::default());
    let mut record = StringRecord::new();
    loop {
        let (line, wrong) = match reader.read_record(&mut record) {
            Ok(false) => return Ok(rows),
            Ok(true) if is_blank(&record) => continue,
            Ok(true) => {
                let line = first_line(&record, reader.position());
                let length = of_length(&record, header.len());
                (
                    line,
                    length.and_then(|()| rows.take(&record, line, &places, &mut known)),
                )
            }
            Err(error) => match error.kind() {
                ErrorKind::Utf8 { err, .. } => {
                    let line = error.position().map_or(0, Position::line);
                    (line, Err(("row".to_owned(), err.to_string())))
                }
                _ => return Err(error.into()),
            },
        };
        rows.count += 1;
        if let Err((field, reason)) = wrong {
            rows.refused.push(Refused {
                line,
                field,
                reason,
            });
        }
    }
}

/// The record's own position is that of the blank lines before it.
fn first_line(record: &StringRecord, after: &Position) -> u64 {
    let within: usize = record.iter().map(|text| text.matches('\n').count()).sum();
    let by_end = after.line().saturating_sub(1 + within as u64);
    record.position().map_or(0, Position::line).max(by_end)
}

fn is_blank(record: &StringRecord) -> bool {
    record.len() == 1 && record.iter().all(|text| text.trim().is_empty())
}

fn of_length(record: &StringRecord, expected: usize) -> Result<(), Wrong> {
    if record.len() == expected {
        return Ok(());
    }
    Err((
        "row".to_owned(),
        format!("{} fields, expected {expected}", record.len()),
    ))
}

// === impl Rows ===

impl Rows {
    fn take(
        &mut self,
        record: &StringRecord,
        line: u64,
        places: &Places<'_>,
        known: &mut Known,
    ) -> Result<(), Wrong> {
        let set = &places.mapping.columns;
        let name = places.text(record, &set.case);
        let key: DossierKey = parse(&set.case, &case_key(places.mapping, name))?;
        let draft = self.draft(key, known);
        let suffix = match &set.sequence {
            Some(column) => places.text(record, column).to_owned(),
            None => self.drafts[draft].seen.to_string(),
        };
        let id_column = set.sequence.as_ref().unwrap_or(&set.case);
        if suffix.is_empty() {
            return Err((id_column.clone(), "is empty".to_owned()));
        }
        let id: EventId = parse(id_column, &format!("{}-{suffix}", self.drafts[draft].key))?;
        let at = places
            .time(record, &set.time)?
            .ok_or_else(|| no_time(&set.time))?;
        let limits = places.limits(record)?;
        let row = Row {
            line,
            draft,
            id,
            at,
            activity: places.text(record, &set.activity).to_owned(),
            procedure: places.cell(record, &places.mapping.procedure)?,
            unit: places.cell(record, &places.mapping.unit)?,
            carried: places.carried(record),
        };
        self.drafts[draft].agree(limits, line, places.mapping)?;
        match known.lines.entry(row.id.clone()) {
            hash_map::Entry::Occupied(first) => {
                let reason = format!("the event id `{}` is that of line {}", row.id, first.get());
                return Err((id_column.clone(), reason));
            }
            hash_map::Entry::Vacant(place) => place.insert(line),
        };
        self.rows.push(row);
        Ok(())
    }

    /// The case with this key. Every row counts, the refused ones too: mending one changes no other id.
    fn draft(&mut self, key: DossierKey, known: &mut Known) -> usize {
        let place = *known.drafts.entry(key.clone()).or_insert_with(|| {
            self.drafts.push(Draft::new(key));
            self.drafts.len() - 1
        });
        self.drafts[place].seen += 1;
        place
    }
}

/// An empty name stays empty: the prefix alone is no case.
fn case_key(mapping: &Mapping, name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!("{}{name}", mapping.key_prefix)
    }
}

fn no_time(column: &str) -> Wrong {
    (column.to_owned(), "is empty".to_owned())
}

fn parse<T>(column: &str, text: &str) -> Result<T, Wrong>
where
    T: FromStr<Err: std::fmt::Display>,
{
    text.parse()
        .map_err(|error: T::Err| (column.to_owned(), error.to_string()))
}

// === impl Draft ===

/// Planned end, deadline and end, as one row gives them.
type Limits = [Option<Timestamp>; 3];

impl Draft {
    fn new(key: DossierKey) -> Self {
        Self {
            key,
            seen: 0,
            planned: None,
            deadline: None,
            end: None,
        }
    }

    /// Takes what a row says of the whole case; a row that contradicts an earlier one is wrong.
    fn agree(&mut self, limits: Limits, line: u64, mapping: &Mapping) -> Result<(), Wrong> {
        let set = &mapping.columns;
        let columns = [&set.planned_end, &set.deadline, &set.case_end];
        let known = [&mut self.planned, &mut self.deadline, &mut self.end];
        for ((known, new), column) in known.iter().zip(limits).zip(columns) {
            if let (Some((old, first)), Some(new)) = (known, new)
                && *old != new
            {
                let reason = format!("{new}, but line {first} gives the case {old}");
                return Err((column.clone().unwrap_or_default(), reason));
            }
        }
        for (known, new) in known.into_iter().zip(limits) {
            if let (None, Some(new)) = (&known, new) {
                *known = Some((new, line));
            }
        }
        Ok(())
    }
}

// === impl Places ===

impl<'a> Places<'a> {
    fn find(header: &StringRecord, mapping: &'a Mapping) -> Result<Self, RecordingError> {
        let mut by_name = HashMap::new();
        for (field, column) in mapping.named_columns() {
            let place = header.iter().position(|name| name.trim() == column);
            let place = place.ok_or_else(|| RecordingError::NoColumn {
                column: column.to_owned(),
                field,
                found: header.iter().map(str::trim).collect::<Vec<_>>().join(", "),
            })?;
            by_name.insert(column, place);
        }
        Ok(Self { mapping, by_name })
    }

    fn text<'r>(&self, record: &'r StringRecord, column: &str) -> &'r str {
        self.by_name
            .get(column)
            .and_then(|place| record.get(*place))
            .unwrap_or_default()
            .trim()
    }

    fn time(&self, record: &StringRecord, column: &str) -> Result<Option<Timestamp>, Wrong> {
        let text = self.text(record, column);
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |_| {
            let text: String = text.chars().take(40).collect();
            (
                column.to_owned(),
                format!("`{text}` is no RFC 3339 time such as 2026-01-05T08:00:00+07:00"),
            )
        };
        text.parse().map(Some).map_err(wrong)
    }

    fn limits(&self, record: &StringRecord) -> Result<Limits, Wrong> {
        let set = &self.mapping.columns;
        let mut limits = [None; 3];
        let columns = [&set.planned_end, &set.deadline, &set.case_end];
        for (limit, column) in limits.iter_mut().zip(columns) {
            if let Some(column) = column {
                *limit = self.time(record, column)?;
            }
        }
        Ok(limits)
    }

    fn cell<T>(&self, record: &StringRecord, cell: &Cell<T>) -> Result<T, Wrong>
    where
        T: Clone + FromStr<Err: std::fmt::Display>,
    {
        match cell {
            Cell::Constant(value) => Ok(value.clone()),
            Cell::Column(column) => parse(column, self.text(record, column)),
        }
    }

    fn carried(&self, record: &StringRecord) -> BTreeMap<String, String> {
        let carried = self
            .mapping
            .carry
            .iter()
            .map(|(name, column)| (name.clone(), self.text(record, column).to_owned()));
        carried.filter(|(_, text)| !text.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        mapping::tests as mapping,
        recording::{
            Recording,
            tests::{LOG, read},
        },
    };

    #[track_caller]
    fn refused(line: &str, expected: &str) {
        let recording = read(&format!("{LOG}{line}\n"));
        let [refused] = &recording.refused[..] else {
            panic!("{:?}", recording.refused)
        };
        let told = format!("{} {}: {}", refused.line, refused.field, refused.reason);
        assert!(told.starts_with(expected), "{told}");
        assert_eq!((recording.rows, recording.entries.len()), (7, 8));
    }

    #[test]
    fn a_bad_row_is_refused_with_its_line_and_column() {
        refused(
            ",x,2026-01-05T08:00:00Z,,,,",
            "8 case: dossier key must be 1 to 128",
        );
        refused(
            "ủy ban,x,2026-01-05T08:00:00Z,,,,",
            "8 case: dossier key must be 1 to 128",
        );
        refused(
            "d,x,05/01/2026 08:00,,,,",
            "8 when: `05/01/2026 08:00` is no RFC 3339 time",
        );
        refused(
            "d,x,2026-01-05T08:00:00,,,,",
            "8 when: `2026-01-05T08:00:00` is no RFC 3339",
        );
        refused(
            "d,x,2026-01-05T08:00:00Z,,soon,,",
            "8 law: `soon` is no RFC 3339 time",
        );
        refused("d,x", "8 row: 2 fields, expected 7");
        refused(
            "a,x,2026-01-05T08:00:00Z,,2026-01-10T00:00:00Z,,",
            "8 law: 2026-01-10T00:00:00Z, but line 3 gives the case 2026-01-09T00:00:00Z",
        );
    }

    #[test]
    fn lines_are_counted_whatever_ends_them() {
        let log = LOG.replacen("write it", "\"write\nit\"", 1);
        let log = format!("\u{feff}{log}\nd,x,soon,,,,\n");
        let windows = log.replace('\n', "\r\n");
        for log in [log, windows] {
            let recording = read(&log);
            assert_eq!(
                recording.refused.iter().map(|r| r.line).collect::<Vec<_>>(),
                [10]
            );
            assert_eq!((recording.rows, recording.entries.len()), (7, 8));
            assert_eq!(recording.entries[4].line, 4);
            assert_eq!(recording.entries[7].line, 7);
            assert_eq!(recording.entries[6].event.id.as_str(), "oth-b-end");
        }
    }

    #[test]
    fn a_sequence_column_names_the_rows_and_must_not_repeat() {
        let text = mapping::GOOD.replacen("case_end", "sequence = \"door\"\ncase_end", 1);
        let mapping = mapping::parse(&text).unwrap();
        let recording = Recording::read(LOG.as_bytes(), &mapping).unwrap();
        let lines: Vec<_> = recording
            .refused
            .iter()
            .map(|refused| refused.line)
            .collect();
        assert_eq!(lines, [4, 5, 6, 7], "repeated three times, empty once");
        assert_eq!(
            recording.refused[0].reason,
            "the event id `oth-a-post` is that of line 3"
        );
        assert_eq!(recording.entries[0].event.id.as_str(), "oth-b-desk");
    }

    #[test]
    fn a_missing_column_is_named_with_its_field() {
        let log = LOG.replacen("law", "loi", 1);
        let mapping = mapping::parse(mapping::GOOD).unwrap();
        let error = Recording::read(log.as_bytes(), &mapping)
            .unwrap_err()
            .to_string();
        let expected = "no column `law`, which `columns.deadline` of the mapping names; there are \
                        case, what, when, plan, loi, done, door";
        assert_eq!(error, expected);
    }
}
