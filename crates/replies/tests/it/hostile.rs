//! Replies that mean harm, or nothing at all.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use replies::{GrpcCode, Reading, Reply, Rules};

use crate::rules::rules;

/// A rule of each kind; none asks for something that is there by chance.
fn all_conditions() -> Arc<Rules> {
    rules(
        "rules:\n\
         - {name: fault, when: {soap_fault: {text: {matches: 'zz(y|x)+z'}}}, then: accepted}\n\
         - {name: json, when: {json: {pointer: /a/0, matches: 'zz(y|x)+z'}}, then: accepted}\n\
         - {name: text, when: {text: {matches: ['zz(y|x)+z', '(a+)+zzz$']}}, then: accepted}\n\
         - {name: header, when: {header: {name: x, contains: zzyz}}, then: accepted}\n\
         - {name: id, when: {names_delivery: true}, then: accepted}\n",
    )
}

static ALL: LazyLock<Arc<Rules>> = LazyLock::new(all_conditions);

/// Bytes that begin like something.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "<",
        ">",
        "</",
        "<Envelope>",
        "<Body>",
        "<Fault>",
        "</Fault>",
        "<![CDATA[",
        "]]>",
        "&#x110000;",
        "&lt;",
        "&a;",
        "<!DOCTYPE a [",
        "<!ENTITY a 'b'>",
        "{",
        "}",
        "[",
        "\"",
        "\\u",
        "\\ud800",
        "0",
        "e999",
        ",",
        ":",
        "\u{feff}",
        "o\u{323}\u{302}",
        "İ",
        "ß",
        "\0",
        " ",
    ];
    let word = prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..8);
    prop::collection::vec(prop_oneof![4 => word, 1 => noise], 0..60)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_body_is_too_broken_to_be_read(
        body in bodies(),
        status in proptest::option::of(any::<u16>()),
        code in proptest::option::of(any::<i32>()),
        header in ".{0,20}",
    ) {
        let headers = [("X", header.as_str()), ("Retry-After", header.as_str())];
        let reply = Reply {
            status,
            grpc: code.map(GrpcCode::from_number),
            headers: &headers,
            body: &body,
            delivery: "0123456789abcdef",
        };
        let found = ALL.read(&reply);
        prop_assert_eq!((found.reading, found.rule), (Reading::Unclear, None));
        Rules::default().read(&reply);
    }

    /// What a rule looks for is found among any noise that is text.
    #[test]
    fn a_sentence_is_found_among_others(before in "\\PC{0,40}", after in "\\PC{0,40}") {
        let body = format!("{before}. Server ERROR. {after}");
        let rules = rules("rules: [{name: a, when: {text: {contains: server error}}, then: transient}]");
        let reply = Reply { body: body.as_bytes(), ..Reply::default() };
        prop_assert_eq!(rules.read(&reply).reading, Reading::Transient);
    }
}

#[test]
fn bombs_meet_no_condition() {
    let entities: String = (1..30)
        .map(|n| format!("<!ENTITY a{n} \"&a{p};&a{p};&a{p};\">", p = n - 1))
        .collect();
    let laughs = format!(
        "<!DOCTYPE x [<!ENTITY a0 \"zzy\">{entities}]><Envelope><Body><Fault><faultstring>&a29;z</faultstring>\
         </Fault></Body></Envelope>"
    );
    let outside = "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/hostname\">]><Envelope><Body><Fault><detail>&a;\
                   </detail></Fault></Body></Envelope>";
    let attributes: String = (0..12_000).map(|n| format!("a{n}='' ")).collect();
    let attributes = format!("<Envelope {attributes}><Body><Fault/></Body></Envelope>");
    let nested = "[".repeat(Reply::READ);
    let deep = "<Fault>".repeat(Reply::READ / 7);
    let backtracking = "a".repeat(Reply::READ);
    let marks = format!("o{}", "\u{302}\u{323}".repeat(Reply::READ / 4));
    for body in [
        laughs,
        outside.to_owned(),
        attributes,
        nested,
        deep,
        backtracking,
        marks,
    ] {
        let reply = Reply {
            body: body.as_bytes(),
            ..Reply::default()
        };
        assert_eq!(ALL.read(&reply).rule, None, "{:.40}", body);
    }
}
