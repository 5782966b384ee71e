//! `docs/rows.md` names tests: each of them is there, and no row of the courier is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const ROWS: [&str; 22] = [
    "B7", "B11", "C3", "C6", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11",
    "D12", "D13", "O5", "O6", "S8", "S9", "T8",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands between backquotes and names a test: the file and the function.
fn tests_of(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter_map(|quoted| quoted.split_once("::"))
}

/// Whether the source defines a function of that name, a test or what a macro makes one of.
fn defines(source: &str, name: &str) -> bool {
    source.lines().any(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(super) ").unwrap_or(line);
        let rest = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
        let after = rest.and_then(|rest| rest.strip_prefix(name));
        after.is_some_and(|after| after.starts_with('('))
    })
}

#[test]
fn every_test_that_the_table_names_exists() {
    let table = fs::read_to_string(root().join("docs/rows.md")).unwrap();
    let mut sources = BTreeMap::new();
    let mut named = 0;
    for (file, name) in tests_of(&table).filter(|(file, _)| file.ends_with(".rs")) {
        let read = || fs::read_to_string(root().join(file)).unwrap_or_default();
        let source = sources.entry(file).or_insert_with(read);
        assert!(defines(source, name), "{file} has no test `{name}`");
        named += 1;
    }
    assert!(named > ROWS.len(), "{named}");
}

#[test]
fn every_row_of_the_courier_names_a_test() {
    let table = fs::read_to_string(root().join("docs/rows.md")).unwrap();
    let lines = table.lines().filter_map(|line| line.strip_prefix("| "));
    let covered: BTreeSet<_> = lines
        .filter(|line| tests_of(line).next().is_some())
        .filter_map(|line| line.split(" |").next())
        .collect();
    let missing: Vec<_> = ROWS.iter().filter(|row| !covered.contains(*row)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_name_is_not_found_in_a_longer_one() {
    assert!(defines(
        "    async fn d1_waits(backend: Backend) {",
        "d1_waits"
    ));
    assert!(!defines("fn d1_waits_long() {", "d1_waits"));
    assert!(!defines("// fn d1_waits()", "d1_waits"));
}
