//! Every rule is shown the fault it is there for.

use super::{facts::Facts, rules};

#[track_caller]
fn finds(rule: fn(&Facts) -> Vec<String>, plant: impl FnOnce(&mut Facts), expected: &str) {
    let mut facts = Facts::read();
    plant(&mut facts);
    let findings = rule(&facts);
    assert!(
        findings.iter().any(|finding| finding == expected),
        "{findings:#?}"
    );
}

fn edge(facts: &mut Facts, from: &str, to: &str) {
    let tos = facts.edges.entry(from.to_owned()).or_default();
    tos.insert(to.to_owned());
}

#[test]
fn an_edge_between_roles() {
    finds(
        rules::edges,
        |facts| edge(facts, "router", "courier"),
        "router must not use courier",
    );
}

#[test]
fn an_edge_to_the_wiring() {
    finds(
        rules::edges,
        |facts| edge(facts, "simulator", "lienthong"),
        "simulator uses lienthong, which only wires the others",
    );
}

#[test]
fn a_crate_that_is_not_in_the_table() {
    finds(
        rules::edges,
        |facts| edge(facts, "helpers", "domain"),
        "helpers is not in the table of crates",
    );
}

#[test]
fn an_edge_that_is_gone() {
    finds(
        rules::edges,
        |facts| {
            facts.edges.entry("router".to_owned()).or_default().clear();
        },
        "router no longer uses routes: take it off the table",
    );
}

#[test]
fn a_second_owner() {
    finds(
        rules::owners,
        |facts| {
            facts
                .users
                .insert(("rusqlite".to_owned(), "tracker".to_owned()));
        },
        "tracker names rusqlite, which belongs to [\"log\", \"store\"]",
    );
}

#[test]
fn old_banned_and_double_versions() {
    let lock = |name: &'static str, version: &'static str| {
        move |facts: &mut Facts| {
            let version = version.parse().expect("a version");
            facts.locked.push((name.to_owned(), version));
        }
    };
    finds(
        rules::locked,
        lock("h2", "0.3.26"),
        "h2 0.3.26 is below 0.4.4",
    );
    finds(
        rules::locked,
        lock("backoff", "0.4.0"),
        "backoff 0.4.0 is banned",
    );
    finds(
        rules::locked,
        lock("bincode", "1.3.3"),
        "bincode 1.3.3 is banned",
    );
    finds(
        rules::locked,
        lock("prost", "0.13.5"),
        "prost is locked more than once",
    );
}

#[test]
fn a_file_without_end_and_a_file_without_name() {
    let file =
        |path: &'static str, lines| move |facts: &mut Facts| facts.files.push((path.into(), lines));
    finds(
        rules::files,
        file("crates/router/src/all.rs", 501),
        "crates/router/src/all.rs has 501 lines",
    );
    finds(
        rules::files,
        file("crates/router/src/open/mod.rs", 1),
        "crates/router/src/open/mod.rs: foo.rs beside foo/, please",
    );
}
