use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

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
pub(crate) struct OwnedSource {
    name: String,
    text: String,
}

/// The text of a template beside the destination files, or why there is none.
pub(crate) type Templates<'a> = &'a dyn Fn(&str) -> Result<String, String>;

const LARGEST_TEMPLATE: u64 = 64 * 1024;

macro_rules! deployed {
    ($($path:literal),+ $(,)?) => {
        &[$(Source {
            name: concat!("deploy/", $path),
            text: include_str!(concat!("../../../deploy/", $path)),
        }),+]
    };
}

/// The route files of `deploy`.
pub(crate) const ROUTES: &[Source<'static>] = deployed!(
    "routes/birth.yaml",
    "routes/civil-status.yaml",
    "routes/criminal-record.yaml",
    "routes/death.yaml",
    "routes/funeral-support.yaml",
    "routes/permanent-residence.yaml",
);

/// The destination files of `deploy`.
pub(crate) const DESTINATIONS: &[Source<'static>] = deployed!("destinations/demo.yaml");

// === impl OwnedSource ===

impl OwnedSource {
    pub(crate) fn as_source(&self) -> Source<'_> {
        Source {
            name: &self.name,
            text: &self.text,
        }
    }
}

/// Reads all `*.yaml` of a directory, ordered by name.
pub(crate) fn read_dir(dir: &Path) -> (Vec<OwnedSource>, Vec<Problem>) {
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
    if paths.is_empty() && problems.is_empty() {
        problems.push(Problem {
            file: dir.display().to_string(),
            position: None,
            found: "no file `*.yaml` is here".to_owned(),
            expected: "at least one".to_owned(),
        });
    }
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

/// The text of a template in a directory, or why there is none.
pub(crate) fn read_template(dir: &Path, name: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(dir.join(name));
    file.and_then(|file| file.take(LARGEST_TEMPLATE + 1).read_to_string(&mut text))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if text.len() as u64 > LARGEST_TEMPLATE {
        return Err("it is over 64 KiB".to_owned());
    }
    Ok(text)
}

/// Twelve hexadecimal digits over names (without their directories) and texts.
pub(crate) fn digest(kinds: [&[Source<'_>]; 3]) -> String {
    let mut hash = Sha256::new();
    for sources in kinds {
        let mut files: Vec<(&str, &str)> = sources
            .iter()
            .map(|source| {
                (
                    source.name.rsplit('/').next().unwrap_or_default(),
                    source.text,
                )
            })
            .collect();
        files.sort_unstable();
        hash.update(files.len().to_be_bytes());
        for part in files.into_iter().flat_map(|(name, text)| [name, text]) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    let bytes = hash.finalize();
    bytes
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem {
        file: path.display().to_string(),
        position: None,
        found: format!("cannot be read: {error}"),
        expected: "a directory of UTF-8 files `*.yaml`".to_owned(),
    }
}
