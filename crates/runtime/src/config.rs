//! Settings in layers: the documented defaults, a file, the environment.

use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;

/// The settings are wrong.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The named file is not there or cannot be read.
    #[error("cannot read the settings file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A value is missing, unknown or of the wrong kind.
    #[error("the settings are wrong")]
    Value(#[source] config::ConfigError),
}

/// Loads settings: `defaults` (TOML), then `file`, then variables such as
/// `LIENTHONG__COURIER__LISTEN`. Unknown keys are for the target type to refuse.
pub fn load<T: DeserializeOwned>(defaults: &str, file: Option<&Path>) -> Result<T, LoadError> {
    let mut layers = Config::builder().add_source(File::from_str(defaults, FileFormat::Toml));
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::File {
            path: path.to_owned(),
            source,
        })?;
        layers = layers.add_source(File::from_str(&text, FileFormat::Toml));
    }
    let environment = Environment::with_prefix("LIENTHONG")
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true);
    layers
        .add_source(environment)
        .build()
        .and_then(Config::try_deserialize)
        .map_err(LoadError::Value)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        gateway: Gateway,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Gateway {
        listen: String,
        limit: u32,
    }

    const DEFAULTS: &str = "[gateway]\nlisten = \"127.0.0.1:7400\"\nlimit = 5\n";

    #[test]
    fn a_file_overrides_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings.toml");
        std::fs::write(&path, "[gateway]\nlimit = 9\n").unwrap();
        let settings: Settings = load(DEFAULTS, Some(&path)).unwrap();
        assert_eq!(
            settings.gateway,
            Gateway {
                listen: "127.0.0.1:7400".to_owned(),
                limit: 9
            }
        );
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let wrong = format!("{DEFAULTS}limits = 7\n");
        let error = load::<Settings>(&wrong, None).unwrap_err();
        assert!(
            crate::ErrorChain(&error).to_string().contains("limits"),
            "{error:?}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load::<Settings>(DEFAULTS, Some(Path::new("/no/such.toml"))).unwrap_err();
        assert!(error.to_string().contains("/no/such.toml"));
    }
}
