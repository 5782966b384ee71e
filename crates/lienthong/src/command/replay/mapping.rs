//! What the columns and activities of a recorded log mean.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use domain::{AgencyId, Classification, EventKind, ProcedureCode, UnitCode, UnknownEventKind};
use jiff::civil::Date;
use serde::Deserialize;

/// A mapping file, read and checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    /// The agency that emits the events.
    pub(super) source: AgencyId,
    /// Set before every case name; keeps keys of different logs apart.
    #[serde(default)]
    pub(super) key_prefix: String,
    /// What is asked for.
    pub(super) procedure: Cell<ProcedureCode>,
    /// The competent unit.
    pub(super) unit: Cell<UnitCode>,
    /// The day whose meaning of the unit code counts; without it the day of each event in Viet Nam.
    pub(super) unit_valid_on: Option<Date>,
    /// How far the content may travel.
    #[serde(default)]
    pub(super) classification: Classification,
    /// What separates the fields of a line.
    #[serde(default)]
    pub(super) delimiter: Delimiter,
    /// The columns that mean something to the pipeline.
    pub(super) columns: Columns,
    /// Which activity is which event.
    pub(super) events: Events,
    /// Columns that travel in the event's data: name there = column. No personal data.
    #[serde(default)]
    pub(super) carry: BTreeMap<String, String>,
}

/// A value that is the same for all rows, or that a column holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Cell<T> {
    /// The same for all rows.
    Constant(T),
    /// In this column.
    Column(String),
}

/// Names of columns. Times are RFC 3339, with offset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Columns {
    /// The case: one dossier.
    pub(super) case: String,
    /// What was done.
    pub(super) activity: String,
    /// When.
    pub(super) time: String,
    /// What tells the rows of a case apart, a number or an id; without it they are counted.
    pub(super) sequence: Option<String>,
    /// When the case is planned to end.
    pub(super) planned_end: Option<String>,
    /// When the case must end by law.
    pub(super) deadline: Option<String>,
    /// When the case ended.
    pub(super) case_end: Option<String>,
}

/// Which activity is which event: words such as `accepted`, `in-process`, `processed`, `noted`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Events {
    /// The first event of every case, whatever its activity.
    pub(super) first: Option<Word>,
    /// The last event of every case, for logs that have no column for the end.
    pub(super) last: Option<Word>,
    /// The event made of `columns.case_end`.
    pub(super) end: Option<Word>,
    /// Activities that are not named below.
    pub(super) default: Word,
    /// By activity.
    #[serde(default)]
    pub(super) activities: BTreeMap<String, Word>,
}

/// The short word of an event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Word(pub(super) EventKind);

/// One ASCII character between fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Delimiter(pub(super) u8);

/// The text is no delimiter.
#[derive(Debug, thiserror::Error)]
#[error("a delimiter is one ASCII character, got `{0}`")]
pub(super) struct InvalidDelimiter(String);

/// The word names no event.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown event word `{0}`, expected filed, accepted, rejected, in-process, supplement-requested, \
     payment-requested, withdrawn, stopped, processed, handed-over, code-assigned or noted"
)]
pub(super) struct UnknownWord(String);

/// Why a mapping file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MappingError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A place in it is wrong.
    #[error("{}:{line}:{column}: {reason}, in `{text}`", path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
        /// The line as it is.
        text: String,
    },
    /// Fields do not go together.
    #[error("{}: {field}: {reason}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Names in the event's data that the replay itself sets.
pub(super) const RESERVED: [&str; 3] = ["activity", "planned", "deadline"];

// === impl Mapping ===

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub(super) fn load(path: &Path) -> Result<Self, MappingError> {
        let text = fs::read_to_string(path).map_err(|source| MappingError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads a mapping from its text; `path` is named in errors.
    ///
    /// # Errors
    /// Something in it is wrong.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, MappingError> {
        let mapping: Self =
            toml::from_str(text).map_err(|error| MappingError::at(text, path, &error))?;
        mapping
            .check()
            .map_err(|(field, reason)| MappingError::Field {
                path: path.to_owned(),
                field,
                reason,
            })?;
        Ok(mapping)
    }

    /// The column names in use, each with the field that names it.
    pub(super) fn named_columns(&self) -> impl Iterator<Item = (String, &str)> {
        let set = &self.columns;
        let fixed = [
            ("columns.case", Some(&set.case)),
            ("columns.activity", Some(&set.activity)),
            ("columns.time", Some(&set.time)),
            ("columns.sequence", set.sequence.as_ref()),
            ("columns.planned_end", set.planned_end.as_ref()),
            ("columns.deadline", set.deadline.as_ref()),
            ("columns.case_end", set.case_end.as_ref()),
            ("procedure.column", self.procedure.column()),
            ("unit.column", self.unit.column()),
        ];
        let fixed = fixed
            .into_iter()
            .filter_map(|(field, column)| Some((field.to_owned(), column?.as_str())));
        let carried = self
            .carry
            .iter()
            .map(|(name, column)| (format!("carry.{name}"), &**column));
        fixed.chain(carried)
    }

    fn check(&self) -> Result<(), (String, &'static str)> {
        let wrong = |field: &str, reason| Err((field.to_owned(), reason));
        match (&self.columns.case_end, self.events.end) {
            (Some(_), None) => {
                return wrong(
                    "events.end",
                    "is missing: which event is `columns.case_end`?",
                );
            }
            (None, Some(_)) => {
                return wrong(
                    "events.end",
                    "needs `columns.case_end`; for the last row use `last`",
                );
            }
            _ => {}
        }
        if self.events.last.is_some() && self.events.end.is_some() {
            return wrong(
                "events.last",
                "and `events.end` both end a case; give one of them",
            );
        }
        if let Some(name) = RESERVED
            .into_iter()
            .find(|name| self.carry.contains_key(*name))
        {
            return wrong(&format!("carry.{name}"), "is set by the replay itself");
        }
        Ok(())
    }
}

// === impl Cell ===

impl<T> Cell<T> {
    fn column(&self) -> Option<&String> {
        match self {
            Self::Constant(_) => None,
            Self::Column(name) => Some(name),
        }
    }
}

// === impl Word ===

impl TryFrom<String> for Word {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, UnknownWord> {
        EventKind::from_word(&text)
            .map(Self)
            .map_err(|_: UnknownEventKind| UnknownWord(text))
    }
}

// === impl Delimiter ===

impl Default for Delimiter {
    fn default() -> Self {
        Self(b',')
    }
}

impl TryFrom<String> for Delimiter {
    type Error = InvalidDelimiter;

    fn try_from(text: String) -> Result<Self, InvalidDelimiter> {
        match text.as_bytes() {
            [byte] if byte.is_ascii() => Ok(Self(*byte)),
            _ => Err(InvalidDelimiter(text)),
        }
    }
}

// === impl MappingError ===

impl MappingError {
    fn at(text: &str, path: &Path, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Self::Place {
            path: path.to_owned(),
            line,
            column,
            reason: error.message().trim().replace('\n', " "),
            text: text
                .lines()
                .nth(line - 1)
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const GOOD: &str = r#"
source = "old-town-hall"
key_prefix = "oth-"
procedure = { constant = "9.999999" }
unit = { constant = "14797" }
[columns]
case = "case"
activity = "what"
time = "when"
planned_end = "plan"
deadline = "law"
case_end = "done"
[events]
first = "accepted"
end = "processed"
default = "noted"
[events.activities]
"look at it" = "in-process"
[carry]
channel = "door"
"#;

    pub(in super::super) fn parse(text: &str) -> Result<Mapping, MappingError> {
        Mapping::parse(text, Path::new("map.toml"))
    }

    #[track_caller]
    fn wrong(from: &str, to: &str, expected: &str) {
        assert!(GOOD.contains(from), "the sample has no `{from}`");
        let error = parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_whole_mapping_is_read() {
        let mapping = parse(GOOD).unwrap();
        assert_eq!(
            mapping.events.first,
            Some(Word(EventKind::from_word("accepted").unwrap()))
        );
        assert_eq!(mapping.named_columns().count(), 7);
        assert_eq!(mapping.delimiter, Delimiter(b','));
    }

    #[test]
    fn an_error_names_file_line_and_what_is_there() {
        wrong(
            "\"processed\"",
            "\"procesed\"",
            "map.toml:15:7: unknown event word `procesed`",
        );
        wrong(
            "deadline = ",
            "dead_line = ",
            "map.toml:11:1: unknown field `dead_line`",
        );
        wrong("\"9.999999\"", "\"9.99\"", "map.toml:4:");
        wrong(
            "\"9.999999\"",
            "\"9.99\"",
            "procedure code must look like `1.001193`",
        );
        wrong("\"14797\"", "14797", "map.toml:5:");
        wrong(
            "constant = \"14797\"",
            "colum = \"u\"",
            "unknown variant `colum`",
        );
        wrong("activity = \"what\"\n", "", "missing field `activity`");
        wrong(
            "key_prefix = \"oth-\"",
            "delimiter = \"tab\"",
            "map.toml:3:13: a delimiter is one",
        );
        wrong("default = \"noted\"", "default \"noted\"", "map.toml:16:");
    }

    #[test]
    fn fields_that_do_not_go_together_are_named() {
        wrong(
            "end = \"processed\"\n",
            "",
            "map.toml: events.end: is missing",
        );
        wrong(
            "case_end = \"done\"\n",
            "",
            "map.toml: events.end: needs `columns.case_end`",
        );
        wrong(
            "first = \"acc",
            "last = \"acc",
            "map.toml: events.last: and `events.end`",
        );
        wrong(
            "channel =",
            "deadline =",
            "map.toml: carry.deadline: is set by the replay itself",
        );
    }

    #[test]
    fn the_deployed_mappings_are_whole() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/replay");
        let files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert!(!files.is_empty());
        for file in files {
            Mapping::load(&file).unwrap();
        }
    }
}
