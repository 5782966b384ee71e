use std::str::FromStr;

use serde_saphyr::Error;

use crate::at::{self, At};
use crate::problem::{Position, Problem};
use crate::shape;

pub(crate) const SLUG: &str = "1 to 63 lowercase letters, digits or hyphens";

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
    pub(crate) fn about(&mut self, kind: &str, name: Option<&At<String>>) {
        self.subject = match name {
            Some(name) => format!("{kind} `{}`: ", name.value),
            None => format!("{kind}: "),
        };
    }

    /// From now on, problems are those of the file.
    pub(crate) fn about_the_file(&mut self) {
        self.subject.clear();
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

    /// A value that is there, read by its own `FromStr`.
    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        field: &str,
        text: &At<String>,
        expected: &str,
    ) -> Option<T> {
        self.value(field, text, expected, |text| text.parse().ok())
    }
}

/// Names for a message: `` `a`, `b` ``.
pub(crate) fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<_> = names
        .into_iter()
        .map(|name| format!("`{}`", name.to_string()))
        .collect();
    quoted.join(", ")
}

/// The text, if it is a name as rules and rule sets have them.
pub(crate) fn slug(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_slug = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
    is_slug.then(|| text.to_owned())
}

pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
