use std::fmt;

/// One thing that is wrong in a file of reply rules, or that a check of it finds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{file}{}: {found}; expected {expected}", Colon(position))]
pub struct Problem {
    /// The name under which the file was read.
    pub file: String,
    /// Where in the file; `None`: the file as a whole.
    pub position: Option<Position>,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

/// A place in a file; both count from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

struct Colon<'a>(&'a Option<Position>);

// === impl Position ===

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

// === impl Colon ===

impl fmt::Display for Colon<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(position) => write!(f, ":{position}"),
            None => Ok(()),
        }
    }
}
