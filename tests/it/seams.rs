//! A courier waits for what lies outside of it in few places: its store, its log, its links. The crash
//! tests of `crates/courier/tests/service/crash_points.rs` stand there; a way round these places would be
//! a wait at which no test lets it die, and so it fails here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What reaches outside, and the only files of the courier that may say it.
const OUTSIDE: &[(&str, &[&str])] = &[
    (
        "dial::",
        &[
            "config.rs",
            "link/ask.rs",
            "link/http.rs",
            "link/stream.rs",
            "link/unary.rs",
            "link/way.rs",
        ],
    ),
    ("hyper_util", &["link/ask.rs", "link/http.rs"]),
    (
        "tonic::client",
        &["link/ask.rs", "link/stream.rs", "link/unary.rs"],
    ),
    (
        "tonic::transport",
        &["link/ask.rs", "link/stream.rs", "link/unary.rs"],
    ),
    ("Log::open", &[]),
    ("Store::open", &[]),
    ("axum::serve", &[]),
    ("block_in_place", &[]),
    ("spawn_blocking", &[]),
    ("std::fs", &[]),
    ("std::net", &[]),
    ("std::os", &[]),
    ("process::Command", &[]),
    ("std::thread", &[]),
    ("tokio::fs", &[]),
    ("tokio::net", &[]),
    ("tokio::process", &[]),
    ("tokio::signal", &[]),
];

/// Other people's crates that a courier uses when it runs. One more is decided here, in review: if it
/// reaches outside, [`OUTSIDE`] names it too.
const CRATES: &[&str] = &[
    "axum",
    "base64",
    "bytes",
    "futures-util",
    "governor",
    "http-body-util",
    "hyper",
    "hyper-util",
    "jiff",
    "metrics",
    "prost",
    "prost-types",
    "serde",
    "serde_json",
    "thiserror",
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tonic",
    "tonic-health",
    "tonic-prost",
    "tracing",
];

/// The traits behind which store and log lie, and how the crash tests implement them.
const BACK_ENDS: [(&str, &str, &str); 3] = [
    (
        "crates/store/src/backend.rs",
        "pub trait Backend:",
        "impl Backend for Mortal<",
    ),
    (
        "crates/log/src/backend.rs",
        "pub trait Backend:",
        "impl log::Backend for Mortal<",
    ),
    (
        "crates/log/src/backend.rs",
        "pub trait Reader:",
        "impl Reader for Mortal<",
    ),
];
const MORTAL: &str = "crates/courier/tests/service/crash_points/mortal.rs";
/// It does not wait.
const AT_ONCE: [&str; 1] = ["committed"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The courier's files without its tests.
fn courier() -> BTreeMap<String, String> {
    let top = root().join("crates/courier/src");
    let (mut sources, mut dirs) = (BTreeMap::new(), vec![top.clone()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy();
            if ["tests", "properties"].contains(&name.as_ref()) {
                continue;
            }
            if path.is_dir() {
                dirs.push(path);
            } else {
                let short = path.strip_prefix(&top).unwrap().display().to_string();
                sources.insert(short, fs::read_to_string(&path).unwrap());
            }
        }
    }
    sources
}

/// A source as far as it is no test, without what explains it.
fn product(source: &str) -> impl Iterator<Item = &str> {
    let source = source.split("#[cfg(test)]\nmod tests {").next();
    let lines = source.unwrap_or_default().lines();
    lines.filter(|line| !line.trim_start().starts_with("//"))
}

/// Who reaches outside and may not, and who may and does not.
fn ways_round(sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (word, files) in OUTSIDE {
        let says = |source: &String| product(source).any(|line| line.contains(word));
        let saying = sources.iter().filter(|(_, source)| says(source));
        let found: BTreeSet<&str> = saying.map(|(file, _)| file.as_str()).collect();
        let named: BTreeSet<&str> = files.iter().copied().collect();
        for file in found.difference(&named) {
            findings.push(format!(
                "{file} says `{word}`: go through the store, the log or a link"
            ));
        }
        for file in named.difference(&found) {
            findings.push(format!(
                "{file} no longer says `{word}`: take it off the table"
            ));
        }
    }
    findings
}

/// The methods of a trait or of an implementation that begins so, with what stands in them.
fn methods<'a>(source: &'a str, begin: &str) -> BTreeMap<&'a str, &'a str> {
    let (_, rest) = source.split_once(begin).unwrap();
    let (block, _) = rest.split_once("\n}").unwrap();
    let method = |text: &'a str| {
        let end = text.find(['(', '<']).unwrap();
        (&text[..end], &text[end..])
    };
    block.split("\n    fn ").skip(1).map(method).collect()
}

#[test]
fn a_courier_reaches_outside_through_its_store_its_log_and_its_links_alone() {
    let sources = courier();
    assert!(sources.len() > 50, "{}", sources.len());
    let findings = ways_round(&sources);
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn a_way_round_the_seams_is_found() {
    let mut sources = courier();
    sources
        .get_mut("fold.rs")
        .unwrap()
        .push_str("\ntokio::fs::read(path).await");
    sources
        .get_mut("engine.rs")
        .unwrap()
        .push_str("\n// not tokio::net");
    sources.insert("link/http.rs".to_owned(), "use dial::Connector;".to_owned());
    assert_eq!(
        ways_round(&sources),
        [
            "link/http.rs no longer says `hyper_util`: take it off the table",
            "fold.rs says `tokio::fs`: go through the store, the log or a link",
        ]
    );
}

#[test]
fn a_courier_uses_no_crate_that_nobody_has_looked_at() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let packages = metadata.workspace_packages();
    let courier = packages
        .into_iter()
        .find(|package| *package.name == "courier");
    let used = courier.unwrap().dependencies.iter();
    let used = used.filter(|it| it.path.is_none() && it.kind != DependencyKind::Development);
    let used: BTreeSet<&str> = used.map(|it| it.name.as_str()).collect();
    let named: BTreeSet<&str> = CRATES.iter().copied().collect();
    assert_eq!(named, used, "left: the table, right: Cargo.toml");
}

#[test]
fn every_method_of_store_and_log_has_its_crash_points() {
    let mortal = read(MORTAL);
    for (file, promised, wrapped) in BACK_ENDS {
        let source = read(file);
        let promised = methods(&source, promised);
        let wrapped = methods(&mortal, wrapped);
        let named: Vec<_> = promised.keys().collect();
        assert!(!named.is_empty(), "{file}");
        assert_eq!(named, wrapped.keys().collect::<Vec<_>>(), "{file}");
        for (name, body) in wrapped {
            let body: String = body.split_whitespace().collect();
            let passes = body.contains("self.life.") || body.contains("self.open(");
            assert!(passes || AT_ONCE.contains(&name), "{name} passes no point");
        }
    }
}
