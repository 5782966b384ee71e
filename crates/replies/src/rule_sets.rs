use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use drafts::{OwnedSource, Problem, SLUG, Source, read_dir, slug};

use crate::Rules;
use crate::rule_set::{self, RuleSet};

/// All rule sets, by their names: the names of their files.
#[derive(Clone, Debug, Default)]
pub struct RuleSets(BTreeMap<String, RuleSet>);

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
        let (files, mut problems) = read_dir(dir);
        if files.is_empty() && problems.is_empty() {
            problems.push(Problem::whole(
                dir.display().to_string(),
                "cannot be read: no file `*.yaml` is here",
                "a directory of UTF-8 files `*.yaml`",
            ));
        }
        let sources: Vec<_> = files.iter().map(OwnedSource::as_source).collect();
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
                problems.push(Problem::whole(
                    source.name,
                    "the file's name is no name of a rule set",
                    format!("{SLUG}, then `.yaml`"),
                ));
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
