use bytes::Bytes;

/// One row, or one key: values in column order.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub Vec<Value>);

/// What a column can hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// No value.
    Null,
    /// A whole number, an instant in Unix milliseconds, a truth value.
    Int(i64),
    /// Text. A NUL character is refused, because PostgreSQL cannot store it: free text from outside
    /// belongs into an encoded [`Value::Blob`].
    Text(String),
    /// Bytes.
    Blob(Bytes),
}

/// What a column may hold besides null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 64-bit whole number.
    Int,
    /// UTF-8 text without NUL, compared by bytes.
    Text,
    /// Bytes.
    Blob,
}

/// A row does not look as its reader expects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The row has fewer columns.
    #[error("column {column} is missing, the row has {width}")]
    Missing {
        /// Counted from zero.
        column: usize,
        /// Number of columns.
        width: usize,
    },
    /// The column holds something else.
    #[error("column {column} holds {found}, expected {expected}")]
    Kind {
        /// Counted from zero.
        column: usize,
        /// What was asked for.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
}

/// Builds a [`Row`] from anything that converts into [`Value`]: `row!["dossier-1", 7, payload]`.
#[macro_export]
macro_rules! row {
    ($($value:expr),* $(,)?) => { $crate::Row(vec![$($crate::Value::from($value)),*]) };
}

// === impl Row ===

impl Row {
    /// The whole number in a column.
    pub fn int(&self, column: usize) -> Result<i64, RowError> {
        self.opt_int(column)?
            .ok_or_else(|| self.null(column, Kind::Int))
    }

    /// The text in a column.
    pub fn text(&self, column: usize) -> Result<&str, RowError> {
        self.opt_text(column)?
            .ok_or_else(|| self.null(column, Kind::Text))
    }

    /// The bytes in a column; cheap to clone.
    pub fn blob(&self, column: usize) -> Result<&Bytes, RowError> {
        self.opt_blob(column)?
            .ok_or_else(|| self.null(column, Kind::Blob))
    }

    /// The whole number in a column, `None` if it is null.
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, RowError> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Int(int) => Ok(Some(*int)),
            other => Err(mismatch(column, Kind::Int, other)),
        }
    }

    /// The text in a column, `None` if it is null.
    pub fn opt_text(&self, column: usize) -> Result<Option<&str>, RowError> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => Err(mismatch(column, Kind::Text, other)),
        }
    }

    /// The bytes in a column, `None` if it is null.
    pub fn opt_blob(&self, column: usize) -> Result<Option<&Bytes>, RowError> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Blob(blob) => Ok(Some(blob)),
            other => Err(mismatch(column, Kind::Blob, other)),
        }
    }

    /// The bytes in a column as an array, for ids and digests.
    pub fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], RowError> {
        let blob = self.blob(column)?;
        blob.as_ref().try_into().map_err(|_| RowError::Kind {
            column,
            expected: "bytes of the asked length",
            found: "bytes of another length",
        })
    }

    fn value(&self, column: usize) -> Result<&Value, RowError> {
        self.0.get(column).ok_or(RowError::Missing {
            column,
            width: self.0.len(),
        })
    }

    fn null(&self, column: usize, expected: Kind) -> RowError {
        mismatch(column, expected, &Value::Null)
    }
}

impl From<Vec<Value>> for Row {
    fn from(values: Vec<Value>) -> Self {
        Self(values)
    }
}

impl FromIterator<Value> for Row {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

// === impl Value ===

impl Value {
    /// The kind of the value, `None` for null.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Null => None,
            Self::Int(_) => Some(Kind::Int),
            Self::Text(_) => Some(Kind::Text),
            Self::Blob(_) => Some(Kind::Blob),
        }
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<i32> for Value {
    fn from(int: i32) -> Self {
        Self::Int(int.into())
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Self::Int(int.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Int(truth.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Bytes> for Value {
    fn from(blob: Bytes) -> Self {
        Self::Blob(blob)
    }
}

impl From<Vec<u8>> for Value {
    fn from(blob: Vec<u8>) -> Self {
        Self::Blob(blob.into())
    }
}

impl From<&[u8]> for Value {
    fn from(blob: &[u8]) -> Self {
        Self::Blob(Bytes::copy_from_slice(blob))
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(blob: [u8; N]) -> Self {
        Self::Blob(Bytes::copy_from_slice(&blob))
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(blob: &[u8; N]) -> Self {
        Self::Blob(Bytes::copy_from_slice(blob))
    }
}

impl<T> From<Option<T>> for Value
where
    Value: From<T>,
{
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::Null, Self::from)
    }
}

// === impl Kind ===

impl Kind {
    /// The kind's name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Text => "text",
            Self::Blob => "blob",
        }
    }
}

pub(crate) fn mismatch(column: usize, expected: Kind, found: &Value) -> RowError {
    let found = found.kind().map_or("null", Kind::name);
    RowError::Kind {
        column,
        expected: expected.name(),
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_getter_names_the_column_and_both_kinds() {
        let row = row!["a", 7, None::<i64>, [1_u8, 2]];
        assert_eq!(row.text(0), Ok("a"));
        assert_eq!(row.int(1), Ok(7));
        assert_eq!(row.opt_int(2), Ok(None));
        assert_eq!(row.array::<2>(3), Ok([1, 2]));
        let mismatch = |column, expected, found| RowError::Kind {
            column,
            expected,
            found,
        };
        assert_eq!(row.int(0), Err(mismatch(0, "int", "text")));
        assert_eq!(row.text(2), Err(mismatch(2, "text", "null")));
        assert_eq!(
            row.int(4),
            Err(RowError::Missing {
                column: 4,
                width: 4
            })
        );
        assert!(row.array::<3>(3).is_err());
    }
}
