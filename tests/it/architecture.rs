//! The rules of the house that no compiler knows: who may depend on whom, who owns which driver, which
//! versions are too old, how long a file may be.
//!
//! Every rule is a function from facts to findings; `planted` shows each of them a broken fact.

mod facts;
mod planted;
mod rules;

use facts::Facts;

/// Each crate and the crates of ours it depends on. A new edge is decided here, in review.
const ALLOWED: &[(&str, &[&str])] = &[
    ("backoff", &[]),
    ("calendar", &[]),
    ("dial", &[]),
    ("domain", &[]),
    ("drafts", &[]),
    ("log", &[]),
    ("runtime", &[]),
    ("store", &[]),
    ("proto", &["domain"]),
    ("replies", &["drafts"]),
    ("territory", &["domain"]),
    ("routes", &["calendar", "domain", "drafts", "territory"]),
    ("consumer", &["domain", "log", "runtime", "store"]),
    ("gateway", &["domain", "log", "proto", "runtime"]),
    (
        "router",
        &[
            "calendar",
            "consumer",
            "domain",
            "log",
            "proto",
            "routes",
            "runtime",
            "store",
            "territory",
        ],
    ),
    (
        "courier",
        &[
            "backoff", "calendar", "consumer", "dial", "domain", "log", "proto", "replies",
            "runtime", "store",
        ],
    ),
    (
        "tracker",
        &[
            "calendar", "consumer", "domain", "log", "proto", "runtime", "store",
        ],
    ),
    (
        "simulator",
        &["calendar", "domain", "proto", "runtime", "territory"],
    ),
];

/// Crates that wire the others together: they may use all of them, and none may use them but `tests`.
const WIRING: &[&str] = &["lienthong", "tests"];

/// Other people's crates and the only crates of ours that may name them.
const OWNERS: &[(&str, &[&str])] = &[
    ("cel", &["routes"]),
    ("rdkafka", &["log"]),
    ("reqwest", &["lienthong", "tests"]),
    ("rusqlite", &["log", "store"]),
    ("serde-saphyr", &["calendar", "drafts"]),
    ("tokio-postgres", &["store"]),
];

/// The lowest versions that may be locked (reliability.md §8).
const FLOORS: &[(&str, &str)] = &[
    ("cel", "0.15.0"),
    ("h2", "0.4.4"),
    ("hyper", "1.0.0"),
    ("rdkafka", "0.39.0"),
    ("rustls", "0.23.45"),
    ("rustls-webpki", "0.103.13"),
    ("tonic", "0.14.7"),
];

/// What must not be locked at all (reliability.md §8). Our own `backoff` comes from no registry.
const BANNED: &[&str] = &[
    "atty",
    "backoff",
    "failsafe",
    "fxhash",
    "instant",
    "josekit",
    "madsim",
    "madsim-rdkafka",
    "madsim-tokio",
    "madsim-tonic",
    "proc-macro-error",
    "proc-macro-error2",
    "serde_yaml",
    "serde_yml",
];

/// One version only.
const SINGLE: &[&str] = &["prost", "tonic"];

/// Lines of a source file.
const LONGEST: usize = 500;

#[track_caller]
fn holds(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn crates_depend_only_on_lower_layers() {
    holds(rules::edges(&Facts::read()));
}

#[test]
fn drivers_have_one_owner_each() {
    holds(rules::owners(&Facts::read()));
}

#[test]
fn no_locked_version_is_below_its_floor_or_banned() {
    holds(rules::locked(&Facts::read()));
}

#[test]
fn files_stay_short_and_are_named_after_what_they_hold() {
    holds(rules::files(&Facts::read()));
}
