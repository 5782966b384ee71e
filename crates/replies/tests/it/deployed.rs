//! The rule sets of `deploy`.

use std::path::Path;

use replies::{GrpcCode, Reading, Reply, RuleSets};

use crate::rules::checked;

fn deploy() -> RuleSets {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/destinations/replies");
    RuleSets::load(&dir).unwrap()
}

#[test]
fn the_directory_holds_what_is_built_in() {
    let built_in = RuleSets::built_in().unwrap();
    let deploy = deploy();
    assert!(deploy.names().eq(built_in.names()));
    let counts = |sets: &RuleSets| -> Vec<_> {
        let checked = sets.check();
        checked
            .iter()
            .map(|set| (set.rules, set.fixtures))
            .collect()
    };
    assert_eq!(counts(&deploy), counts(&built_in));
}

#[test]
fn every_recorded_reply_is_read_as_it_says_and_every_rule_has_one() {
    for checked in deploy().check() {
        let findings: Vec<_> = checked.findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
        assert!(checked.rules > 0 && checked.fixtures >= checked.rules);
    }
}

/// The file says what the code does, over all that either can tell apart.
#[test]
fn the_default_as_a_file_is_the_default() {
    let sets = RuleSets::built_in().unwrap();
    let rules = sets.rules("cloudevents-default").unwrap();
    let check = |reply: Reply<'_>| {
        let expected = Reading::by_default(&reply);
        assert_eq!(rules.read(&reply).reading, expected, "{reply:?}");
    };
    for status in 0..=1_000 {
        for body in ["", "taken before: d-7"] {
            check(Reply {
                status: Some(status),
                body: body.as_bytes(),
                delivery: "d-7",
                ..Reply::default()
            });
        }
    }
    for code in GrpcCode::ALL {
        check(Reply {
            grpc: Some(code),
            ..Reply::default()
        });
    }
    check(Reply::default());
}

#[test]
fn the_sentences_of_one_stop_systems_are_really_there_in_both_normal_forms() {
    let text = include_str!("../../../../deploy/destinations/replies/one-stop-soap.yaml");
    for sentence in [
        "tồn tại trong một cửa điện tử",
        "to\u{302}\u{300}n ta\u{323}i trong mo\u{323}\u{302}t",
    ] {
        assert!(text.matches(sentence).count() >= 2, "{sentence}");
    }
}

#[test]
fn the_example_of_the_documentation_is_sound() {
    let page = include_str!("../../../../docs/replies.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    assert_eq!(checked(example).findings, []);
}
