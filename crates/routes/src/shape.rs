use serde_saphyr::Error;

use crate::check::list;

/// What was found and what was expected, when a file has not even the shape of its schema.
pub(crate) fn words(error: &Error) -> (String, String) {
    let any = "YAML of the published schema".to_owned();
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
        } => (format!("{unexpected} stands here"), expected.clone()),
        Error::InvalidScalar { ty, .. } => match *ty {
            "u32" => (
                "no whole number stands here".to_owned(),
                "a whole number".to_owned(),
            ),
            "boolean" => (
                "no truth value stands here".to_owned(),
                "`true` or `false`".to_owned(),
            ),
            other => (format!("no {other} stands here"), any),
        },
        other => {
            let found = without_place(other);
            let is_colon = found.starts_with("mapping values are not allowed");
            let quotes = if is_colon {
                "; a value that ends with `:` stands in quotes"
            } else {
                ""
            };
            (found, any + quotes)
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
