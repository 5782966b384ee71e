//! What is wrong in the terms of a destination.

use crate::good::{ROUTE, read, with_terms};

const GRPC: &str = "grpc+unary://127.0.0.1:7102";
const HTTP: &str = "http://127.0.0.1:7102/inbox";

/// One problem of the terms that `police-38` has from line 21 on.
#[track_caller]
fn check(endpoint: &str, terms: &str, at: &str, found: &str, expected: &str) {
    let problems = read(ROUTE, &with_terms(endpoint, terms)).unwrap_err();
    let line = format!("d.yaml:{at}: destination `police-38`: {found}; expected {expected}");
    assert_eq!(problems, line);
}

#[track_caller]
fn check_shape(terms: &str, expected: &str) {
    let problems = read(ROUTE, &with_terms(HTTP, terms)).unwrap_err();
    assert_eq!(problems, format!("d.yaml:{expected}"));
}

#[test]
fn shapes() {
    check_shape(
        "idempotent: maybe",
        "21:15: no truth value stands here; expected `true` or `false`",
    );
    check_shape(
        "canary: ping",
        "21:3: string \"ping\" stands here; expected `health` or `{get: /path}`",
    );
    check_shape(
        "canary: { post: /x }",
        "21:13: `post` is no field here; expected one of `get`",
    );
    check_shape(
        "rate: { per_minute: 5 }",
        "21:11: `per_minute` is no field here; expected one of `per_second`, `per_working_hour`",
    );
}

#[test]
fn rates() {
    let number = "a whole number from 1 on";
    let none = "`per_second`, `per_working_hour` or both";
    check(HTTP, "rate: {}", "21:9", "`rate` names no number", none);
    let found = "`rate.per_second` is 0";
    check(HTTP, "rate: { per_second: 0 }", "21:23", found, number);
}

#[test]
fn outages() {
    let moment = "a moment like `2026-12-01T18:00`, on the clock of the destination's calendar";
    let outage = |text: &str| format!("outages:\n- {{ {text} }}");
    let check = |text: &str, at: &str, found: &str, expected: &str| {
        check(GRPC, &outage(text), at, found, expected);
    };
    let to = "to: 2026-12-01T22:00, reason: x";
    for wrong in [
        "22:00",
        "2026-12-01",
        "2026-12-01T18:00Z",
        "2026-12-32T18:00",
    ] {
        let found = format!("`outages.from` is `{wrong}`");
        check(&format!("from: \"{wrong}\", {to}"), "22:13", &found, moment);
    }
    check(to, "22:5", "`outages.from` is missing", moment);
    check(
        &format!("from: 2026-12-01T22:00, {to}"),
        "22:35",
        "`outages.to` is `2026-12-01T22:00`",
        "a moment later than `from`",
    );
    check(
        "from: 2026-12-01T18:00, to: 2026-12-01T22:00",
        "22:5",
        "`outages.reason` is missing",
        "why it is away, for people",
    );
    let hours = "from: \"22:00\", to: \"04:00\", reason: x";
    let day = "one of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`";
    let found = "`outages.weekly` is `saturday`";
    check(
        &format!("weekly: [fri, saturday], {hours}"),
        "22:21",
        found,
        day,
    );
    let found = "`outages.weekly` is empty";
    check(&format!("weekly: [], {hours}"), "22:15", found, day);
    check(
        "weekly: [sat], from: \"22:00\", to: 2026-12-01T22:00, reason: x",
        "22:41",
        "`outages.to` is `2026-12-01T22:00`",
        "a time like `15:00`",
    );
}

#[test]
fn names_and_places() {
    let slug = "1 to 63 lowercase letters, digits or hyphens";
    check(HTTP, "replies: Old", "21:12", "`replies` is `Old`", slug);
    let path = "a path like `/health`";
    let found = "`canary.get` is `health`";
    check(HTTP, "canary: { get: health }", "21:18", found, path);
    let found = "`canary.get` is missing";
    check(HTTP, "canary: {}", "21:11", found, path);
    let place = "`host:port`, `*.suffix:port` or `a.b.c.d/bits:port`";
    check(HTTP, "allow: []", "21:10", "`allow` is empty", place);
    for wrong in [
        "justice.example",
        "justice.example:0",
        "justice.example:65536",
        "justice.example:+1",
        "*:443",
        "a.*.example:443",
        "10.1.0.0/33:443",
        "10.1.0/16:443",
        "10.1.0.256:443",
        "user@justice.example:443",
        "https://justice.example:443",
        "::1:443",
    ] {
        let found = format!("`allow` is `{wrong}`");
        check(
            HTTP,
            &format!("allow: [\"{wrong}\"]"),
            "21:11",
            &found,
            place,
        );
    }
}

#[test]
fn envelopes() {
    check(
        HTTP,
        "envelope: {}",
        "21:13",
        "`envelope.soap` is missing",
        "`soap: {action: NAME, template: file.xml}`",
    );
    check(
        HTTP,
        "envelope: { soap: { action: a } }",
        "21:21",
        "`envelope.soap.template` is missing",
        "the name of a UTF-8 file beside this one, at most 64 KiB",
    );
    let problems = read(
        ROUTE,
        &with_terms(
            HTTP,
            "envelope: { soap: { action: \"a b\", template: t.xml } }",
        ),
    );
    assert_eq!(
        problems.unwrap_err(),
        "d.yaml:21:31: destination `police-38`: `envelope.soap.action` is `a b`; expected the value of the \
         `SOAPAction` header, in visible ASCII\n\
         d.yaml:21:48: destination `police-38`: `envelope.soap.template` is `t.xml`: these destinations lie in no \
         directory; expected the name of a UTF-8 file beside this one, at most 64 KiB"
    );
}

#[test]
fn terms_that_make_no_sense_at_an_endpoint() {
    check(
        GRPC,
        "canary: { get: /health }",
        "21:11",
        "`canary` is a GET, but the endpoint is a gRPC one",
        "`canary: health`",
    );
    check(
        HTTP,
        "canary: health",
        "21:11",
        "`canary` is the gRPC health check, but the endpoint is an HTTP one",
        "`canary: {get: /path}`",
    );
    let left_out = "this field to be left out";
    for endpoint in ["pull:", "kafka:police"] {
        for (terms, at, field) in [
            ("canary: health", "21:11", "canary"),
            ("allow: [\"a:1\"]", "21:10", "allow"),
            ("queryable: true", "21:14", "queryable: true"),
        ] {
            let found = format!("`{field}` at `{endpoint}`, where nobody is called");
            check(&format!("\"{endpoint}\""), terms, at, &found, left_out);
        }
    }
}

#[test]
fn an_envelope_is_for_http_alone() {
    let soap = "envelope: { soap: { action: a, template: ../t.xml } }";
    let first = |endpoint: &str, terms: &str| {
        let problems = read(ROUTE, &with_terms(endpoint, terms)).unwrap_err();
        problems.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        first("grpcs://a:1", soap),
        "d.yaml:21:13: destination `police-38`: `envelope` at a gRPC endpoint, which takes no SOAP; expected an \
         `http://` or `https://` endpoint, or no `envelope`"
    );
    assert_eq!(
        first("\"pull:\"", soap),
        "d.yaml:21:13: destination `police-38`: `envelope` at `pull:`, where nobody is called; expected this field to \
         be left out"
    );
    assert_eq!(
        first(HTTP, &format!("queryable: true\n{soap}")),
        "d.yaml:21:14: destination `police-38`: `queryable: true` with an `envelope`, which has no question for it; \
         expected only one of the two"
    );
}

#[test]
fn a_colon_at_the_end_needs_quotes() {
    let problems = read(ROUTE, &with_terms("pull:", "")).unwrap_err();
    assert_eq!(
        problems,
        "d.yaml:15:17: mapping values are not allowed in this context; expected YAML of the published schema; a value \
         that ends with `:` stands in quotes"
    );
}

#[test]
fn rules_for_replies_that_are_not_there_are_told() {
    let set = read(ROUTE, &with_terms(HTTP, "replies: police")).unwrap();
    let unknown = |known: &[&str]| -> Vec<String> {
        let problems = set.unknown_replies(known.iter().copied());
        problems.iter().map(ToString::to_string).collect()
    };
    assert_eq!(unknown(&["justice", "police"]), [""; 0]);
    let found = "d.yaml:21:12: destination `police-38`: `replies` is `police`; expected";
    let new = "a file `replies/police.yaml` beside this one";
    assert_eq!(
        unknown(&["tax", "justice"]),
        [format!(
            "{found} one of the rule sets `justice`, `tax`, or {new}"
        )]
    );
    assert_eq!(
        unknown(&[]),
        [format!(
            "{found} {new}, as there are no rule sets, or no `replies`"
        )]
    );
}
