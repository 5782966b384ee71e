use std::error::Error;
use std::sync::Arc;

use domain::AttemptClass;
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use proto::v1::{self, verdict::Verdict};
use replies::{GrpcCode, Match, Reading, Reply, Rules};
use tonic::metadata::KeyAndValueRef;
use tonic::{Code, Status};

use super::{Answer, retry_after};

/// How the replies of one destination are read: by its rules, or as is usual where it has none.
///
/// Only what the destination itself said comes here. Refused connections, time-outs and resets are no
/// replies, and no rule changes what follows from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader(Option<Arc<Rules>>);

/// A reply over HTTP.
pub(crate) struct HttpReply<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
    /// What its body is about in one line, if it says so.
    pub(crate) title: Option<&'a str>,
    /// The id of the delivery that was sent.
    pub(crate) delivery: &'a str,
}

/// What follows from a reply besides its reading, should it be transient.
struct IfTransient {
    is_overload: bool,
    in_doubt: bool,
}

// === impl Reader ===

impl Reader {
    pub(crate) fn new(rules: Option<Arc<Rules>>) -> Self {
        Self(rules)
    }

    /// Whether there are rules, which want to see whole replies.
    pub(crate) fn has_rules(&self) -> bool {
        self.0.is_some()
    }

    /// The reading of an HTTP reply.
    pub(crate) fn of_http(&self, reply: &HttpReply<'_>, now: Timestamp) -> Answer {
        let status = reply.status.as_u16();
        let Some(rules) = &self.0 else {
            let asked = reply.headers.get(hyper::header::RETRY_AFTER);
            let asked = asked.and_then(|value| value.to_str().ok());
            let asked = asked.and_then(|text| retry_after(text, now));
            return Answer::of_http(status, reply.title, reply.names_delivery()).asking(asked);
        };
        let text = |value| std::str::from_utf8(value).ok();
        let headers: Vec<(&str, &str)> = reply
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), text(value.as_bytes())?)))
            .collect();
        let found = rules.read(&Reply {
            status: Some(status),
            grpc: None,
            headers: &headers,
            body: reply.body,
            delivery: reply.delivery,
        });
        let said = match reply.title {
            Some(title) => format!("HTTP {status}: {title}"),
            None => format!("HTTP {status}"),
        };
        let if_transient = IfTransient {
            is_overload: matches!(status, 429 | 503),
            in_doubt: !matches!(status, 200..=499 | 503),
        };
        ruled(&found, &said, &if_transient, now)
    }

    /// The reading of a gRPC status that ended the call of one delivery.
    pub(crate) fn of_status(&self, status: &Status, delivery: &str, now: Timestamp) -> Answer {
        let usual = Answer::of_status(status, true);
        // A source is a connection that broke.
        let (Some(rules), None) = (&self.0, status.source()) else {
            return usual;
        };
        let headers: Vec<(&str, &str)> = status
            .metadata()
            .iter()
            .filter_map(|pair| match pair {
                KeyAndValueRef::Ascii(name, value) => Some((name.as_str(), value.to_str().ok()?)),
                KeyAndValueRef::Binary(..) => None,
            })
            .collect();
        let found = rules.read(&Reply {
            status: None,
            grpc: Some(GrpcCode::from_number(status.code().into())),
            headers: &headers,
            body: status.message().as_bytes(),
            delivery,
        });
        let if_transient = IfTransient {
            is_overload: status.code() == Code::ResourceExhausted,
            in_doubt: usual.may_have_arrived,
        };
        ruled(&found, &usual.detail, &if_transient, now)
    }

    /// The reading of a verdict of the `Inbox` service. Its words mean what they say; only why a delivery
    /// was not taken is text, which rules may know better.
    pub(crate) fn of_verdict(
        &self,
        verdict: Option<v1::Verdict>,
        delivery: &str,
        now: Timestamp,
    ) -> Answer {
        let by_rule = self.0.as_ref().zip(verdict.as_ref());
        let by_rule = by_rule.and_then(|(rules, verdict)| match &verdict.verdict {
            Some(Verdict::NotTaken(refusal)) => refused(rules, refusal, delivery, now),
            Some(Verdict::Taken(_) | Verdict::AlreadyTaken(_) | Verdict::Busy(_)) | None => None,
        });
        by_rule.unwrap_or_else(|| Answer::of_verdict(verdict))
    }
}

/// The reading of a refusal that a rule knows.
fn refused(
    rules: &Rules,
    refusal: &v1::NotTaken,
    delivery: &str,
    now: Timestamp,
) -> Option<Answer> {
    let said = format!("{} {}", refusal.code, refusal.reason);
    let found = rules.read(&Reply {
        status: None,
        grpc: Some(GrpcCode::FailedPrecondition),
        headers: &[],
        body: said.as_bytes(),
        delivery,
    });
    found.rule?;
    let if_transient = IfTransient {
        is_overload: false,
        in_doubt: false,
    };
    Some(ruled(
        &found,
        &format!("not taken: {said}"),
        &if_transient,
        now,
    ))
}

fn ruled(found: &Match<'_>, said: &str, if_transient: &IfTransient, now: Timestamp) -> Answer {
    let detail = match found.rule {
        Some(rule) => format!("{said} (rule {rule})"),
        None => format!("{said} (no rule knows it)"),
    };
    let asked = found.retry_after.as_deref();
    let is_transient = found.reading == Reading::Transient;
    Answer::new(class(found.reading), detail)
        .asking(asked.and_then(|text| retry_after(text, now)))
        .overloaded(is_transient && if_transient.is_overload)
        .in_doubt(is_transient && if_transient.in_doubt)
}

fn class(reading: Reading) -> AttemptClass {
    match reading {
        Reading::Accepted => AttemptClass::Accepted,
        Reading::Duplicate => AttemptClass::Duplicate,
        Reading::OutOfOrder => AttemptClass::OutOfOrder,
        Reading::Transient => AttemptClass::Retryable,
        Reading::Permanent => AttemptClass::Permanent,
        Reading::NeedsPerson => AttemptClass::NeedsPerson,
        Reading::Unclear => AttemptClass::Unclear,
        Reading::Blocked => AttemptClass::Blocked,
    }
}

// === impl HttpReply ===

impl HttpReply<'_> {
    /// Whether it repeats the delivery's id.
    fn names_delivery(&self) -> bool {
        let id = self.delivery.as_bytes();
        let in_headers = || self.headers.values().any(|value| value.as_bytes() == id);
        !id.is_empty() && (in_headers() || self.body.windows(id.len()).any(|part| part == id))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::header::{HeaderValue, RETRY_AFTER};
    use replies::{RuleSets, Source};

    use super::*;

    const RULES: &str = "
rules:
  - {name: busy, when: {text: {contains: bảo trì}}, then: transient, retry_after: {json: /wait}}
  - {name: later, when: {status: [429, 500, 502, 503]}, then: transient}
  - {name: over, when: {grpc: [RESOURCE_EXHAUSTED, ABORTED]}, then: transient}
  - {name: locked, when: {grpc: FAILED_PRECONDITION, text: {contains: khóa}}, then: needs-person}
  - {name: taken, when: {status: 200, text: {contains: thành công}}, then: accepted}
otherwise: unclear
";

    fn reader() -> Reader {
        let source = Source {
            name: "x.yaml",
            text: RULES,
        };
        let sets = RuleSets::from_sources(&[source]).unwrap();
        Reader::new(sets.rules("x").cloned())
    }

    fn now() -> Timestamp {
        "2026-09-21T02:00:00Z".parse().unwrap()
    }

    fn http(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let reply = HttpReply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers,
            body: body.as_bytes(),
            title: None,
            delivery: "0af7",
        };
        reader().of_http(&reply, now())
    }

    #[test]
    fn what_the_rules_say_counts_and_the_status_tells_the_rest() {
        let check = |answer: Answer, class, is_overload, may_have_arrived, seconds| {
            let asked = answer.asked.map(|asked| asked.as_secs());
            let seen = (
                answer.class,
                answer.is_overload,
                answer.may_have_arrived,
                asked,
            );
            let expected = (class, is_overload, may_have_arrived, seconds);
            assert_eq!(seen, expected, "{}", answer.detail);
        };
        use AttemptClass::*;
        check(http(200, "Thành công"), Accepted, false, false, Some(7));
        check(http(200, "gì đó"), Unclear, false, true, Some(7));
        check(http(500, ""), Retryable, false, true, Some(7));
        check(http(502, ""), Retryable, false, true, Some(7));
        check(http(503, ""), Retryable, true, false, Some(7));
        check(http(429, ""), Retryable, true, false, Some(7));
        let told = r#"{"wait": 90, "text": "đang bảo trì"}"#;
        check(http(200, told), Retryable, false, false, Some(90));

        let grpc = |code, text: &str| reader().of_status(&Status::new(code, text), "0af7", now());
        check(
            grpc(Code::ResourceExhausted, ""),
            Retryable,
            true,
            false,
            None,
        );
        check(grpc(Code::Aborted, ""), Retryable, false, true, None);
        let locked = grpc(Code::FailedPrecondition, "hồ sơ bị khóa");
        check(locked, NeedsPerson, false, false, None);
        check(grpc(Code::AlreadyExists, ""), Unclear, false, true, None);
    }

    #[test]
    fn the_rule_is_named() {
        assert_eq!(http(500, "").detail, "HTTP 500 (rule later)");
        assert_eq!(http(404, "").detail, "HTTP 404 (no rule knows it)");
    }

    #[test]
    fn only_the_words_of_a_refusal_are_for_rules() {
        let not_taken = |reason: &str| {
            let refusal = v1::NotTaken {
                code: "E7".to_owned(),
                reason: reason.to_owned(),
            };
            Verdict::NotTaken(refusal)
        };
        let check = |verdict, expected| {
            let verdict = v1::Verdict {
                verdict: Some(verdict),
            };
            let answer = reader().of_verdict(Some(verdict), "0af7", now());
            assert_eq!(answer.class, expected, "{}", answer.detail);
        };
        check(not_taken("hồ sơ bị khóa"), AttemptClass::NeedsPerson);
        check(not_taken("unknown form"), AttemptClass::Permanent);
        check(Verdict::Taken(v1::Taken {}), AttemptClass::Accepted);
        let again = Verdict::AlreadyTaken(v1::AlreadyTaken {});
        check(again, AttemptClass::Duplicate);
    }

    #[test]
    fn a_connection_that_broke_is_no_reply() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let status = Status::from_error(Box::new(broken));
        let answer = reader().of_status(&status, "0af7", now());
        assert_eq!(answer, Answer::of_status(&status, true));
    }

    #[test]
    fn without_rules_a_reply_is_read_as_is_usual() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("120"));
        let reply = HttpReply {
            status: StatusCode::CONFLICT,
            headers: &headers,
            body: b"have 0af7",
            title: None,
            delivery: "0af7",
        };
        let answer = Reader::default().of_http(&reply, now());
        assert_eq!(answer.class, AttemptClass::Duplicate);
        assert_eq!(answer.asked, Some(Duration::from_secs(120)));
    }
}
