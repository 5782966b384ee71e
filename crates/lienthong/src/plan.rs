//! Routes, destinations, calendars and units: read once, shared by the roles.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use calendar::Calendars;
use router::Plan;
use routes::{Problem, RouteSet};
use territory::Territory;
use tracing::warn;

use crate::settings::RoutesSettings;

/// The plan cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A directory or file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A calendar file is wrong.
    #[error("a calendar file is wrong")]
    Calendar(#[source] calendar::FileError),
    /// Route or destination files are wrong.
    #[error("{} problem(s) in route and destination files:{}", .0.len(), Lines(.0))]
    Routes(Vec<Problem>),
    /// The registry of units that is built in cannot be read.
    #[error("the built-in registry of units is damaged")]
    Territory(#[source] territory::DataError),
}

struct Lines<'a>(&'a [Problem]);

/// Reads what the settings name, or the built-in samples where they name nothing.
///
/// # Errors
/// Every problem of route and destination files at once, else the first one.
pub fn load(settings: &RoutesSettings) -> Result<Plan, PlanError> {
    let calendars = if settings.calendars_dir.as_os_str().is_empty() {
        Calendars::built_in().map_err(PlanError::Calendar)?
    } else {
        Calendars::from_yaml(read_dir(&settings.calendars_dir)?).map_err(PlanError::Calendar)?
    };
    let named = |dir: &Path| !dir.as_os_str().is_empty();
    let (routes, destinations) = (&settings.routes_dir, &settings.destinations_dir);
    let routes = match (named(routes), named(destinations)) {
        (false, false) => RouteSet::built_in(&calendars),
        (true, true) => RouteSet::load(routes, destinations, &calendars),
        (first, _) => {
            let missing = if first {
                "destinations_dir"
            } else {
                "routes_dir"
            };
            let source = std::io::Error::other(format!(
                "routes.{missing} is empty: name both directories, or neither for the samples"
            ));
            return Err(PlanError::Read {
                path: PathBuf::from(missing),
                source,
            });
        }
    };
    let routes = routes.map_err(PlanError::Routes)?;
    for warning in routes.warnings() {
        warn!(%warning, "a destination's terms deserve a look");
    }
    Ok(Plan {
        routes: Arc::new(routes),
        territory: Arc::new(Territory::embedded().map_err(PlanError::Territory)?),
        calendars: Arc::new(calendars),
    })
}

fn read_dir(dir: &Path) -> Result<Vec<(String, String)>, PlanError> {
    let read = |source| PlanError::Read {
        path: dir.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path).map_err(|source| PlanError::Read {
                path: path.clone(),
                source,
            })?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    Ok(files)
}

impl std::fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
