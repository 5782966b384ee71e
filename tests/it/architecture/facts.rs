use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand, semver::Version};

/// What the rules judge.
#[derive(Clone, Default)]
pub(super) struct Facts {
    /// Every crate of ours with those of ours that it uses when it runs.
    pub(super) edges: BTreeMap<String, BTreeSet<String>>,
    /// Who of ours names which crate of other people, for any purpose: (theirs, ours).
    pub(super) users: BTreeSet<(String, String)>,
    /// What is locked from a registry.
    pub(super) locked: Vec<(String, Version)>,
    /// Our source files with their lines.
    pub(super) files: Vec<(PathBuf, usize)>,
}

// === impl Facts ===

impl Facts {
    pub(super) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("tests lies in the workspace");
        let mut facts = Self::default();
        facts.read_graph(root);
        facts.read_lock(root);
        for top in ["crates", "tests"] {
            facts.read_files(&root.join(top), root);
        }
        facts
    }

    fn read_graph(&mut self, root: &Path) {
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .other_options(["--offline".to_owned()])
            .exec()
            .expect("cargo describes the workspace");
        for package in metadata.workspace_packages() {
            let from = own_name(&package.name);
            self.edges.entry(from.clone()).or_default();
            for dependency in &package.dependencies {
                let is_ours = dependency.path.is_some();
                if !is_ours {
                    self.users.insert((dependency.name.clone(), from.clone()));
                } else if dependency.kind != DependencyKind::Development {
                    let to = own_name(&dependency.name);
                    self.edges.entry(from.clone()).or_default().insert(to);
                }
            }
        }
    }

    fn read_lock(&mut self, root: &Path) {
        let text = fs::read_to_string(root.join("Cargo.lock")).expect("Cargo.lock is committed");
        let lock: toml::Table = text.parse().expect("Cargo.lock is TOML");
        for package in lock["package"].as_array().expect("a list of packages") {
            if package.get("source").is_none() {
                continue;
            }
            let part = |key: &str| package[key].as_str().expect("a text").to_owned();
            let version = part("version").parse().expect("a version");
            self.locked.push((part("name"), version));
        }
    }

    fn read_files(&mut self, dir: &Path, root: &Path) {
        for entry in fs::read_dir(dir).expect("a directory of ours") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                self.read_files(&path, root);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = fs::read_to_string(&path).expect("UTF-8").lines().count();
                let short = path.strip_prefix(root).unwrap_or(&path).to_owned();
                self.files.push((short, lines));
            }
        }
    }
}

/// The package of `crates/log` is called `eventlog`, because `log` is taken.
fn own_name(package: &str) -> String {
    if package == "eventlog" {
        "log"
    } else {
        package
    }
    .to_owned()
}
