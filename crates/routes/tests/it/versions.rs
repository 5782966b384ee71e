//! Versions of a route, cut-offs, digests, directories.

use std::fs;

use jiff::civil::{date, time};
use routes::RouteSet;

use crate::good::{DESTINATIONS, ROUTE, calendars, read, with};

/// The valid route until 31 August, then a version of one step.
fn two_versions() -> String {
    let old = with(
        ROUTE,
        "from: 2026-09-01",
        "from: 2026-01-01, until: 2026-08-31",
    );
    let new = &ROUTE[..ROUTE.find("  - id: residence").unwrap()];
    format!("{old}---\n{new}")
}

#[test]
fn each_day_has_its_version() {
    let set = read(&two_versions(), DESTINATIONS).unwrap();
    let check = |code: &str, month, day, expected: Option<&str>| {
        let found = set.resolve(&code.parse().unwrap(), date(2026, month, day));
        let found = found.ok().map(|route| route.id.as_str());
        assert_eq!(found, expected, "{code} on {month}-{day}");
    };
    for code in ["3.000722", "2.002621"] {
        check(code, 1, 1, Some("birth@2026-01-01"));
        check(code, 8, 31, Some("birth@2026-01-01"));
        check(code, 9, 1, Some("birth@2026-09-01"));
        check(code, 12, 31, Some("birth@2026-09-01"));
    }
    let last_year = date(2025, 12, 31);
    assert!(
        set.resolve(&"3.000722".parse().unwrap(), last_year)
            .is_err()
    );
    let next_year = date(2027, 1, 1);
    assert!(set.resolve(&"3.000722".parse().unwrap(), next_year).is_ok());
    assert!(
        set.resolve(&"2.002621".parse().unwrap(), next_year)
            .is_err()
    );
    let names: Vec<_> = set
        .routes()
        .map(|route| (route.name(), route.steps.len()))
        .collect();
    assert_eq!(names, [("birth", 2), ("birth", 1)]);
}

#[test]
fn the_cut_off_of_the_route_is_that_of_its_first_steps() {
    let own = with(
        ROUTE,
        "    after: [civil-status]",
        "    cut_off: \"11:00\"\n    after: [civil-status]",
    );
    for (text, second) in [(ROUTE, None), (&own, Some(time(11, 0, 0, 0)))] {
        let set = read(text, DESTINATIONS).unwrap();
        let route = set.routes().next().unwrap();
        let cut_offs: Vec<_> = route.steps.iter().map(|step| step.cut_off).collect();
        assert_eq!(route.cut_off, Some(time(15, 0, 0, 0)));
        assert_eq!(cut_offs, [route.cut_off, second]);
    }
}

#[test]
fn the_digest_follows_the_texts() {
    let digest = |route: &str| read(route, DESTINATIONS).unwrap().digest().to_owned();
    assert_eq!(digest(ROUTE).len(), 12);
    assert_eq!(digest(ROUTE), digest(ROUTE));
    assert_ne!(
        digest(ROUTE),
        digest(&with(ROUTE, "4 working days", "5 working days"))
    );
}

#[test]
fn a_directory_is_read_in_whole() {
    let root = tempfile::tempdir().unwrap();
    let (routes, destinations) = (root.path().join("r"), root.path().join("d"));
    let missing = RouteSet::load(&routes, &destinations, &calendars()).unwrap_err();
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert_eq!(missing[0].file, routes.display().to_string());

    fs::create_dir(&routes).unwrap();
    fs::create_dir(&destinations).unwrap();
    let empty = RouteSet::load(&routes, &destinations, &calendars()).unwrap_err();
    assert_eq!(empty[1].found, "no file `*.yaml` is here");

    fs::write(routes.join("birth.yaml"), ROUTE).unwrap();
    fs::write(routes.join("notes.txt"), "not YAML: [").unwrap();
    fs::write(destinations.join("all.yaml"), DESTINATIONS).unwrap();
    let set = RouteSet::load(&routes, &destinations, &calendars()).unwrap();
    assert_eq!(set.routes().count(), 1);

    fs::write(routes.join("broken.yaml"), [0xff]).unwrap();
    let unreadable = RouteSet::load(&routes, &destinations, &calendars()).unwrap_err();
    assert!(
        unreadable[0].file.ends_with("broken.yaml"),
        "{unreadable:?}"
    );
}
