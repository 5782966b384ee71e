//! Calendar files: YAML in, a checked calendar or an error with its place out.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Deserialize;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};

use crate::calendar::Calendar;
use crate::hours::{Hours, clock};
use crate::national::NationalDay;
use crate::rules::{Exception, InvalidRules, Rules};

/// Why a calendar file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is no YAML, a field is missing or unknown, or has the wrong type.
    #[error("{position}: {message}")]
    Yaml {
        /// Where.
        position: Position,
        /// What the reader says.
        message: String,
    },
    /// A value is not what its field needs.
    #[error("{position}: field `{field}`: expected {expected}, got `{found}`")]
    Value {
        /// Where.
        position: Position,
        /// The field, with its parents.
        field: String,
        /// What would be right.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Each value is fine by itself, but they make no calendar.
    #[error("{position}: field `{field}` does not fit the others")]
    Rules {
        /// Where.
        position: Position,
        /// The field, with its parents.
        field: &'static str,
        /// What is wrong.
        source: InvalidRules,
    },
    /// Another file defines a calendar of the same id.
    #[error(
        "{position}: field `id`: expected an id of its own, but calendar `{id}` is defined twice"
    )]
    SameId {
        /// Where the second one is.
        position: Position,
        /// The id.
        id: String,
    },
}

/// A place in a file; lines and columns count from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The name under which the file was read.
    pub file: String,
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: Text,
    offset: Option<Text>,
    base: Option<Text>,
    valid: Spanned<Valid>,
    hours: Spanned<Week>,
    cut_off: Option<Text>,
    #[serde(default)]
    exceptions: Vec<Day>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    from: Text,
    until: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Week {
    monday: Option<Text>,
    tuesday: Option<Text>,
    wednesday: Option<Text>,
    thursday: Option<Text>,
    friday: Option<Text>,
    saturday: Option<Text>,
    sunday: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Day {
    date: Text,
    hours: Text,
    reason: String,
}

/// Reads one file; also says where its id stands.
pub(crate) fn read(
    name: &str,
    text: &str,
    national: &[NationalDay],
) -> Result<(Calendar, Position), FileError> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let at = error.location().unwrap_or(Location::UNKNOWN);
        FileError::Yaml {
            position: position(name, at),
            message: message(&error),
        }
    })?;
    let rules = file.rules(name)?;
    let on_base = if file.has_base(name)? {
        rules.on_national_days(national)
    } else {
        Ok(rules)
    };
    let calendar = on_base
        .and_then(Calendar::new)
        .map_err(|error| file.misfit(name, error))?;
    Ok((calendar, position(name, file.id.referenced)))
}

// === impl File ===

impl File {
    /// The rules that the file itself states, without its base.
    fn rules(&self, name: &str) -> Result<Rules, FileError> {
        let valid = &self.valid.value;
        let from = value(
            name,
            "valid.from",
            &valid.from,
            "a date like `2026-01-31`",
            date,
        )?;
        let expected = "a date like `2026-12-31`, not before `valid.from`";
        let not_before = |text: &str| date(text).filter(|until| from <= *until);
        let until = value(name, "valid.until", &valid.until, expected, not_before)?;
        let mut rules = Rules::new(self.id.value.clone(), from, until);
        if let Some(text) = &self.offset {
            rules.offset = value(name, "offset", text, "an offset like `+07:00`", offset)?;
        }
        if let Some(text) = &self.cut_off {
            rules.cut_off = Some(value(name, "cut_off", text, "a time like `15:00`", clock)?);
        }
        rules.weekly = self.hours.value.read(name)?;
        for (index, day) in self.exceptions.iter().enumerate() {
            let field = |part: &str| format!("exceptions[{index}].{part}");
            let expected = "a date inside the validity that no other exception has";
            let free = |text: &str| {
                date(text)
                    .filter(|date| rules.covers(*date) && !rules.exceptions.contains_key(date))
            };
            let on = value(name, &field("date"), &day.date, expected, free)?;
            let hours = opening(name, &field("hours"), &day.hours)?;
            rules.exceptions.insert(
                on,
                Exception {
                    hours,
                    reason: day.reason.clone(),
                },
            );
        }
        Ok(rules)
    }

    fn has_base(&self, name: &str) -> Result<bool, FileError> {
        let Some(text) = &self.base else {
            return Ok(false);
        };
        value(name, "base", text, "`vietnam` or no base", |text| {
            (text == "vietnam").then_some(true)
        })
    }

    /// Where a rule that needs several values is broken.
    fn misfit(&self, name: &str, source: InvalidRules) -> FileError {
        let (field, at) = match source {
            InvalidRules::Id(_) => ("id", self.id.referenced),
            InvalidRules::NeverOpen => ("hours", self.hours.referenced),
            InvalidRules::Backwards { .. } => ("valid.until", self.valid.value.until.referenced),
            InvalidRules::TooLong { .. }
            | InvalidRules::BeyondNationalDays { .. }
            | InvalidRules::ExceptionOutside(_) => ("valid", self.valid.referenced),
        };
        FileError::Rules {
            position: position(name, at),
            field,
            source,
        }
    }
}

// === impl Week ===

impl Week {
    fn read(&self, name: &str) -> Result<[Hours; 7], FileError> {
        let days = [
            ("hours.monday", &self.monday),
            ("hours.tuesday", &self.tuesday),
            ("hours.wednesday", &self.wednesday),
            ("hours.thursday", &self.thursday),
            ("hours.friday", &self.friday),
            ("hours.saturday", &self.saturday),
            ("hours.sunday", &self.sunday),
        ];
        let mut week = <[Hours; 7]>::default();
        for (hours, (field, text)) in week.iter_mut().zip(days) {
            if let Some(text) = text {
                *hours = opening(name, field, text)?;
            }
        }
        Ok(week)
    }
}

// === impl Position ===

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

fn position(name: &str, at: Location) -> Position {
    Position {
        file: name.to_owned(),
        line: at.line(),
        column: at.column(),
    }
}

/// The reader's own words, without its excerpt of the file and the place, which we name ourselves.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error
        .without_snippet()
        .render_with_formatter(&UserMessageFormatter);
    let at = error.location().unwrap_or(Location::UNKNOWN);
    let place = format!(" at line {}, column {}", at.line(), at.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

fn value<T>(
    name: &str,
    field: &str,
    text: &Text,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, FileError> {
    parse(&text.value).ok_or_else(|| FileError::Value {
        position: position(name, text.referenced),
        field: field.to_owned(),
        expected: expected.to_owned(),
        found: text.value.clone(),
    })
}

fn opening(name: &str, field: &str, text: &Text) -> Result<Hours, FileError> {
    let expected = "`off` or spans in order like `07:30-11:30, 13:00-17:00`";
    value(name, field, text, expected, |text| {
        Hours::from_str(text).ok()
    })
}

/// `YYYY-MM-DD` and nothing looser.
fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|_| text.len() == 10)
}

/// `+HH:MM` or `-HH:MM`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let time = clock(rest)?;
    let seconds = i32::from(time.hour()) * 3600 + i32::from(time.minute()) * 60;
    Offset::from_seconds(sign * seconds).ok()
}
