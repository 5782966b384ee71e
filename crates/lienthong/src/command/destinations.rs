//! `lienthong destinations`: the files of destinations.

use std::path::{Path, PathBuf};

use replies::{Checked, Problem, RuleSets};
use serde_json::{Value, json};

use crate::{
    cli::{DestinationsCommand, Output},
    exit::Failure,
    output::{self, safe},
    settings::Settings,
};

/// Runs the command.
///
/// # Errors
/// A file is wrong, or a recorded reply is read otherwise than it should be.
pub fn run(
    command: &DestinationsCommand,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    match command {
        DestinationsCommand::Check { dir } => {
            check(dir.as_deref(), &settings.routes.destinations_dir, format)
        }
    }
}

fn check(given: Option<&Path>, configured: &Path, format: Output) -> Result<(), Failure> {
    let dir = rule_sets_dir(given, configured);
    let sets = match &dir {
        Some(dir) => RuleSets::load(dir),
        None => RuleSets::built_in(),
    };
    let sets = sets.map_err(|problems| refused(&problems, format))?;
    report(&sets.check(), format)
}

/// Where rule sets lie; `None`: in the program.
fn rule_sets_dir(given: Option<&Path>, configured: &Path) -> Option<PathBuf> {
    match given {
        Some(dir) => {
            let inside = dir.join("replies");
            Some(if inside.is_dir() {
                inside
            } else {
                dir.to_owned()
            })
        }
        None if configured.as_os_str().is_empty() => None,
        None => Some(configured.join("replies")),
    }
}

fn refused(problems: &[Problem], format: Output) -> Failure {
    if format == Output::Json {
        let list: Vec<Value> = problems.iter().map(problem_json).collect();
        if let Err(error) = output::json(&json!({ "problems": list })) {
            return Failure::Other(error);
        }
    }
    let lines: String = problems.iter().map(line).collect();
    Failure::Usage(anyhow::anyhow!(
        "{} problem(s) in the files of reply rules:{lines}",
        problems.len()
    ))
}

fn report(checked: &[Checked], format: Output) -> Result<(), Failure> {
    if format == Output::Json {
        let sets: Vec<Value> = checked.iter().map(checked_json).collect();
        output::json(&json!({ "rule_sets": sets }))?;
    } else {
        let rows: Vec<_> = checked.iter().map(row).collect();
        output::table(["RULE SET", "RULES", "FIXTURES", "FINDINGS", "FILE"], &rows);
    }
    let findings: Vec<_> = checked.iter().flat_map(|set| &set.findings).collect();
    if findings.is_empty() {
        return Ok(());
    }
    let lines: String = findings.iter().map(|finding| line(finding)).collect();
    Err(Failure::Finding(format!(
        "{} finding(s) in the recorded replies:{lines}",
        findings.len()
    )))
}

fn row(set: &Checked) -> [String; 5] {
    [
        set.name.clone(),
        set.rules.to_string(),
        set.fixtures.to_string(),
        set.findings.len().to_string(),
        safe(&set.file),
    ]
}

fn line(problem: &Problem) -> String {
    format!("\n  {}", safe(&problem.to_string()))
}

fn checked_json(set: &Checked) -> Value {
    let findings: Vec<Value> = set.findings.iter().map(problem_json).collect();
    json!({
        "name": set.name,
        "file": set.file,
        "rules": set.rules,
        "fixtures": set.fixtures,
        "findings": findings,
    })
}

fn problem_json(problem: &Problem) -> Value {
    json!({
        "file": problem.file,
        "line": problem.position.map(|at| at.line),
        "column": problem.position.map(|at| at.column),
        "found": problem.found,
        "expected": problem.expected,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "rules: [{name: a, when: {status: 200}, then: accepted}]\n\
                        fixtures: [{name: f, status: 200, reads: accepted}]\n";

    /// Destinations with one rule set of that text.
    fn destinations(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let replies = dir.path().join("replies");
        fs::create_dir(&replies).unwrap();
        fs::write(dir.path().join("demo.yaml"), "[]").unwrap();
        fs::write(replies.join("x.yaml"), text).unwrap();
        dir
    }

    fn checked(text: &str) -> Result<(), Failure> {
        let dir = destinations(text);
        check(Some(dir.path()), Path::new(""), Output::Table)
    }

    #[test]
    fn samples_and_sound_files_pass() {
        check(None, Path::new(""), Output::Json).unwrap();
        checked(GOOD).unwrap();
        let dir = destinations(GOOD);
        check(None, dir.path(), Output::Table).unwrap();
        check(
            Some(&dir.path().join("replies")),
            Path::new("none"),
            Output::Table,
        )
        .unwrap();
    }

    #[test]
    fn a_reply_read_otherwise_is_a_finding_with_its_place() {
        let wrong = GOOD.replace("reads: accepted", "reads: transient");
        let failure = checked(&wrong).unwrap_err();
        assert!(matches!(failure, Failure::Finding(_)));
        let text = failure.text();
        let place = "x.yaml:2:12: fixture `f` is read as `accepted` by `a`; expected `transient`";
        assert!(
            text.starts_with("1 finding(s)") && text.ends_with(place),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_file_is_wrong_usage_and_every_problem_is_told() {
        let failure = checked("rules: [{name: a}]\n").unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)));
        let text = failure.text();
        assert!(
            text.contains("2 problem(s)") && text.contains("`then` is missing"),
            "{text}"
        );
        let none = tempfile::tempdir().unwrap();
        let failure = check(None, none.path(), Output::Json).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{}", failure.text());
    }
}
