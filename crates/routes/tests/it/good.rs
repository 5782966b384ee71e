//! Small valid files that tests change in one place, and the ways to read them.

use calendar::Calendars;
use routes::{RouteSet, Source};

pub(crate) const ROUTE: &str = r#"route: birth
title: { vi: Khai sinh, en: Birth }
procedures: ["3.000722"]
aliases:
  - { code: "2.002621", until: 2026-12-31 }
valid: { from: 2026-09-01 }
boundary: { policy: province, legal_basis: Decree 118/2025 }
calendar: national-office
within: 4 working days
cut_off: "15:00"
legal_basis: Decree 301/2026
steps:
  - id: civil-status
    agency: justice
    unit: competent
    task: { vi: Đăng ký, en: Register }
    within: same day
    product: { vi: Giấy khai sinh, en: Certificate }
    responsible: { vi: Công chức, en: Officer }
    legal_basis: Decree 63/2024
  - id: residence
    after: [civil-status]
    agency: police
    unit: competent
    task: { vi: Đăng ký, en: Register }
    within: 2 working days
    product: { vi: Thông báo, en: Notice }
    responsible: { vi: Công an, en: Police }
    legal_basis: Decree 63/2024
"#;

pub(crate) const DESTINATIONS: &str = r#"- id: justice-all
  agency: justice
  agency_id: ministry-of-justice
  serves: { provinces: all }
  endpoint: grpc://127.0.0.1:7101
  calendar: national-office
  max_in_flight: 8
  timeout: 10s
  retry: { steps: [1m, 5m], attempts: 12 }
  valid: { from: 2026-01-01 }
- id: police-38
  agency: police
  agency_id: police-of-thanh-hoa
  serves: { provinces: ["38"], units: ["14797"] }
  endpoint: grpc+unary://127.0.0.1:7102
  calendar: ward-police
  max_in_flight: 8
  timeout: 500ms
  retry: { steps: [1m, 5m], attempts: 12 }
  valid: { from: 2026-01-01, until: 2026-12-31 }
"#;

/// The text with one part replaced; the part must be there exactly once.
#[track_caller]
pub(crate) fn with(text: &str, part: &str, replacement: &str) -> String {
    assert_eq!(text.matches(part).count(), 1, "`{part}`");
    text.replacen(part, replacement, 1)
}

pub(crate) fn calendars() -> Calendars {
    Calendars::built_in().unwrap()
}

/// The set, or its problems as text, one a line.
pub(crate) fn read(route: &str, destinations: &str) -> Result<RouteSet, String> {
    let source = |name, text| [Source { name, text }];
    RouteSet::from_sources(
        &source("r.yaml", route),
        &source("d.yaml", destinations),
        &calendars(),
    )
    .map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })
}

/// The valid destinations, with an endpoint and further lines, from line 21 on, for `police-38`.
pub(crate) fn with_terms(endpoint: &str, terms: &str) -> String {
    let text = with(DESTINATIONS, "grpc+unary://127.0.0.1:7102", endpoint);
    let lines = terms.lines().map(|line| format!("  {line}\n"));
    text + &lines.collect::<String>()
}
