//! Routes, destinations, calendars and units: read once, shared by the roles.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use calendar::Calendars;
use replies::RuleSets;
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
    /// Files of reply rules are wrong.
    #[error("{} problem(s) in the files of reply rules:{}", .0.len(), Lines(.0))]
    Replies(Vec<Problem>),
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
    let calendars = calendars(settings)?;
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

/// The rules for replies that the settings name; every destination finds those that it names among them.
///
/// # Errors
/// Every problem of their files at once, else every name that is not there.
pub fn reply_rules(
    settings: &RoutesSettings,
    destinations: &RouteSet,
) -> Result<RuleSets, PlanError> {
    let sets = rule_sets(&settings.destinations_dir).map_err(PlanError::Replies)?;
    let unknown = destinations.unknown_replies(sets.names());
    if unknown.is_empty() {
        Ok(sets)
    } else {
        Err(PlanError::Routes(unknown))
    }
}

/// The rule sets in `replies` below the destinations, none where there is no such directory, and the
/// built-in samples where no destinations are named.
///
/// # Errors
/// Every problem of the files at once.
pub fn rule_sets(destinations_dir: &Path) -> Result<RuleSets, Vec<Problem>> {
    if destinations_dir.as_os_str().is_empty() {
        return RuleSets::built_in();
    }
    let dir = destinations_dir.join("replies");
    if dir.is_dir() {
        RuleSets::load(&dir)
    } else {
        Ok(RuleSets::default())
    }
}

/// The destinations of a directory without any route, or the built-in samples where it is not named.
///
/// # Errors
/// Every problem of the destination files at once.
pub fn destinations_alone(dir: &Path, settings: &RoutesSettings) -> Result<RouteSet, PlanError> {
    let calendars = calendars(settings)?;
    let routes = if dir.as_os_str().is_empty() {
        RouteSet::built_in(&calendars)
    } else {
        RouteSet::load_destinations(dir, &calendars)
    };
    routes.map_err(PlanError::Routes)
}

fn calendars(settings: &RoutesSettings) -> Result<Calendars, PlanError> {
    if settings.calendars_dir.as_os_str().is_empty() {
        return Calendars::built_in().map_err(PlanError::Calendar);
    }
    Calendars::from_yaml(read_dir(&settings.calendars_dir)?).map_err(PlanError::Calendar)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_replies_come_with_the_destinations() {
        let dir = tempfile::tempdir().unwrap();
        let names = |dir: &Path| {
            let settings = RoutesSettings {
                routes_dir: PathBuf::new(),
                destinations_dir: dir.to_owned(),
                calendars_dir: PathBuf::new(),
            };
            let destinations = destinations_alone(Path::new(""), &settings)?;
            let sets = reply_rules(&settings, &destinations)?;
            Ok::<_, PlanError>(sets.names().map(str::to_owned).collect::<Vec<_>>())
        };
        assert!(!names(Path::new("")).unwrap().is_empty());
        assert!(names(dir.path()).unwrap().is_empty());
        let replies = dir.path().join("replies");
        fs::create_dir(&replies).unwrap();
        fs::write(
            replies.join("tax.yaml"),
            "rules: [{name: a, when: {}, then: accept}]",
        )
        .unwrap();
        let error = names(dir.path()).unwrap_err().to_string();
        assert!(
            error.starts_with("1 problem(s) in the files of reply rules:")
                && error.contains("tax.yaml:1:"),
            "{error}"
        );
        fs::write(
            replies.join("tax.yaml"),
            "rules: [{name: a, when: {}, then: accepted}]",
        )
        .unwrap();
        assert_eq!(names(dir.path()).unwrap(), ["tax"]);
    }

    #[test]
    fn a_name_that_no_rule_set_has_stops_the_start_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let settings = RoutesSettings {
            routes_dir: PathBuf::new(),
            destinations_dir: dir.path().to_owned(),
            calendars_dir: PathBuf::new(),
        };
        let demo = include_str!("../../../deploy/destinations/demo.yaml");
        let (agency, named) = ("  agency: justice\n", "  agency: justice\n  replies: tax\n");
        fs::write(dir.path().join("d.yaml"), demo.replacen(agency, named, 1)).unwrap();
        let destinations = destinations_alone(dir.path(), &settings).unwrap();
        let error = reply_rules(&settings, &destinations)
            .unwrap_err()
            .to_string();
        let place = "d.yaml:8:12: destination `demo-justice`: `replies` is `tax`; expected ";
        assert!(
            error.starts_with("1 problem(s) in route and destination files:")
                && error.contains(place),
            "{error}"
        );
        let replies = dir.path().join("replies");
        fs::create_dir(&replies).unwrap();
        fs::write(replies.join("tax.yaml"), "rules: []").unwrap();
        reply_rules(&settings, &destinations).unwrap();
    }
}
