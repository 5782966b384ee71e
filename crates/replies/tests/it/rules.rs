//! Rule sets of tests.

use std::sync::Arc;

use replies::{Checked, Problem, RuleSets, Rules, Source};

pub(crate) fn load(text: &str) -> Result<RuleSets, Vec<Problem>> {
    RuleSets::from_sources(&[Source {
        name: "x.yaml",
        text,
    }])
}

/// A rule set that is valid.
#[track_caller]
pub(crate) fn rules(text: &str) -> Arc<Rules> {
    Arc::clone(load(text).unwrap().rules("x").unwrap())
}

/// One rule that is read as accepted when the condition holds, and as unclear otherwise.
#[track_caller]
pub(crate) fn when(condition: &str) -> Arc<Rules> {
    rules(&format!(
        "rules: [{{name: it, when: {{{condition}}}, then: accepted}}]\n"
    ))
}

#[track_caller]
pub(crate) fn checked(text: &str) -> Checked {
    load(text).unwrap().check().remove(0)
}

/// The lines of all problems.
#[track_caller]
pub(crate) fn problems(text: &str) -> Vec<String> {
    let problems = load(text).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}
