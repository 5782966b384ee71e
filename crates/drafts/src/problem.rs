use std::fmt;

/// One thing that is wrong in a file, or that a check of it finds: `file:line:column: what is there;
/// expected what would be right`.
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

// === impl Problem ===

impl Problem {
    /// A file or directory that cannot be read, or is wrong as a whole.
    pub fn whole(
        file: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            file: file.into(),
            position: None,
            found: found.into(),
            expected: expected.into(),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_in_the_order_of_their_places() {
        let problem = |file: &str, place: Option<(u64, u64)>| Problem {
            position: place.map(|(line, column)| Position { line, column }),
            ..Problem::whole(file, "x", "y")
        };
        let mut problems = [
            problem("b", Some((1, 1))),
            problem("a", Some((10, 1))),
            problem("a", Some((9, 20))),
            problem("a", Some((9, 3))),
            problem("a", None),
        ];
        problems.sort();
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let places = ["a", "a:9:3", "a:9:20", "a:10:1", "b:1:1"];
        assert_eq!(lines, places.map(|place| format!("{place}: x; expected y")));
    }
}
