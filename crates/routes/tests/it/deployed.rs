//! The files of `deploy`.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil::{Date, date};
use routes::{BoundaryPolicy, NoRoute, RouteSet, UnitRule, json_schema};

use crate::good::{DESTINATIONS, ROUTE, calendars, read};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn built_in() -> RouteSet {
    RouteSet::built_in(&calendars()).unwrap()
}

fn resolve(set: &RouteSet, code: &str, on: Date) -> Result<String, NoRoute> {
    let route = set.resolve(&code.parse().unwrap(), on);
    route.map(|route| route.id.to_string())
}

#[test]
fn the_directories_hold_what_is_built_in() {
    let deploy = deploy();
    let loaded = RouteSet::load(
        &deploy.join("routes"),
        &deploy.join("destinations"),
        &calendars(),
    )
    .unwrap();
    assert_eq!(loaded.digest(), built_in().digest());
    assert!(loaded.routes().eq(built_in().routes()));
    assert!(loaded.bindings().eq(built_in().bindings()));
}

#[test]
fn the_schemas_are_those_of_this_version() {
    let (route, destinations) = json_schema();
    for (name, schema) in [("route.json", route), ("destinations.json", destinations)] {
        let path = deploy().join("schemas").join(name);
        let committed: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            committed, schema,
            "{name} is old: run `cargo run -p routes --example schemas`"
        );
    }
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let docs = fs::read_to_string(deploy().join("../docs/destinations.md")).unwrap();
    let (_, example) = docs.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let (justice, _) = DESTINATIONS.split_once("- id: police-38").unwrap();
    let set = read(ROUTE, &format!("{justice}{example}")).unwrap();
    assert_eq!(set.warnings(), []);
}

#[test]
fn the_birth_bundle_forks_after_civil_status() {
    let set = built_in();
    let birth = set.resolve(&"3.000722".parse().unwrap(), date(2026, 9, 21));
    let birth = birth.unwrap();
    let first: Vec<_> = birth.first_steps().map(|step| step.id.as_str()).collect();
    assert_eq!(first, ["civil-status"]);
    let ended = ["civil-status".parse().unwrap()].into();
    let then: Vec<_> = birth
        .opened_by(&ended)
        .map(|step| step.id.as_str())
        .collect();
    assert_eq!(then, ["residence", "health-card", "identity-card"]);
    assert_eq!(birth.within.to_string(), "4 working days");
    assert_eq!(birth.boundary.policy, BoundaryPolicy::Province);
}

#[test]
fn the_code_and_the_day_of_receipt_choose_the_version() {
    let set = built_in();
    let check = |code, on, expected: &str| {
        let found = resolve(&set, code, on);
        assert_eq!(found.as_deref(), Ok(expected), "{code} on {on}");
    };
    check("2.002621", date(2026, 8, 31), "birth@2025-07-01");
    check("2.002621", date(2026, 9, 1), "birth@2026-09-01");
    check("2.002621.H56", date(2026, 12, 31), "birth@2026-09-01");
    check(
        "3.000722.000.00.00.H56",
        date(2026, 9, 1),
        "birth@2026-09-01",
    );
    check(
        "2.001023",
        date(2026, 8, 31),
        "birth-health-card@2025-07-01",
    );
    check("2.000987", date(2027, 6, 1), "birth@2026-09-01");
    check("2.002622", date(2026, 8, 31), "death@2025-07-01");
    check("2.002913", date(2026, 9, 1), "death@2026-09-01");
    check("1.006714", date(2026, 9, 1), "death@2026-09-01");
    for (code, route) in [
        ("1.000894", "marriage"),
        ("2.000635", "civil-status-extract"),
        ("2.000908", "register-copy"),
        ("2.000488", "criminal-record"),
        ("1.004222", "permanent-residence"),
        ("1.001731", "funeral-support"),
    ] {
        check(code, date(2025, 7, 1), &format!("{route}@2025-07-01"));
    }
}

#[test]
fn a_code_without_a_route_is_told_when_it_has_one() {
    let set = built_in();
    let check = |code, on, expected: &str| {
        let found = resolve(&set, code, on).unwrap_err();
        assert_eq!(found.to_string(), expected);
    };
    check(
        "3.000722.H56",
        date(2026, 8, 31),
        "no route serves procedure `3.000722.H56` received on 2026-08-31; served from 2026-09-01 by birth@2026-09-01",
    );
    check(
        "2.002621",
        date(2027, 1, 1),
        "no route serves procedure `2.002621` received on 2027-01-01; served from 2025-07-01 until 2026-08-31 by \
         birth@2025-07-01, from 2026-09-01 until 2026-12-31 by birth@2026-09-01",
    );
    check(
        "9.999999",
        date(2026, 9, 1),
        "no route serves procedure `9.999999` received on 2026-09-01",
    );
}

#[test]
fn every_step_has_a_destination_on_every_day_of_its_route() {
    let set = built_in();
    let (unit, province) = ("14797".parse().unwrap(), "38".parse().unwrap());
    for route in set.routes() {
        for step in &route.steps {
            let unit = (step.unit != UnitRule::Province).then_some(unit);
            for on in [route.valid.from, route.valid.until.unwrap_or(Date::MAX)] {
                let bound = set.destination(&step.agency, unit, province, on);
                assert_eq!(bound.unwrap().role, step.agency, "{}", route.id);
            }
        }
    }
}

#[test]
fn single_steps_know_their_unit() {
    let set = built_in();
    let unit = |id: &str| set.route(&id.parse().unwrap()).unwrap().steps[0].unit;
    assert_eq!(unit("criminal-record@2025-07-01"), UnitRule::Province);
    assert_eq!(unit("marriage@2025-07-01"), UnitRule::Competent);
}
