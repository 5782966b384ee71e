use std::fs::File;
use std::io::Read;
use std::path::Path;

use drafts::{OwnedSource, Problem, Source};
use sha2::{Digest, Sha256};

/// The text of a template beside the destination files, or why there is none.
pub(crate) type Templates<'a> = &'a dyn Fn(&str) -> Result<String, String>;

const LARGEST_TEMPLATE: u64 = 64 * 1024;

macro_rules! deployed {
    ($($path:literal),+ $(,)?) => {
        &[$(Source {
            name: concat!("deploy/", $path),
            text: include_str!(concat!("../../../deploy/", $path)),
        }),+]
    };
}

/// The route files of `deploy`.
pub(crate) const ROUTES: &[Source<'static>] = deployed!(
    "routes/birth.yaml",
    "routes/civil-status.yaml",
    "routes/criminal-record.yaml",
    "routes/death.yaml",
    "routes/funeral-support.yaml",
    "routes/permanent-residence.yaml",
);

/// The destination files of `deploy`.
pub(crate) const DESTINATIONS: &[Source<'static>] = deployed!("destinations/demo.yaml");

/// Reads all `*.yaml` of a directory, of which there must be one.
pub(crate) fn read_dir(dir: &Path) -> (Vec<OwnedSource>, Vec<Problem>) {
    let (sources, mut problems) = drafts::read_dir(dir);
    if sources.is_empty() && problems.is_empty() {
        let (found, expected) = ("no file `*.yaml` is here", "at least one");
        problems.push(Problem::whole(dir.display().to_string(), found, expected));
    }
    (sources, problems)
}

/// The text of a template in a directory, or why there is none.
pub(crate) fn read_template(dir: &Path, name: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(dir.join(name));
    file.and_then(|file| file.take(LARGEST_TEMPLATE + 1).read_to_string(&mut text))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if text.len() as u64 > LARGEST_TEMPLATE {
        return Err("it is over 64 KiB".to_owned());
    }
    Ok(text)
}

/// Twelve hexadecimal digits over names (without their directories) and texts.
pub(crate) fn digest(kinds: [&[Source<'_>]; 3]) -> String {
    let mut hash = Sha256::new();
    for sources in kinds {
        let mut files: Vec<(&str, &str)> = sources
            .iter()
            .map(|source| {
                (
                    source.name.rsplit('/').next().unwrap_or_default(),
                    source.text,
                )
            })
            .collect();
        files.sort_unstable();
        hash.update(files.len().to_be_bytes());
        for part in files.into_iter().flat_map(|(name, text)| [name, text]) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    let bytes = hash.finalize();
    bytes
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
