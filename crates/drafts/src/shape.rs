use serde_saphyr::Error;

use crate::list;

/// What a kind of file looks like, for those that have another shape.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What is expected of a file where nothing better can be said.
    pub expected: &'static str,
    /// How the YAML reader's own words begin, and what is found and expected in their place.
    pub plainer: &'static [(&'static str, &'static str, &'static str)],
}

// === impl Shape ===

impl Shape {
    /// What was found and what was expected, when a file has not even the shape of its kind.
    pub(crate) fn words(self, error: &Error) -> (String, String) {
        match error.without_snippet() {
            Error::SerdeUnknownField {
                field, expected, ..
            } => (
                format!("`{field}` is no field here"),
                format!("one of {}", list(expected)),
            ),
            Error::DuplicateMappingKey { key: Some(key), .. } => (
                format!("`{key}` is here twice"),
                "each field once".to_owned(),
            ),
            Error::Unexpected { expected, .. } => {
                let expected = match *expected {
                    "mapping start" => "fields like `{name: value}`",
                    "sequence start" => "a list like `[one, two]`",
                    "string scalar" => "a plain value",
                    other => other,
                };
                ("something else stands here".to_owned(), expected.to_owned())
            }
            Error::SerdeInvalidType {
                unexpected,
                expected,
                ..
            }
            | Error::SerdeInvalidValue {
                unexpected,
                expected,
                ..
            } => {
                let expected = match expected.as_str() {
                    "a string" => "text, in quotes where it looks like a number",
                    other => other,
                };
                (format!("{unexpected} stands here"), expected.to_owned())
            }
            other => self.plain(without_place(other)),
        }
    }

    fn plain(self, words: String) -> (String, String) {
        let mut plainer = self.plainer.iter();
        match plainer.find(|(start, ..)| words.starts_with(start)) {
            Some((_, found, expected)) => ((*found).to_owned(), (*expected).to_owned()),
            None => (words, self.expected.to_owned()),
        }
    }
}

/// The reader's own words; the place is told apart from them.
fn without_place(error: &Error) -> String {
    let text = error.to_string();
    match error.location() {
        Some(at) => {
            let place = format!(" at line {}, column {}", at.line(), at.column());
            text.replacen(&place, "", 1)
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{At, Check};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is read")]
    struct File {
        names: Option<At<Vec<At<String>>>>,
        count: Option<At<u32>>,
    }

    const SHAPE: Shape = Shape {
        expected: "YAML of the test",
        plainer: &[(
            "invalid u32",
            "no whole number stands here",
            "a whole number",
        )],
    };

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut problems = Vec::new();
        let file: Option<At<File>> = Check::new("x", &mut problems).document(text, SHAPE);
        assert!(file.is_none(), "{file:?}");
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn another_shape_is_told_with_its_place() {
        check(
            "colour: red",
            "x:1:1: `colour` is no field here; expected one of `names`, `count`",
        );
        check(
            "count: 1\ncount: 2\n",
            "x:2:1: `count` is here twice; expected each field once",
        );
        check(
            "names: a",
            "x:1:8: something else stands here; expected a list like `[one, two]`",
        );
        check(
            "[a]",
            "x:1:1: something else stands here; expected fields like `{name: value}`",
        );
        check(
            "names: [{}]",
            "x:1:9: something else stands here; expected a plain value",
        );
    }

    #[test]
    fn the_readers_own_words_are_replaced_where_plainer_ones_are_known() {
        check(
            "count: many",
            "x:1:8: no whole number stands here; expected a whole number",
        );
        check(
            "names: [",
            "x:1:8: unclosed bracket '['; expected YAML of the test",
        );
    }
}
