use std::fs;
use std::io;
use std::path::Path;

use crate::Problem;

/// One file: the name it has in messages, and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The name, usually its path.
    pub name: &'a str,
    /// The whole text.
    pub text: &'a str,
}

/// A file that was read from a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedSource {
    name: String,
    text: String,
}

// === impl OwnedSource ===

impl OwnedSource {
    /// The file, for those who read texts.
    pub fn as_source(&self) -> Source<'_> {
        Source {
            name: &self.name,
            text: &self.text,
        }
    }
}

/// Reads all `*.yaml` of a directory, ordered by name, and tells which cannot be read. Whether there must be
/// one is the caller's to say.
pub fn read_dir(dir: &Path) -> (Vec<OwnedSource>, Vec<Problem>) {
    let mut sources = Vec::new();
    let mut problems = Vec::new();
    let mut paths = Vec::new();
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                match entry {
                    Ok(entry) => paths.push(entry.path()),
                    Err(error) => problems.push(unreadable(dir, &error)),
                }
            }
        }
        Err(error) => problems.push(unreadable(dir, &error)),
    }
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    for path in paths {
        match fs::read_to_string(&path) {
            Ok(text) => sources.push(OwnedSource {
                name: path.display().to_string(),
                text,
            }),
            Err(error) => problems.push(unreadable(&path, &error)),
        }
    }
    (sources, problems)
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::whole(
        path.display().to_string(),
        format!("cannot be read: {error}"),
        "a directory of UTF-8 files `*.yaml`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_read_in_order_and_what_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("b.yaml", &b"b: 1"[..]),
            ("a.yaml", b"a: 1"),
            ("latin.yaml", b"# \xe9"),
            ("notes.txt", b"nothing"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (sources, problems) = read_dir(dir.path());
        let texts: Vec<_> = sources.iter().map(|file| file.as_source().text).collect();
        assert_eq!(texts, ["a: 1", "b: 1"]);
        assert!(sources[0].as_source().name.ends_with("/a.yaml"));
        let [problem] = &problems[..] else {
            panic!("{problems:?}");
        };
        assert!(problem.file.ends_with("/latin.yaml"), "{problem}");
        assert_eq!(problem.expected, "a directory of UTF-8 files `*.yaml`");
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_problem_and_an_empty_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_dir(dir.path()), (vec![], vec![]));
        let (sources, problems) = read_dir(&dir.path().join("none"));
        assert_eq!((sources.len(), problems.len()), (0, 1));
        assert!(problems[0].found.starts_with("cannot be read: "));
    }
}
