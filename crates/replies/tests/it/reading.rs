//! What a condition means, one at a time.

use replies::{GrpcCode, Match, Reading, Reply};

use crate::rules::{checked, rules, when};

fn body(text: &str) -> Reply<'_> {
    Reply {
        status: Some(200),
        body: text.as_bytes(),
        ..Reply::default()
    }
}

fn status(status: u16) -> Reply<'static> {
    Reply {
        status: Some(status),
        ..Reply::default()
    }
}

#[track_caller]
fn check(condition: &str, reply: &Reply<'_>, expected: bool) {
    let rules = when(condition);
    let found = rules.read(reply);
    assert_eq!(found.rule.is_some(), expected, "{condition}: {reply:?}");
    let reading = if expected {
        Reading::Accepted
    } else {
        Reading::Unclear
    };
    assert_eq!(found.reading, reading);
}

#[test]
fn statuses_are_numbers_ranges_and_lists_of_both() {
    check("status: 409", &status(409), true);
    check("status: 409", &status(408), false);
    check("status: 500-599", &status(500), true);
    check("status: 500-599", &status(599), true);
    check("status: 500-599", &status(600), false);
    check("status: [404, 500-502]", &status(502), true);
    check("status: [404, 500-502]", &status(405), false);
    check("status: 100-999", &Reply::default(), false);
}

#[test]
fn grpc_codes_have_their_standard_names() {
    let reply = |number| Reply {
        grpc: Some(GrpcCode::from_number(number)),
        ..Reply::default()
    };
    check("grpc: UNAVAILABLE", &reply(14), true);
    check("grpc: [ABORTED, INTERNAL]", &reply(13), true);
    check("grpc: [ABORTED, INTERNAL]", &reply(0), false);
    check("grpc: UNKNOWN", &reply(99), true);
    check("grpc: UNKNOWN", &status(200), false);
}

#[test]
fn headers_are_found_whatever_the_case_of_their_names() {
    let reply = Reply {
        headers: &[("X-Ket-Qua", "Đã tồn tại"), ("x-ket-qua", "E7")],
        ..status(200)
    };
    check("header: {name: x-KET-qua, equals: e7}", &reply, true);
    check("header: {name: X-Ket-Qua, contains: ĐÃ}", &reply, true);
    check(
        "header: {name: X-Ket-Qua, matches: '^e[0-9]$'}",
        &reply,
        true,
    );
    check("header: {name: X-Ket-Qua, equals: đã}", &reply, false);
    check("header: {name: Other, contains: e}", &reply, false);
    let both = "header: [{name: X-Ket-Qua, equals: e7}, {name: Other, equals: e7}]";
    check(both, &reply, false);
}

#[test]
fn json_values_are_compared_as_text() {
    let reply = body(r#"{"error": {"code": 7, "is/ok": true}, "list": ["Lỗi"], "none": null}"#);
    check("json: {pointer: /error/code, equals: '7'}", &reply, true);
    check(
        "json: {pointer: /error/code, equals: ['0', '7']}",
        &reply,
        true,
    );
    check(
        "json: {pointer: /error/is~1ok, equals: 'true'}",
        &reply,
        true,
    );
    check("json: {pointer: /list/0, contains: LỖI}", &reply, true);
    check("json: {pointer: /list, contains: lỗi}", &reply, false);
    check("json: {pointer: /none, matches: '.*'}", &reply, false);
    check(
        "json: {pointer: /error/code, equals: '7'}",
        &body("{7"),
        false,
    );
    let both = "json: [{pointer: /error/code, equals: '7'}, {pointer: /list/0, equals: lỗi}]";
    check(both, &reply, true);
}

#[test]
fn a_soap_fault_is_read_by_code_and_text() {
    let fault = body(
        "<s:Envelope xmlns:s='urn:s'><s:Body><s:Fault><faultcode>s:Server</faultcode>\
         <faultstring>Hết phiên</faultstring></s:Fault></s:Body></s:Envelope>",
    );
    check("soap_fault: {}", &fault, true);
    check("soap_fault: {code: {equals: server}}", &fault, true);
    check("soap_fault: {text: {contains: HẾT PHIÊN}}", &fault, true);
    let both = "soap_fault: {code: {equals: client}, text: {contains: hết}}";
    check(both, &fault, false);
    check("soap_fault: {}", &body("<a>Fault</a>"), false);
    check("soap_fault: {}", &body("Fault"), false);
}

#[test]
fn text_is_found_in_either_normal_form_any_case_and_behind_escapes() {
    const CONDITION: &str = "text: {contains: Đã tồn tại}";
    for text in [
        "hồ sơ ĐÃ TỒN TẠI!",
        "ho\u{302}\u{300} sơ đa\u{303} to\u{302}\u{300}n ta\u{323}i",
        r#"["\u0111\u00e3 t\u1ed3n t\u1ea1i"]"#,
        "<a>&#273;&#227; t&#7891;n t&#x1ea1;i</a>",
    ] {
        check(CONDITION, &body(text), true);
    }
    check(CONDITION, &body("da ton tai"), false);
    check(CONDITION, &body(r"\u0111\u00e3 t\u1ed3n t\u1ea1i"), false);
    // The condition's own form does not matter either.
    let decomposed = "text: {contains: đa\u{303} to\u{302}\u{300}n ta\u{323}i}";
    check(decomposed, &body("Đã tồn tại"), true);
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let both = "status: 409, names_delivery: true";
    let reply = |body, headers| Reply {
        body,
        headers,
        delivery: "d-7",
        ..status(409)
    };
    check(both, &reply(b"has d-7", &[]), true);
    check(both, &reply(b"", &[("x-id", "d-7")]), true);
    check(both, &reply(b"has D-7", &[("x-id", "d-77")]), false);
    check(
        both,
        &Reply {
            delivery: "",
            ..reply(b"x", &[])
        },
        false,
    );
    check("names_delivery: false", &reply(b"", &[]), true);
    check("", &Reply::default(), true);
}

#[test]
fn the_first_rule_that_holds_gives_the_reading() {
    let rules = rules(
        "rules:\n  - {name: a, when: {text: {contains: x}}, then: transient}\n  \
         - {name: b, when: {status: 200}, then: needs-person}\notherwise: default\n",
    );
    let read = |reply: &Reply<'_>| {
        let Match { reading, rule, .. } = rules.read(reply);
        (reading, rule.map(str::to_owned))
    };
    assert_eq!(read(&body("x")), (Reading::Transient, Some("a".into())));
    assert_eq!(read(&body("y")), (Reading::NeedsPerson, Some("b".into())));
    assert_eq!(read(&status(403)), (Reading::Blocked, None));
}

#[test]
fn the_wait_is_found_where_the_rule_says_else_in_the_standard_header() {
    let rules = |place: &str| {
        rules(&format!(
            "rules: [{{name: a, when: {{}}, then: transient, retry_after: {place}}}]"
        ))
    };
    let reply = Reply {
        headers: &[("Retry-After", " 30 "), ("X-Wait", "40")],
        ..body(r#"{"wait": 50, "none": null}"#)
    };
    let read = |place: &str| rules(place).read(&reply).retry_after;
    assert_eq!(read("{header: x-wait}").as_deref(), Some("40"));
    assert_eq!(read("{json: /wait}").as_deref(), Some("50"));
    assert_eq!(read("{seconds: 60}").as_deref(), Some("60"));
    assert_eq!(read("{json: /none}").as_deref(), Some("30"));
    assert_eq!(when("").read(&reply).retry_after.as_deref(), Some("30"));
    let long = "9".repeat(65);
    let headers = [("Retry-After", long.as_str())];
    let absurd = Reply {
        headers: &headers,
        ..status(503)
    };
    assert_eq!(when("").read(&absurd).retry_after, None);
}

#[test]
fn a_body_is_looked_at_up_to_its_limit() {
    let at = |start: usize| format!("{}needle", " ".repeat(start));
    let last = Reply::READ - "needle".len();
    check("text: {contains: needle}", &body(&at(last)), true);
    check("text: {contains: needle}", &body(&at(last + 1)), false);
}

#[test]
fn a_check_tells_replies_read_otherwise_and_rules_without_a_reply() {
    let checked = checked(
        "rules:\n  - {name: a, when: {status: 200}, then: accepted}\n  \
         - {name: b, when: {status: 201}, then: accepted}\n\
         fixtures:\n  - {name: good, status: 200, reads: accepted}\n  \
         - {name: bad, status: 200, reads: transient}\n  \
         - {name: other, status: 200, reads: accepted, by: otherwise}\n  \
         - {name: wait, status: 200, reads: accepted, retry_after: '3'}\n",
    );
    assert_eq!((checked.rules, checked.fixtures), (2, 4));
    let lines: Vec<_> = checked.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "x.yaml:6:5: fixture `bad` is read as `accepted` by `a`; expected `transient`",
            "x.yaml:7:5: fixture `other` is read as `accepted` by `a`; expected `accepted` by `otherwise`",
            "x.yaml:8:5: fixture `wait` asks to wait for `nothing`; expected `3`",
            "x.yaml:3:5: rule `b` reads no fixture; expected a recorded reply for each rule",
        ]
    );
}
