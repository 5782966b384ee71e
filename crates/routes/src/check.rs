use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, Time};
use serde_saphyr::Error;

use crate::at::{self, At};
use crate::problem::{Position, Problem};
use crate::route_file::ValidFile;
use crate::shape;
use crate::validity::Validity;

pub(crate) const DATE: &str = "a date like `2026-09-01`";
pub(crate) const CLOCK: &str = "a time like `15:00`";
pub(crate) const DURATION: &str = "a duration like `500ms`, `10s`, `5m` or `1h`";
pub(crate) const SLUG: &str = "1 to 63 lowercase letters, digits or hyphens";
pub(crate) const CODE: &str = "a base code like `3.000722`";

/// Collects the problems of one file, and keeps going.
pub(crate) struct Check<'a> {
    file: &'a str,
    /// What is being looked at, with a colon after it; or nothing.
    subject: String,
    problems: &'a mut Vec<Problem>,
}

// === impl Check ===

impl<'a> Check<'a> {
    pub(crate) fn new(file: &'a str, problems: &'a mut Vec<Problem>) -> Self {
        Self {
            file,
            subject: String::new(),
            problems,
        }
    }

    /// From now on, problems are those of this subject.
    pub(crate) fn about(&mut self, kind: &str, id: Option<&At<String>>) {
        self.subject = match id {
            Some(id) => format!("{kind} `{}`: ", id.value),
            None => format!("{kind}: "),
        };
    }

    pub(crate) fn problem(&mut self, at: Position, found: &str, expected: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            position: Some(at),
            found: format!("{}{found}", self.subject),
            expected: expected.into(),
        });
    }

    /// The file's shape is wrong, which ends its reading.
    pub(crate) fn misshapen(&mut self, error: &Error) {
        let (found, expected) = shape::words(error);
        let position = error.location().map(at::position);
        self.problems.push(Problem {
            file: self.file.to_owned(),
            position: position.filter(|position| position.line > 0),
            found,
            expected,
        });
    }

    /// The file as a whole is wrong.
    pub(crate) fn whole(&mut self, found: &str, expected: &str) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            position: None,
            found: found.to_owned(),
            expected: expected.to_owned(),
        });
    }

    /// A field that has to be there.
    pub(crate) fn needed<T>(
        &mut self,
        field: &str,
        value: Option<T>,
        parent: Position,
        expected: &str,
    ) -> Option<T> {
        if value.is_none() {
            self.problem(parent, &format!("`{field}` is missing"), expected);
        }
        value
    }

    /// A list that has to be there with something in it; otherwise nothing to go through.
    pub(crate) fn list<'b, T>(
        &mut self,
        field: &str,
        list: Option<&'b At<Vec<T>>>,
        parent: Position,
        expected: &str,
    ) -> &'b [T] {
        let Some(list) = self.needed(field, list, parent, expected) else {
            return &[];
        };
        if list.value.is_empty() {
            self.problem(list.position, &format!("`{field}` is empty"), expected);
        }
        &list.value
    }

    /// A value that is there, read by `parse`.
    pub(crate) fn value<T>(
        &mut self,
        field: &str,
        text: &At<String>,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = parse(&text.value);
        if value.is_none() {
            let found = format!("`{field}` is `{}`", shorten(&text.value));
            self.problem(text.position, &found, expected);
        }
        value
    }

    /// A value that has to be there, read by its own `FromStr`.
    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        field: &str,
        text: Option<&At<String>>,
        parent: Position,
        expected: &str,
    ) -> Option<T> {
        let text = self.needed(field, text, parent, expected)?;
        self.value(field, text, expected, |text| text.parse().ok())
    }

    /// Words that have to be there and say something.
    pub(crate) fn words(
        &mut self,
        field: &str,
        text: Option<&At<String>>,
        parent: Position,
        expected: &str,
    ) -> Option<String> {
        let text = self.needed(field, text, parent, expected)?;
        self.value(field, text, expected, |text| {
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        })
    }

    pub(crate) fn validity(
        &mut self,
        valid: Option<&At<ValidFile>>,
        parent: Position,
    ) -> Option<Validity> {
        let valid = self.needed(
            "valid",
            valid,
            parent,
            "the first day, like `{from: 2026-09-01}`",
        )?;
        let at = valid.position;
        let valid = &valid.value;
        let from = self.needed("valid.from", valid.from.as_ref(), at, DATE)?;
        let from = self.value("valid.from", from, DATE, date);
        let until = self.until(valid.until.as_ref(), from);
        Some(Validity {
            from: from?,
            until: until?,
        })
    }

    /// The optional last day, which is not before the first.
    pub(crate) fn until(
        &mut self,
        until: Option<&At<String>>,
        from: Option<Date>,
    ) -> Option<Option<Date>> {
        let Some(text) = until else {
            return Some(None);
        };
        let day = self.value("until", text, DATE, date)?;
        if let Some(from) = from.filter(|from| day < *from) {
            let expected = format!("{from} or later, the first day being {from}");
            self.problem(text.position, &format!("`until` is {day}"), expected);
            return None;
        }
        Some(Some(day))
    }
}

/// `YYYY-MM-DD` and nothing looser.
pub(crate) fn date(text: &str) -> Option<Date> {
    text.parse().ok().filter(|_| text.len() == 10)
}

/// `HH:MM` and nothing looser.
pub(crate) fn clock(text: &str) -> Option<Time> {
    text.parse().ok().filter(|_| text.len() == 5)
}

/// A whole number and its unit; never zero.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(digits);
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(count)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    count.checked_mul(seconds).map(Duration::from_secs)
}

/// Names for a message: `` `a`, `b` ``.
pub(crate) fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<_> = names
        .into_iter()
        .map(|name| format!("`{}`", name.to_string()))
        .collect();
    quoted.join(", ")
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
