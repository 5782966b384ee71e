use std::time::Duration;

use tonic::Code;

use super::*;
use crate::Spread;

fn parse(text: &str) -> Result<Script, String> {
    let start = Timestamp::from_second(1_000).unwrap();
    Script::parse(text, Path::new("agency.toml"), start).map_err(|error| error.to_string())
}

const FULL: &str = r#"
        latency = { p50 = "20ms", p99 = "400ms" }
        late = { share = 0.01, by = "30s" }
        busy = { share = 0.05, retry_after = "5s" }
        half_success = { error = 0.02, drop = 0.03 }
        flapping = { up = "10s", down = "5s" }
        capacity = { at_once = 4, beyond = "slower", slower_by = "50ms" }
        remember = false
        order = { early = "refuse", after = { residence = "civil-status" } }

        [[answers]]
        share = 0.1
        status = 429
        retry_after = "2s"

        [[answers]]
        share = 0.2
        code = "FAILED_PRECONDITION"
        text = "chưa được gửi không thể cập nhật trạng thái"
        taken = true

        [[outages]]
        from = "60s"
        length = "2m"

        [[outages]]
        from = "10m"
        length = "1m"
        kind = "hang"
        "#;

#[test]
fn a_script_says_how_an_agency_behaves() {
    let script = parse(FULL).unwrap();

    let seconds = Duration::from_secs;
    let at = |second| Timestamp::from_second(second).unwrap();
    assert_eq!(
        script.latency,
        Spread::LogNormal {
            p50: Duration::from_millis(20),
            p99: Duration::from_millis(400)
        }
    );
    assert_eq!(
        (script.busy_rate, script.retry_after),
        (0.05, Some(seconds(5)))
    );
    assert_eq!(
        (script.lost_answer_rate, script.dropped_answer_rate),
        (0.02, 0.03)
    );
    assert_eq!(
        (script.late_rate, script.late),
        (0.01, Spread::Fixed(seconds(30)))
    );
    assert_eq!(
        script.outages,
        [Window {
            from: at(1_060),
            to: at(1_180)
        }]
    );
    assert_eq!(
        script.hangs,
        [Window {
            from: at(1_600),
            to: at(1_660)
        }]
    );
    assert_eq!(
        script.next_outage(at(1_000)),
        Some(Window {
            from: at(1_010),
            to: at(1_015)
        })
    );
    assert!(!script.manners.remembers && script.manners.idempotent);
    assert_eq!(script.manners.early, Early::Refuse);
    let answers: Vec<_> = script
        .answers
        .iter()
        .map(|answer| (answer.status, answer.code, answer.taken))
        .collect();
    let expected = [
        (429, Code::ResourceExhausted, false),
        (412, Code::FailedPrecondition, true),
    ];
    assert_eq!(answers, expected);
    assert_eq!(script.scripted(0.05), Some(&script.answers[0]));
    assert_eq!(script.scripted(0.15), Some(&script.answers[1]));
    assert_eq!(script.scripted(0.35), None);
}

#[test]
fn an_error_names_file_line_and_field() {
    let check = |text: &str, parts: &[&str]| {
        let error = parse(text)
            .err()
            .unwrap_or_else(|| panic!("{text} is no error"));
        for part in parts {
            assert!(error.contains(part), "{error} does not contain {part}");
        }
    };
    check(
        "remember = true\n\nlatencie = \"1s\"",
        &["agency.toml:3: ", "latencie"],
    );
    check(
        "refused = 1.5",
        &["agency.toml:1: ", "between 0 and 1", "`refused = 1.5`"],
    );
    check(
        "\nwork = \"soon\"",
        &["agency.toml:2: ", "a time such as", "work"],
    );
    check(
        "[[answers]]\nshare = 0.1",
        &["agency.toml:1: ", "answers: needs `status` or `code`"],
    );
    check(
        "[[answers]]\nshare = 0.1\ncode = \"NO_WAY\"",
        &["agency.toml:3: ", "no gRPC code"],
    );
    check(
        "[[answers]]\nshare = 0.1\nstatus = 99",
        &["`status` must be 200 to 599, got 99"],
    );
    check(
        "[[answers]]\nshare = 0.6\nstatus = 500\n[[answers]]\nshare = 0.6\nstatus = 429",
        &["agency.toml:4: ", "answers.share: together"],
    );
    check(
        "capacity = { at_once = 0, beyond = \"busy\" }",
        &["agency.toml:1: ", "capacity: `at_once`"],
    );
    check(
        "flapping = { up = \"0s\", down = \"1s\" }",
        &["agency.toml:1: ", "flapping"],
    );
    check(
        "order = { after = { \"A B\" = \"c\" } }",
        &["order.after: "],
    );
    check("[[outages]]\nfrom = \"1s\"", &["agency.toml:1: ", "length"]);
}

#[test]
fn the_deployed_samples_can_be_read() {
    for (name, text) in [
        (
            "good",
            include_str!("../../../../../deploy/agency/good.toml"),
        ),
        (
            "slow",
            include_str!("../../../../../deploy/agency/slow.toml"),
        ),
        (
            "flapping",
            include_str!("../../../../../deploy/agency/flapping.toml"),
        ),
        (
            "half-success",
            include_str!("../../../../../deploy/agency/half-success.toml"),
        ),
        (
            "vietnamese",
            include_str!("../../../../../deploy/agency/vietnamese.toml"),
        ),
        (
            "forgetful",
            include_str!("../../../../../deploy/agency/forgetful.toml"),
        ),
    ] {
        parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
