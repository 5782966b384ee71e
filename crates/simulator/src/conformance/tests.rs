//! The proof of the kit: the reference agency passes every case, and an agency with exactly one fault
//! fails the case that is about it.

use std::path::Path;

use futures_util::future::join_all;
use runtime::Tasks;

use super::*;
use crate::{
    Agency, AgencyOptions, History, Protocol, Script,
    test_support::{event, monday},
};

const WAYS: [&str; 4] = ["grpc", "grpc+unary", "http", "soap"];

/// Long for an answer that comes, whatever else the machine does.
const PATIENT: Duration = Duration::from_secs(30);

/// Short to wait for an answer that never comes.
const IMPATIENT: Duration = Duration::from_secs(3);

struct Play {
    kit: Conformance,
    agency: Agency,
    _tasks: Tasks,
}

async fn play(way: &str, script: &str, timeout: Duration) -> Play {
    let tasks = Tasks::default();
    let clock = Clock::scaled(monday(), 1.0);
    let script = Script::parse(script, Path::new("test.toml"), clock.now());
    let options = AgencyOptions {
        id: "reference".parse().unwrap(),
        listen: "127.0.0.1:0".parse().unwrap(),
        protocol: match way {
            "http" => Protocol::Http,
            "soap" => Protocol::Soap,
            _ => Protocol::Grpc,
        },
        script: script.unwrap_or_else(|error| panic!("{error}")),
        seed: 1,
    };
    let agency = Agency::start(options, clock.clone(), History::default(), None, &tasks)
        .await
        .unwrap();
    let address = agency.address();
    let endpoint = match way {
        "http" | "soap" => format!("http://{address}/deliveries"),
        _ => format!("{way}://{address}"),
    };
    let sample = event("sample");
    let options = ConformanceOptions {
        endpoint: endpoint.parse().unwrap(),
        timeout,
        sample: Sample {
            procedure: sample.procedure,
            unit: sample.unit,
            step: "civil-status".parse().unwrap(),
            later_step: "residence".parse().unwrap(),
            destination: "reference".parse().unwrap(),
        },
        run: "test".to_owned(),
    };
    Play {
        kit: Conformance::new(options, clock).unwrap(),
        agency,
        _tasks: tasks,
    }
}

/// That an agency with this script fails this case, and for the reason that is meant.
async fn fails(case: Case, ways: &[&str], script: &str, reason: &str) {
    fails_within(PATIENT, case, ways, script, reason).await;
}

/// The same for a caller who waits so long for each answer.
async fn fails_within(limit: Duration, case: Case, ways: &[&str], script: &str, reason: &str) {
    let reports = ways.iter().map(async |way| {
        let play = play(way, script, limit).await;
        (way, play.kit.play(case).await)
    });
    for (way, report) in join_all(reports).await {
        assert_eq!(report.result, CaseResult::Failed, "{way}: {report:?}");
        assert!(report.reason.contains(reason), "{way}: {}", report.reason);
        assert_eq!(report.remedy, case.remedy());
    }
}

#[tokio::test]
async fn the_reference_agency_passes_every_case_whatever_it_speaks() {
    for way in WAYS {
        let play = play(way, "", PATIENT).await;
        for case in Case::ALL {
            let report = play.kit.play(case).await;
            let expected = match case {
                Case::BadSignature => CaseResult::NotChecked,
                _ => CaseResult::Passed,
            };
            assert_eq!(report.result, expected, "{way}: {report:?}");
        }
        assert_eq!(play.agency.effects(), play.agency.taken() as u64);
    }
}

#[tokio::test]
async fn an_agency_that_is_slow_busy_and_orderly_passes_too() {
    let script = r#"
        latency = { from = "5ms", to = "20ms" }
        signatures = "check"
        capacity = { at_once = 8, beyond = "too-many" }
        order = { early = "refuse", after = { residence = "civil-status" } }
    "#;
    for way in WAYS {
        let play = play(way, script, PATIENT).await;
        for case in Case::ALL {
            let report = play.kit.play(case).await;
            assert_eq!(report.result, CaseResult::Passed, "{way}: {report:?}");
        }
    }
}

#[tokio::test]
async fn happy_fails_when_deliveries_are_not_taken() {
    let answer = r#"answers = [{ share = 1.0, status = 500, text = "logic xử lý không hợp lệ" }]"#;
    fails(Case::Happy, &WAYS, answer, "logic xử lý").await;
    fails(Case::Happy, &WAYS, "refused = 1.0", "simulated refusal").await;
    let worded = r#"answers = [{ share = 1.0, status = 200, text = "logic xử lý không hợp lệ" }]"#;
    fails(Case::Happy, &["http", "soap"], worded, "logic xử lý").await;
    fails(
        Case::Happy,
        &WAYS,
        "half_success = { drop = 1.0 }",
        "the connection failed",
    )
    .await;
}

#[tokio::test]
async fn duplicate_fails_without_a_memory() {
    fails(
        Case::Duplicate,
        &["grpc", "grpc+unary"],
        "remember = false",
        "as if it were new",
    )
    .await;
    fails(
        Case::Duplicate,
        &["http", "soap"],
        "remember = false",
        "3 effects",
    )
    .await;
}

#[tokio::test]
async fn duplicate_fails_when_a_repeat_has_an_effect_behind_its_answer() {
    fails(
        Case::Duplicate,
        &["http", "soap"],
        "idempotent = false",
        "3 effects",
    )
    .await;
}

#[tokio::test]
async fn conflict_fails_when_another_content_is_taken_as_new() {
    let script = "check_content = false";
    fails(
        Case::Conflict,
        &["grpc", "grpc+unary"],
        script,
        "answered `taken`",
    )
    .await;
    fails(Case::Conflict, &["http", "soap"], script, "2 effects").await;
}

#[tokio::test]
async fn out_of_order_fails_on_a_hang_and_on_a_failure_without_a_reason() {
    let script = |early| {
        format!("order = {{ early = \"{early}\", after = {{ residence = \"civil-status\" }} }}")
    };
    fails_within(
        IMPATIENT,
        Case::OutOfOrder,
        &["grpc", "http"],
        &script("hang"),
        "no answer within",
    )
    .await;
    // Over a stream a failure of one delivery reads as busy.
    let ways = ["grpc+unary", "http", "soap"];
    fails(
        Case::OutOfOrder,
        &ways,
        &script("fail"),
        "simulated failure",
    )
    .await;
}

#[tokio::test]
async fn slow_fails_beyond_the_time_out() {
    let script = r#"latency = "5s""#;
    fails_within(
        IMPATIENT,
        Case::Slow,
        &["grpc", "grpc+unary", "http"],
        script,
        "no answer within 3000 ms",
    )
    .await;
    let by_load =
        "latency = \"100ms\"\ncapacity = { at_once = 1, beyond = \"slower\", slower_by = \"1s\" }";
    fails_within(
        IMPATIENT,
        Case::Slow,
        &["http"],
        by_load,
        "no answer within 3000 ms",
    )
    .await;
}

#[tokio::test]
async fn large_fails_below_the_limit() {
    fails(Case::Large, &WAYS, "largest_payload = 65536", "too large").await;
}

#[tokio::test]
async fn unknown_field_fails_when_fields_are_refused() {
    fails(
        Case::UnknownField,
        &WAYS,
        "ignore_unknown = false",
        "unknown field",
    )
    .await;
}

#[tokio::test]
async fn bad_signature_fails_when_the_endpoint_falls_over_it() {
    fails(
        Case::BadSignature,
        &WAYS,
        r#"signatures = "fail""#,
        "simulated failure",
    )
    .await;
}

#[tokio::test]
async fn cancel_fails_when_a_cut_call_leaves_a_lock() {
    let script = "latency = \"300ms\"\nlock_cut = true";
    fails_within(IMPATIENT, Case::Cancel, &WAYS, script, "left it locked").await;
}

#[tokio::test]
async fn burst_fails_when_connections_are_cut() {
    let script = "latency = \"100ms\"\ncapacity = { at_once = 4, beyond = \"drop\" }";
    fails(Case::Burst, &WAYS, script, "the connection failed").await;
}

#[tokio::test]
async fn burst_finds_an_agency_that_says_taken_and_keeps_nothing() {
    let script = "answers = [{ share = 0.3, status = 200, taken = false }]";
    fails(
        Case::Burst,
        &["grpc", "grpc+unary", "http", "soap"],
        script,
        "unknown to the query operation",
    )
    .await;
}

#[tokio::test]
async fn malformed_fails_when_anything_is_taken() {
    let script = "take_garbage = true";
    fails(
        Case::Malformed,
        &["grpc", "grpc+unary", "http"],
        script,
        "taken",
    )
    .await;
    fails(Case::Malformed, &["soap"], script, "thành công").await;
}

#[tokio::test]
async fn a_hanging_agency_fails_and_does_not_hang_the_kit() {
    let script = r#"outages = [{ from = "0s", length = "1h", kind = "hang" }]"#;
    fails_within(
        IMPATIENT,
        Case::Happy,
        &["grpc", "grpc+unary", "http"],
        script,
        "no answer within",
    )
    .await;
}

#[test]
fn every_case_is_known_by_its_name_and_published() {
    let published = include_str!("../../../../docs/conformance.md");
    for case in Case::ALL {
        assert_eq!(case.as_str().parse(), Ok(case));
        assert!(
            published.contains(&format!("`{case}`")),
            "{case} is not published"
        );
    }
    let error = "hapy".parse::<Case>().unwrap_err().to_string();
    assert!(
        error.starts_with("no case `hapy`; there are: happy, duplicate"),
        "{error}"
    );
}
