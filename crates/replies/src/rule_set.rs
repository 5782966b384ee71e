use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drafts::{At, Check, Position, Problem, Source, list};

use crate::Reading;
use crate::file::{RuleFile, RuleSetFile, SHAPE};
use crate::fixture::{self, Fixture};
use crate::rule_draft::{self, readings};
use crate::rule_sets::Checked;
use crate::rules::{Otherwise, Rules};

/// One file: rules, where they stand, and the recorded replies that prove them.
#[derive(Clone, Debug)]
pub(crate) struct RuleSet {
    pub(crate) rules: Arc<Rules>,
    file: String,
    /// Where each rule stands.
    places: Vec<Position>,
    fixtures: Vec<Fixture>,
}

/// The word of a set that falls back to the built-in reading.
const DEFAULT: &str = "default";

/// One file, or `None` and the problems.
pub(crate) fn read(source: &Source<'_>, problems: &mut Vec<Problem>) -> Option<RuleSet> {
    let before = problems.len();
    let mut check = Check::new(source.name, problems);
    let file: RuleSetFile = check.document(source.text, SHAPE)?;
    let Some(drafts) = file.rules else {
        check.whole("`rules` is missing", "a list of rules; it may be empty");
        return None;
    };
    reachable(&drafts.value, &mut check);
    let names = unique_names(
        "rule",
        drafts.value.iter().map(|rule| rule.value.name.as_ref()),
        &mut check,
    );
    unique_names(
        "fixture",
        file.fixtures
            .iter()
            .map(|fixture| fixture.value.name.as_ref()),
        &mut check,
    );
    let places = drafts.value.iter().map(|rule| rule.position).collect();
    let rules = drafts
        .value
        .into_iter()
        .filter_map(|rule| rule_draft::read(rule, &mut check))
        .collect();
    check.about_the_file();
    let otherwise = otherwise(file.otherwise.as_ref(), &mut check);
    let fixtures = file
        .fixtures
        .into_iter()
        .filter_map(|fixture| fixture::read(fixture, &names, &mut check))
        .collect();
    (problems.len() == before).then(|| RuleSet {
        rules: Arc::new(Rules { rules, otherwise }),
        file: source.name.to_owned(),
        places,
        fixtures,
    })
}

fn otherwise(word: Option<&At<String>>, check: &mut Check<'_>) -> Otherwise {
    let Some(word) = word else {
        return Otherwise::Always(Reading::Unclear);
    };
    if word.value == DEFAULT {
        return Otherwise::ByDefault;
    }
    let expected = format!("`{DEFAULT}`, or {}", readings());
    check
        .parsed("otherwise", Some(word), word.position, &expected)
        .map_or_else(Otherwise::default, Otherwise::Always)
}

/// After a rule that holds for every reply there is none.
fn reachable(rules: &[At<RuleFile>], check: &mut Check<'_>) {
    let is_last_word = |rule: &At<RuleFile>| {
        let when = rule.value.when.as_ref();
        when.is_some_and(|when| when.value.is_empty())
    };
    let Some(last) = rules.iter().position(is_last_word) else {
        return;
    };
    let catch_all = &rules[last];
    for rule in &rules[last + 1..] {
        check.about("rule", rule.value.name.as_ref());
        let expected = format!(
            "a place before the rule of line {}, which holds for every reply",
            catch_all.position.line
        );
        check.problem(rule.position, "is never reached", expected);
    }
}

fn unique_names<'a>(
    kind: &str,
    names: impl Iterator<Item = Option<&'a At<String>>>,
    check: &mut Check<'_>,
) -> BTreeSet<String> {
    let mut seen = BTreeMap::new();
    for name in names.flatten() {
        check.about(kind, Some(name));
        match seen.get(&name.value) {
            Some(first) => {
                let found = format!("the name stands on line {first} already");
                check.problem(name.position, &found, "a name of its own");
            }
            None => {
                seen.insert(name.value.clone(), name.position.line);
            }
        }
    }
    seen.into_keys().collect()
}

// === impl RuleSet ===

impl RuleSet {
    /// Reads every fixture, and looks for rules that none of them proves.
    pub(crate) fn check(&self, name: &str) -> Checked {
        let mut findings = Vec::new();
        let mut proved = BTreeSet::new();
        let mut finding = |position, found: String, expected: String| {
            findings.push(Problem {
                file: self.file.clone(),
                position: Some(position),
                found,
                expected,
            });
        };
        for fixture in &self.fixtures {
            let found = match fixture.run(&self.rules) {
                Ok(found) => found,
                Err((found, text, expected)) => {
                    let text = format!("{} {text}", list_one("fixture", &fixture.name));
                    finding(fixture.position, text, expected);
                    found
                }
            };
            proved.extend(found.rule);
        }
        for (rule, position) in self.rules.names().zip(&self.places) {
            if !proved.contains(rule) {
                let text = format!("{} reads no fixture", list_one("rule", rule));
                finding(*position, text, "a recorded reply for each rule".to_owned());
            }
        }
        Checked {
            name: name.to_owned(),
            file: self.file.clone(),
            rules: self.rules.rules.len(),
            fixtures: self.fixtures.len(),
            findings,
        }
    }
}

fn list_one(kind: &str, name: &str) -> String {
    format!("{kind} {}", list([name]))
}
