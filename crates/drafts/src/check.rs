use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde_saphyr::Error;

use crate::at::{self, At};
use crate::{Position, Problem, Shape};

/// What [`slug`] expects.
pub const SLUG: &str = "1 to 63 lowercase letters, digits or hyphens";

/// Collects the problems of one file, and keeps going.
///
/// `field` is how the file calls a value, `expected` what would be right there; `parent` is where a value
/// that is missing should have stood.
#[derive(Debug)]
pub struct Check<'a> {
    file: &'a str,
    /// What is being looked at, with a colon after it; or nothing.
    subject: String,
    problems: &'a mut Vec<Problem>,
}

// === impl Check ===

impl<'a> Check<'a> {
    /// A check of the file of that name; what is wrong is added to `problems`.
    pub fn new(file: &'a str, problems: &'a mut Vec<Problem>) -> Self {
        Self {
            file,
            subject: String::new(),
            problems,
        }
    }

    /// The one document of a file, or `None` and the problem that its shape is wrong.
    pub fn document<T: DeserializeOwned>(&mut self, text: &str, shape: Shape) -> Option<T> {
        self.read(serde_saphyr::from_str(text), shape)
    }

    /// The documents of a file, divided by lines of `---`, or `None` and the problem that the shape of one
    /// is wrong.
    pub fn documents<T: DeserializeOwned>(&mut self, text: &str, shape: Shape) -> Option<Vec<T>> {
        self.read(serde_saphyr::from_multiple(text), shape)
    }

    fn read<T>(&mut self, read: Result<T, Error>, shape: Shape) -> Option<T> {
        let tell = |error: &Error| {
            let (found, expected) = shape.words(error);
            let position = error.location().map(at::position);
            self.problems.push(Problem {
                file: self.file.to_owned(),
                position: position.filter(|position| position.line > 0),
                found,
                expected,
            });
        };
        read.inspect_err(tell).ok()
    }

    /// From now on, problems are those of this subject.
    pub fn about(&mut self, kind: &str, name: Option<&At<String>>) {
        self.subject = match name {
            Some(name) => format!("{kind} `{}`: ", name.value),
            None => format!("{kind}: "),
        };
    }

    /// From now on, problems are those of the file.
    pub fn about_the_file(&mut self) {
        self.subject.clear();
    }

    /// A problem of the subject.
    pub fn problem(&mut self, at: Position, found: &str, expected: impl Into<String>) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            position: Some(at),
            found: format!("{}{found}", self.subject),
            expected: expected.into(),
        });
    }

    /// The file as a whole is wrong.
    pub fn whole(&mut self, found: &str, expected: &str) {
        self.problems
            .push(Problem::whole(self.file, found, expected));
    }

    /// A field that has to be there.
    pub fn needed<T>(
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
    pub fn list<'b, T>(
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
    pub fn value<T>(
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
    pub fn parsed<T: FromStr>(
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
    pub fn words(
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
}

/// Names for a message: `` `a`, `b` ``.
pub fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<_> = names
        .into_iter()
        .map(|name| format!("`{}`", name.to_string()))
        .collect();
    quoted.join(", ")
}

/// The text, if it is a name as files have them: [`SLUG`].
pub fn slug(text: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_slug = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
    is_slug.then(|| text.to_owned())
}

/// The text, or its beginning where it is too long for a message.
pub fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct LampFile {
        id: Option<At<String>>,
        watts: Option<At<String>>,
        rooms: Option<At<Vec<At<String>>>>,
        note: Option<At<String>>,
    }

    const SHAPE: Shape = Shape {
        expected: "YAML of lamps",
        plainer: &[],
    };

    fn lamp(file: &At<LampFile>, check: &mut Check<'_>) -> Option<(String, u32, usize, String)> {
        let At {
            value: file,
            position: at,
        } = file;
        check.about("lamp", file.id.as_ref());
        let id = check.needed("id", file.id.as_ref(), *at, SLUG);
        let id = id.and_then(|id| check.value("id", id, SLUG, slug));
        let watts = check.parsed("watts", file.watts.as_ref(), *at, "a whole number");
        let rooms = check.list("rooms", file.rooms.as_ref(), *at, "at least one room");
        let note = check.words("note", file.note.as_ref(), *at, "what it is for");
        check.about_the_file();
        Some((id?, watts?, rooms.len(), note?))
    }

    fn lines(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sound_file_gives_its_values_and_no_problem() {
        let mut problems = Vec::new();
        let mut check = Check::new("x", &mut problems);
        let text = "{id: hall, watts: 40, rooms: [a, b], note: ' light '}";
        let file = check.document(text, SHAPE).unwrap();
        let expected = ("hall".to_owned(), 40, 2, "light".to_owned());
        assert_eq!(lamp(&file, &mut check), Some(expected));
        assert_eq!(lines(&problems), [""; 0]);
    }

    #[test]
    fn all_problems_of_all_documents_are_told_at_once() {
        let mut problems = Vec::new();
        let mut check = Check::new("x", &mut problems);
        let text = "rooms: []\nnote: ' '\n---\nid: A\nwatts: many\nnote: light\n";
        let files = check.documents(text, SHAPE).unwrap();
        assert!(files.iter().all(|file| lamp(file, &mut check).is_none()));
        check.whole("nothing is lit", "light");
        let end = Position { line: 7, column: 1 };
        check.problem(end, "it is dark", "a lamp");
        assert_eq!(
            lines(&problems),
            [
                format!("x:1:1: lamp: `id` is missing; expected {SLUG}"),
                "x:1:1: lamp: `watts` is missing; expected a whole number".to_owned(),
                "x:1:8: lamp: `rooms` is empty; expected at least one room".to_owned(),
                "x:2:7: lamp: `note` is ` `; expected what it is for".to_owned(),
                format!("x:4:5: lamp `A`: `id` is `A`; expected {SLUG}"),
                "x:5:8: lamp `A`: `watts` is `many`; expected a whole number".to_owned(),
                "x:4:1: lamp `A`: `rooms` is missing; expected at least one room".to_owned(),
                "x: nothing is lit; expected light".to_owned(),
                "x:7:1: it is dark; expected a lamp".to_owned(),
            ]
        );
    }

    #[test]
    fn a_wrong_shape_ends_the_reading() {
        let mut problems = Vec::new();
        let mut check = Check::new("x", &mut problems);
        let files: Option<Vec<At<LampFile>>> = check.documents("id: a\n---\nname: b\n", SHAPE);
        assert!(files.is_none());
        let line = "x:3:1: `name` is no field here; expected one of `id`, `watts`, `rooms`, `note`";
        assert_eq!(lines(&problems), [line]);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(list(["a", "b"]), "`a`, `b`");
        assert_eq!(list::<&str>([]), "");
    }

    #[test]
    fn a_slug_has_its_letters_and_its_length() {
        for right in ["a", "0-9", &"x".repeat(63)] {
            assert_eq!(slug(right).as_deref(), Some(right));
        }
        for wrong in ["", "A", "a_b", "é", "a.yaml", &"x".repeat(64)] {
            assert_eq!(slug(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_long_text_is_cut_between_characters(text in "\\PC{0,100}") {
            let short = shorten(&text);
            match short.strip_suffix('…').filter(|_| short != text) {
                Some(start) => {
                    prop_assert!(text.starts_with(start));
                    prop_assert_eq!(start.chars().count(), 80);
                }
                None => prop_assert_eq!(&short, &text),
            }
            prop_assert!(short.chars().count() <= 81);
        }
    }
}
