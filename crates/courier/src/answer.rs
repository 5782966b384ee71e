//! What came back from an attempt, and how it is classified: the usual reading of answers, and the one
//! by a destination's rules.

mod reader;

use std::error::Error;
use std::time::Duration;

use domain::AttemptClass;
use jiff::Timestamp;
use proto::v1::{self, verdict::Verdict};
use tonic::{Code, Status};

pub(crate) use reader::{HttpReply, Reader};

/// The end of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) class: AttemptClass,
    /// How long the destination asks us to wait.
    pub(crate) asked: Option<Duration>,
    /// Whether the destination said that it has too much to do.
    pub(crate) is_overload: bool,
    /// Whether the destination may have taken the delivery all the same.
    pub(crate) may_have_arrived: bool,
    /// In words, shortened and on one line.
    pub(crate) detail: String,
}

const LONGEST_DETAIL: usize = 240;

// === impl Answer ===

impl Answer {
    pub(crate) fn new(class: AttemptClass, detail: impl AsRef<str>) -> Self {
        Self {
            class,
            asked: None,
            is_overload: false,
            may_have_arrived: matches!(class, AttemptClass::Timeout | AttemptClass::Unclear),
            detail: one_line(detail.as_ref()),
        }
    }

    /// The destination said that it has too much to do.
    pub(crate) fn overloaded(self, is_overload: bool) -> Self {
        Self {
            is_overload,
            ..self
        }
    }

    /// The destination failed at it, and may have taken it before.
    fn in_doubt(self, may_have_arrived: bool) -> Self {
        let may_have_arrived = self.may_have_arrived || may_have_arrived;
        Self {
            may_have_arrived,
            ..self
        }
    }

    pub(crate) fn asking(self, asked: Option<Duration>) -> Self {
        Self { asked, ..self }
    }

    pub(crate) fn timeout(limit: Duration) -> Self {
        Self::new(
            AttemptClass::Timeout,
            format!("no answer within {} ms", limit.as_millis()),
        )
    }

    /// The reading of a verdict of the `Inbox` service.
    pub(crate) fn of_verdict(verdict: Option<v1::Verdict>) -> Self {
        match verdict.and_then(|verdict| verdict.verdict) {
            Some(Verdict::Taken(_)) => Self::new(AttemptClass::Accepted, "taken"),
            Some(Verdict::AlreadyTaken(_)) => Self::new(AttemptClass::Duplicate, "taken before"),
            Some(Verdict::Busy(busy)) => {
                let asked = busy.retry_after.map(proto::duration_from_wire);
                let detail = format!("busy: {}", busy.reason);
                Self::new(AttemptClass::Retryable, detail)
                    .asking(asked)
                    .overloaded(true)
            }
            Some(Verdict::NotTaken(refusal)) => {
                let detail = format!("not taken: {} {}", refusal.code, refusal.reason);
                Self::new(AttemptClass::Permanent, detail)
            }
            None => {
                Self::new(AttemptClass::Retryable, "an answer without a verdict").in_doubt(true)
            }
        }
    }

    /// The reading of a gRPC status. `sent`: the delivery may have arrived.
    pub(crate) fn of_status(status: &Status, sent: bool) -> Self {
        let class = match status.code() {
            Code::AlreadyExists => AttemptClass::Duplicate,
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
                AttemptClass::Permanent
            }
            Code::Unauthenticated
            | Code::PermissionDenied
            | Code::Unimplemented
            | Code::NotFound => AttemptClass::Blocked,
            Code::DeadlineExceeded | Code::Cancelled => AttemptClass::Timeout,
            Code::Unavailable if sent && is_reset(status) => AttemptClass::Timeout,
            Code::Unavailable => AttemptClass::Unreachable,
            Code::ResourceExhausted | Code::Aborted | Code::Internal => AttemptClass::Retryable,
            Code::Unknown if sent && is_reset(status) => AttemptClass::Timeout,
            Code::Unknown | Code::DataLoss | Code::Ok => AttemptClass::Retryable,
        };
        let detail = format!(
            "{:?}: {}{}",
            status.code(),
            status.message(),
            causes(status)
        );
        let in_doubt = matches!(
            status.code(),
            Code::Aborted | Code::Internal | Code::Unknown | Code::DataLoss
        );
        Self::new(class, detail)
            .overloaded(status.code() == Code::ResourceExhausted)
            .in_doubt(sent && in_doubt)
    }

    /// The reading of an HTTP answer; `names_delivery`: it repeats the delivery's id.
    pub(crate) fn of_http(status: u16, title: Option<&str>, names_delivery: bool) -> Self {
        let class = match status {
            200..=299 => AttemptClass::Accepted,
            409 if names_delivery => AttemptClass::Duplicate,
            400 | 409 | 413 | 422 => AttemptClass::Permanent,
            401 | 403 | 404 | 410 => AttemptClass::Blocked,
            _ => AttemptClass::Retryable,
        };
        let detail = match (status, title) {
            (300..=399, _) => format!("HTTP {status}: redirects are not followed"),
            (_, Some(title)) => format!("HTTP {status}: {title}"),
            (_, None) => format!("HTTP {status}"),
        };
        let was_refused = matches!(status, 300..=499 | 503);
        Self::new(class, detail)
            .overloaded(matches!(status, 429 | 503))
            .in_doubt(class == AttemptClass::Retryable && !was_refused)
    }
}

/// Reads a Retry-After header: seconds or an HTTP date. What makes no sense asks for nothing.
pub(crate) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(now)).ok()
}

/// An error with its causes.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Whether the connection broke, rather than the destination saying so itself.
fn is_reset(status: &Status) -> bool {
    status.source().is_some_and(|source| !is_connect(source))
}

fn is_connect(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        if error.to_string().contains("tcp connect error") {
            return true;
        }
        next = error.source();
    }
    false
}

/// Text of others is data: no line breaks, no control characters, not endless.
fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text
        .trim()
        .chars()
        .take(LONGEST_DETAIL)
        .map(clean)
        .collect();
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use AttemptClass::*;

    use super::*;

    #[test]
    fn an_http_answer_is_read_by_its_status() {
        let check = |statuses: &[u16], expected| {
            for status in statuses {
                assert_eq!(
                    Answer::of_http(*status, None, false).class,
                    expected,
                    "{status}"
                );
            }
        };
        check(&[200, 201, 202, 204], Accepted);
        check(&[408, 425, 429, 500, 502, 503, 504], Retryable);
        check(&[401, 403, 404, 410], Blocked);
        check(&[400, 409, 413, 422], Permanent);
        check(
            &[100, 301, 302, 307, 308, 405, 406, 415, 451, 600, 999],
            Retryable,
        );
        assert_eq!(Answer::of_http(409, None, true).class, Duplicate);
        assert_eq!(Answer::of_http(422, None, true).class, Permanent);
    }

    #[test]
    fn a_grpc_status_is_read_by_its_code() {
        let check = |code, expected| {
            let answer = Answer::of_status(&Status::new(code, "x"), true);
            assert_eq!(answer.class, expected, "{code:?}");
        };
        check(Code::AlreadyExists, Duplicate);
        check(Code::InvalidArgument, Permanent);
        check(Code::FailedPrecondition, Permanent);
        check(Code::OutOfRange, Permanent);
        check(Code::Unauthenticated, Blocked);
        check(Code::PermissionDenied, Blocked);
        check(Code::Unimplemented, Blocked);
        check(Code::NotFound, Blocked);
        check(Code::DeadlineExceeded, Timeout);
        check(Code::Cancelled, Timeout);
        check(Code::Unavailable, Unreachable);
        check(Code::ResourceExhausted, Retryable);
        check(Code::Internal, Retryable);
        check(Code::Unknown, Retryable);
    }

    fn verdict(verdict: Verdict) -> Answer {
        Answer::of_verdict(Some(v1::Verdict {
            verdict: Some(verdict),
        }))
    }

    #[test]
    fn a_verdict_is_read_as_it_says() {
        assert_eq!(verdict(Verdict::Taken(v1::Taken {})).class, Accepted);
        assert_eq!(
            verdict(Verdict::AlreadyTaken(v1::AlreadyTaken {})).class,
            Duplicate
        );
        let refusal = v1::NotTaken {
            code: "E7".to_owned(),
            reason: "unknown form".to_owned(),
        };
        let refusal = verdict(Verdict::NotTaken(refusal));
        assert_eq!(
            (refusal.class, refusal.detail.as_str()),
            (Permanent, "not taken: E7 unknown form")
        );
        let wait = Duration::from_secs(30);
        let busy = verdict(Verdict::Busy(v1::Busy {
            retry_after: Some(proto::duration_to_wire(wait)),
            reason: "queue is long".to_owned(),
        }));
        assert_eq!((busy.class, busy.asked), (Retryable, Some(wait)));
        assert_eq!(Answer::of_verdict(None).class, Retryable);
    }

    /// D3
    #[test]
    fn retry_after_is_seconds_or_a_date_and_nonsense_asks_for_nothing() {
        let now: Timestamp = "2026-09-21T02:00:00Z".parse().unwrap();
        let check = |text, expected: Option<u64>| {
            assert_eq!(
                retry_after(text, now),
                expected.map(Duration::from_secs),
                "{text}"
            );
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("99999999999999999999999", Some(u64::MAX));
        check("Mon, 21 Sep 2026 02:05:00 GMT", Some(300));
        check("Mon, 21 Sep 2026 01:00:00 GMT", None);
        check("-5", None);
        check("soon", None);
        check("", None);
    }

    #[test]
    fn details_are_one_short_line() {
        let answer = Answer::new(
            Retryable,
            format!("a\r\nb\u{1b}[31m\0{}", "x".repeat(9_000)),
        );
        assert!(
            answer.detail.starts_with("a  b [31m x"),
            "{}",
            answer.detail
        );
        assert!(answer.detail.chars().all(|c| !c.is_control()));
        assert_eq!(answer.detail.chars().count(), LONGEST_DETAIL);
    }
}
