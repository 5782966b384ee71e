use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::check::{SLUG, slug};
use crate::rule_set::{self, RuleSet};
use crate::{Problem, Rules};

/// All rule sets, by their names: the names of their files.
#[derive(Clone, Debug, Default)]
pub struct RuleSets(BTreeMap<String, RuleSet>);

/// One file: the name it has in messages, and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The name, usually its path.
    pub name: &'a str,
    /// The whole text.
    pub text: &'a str,
}

/// How a rule set read its recorded replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The rule set.
    pub name: String,
    /// Its file.
    pub file: String,
    /// How many rules it has.
    pub rules: usize,
    /// How many recorded replies.
    pub fixtures: usize,
    /// Replies that were read otherwise than they say, and rules that no reply proves.
    pub findings: Vec<Problem>,
}

macro_rules! deployed {
    ($($path:literal),+ $(,)?) => {
        &[$(Source {
            name: concat!("deploy/destinations/replies/", $path),
            text: include_str!(concat!("../../../deploy/destinations/replies/", $path)),
        }),+]
    };
}

/// The rule sets of `deploy`.
const BUILT_IN: &[Source<'static>] = deployed!(
    "cloudevents-default.yaml",
    "ministry-adapter.yaml",
    "one-stop-soap.yaml",
);

// === impl RuleSets ===

impl RuleSets {
    /// Reads every `*.yaml` of a directory.
    ///
    /// # Errors
    /// Every problem that was found, ordered by place.
    pub fn load(dir: &Path) -> Result<Self, Vec<Problem>> {
        let paths = yaml_files(dir).map_err(|error| vec![unreadable(dir, &error)])?;
        let mut problems = Vec::new();
        let mut texts = Vec::new();
        for path in paths {
            match fs::read_to_string(&path) {
                Ok(text) => texts.push((path.display().to_string(), text)),
                Err(error) => problems.push(unreadable(&path, &error)),
            }
        }
        let sources: Vec<_> = texts
            .iter()
            .map(|(name, text)| Source { name, text })
            .collect();
        let sets = Self::from_sources(&sources);
        if problems.is_empty() {
            return sets;
        }
        problems.extend(sets.err().into_iter().flatten());
        problems.sort();
        Err(problems)
    }

    /// The rule sets of `deploy`.
    ///
    /// # Errors
    /// Every problem that was found; there is none.
    pub fn built_in() -> Result<Self, Vec<Problem>> {
        Self::from_sources(BUILT_IN)
    }

    /// Reads texts that are already in memory.
    ///
    /// # Errors
    /// Every problem that was found, ordered by place.
    pub fn from_sources(sources: &[Source<'_>]) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut sets = BTreeMap::new();
        for source in sources {
            let stem = Path::new(source.name)
                .file_stem()
                .and_then(|stem| slug(stem.to_str()?));
            if stem.is_none() {
                problems.push(Problem {
                    file: source.name.to_owned(),
                    position: None,
                    found: "the file's name is no name of a rule set".to_owned(),
                    expected: format!("{SLUG}, then `.yaml`"),
                });
            }
            let set = rule_set::read(source, &mut problems);
            sets.extend(stem.zip(set));
        }
        if problems.is_empty() {
            return Ok(Self(sets));
        }
        problems.sort();
        Err(problems)
    }

    /// The rules of that name.
    pub fn rules(&self, name: &str) -> Option<&Arc<Rules>> {
        self.0.get(name).map(|set| &set.rules)
    }

    /// The names of all rule sets, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Reads every recorded reply of every rule set.
    pub fn check(&self) -> Vec<Checked> {
        let sets = self.0.iter();
        sets.map(|(name, set)| set.check(name)).collect()
    }
}

fn yaml_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        paths.push(entry?.path());
    }
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    if paths.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no file `*.yaml` is here",
        ));
    }
    paths.sort();
    Ok(paths)
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem {
        file: path.display().to_string(),
        position: None,
        found: format!("cannot be read: {error}"),
        expected: "a directory of UTF-8 files `*.yaml`".to_owned(),
    }
}
