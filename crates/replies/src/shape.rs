use serde_saphyr::Error;

use crate::check::list;

/// What was found and what was expected, when a file has not even the shape of a rule set.
pub(crate) fn words(error: &Error) -> (String, String) {
    let any = "YAML as docs/replies.md describes it".to_owned();
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
        other => (without_place(other), any),
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
