use std::collections::BTreeSet;

use super::{ALLOWED, BANNED, FLOORS, LONGEST, OWNERS, SINGLE, WIRING, facts::Facts};

/// The graph is the table, edge by edge, and nobody uses the wiring.
pub(super) fn edges(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for (from, tos) in &facts.edges {
        for to in tos
            .iter()
            .filter(|to| WIRING.contains(&to.as_str()) && from != "tests")
        {
            findings.push(format!("{from} uses {to}, which only wires the others"));
        }
        if WIRING.contains(&from.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == from) else {
            findings.push(format!("{from} is not in the table of crates"));
            continue;
        };
        let allowed: BTreeSet<String> = allowed.iter().map(|to| (*to).to_owned()).collect();
        for to in tos.difference(&allowed) {
            findings.push(format!("{from} must not use {to}"));
        }
        for to in allowed.difference(tos) {
            findings.push(format!("{from} no longer uses {to}: take it off the table"));
        }
    }
    for (name, _) in ALLOWED {
        if !facts.edges.contains_key(*name) {
            findings.push(format!("{name} is in the table and not in the workspace"));
        }
    }
    findings
}

/// A driver is named by its owners alone.
pub(super) fn owners(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for (theirs, ours) in &facts.users {
        let owners = OWNERS.iter().find(|(name, _)| name == theirs);
        if let Some((_, owners)) = owners.filter(|(_, owners)| !owners.contains(&ours.as_str())) {
            findings.push(format!(
                "{ours} names {theirs}, which belongs to {owners:?}"
            ));
        }
    }
    findings
}

/// Floors, bans, and one version where two would be two types.
pub(super) fn locked(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, version) in &facts.locked {
        if let Some((_, floor)) = FLOORS.iter().find(|(known, _)| known == name)
            && *version < floor.parse().expect("floors are versions")
        {
            findings.push(format!("{name} {version} is below {floor}"));
        }
        if BANNED.contains(&name.as_str()) || (name == "bincode" && version.major < 2) {
            findings.push(format!("{name} {version} is banned"));
        }
    }
    for name in SINGLE {
        let versions = facts.locked.iter().filter(|(known, _)| known == name);
        if versions.count() > 1 {
            findings.push(format!("{name} is locked more than once"));
        }
    }
    findings
}

/// No file is longer than a person reads, and none is called `mod.rs`.
pub(super) fn files(facts: &Facts) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, lines) in &facts.files {
        let is_generated = path
            .components()
            .any(|part| part.as_os_str() == "generated");
        if *lines > LONGEST && !is_generated {
            findings.push(format!("{} has {lines} lines", path.display()));
        }
        if path.ends_with("mod.rs") {
            findings.push(format!("{}: foo.rs beside foo/, please", path.display()));
        }
    }
    findings
}
