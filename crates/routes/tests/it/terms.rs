//! The terms of a destination.

use std::fs;
use std::num::NonZeroU32;

use domain::{Canary, Envelope, Outage, OutageTime, Rate, Terms};
use jiff::civil::{Weekday, time};
use routes::RouteSet;

use crate::good::{DESTINATIONS, ROUTE, calendars, read, with_terms};

const HTTPS: &str = "https://police.example:443/inbox";

#[track_caller]
fn terms(endpoint: &str, lines: &str) -> Terms {
    let set = read(ROUTE, &with_terms(endpoint, lines)).unwrap();
    let police = set.destinations().nth(1).unwrap();
    assert_eq!(police.endpoint.to_string(), endpoint.trim_matches('"'));
    police.terms.clone()
}

/// The set of these destinations and one template, `birth.xml`, beside them.
fn load(destinations: &str, template: &[u8]) -> Result<RouteSet, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("routes/r.yaml", ROUTE.as_bytes()),
        ("destinations/d.yaml", destinations.as_bytes()),
        ("destinations/birth.xml", template),
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let [routes, destinations] = ["routes", "destinations"].map(|name| dir.path().join(name));
    RouteSet::load(&routes, &destinations, &calendars()).map_err(|problems| {
        assert_eq!(problems.len(), 1, "{problems:?}");
        let words = problems[0].to_string();
        words.split_once("d.yaml:").unwrap().1.to_owned()
    })
}

fn with_template(file: &str) -> String {
    let envelope = format!("envelope: {{ soap: {{ action: \"urn:Submit\", template: {file} }} }}");
    with_terms(HTTPS, &envelope)
}

#[test]
fn a_destination_that_says_nothing_has_the_default_terms() {
    let set = read(ROUTE, DESTINATIONS).unwrap();
    assert!(set.destinations().all(|d| d.terms == Terms::default()));
    assert!(set.warnings().is_empty());
}

#[test]
fn all_terms_are_read() {
    let lines = r#"idempotent: false
queryable: true
rate: { per_second: 50, per_working_hour: 5000 }
outages:
  - { from: 2026-12-01T18:00, to: 2026-12-01T22:00, reason: "new version " }
  - { weekly: [sat, sun], from: "22:00", to: "04:00", reason: backup }
office_hours_only: true
canary: { get: /health?deep=1 }
replies: old-police
allow: ["justice.example:443", "*.police.example:443", "10.1.0.0/16:8443", "[::1]:80"]"#;
    let (from, to) = ("2026-12-01T11:00Z", "2026-12-01T15:00Z");
    let once = OutageTime::Once {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
    };
    let weekly = OutageTime::Weekly {
        days: vec![Weekday::Saturday, Weekday::Sunday],
        from: time(22, 0, 0, 0),
        to: time(4, 0, 0, 0),
    };
    let outage = |when, reason: &str| Outage {
        when,
        reason: reason.to_owned(),
    };
    let expected = Terms {
        idempotent: false,
        queryable: true,
        rate: Rate {
            per_second: NonZeroU32::new(50),
            per_working_hour: NonZeroU32::new(5_000),
        },
        outages: vec![outage(once, "new version"), outage(weekly, "backup")],
        office_hours_only: true,
        canary: Some(Canary::Get("/health?deep=1".to_owned())),
        replies: Some("old-police".to_owned()),
        allow: [
            "justice.example:443",
            "*.police.example:443",
            "10.1.0.0/16:8443",
            "[::1]:80",
        ]
        .map(str::to_owned)
        .to_vec(),
        envelope: Envelope::CloudEvent,
    };
    assert_eq!(terms(HTTPS, lines), expected);
}

#[test]
fn each_endpoint_takes_the_terms_that_fit_it() {
    let queryable = terms("grpcs://police.example:443", "queryable: true");
    assert!(queryable.queryable);
    let unary = "grpcs+unary://police.example:443";
    assert_eq!(terms(unary, "canary: health").canary, Some(Canary::Health));
    for endpoint in ["\"pull:\"", "kafka:police.deliveries"] {
        let lines =
            "idempotent: true\nqueryable: false\nrate: { per_second: 5 }\noffice_hours_only: true";
        assert!(terms(endpoint, lines).office_hours_only);
    }
}

#[test]
fn a_template_lies_beside_the_destination_file_and_belongs_to_the_set() {
    let set = load(&with_template("birth.xml"), "<Khai-sinh/>".as_bytes()).unwrap();
    let envelope = &set.destinations().nth(1).unwrap().terms.envelope;
    let expected = Envelope::Soap {
        action: "urn:Submit".to_owned(),
        template: "<Khai-sinh/>".to_owned(),
    };
    assert_eq!(*envelope, expected);
    let other = load(&with_template("birth.xml"), b"<other/>").unwrap();
    assert_ne!(set.digest(), other.digest());
}

#[test]
fn a_template_that_cannot_be_used_is_a_problem() {
    let expected = "expected the name of a UTF-8 file beside this one, at most 64 KiB";
    #[track_caller]
    fn check(file: &str, template: &[u8], words: &str) {
        let problem = load(&with_template(file), template).unwrap_err();
        let found =
            format!("21:55: destination `police-38`: `envelope.soap.template` is `{file}`{words}");
        assert!(problem.starts_with(&found), "{problem}");
    }
    let largest = vec![b' '; 64 * 1024];
    assert!(load(&with_template("birth.xml"), &largest).is_ok());
    let too_large = [&largest[..], b" "].concat();
    check(
        "birth.xml",
        &too_large,
        &format!(": it is over 64 KiB; {expected}"),
    );
    check("birth.xml", &[0xff], ": it cannot be read: ");
    check("death.xml", b"", ": it cannot be read: ");
    check("../birth.xml", b"", &format!("; {expected}"));
}
