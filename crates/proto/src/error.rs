/// A field of a message is missing or malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidField {
    /// The path of the field at fault: `event.unit`.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

// === impl InvalidField ===

impl InvalidField {
    pub(crate) fn missing(field: &'static str) -> Self {
        Self {
            field,
            reason: "is missing".to_owned(),
        }
    }

    pub(crate) fn new(field: &'static str, reason: impl ToString) -> Self {
        Self {
            field,
            reason: reason.to_string(),
        }
    }
}

/// Parses a text field; the empty text is a missing one.
pub(crate) fn parse<T>(field: &'static str, text: &str) -> Result<T, InvalidField>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    if text.is_empty() {
        return Err(InvalidField::missing(field));
    }
    text.parse()
        .map_err(|error: T::Err| InvalidField::new(field, error))
}

/// Parses a text field; the empty text is none.
pub(crate) fn parse_optional<T>(field: &'static str, text: &str) -> Result<Option<T>, InvalidField>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    if text.is_empty() {
        Ok(None)
    } else {
        parse(field, text).map(Some)
    }
}
