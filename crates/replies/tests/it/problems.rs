//! What a wrong file is told.

use std::fs;

use replies::RuleSets;

use crate::rules::problems;

/// The file is refused with exactly this line.
#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(problems(text), [expected], "{text}");
}

/// A condition is refused with a line that ends so.
#[track_caller]
fn condition(condition: &str, expected: &str) {
    let text = format!("rules:\n- name: a\n  then: accepted\n  when: {{{condition}}}\n");
    check(&text, &format!("x.yaml:4:{expected}"));
}

const READINGS: &str = "one of `accepted`, `duplicate`, `out-of-order`, `transient`, `permanent`, \
                        `needs-person`, `unclear`, `blocked`";

#[test]
fn all_problems_of_all_places_are_told_at_once() {
    let found = problems(
        "rules:\n- {name: A, when: {status: []}, then: fine}\n- {when: {}}\n- {name: b, when: {}, then: accepted}\n\
         otherwise: maybe\nfixtures:\n- {name: f, reads: odd, by: c}\n- {name: f, status: 200, reads: accepted}\n",
    );
    let lines = [
        "x.yaml:2:10: rule `A`: `name` is `A`; expected 1 to 63 lowercase letters, digits or hyphens, and not `otherwise`".to_owned(),
        "x.yaml:2:28: rule `A`: `status` is empty; expected at least one value".to_owned(),
        format!("x.yaml:2:39: rule `A`: `then` is `fine`; expected {READINGS}"),
        "x.yaml:3:3: rule: `name` is missing; expected 1 to 63 lowercase letters, digits or hyphens".to_owned(),
        format!("x.yaml:3:3: rule: `then` is missing; expected {READINGS}"),
        "x.yaml:4:3: rule `b`: is never reached; expected a place before the rule of line 3, which holds for every reply".to_owned(),
        format!("x.yaml:5:12: `otherwise` is `maybe`; expected `default`, or {READINGS}"),
        "x.yaml:7:3: fixture `f`: neither `status` nor `grpc` is here; expected a reply with one of them".to_owned(),
        format!("x.yaml:7:20: fixture `f`: `reads` is `odd`; expected {READINGS}"),
        "x.yaml:7:29: fixture `f`: `by` is `c`; expected the name of a rule, or `otherwise`".to_owned(),
        "x.yaml:8:10: fixture `f`: the name stands on line 7 already; expected a name of its own".to_owned(),
    ];
    assert_eq!(found, lines);
}

#[test]
fn two_rules_of_one_name_are_refused() {
    check(
        "rules:\n- {name: a, when: {status: 200}, then: accepted}\n- {name: a, when: {status: 201}, then: accepted}\n",
        "x.yaml:3:10: rule `a`: the name stands on line 2 already; expected a name of its own",
    );
}

#[test]
fn a_condition_that_means_nothing_is_refused() {
    for status in ["99", "599-500", "5xx", "1000", "x"] {
        condition(
            &format!("status: {status}"),
            &format!(
                "18: rule `a`: `status` is `{status}`; expected a status from 100 to 999, or a range like \
                 `500-599`"
            ),
        );
    }
    condition(
        "text: {matches: 'a('}",
        "26: rule `a`: `text.matches` is `a(`: unclosed group; expected a regular expression as \
         https://docs.rs/regex has them",
    );
    condition(
        "text: {}",
        "16: rule `a`: `text` has 0 tests; expected exactly one of `equals`, `contains`, `matches`",
    );
    condition(
        "text: {contains: [a, ' ']}",
        "31: rule `a`: `text.contains` is ` `; expected text that is not blank",
    );
    condition(
        "json: {pointer: code, equals: x}",
        "26: rule `a`: `json.pointer` is `code`; expected a JSON pointer like `/error/code`",
    );
    condition(
        "header: {name: 'a b', equals: x}",
        "25: rule `a`: `header.name` is `a b`; expected the name of a header, like `Retry-After`",
    );
    condition(
        "soap_fault: {code: {equals: a, contains: a}}",
        "29: rule `a`: `soap_fault.code` has 2 tests; expected exactly one of `equals`, `contains`, `matches`",
    );
}

#[test]
fn a_file_of_another_shape_is_told_where() {
    condition(
        "json: {pointer: /a, equals: 0}",
        "30: integer `0` stands here; expected text, in quotes where it looks like a number",
    );
    condition(
        "colour: red",
        "10: `colour` is no field here; expected one of `status`, `grpc`, `header`, `json`, `soap_fault`, `text`, \
         `names_delivery`",
    );
    check(
        "rules: 7\n",
        "x.yaml:1:8: something else stands here; expected a list like `[one, two]`",
    );
    check(
        "{}",
        "x.yaml: `rules` is missing; expected a list of rules; it may be empty",
    );
}

#[test]
fn a_grpc_code_and_a_wait_that_are_none_are_refused() {
    let found = problems(
        "rules:\n- {name: a, when: {grpc: [OK, GONE]}, then: transient, retry_after: {}}\n\
         - {name: b, when: {status: 503}, then: transient, retry_after: {seconds: 1, json: x}}\n",
    );
    assert!(
        found[0].starts_with(
            "x.yaml:2:31: rule `a`: `grpc` is `GONE`; expected one of `OK`, `CANCELLED`"
        )
    );
    assert_eq!(
        found[1..],
        [
            "x.yaml:2:69: rule `a`: `retry_after` has 0 places; expected exactly one of `header`, `json`, `seconds`",
            "x.yaml:3:64: rule `b`: `retry_after` has 2 places; expected exactly one of `header`, `json`, `seconds`",
        ]
    );
}

#[test]
fn a_directory_is_read_whole_and_every_wrong_file_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = RuleSets::load(dir.path()).unwrap_err();
    assert!(
        error[0].found.contains("no file `*.yaml` is here"),
        "{error:?}"
    );
    fs::write(dir.path().join("good.yaml"), "rules: []\n").unwrap();
    fs::write(dir.path().join("notes.txt"), "nothing").unwrap();
    let sets = RuleSets::load(dir.path()).unwrap();
    assert!(sets.names().eq(["good"]));
    assert!(sets.rules("bad").is_none());
    fs::write(dir.path().join("Bad Name.yaml"), "rules: []\n").unwrap();
    fs::write(dir.path().join("latin.yaml"), b"rules: [] # \xe9\n").unwrap();
    fs::write(dir.path().join("wrong.yaml"), "rule: []\n").unwrap();
    let problems = RuleSets::load(dir.path()).unwrap_err();
    let files: Vec<_> = problems
        .iter()
        .map(|problem| problem.file.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(files, ["Bad Name.yaml", "latin.yaml", "wrong.yaml"]);
    assert!(RuleSets::load(&dir.path().join("none")).is_err());
}
