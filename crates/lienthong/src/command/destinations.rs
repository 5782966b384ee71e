//! `lienthong destinations`: the files of destinations.

use std::path::Path;

use replies::{Checked, Problem, RuleSets};
use serde_json::{Value, json};

use crate::{
    cli::{DestinationsCommand, Output},
    exit::Failure,
    output::{self, safe},
    plan::{self, PlanError},
    settings::{RoutesSettings, Settings},
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
        DestinationsCommand::Check { dir } => check(dir.as_deref(), &settings.routes, format),
    }
}

fn check(given: Option<&Path>, settings: &RoutesSettings, format: Output) -> Result<(), Failure> {
    let sets = read(given, settings, format)?;
    report(&sets.check(), format)
}

/// The rule sets, if nothing is wrong with them nor with the destinations that lie beside them.
fn read(
    given: Option<&Path>,
    settings: &RoutesSettings,
    format: Output,
) -> Result<RuleSets, Failure> {
    let dir = given.unwrap_or(&settings.destinations_dir);
    let only_rule_sets = given.is_some() && !dir.join("replies").is_dir();
    if only_rule_sets {
        return RuleSets::load(dir).map_err(|problems| refused(&problems, format));
    }
    let sets = plan::rule_sets(dir);
    let mut problems = match plan::destinations_alone(dir, settings) {
        Ok(destinations) => sets
            .iter()
            .flat_map(|sets| destinations.unknown_replies(sets.names()))
            .collect(),
        Err(PlanError::Routes(problems)) => problems,
        Err(error) => return Err(Failure::Usage(error.into())),
    };
    match sets {
        Ok(sets) if problems.is_empty() => Ok(sets),
        sets => {
            problems.extend(sets.err().into_iter().flatten());
            Err(refused(&problems, format))
        }
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
        "{} problem(s) in the files of destinations and reply rules:{lines}",
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
    use std::path::PathBuf;

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

    fn settings(destinations_dir: &Path) -> RoutesSettings {
        RoutesSettings {
            routes_dir: PathBuf::new(),
            destinations_dir: destinations_dir.to_owned(),
            calendars_dir: PathBuf::new(),
        }
    }

    fn checked(text: &str) -> Result<(), Failure> {
        let dir = destinations(text);
        check(Some(dir.path()), &settings(Path::new("")), Output::Table)
    }

    #[test]
    fn samples_and_sound_files_pass() {
        check(None, &settings(Path::new("")), Output::Json).unwrap();
        checked(GOOD).unwrap();
        let dir = destinations(GOOD);
        check(None, &settings(dir.path()), Output::Table).unwrap();
        check(
            Some(&dir.path().join("replies")),
            &settings(Path::new("none")),
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
        let failure = check(None, &settings(none.path()), Output::Json).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{}", failure.text());
    }

    #[test]
    fn a_destination_that_names_no_rule_set_is_told_with_its_place() {
        let dir = destinations(GOOD);
        let demo = include_str!("../../../../deploy/destinations/demo.yaml");
        let named = |name: &str| {
            let text = demo.replacen(
                "  agency: justice\n",
                &format!("  agency: justice\n  replies: {name}\n"),
                1,
            );
            fs::write(dir.path().join("demo.yaml"), text).unwrap();
            check(Some(dir.path()), &settings(Path::new("")), Output::Table)
        };
        named("x").unwrap();
        let failure = named("z").unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)));
        let text = failure.text();
        let place = "demo.yaml:8:12: destination `demo-justice`: `replies` is `z`; expected one of the rule sets `x`, \
                     or a file `replies/z.yaml` beside this one";
        assert!(
            text.starts_with("1 problem(s)") && text.ends_with(place),
            "{text}"
        );
    }

    #[test]
    fn what_is_wrong_with_destinations_and_with_rule_sets_is_told_at_once() {
        let dir = destinations("rules: 7\n");
        fs::write(dir.path().join("demo.yaml"), "7\n").unwrap();
        let failure = check(None, &settings(dir.path()), Output::Table).unwrap_err();
        let text = failure.text();
        assert!(
            ["2 problem(s)", "demo.yaml:1:1: ", "x.yaml:1:8: "]
                .iter()
                .all(|part| text.contains(part)),
            "{text}"
        );
    }
}
