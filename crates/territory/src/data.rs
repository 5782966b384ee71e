use std::str::FromStr;

/// The embedded registry is not what the generator writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// A line lacks a field, or a field cannot be read.
    #[error("{file} line {line}: {field} cannot be read")]
    Field {
        /// The file within `data/`.
        file: &'static str,
        /// The line, from 1.
        line: usize,
        /// The field that is missing or malformed.
        field: &'static str,
    },
    /// Codes are not strictly ascending, so they could not be searched.
    #[error("{file}: {code} is out of order or there twice")]
    Order {
        /// The file within `data/`.
        file: &'static str,
        /// The first code out of order.
        code: String,
    },
    /// A line names a code that no file defines.
    #[error("{file}: {code} is named but not defined")]
    Dangling {
        /// The file within `data/`.
        file: &'static str,
        /// The code nobody defines.
        code: String,
    },
}

/// One file of tab-separated lines; `#` starts a comment line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) file: &'static str,
    pub(crate) text: &'static str,
}

/// One line of a table, read field by field.
#[derive(Debug)]
pub(crate) struct Row {
    file: &'static str,
    line: usize,
    fields: std::str::Split<'static, char>,
}

// === impl Table ===

impl Table {
    pub(crate) fn rows(self) -> impl Iterator<Item = Row> {
        self.text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.starts_with('#'))
            .map(move |(at, line)| Row {
                file: self.file,
                line: at + 1,
                fields: line.split('\t'),
            })
    }

    /// How many rows to make room for.
    pub(crate) fn len(self) -> usize {
        self.text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    }

    pub(crate) fn dangling(self, code: impl ToString) -> DataError {
        DataError::Dangling {
            file: self.file,
            code: code.to_string(),
        }
    }

    /// Refuses codes that are not strictly ascending.
    pub(crate) fn check_order<C: Ord + ToString>(
        self,
        codes: impl IntoIterator<Item = C>,
    ) -> Result<(), DataError> {
        let mut codes = codes.into_iter();
        let Some(mut last) = codes.next() else {
            return Ok(());
        };
        for code in codes {
            if code <= last {
                return Err(DataError::Order {
                    file: self.file,
                    code: code.to_string(),
                });
            }
            last = code;
        }
        Ok(())
    }
}

// === impl Row ===

impl Row {
    /// The next field as text; empty text counts as missing.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'static str, DataError> {
        self.fields
            .next()
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.bad(field))
    }

    /// The next field, parsed.
    pub(crate) fn parse<T: FromStr>(&mut self, field: &'static str) -> Result<T, DataError> {
        self.text(field)?.parse().map_err(|_| self.bad(field))
    }

    /// The next field, read by `read`.
    pub(crate) fn read<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&'static str) -> Option<T>,
    ) -> Result<T, DataError> {
        let text = self.text(field)?;
        read(text).ok_or_else(|| self.bad(field))
    }

    pub(crate) fn bad(&self, field: &'static str) -> DataError {
        DataError::Field {
            file: self.file,
            line: self.line,
            field,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &'static str) -> Row {
        Table {
            file: "t.tsv",
            text,
        }
        .rows()
        .next()
        .unwrap()
    }

    #[test]
    fn a_bad_field_is_named_with_its_line() {
        let mut row = first("# comment\n12\tx");
        assert_eq!(row.parse::<u32>("count"), Ok(12));
        let error = row.parse::<u32>("load").unwrap_err();
        assert_eq!(error.to_string(), "t.tsv line 2: load cannot be read");
        assert_eq!(
            row.text("name").unwrap_err().to_string(),
            "t.tsv line 2: name cannot be read"
        );
    }

    #[test]
    fn order_is_strict() {
        let table = Table {
            file: "t.tsv",
            text: "",
        };
        assert_eq!(table.check_order([1, 2, 3]), Ok(()));
        for codes in [[1, 3, 3], [1, 3, 2]] {
            assert!(matches!(
                table.check_order(codes),
                Err(DataError::Order { .. })
            ));
        }
    }
}
