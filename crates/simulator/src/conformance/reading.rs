//! How answers are read: what the courier makes of them, and a little more.

use std::time::Duration;

use proto::v1::{self, verdict::Verdict};
use tonic::{Code, Status};

/// What came back for one parcel.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) said: Said,
    /// The answer in words, on one line.
    pub(super) words: String,
    /// When it came, from the sending on.
    pub(super) took: Duration,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It has it.
    Taken,
    /// It had it before.
    AlreadyTaken,
    /// Later.
    Busy,
    /// The predecessor is missing.
    OutOfOrder,
    /// Not this one.
    Refused,
    /// Not from us.
    Unauthorized,
    /// The message could not be decoded at all.
    Undecodable,
    /// It fails, or says what makes no sense.
    Failed,
    /// The connection was refused or cut.
    Cut,
    /// Nothing in time.
    Silent,
}

/// Texts of provincial systems and what they mean, from the surest on.
const TEXTS: [(&str, Said); 9] = [
    ("đã tồn tại trong một cửa điện tử", Said::AlreadyTaken),
    ("already taken", Said::AlreadyTaken),
    (
        "chưa được gửi không thể cập nhật trạng thái",
        Said::OutOfOrder,
    ),
    ("out of order", Said::OutOfOrder),
    ("out-of-order", Said::OutOfOrder),
    ("logic xử lý không hợp lệ", Said::Refused),
    ("không tồn tại", Said::Refused),
    ("client received soap fault", Said::Failed),
    ("server error", Said::Failed),
];

const LONGEST_WORDS: usize = 160;

// === impl Reply ===

impl Reply {
    fn new(said: Said, words: impl AsRef<str>) -> Self {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let words = words.as_ref().chars().take(LONGEST_WORDS).map(clean);
        Self {
            said,
            words: words.collect(),
            took: Duration::ZERO,
        }
    }

    pub(super) fn after(self, took: Duration) -> Self {
        Self { took, ..self }
    }

    pub(super) fn silent(limit: Duration) -> Self {
        Self::new(
            Said::Silent,
            format!("no answer within {} ms", limit.as_millis()),
        )
    }

    pub(super) fn cut(why: impl AsRef<str>) -> Self {
        Self::new(
            Said::Cut,
            format!("the connection failed: {}", why.as_ref()),
        )
    }

    /// Whether the delivery has arrived.
    pub(super) fn is_success(&self) -> bool {
        matches!(self.said, Said::Taken | Said::AlreadyTaken)
    }

    /// The reading of an HTTP answer to the delivery of this id.
    pub(super) fn of_http(status: u16, body: &str, id: &str) -> Self {
        let text = body.to_lowercase();
        let by_text = TEXTS.iter().find(|(words, _)| text.contains(words));
        let by_text = by_text.map(|(_, said)| *said);
        let said = match status {
            200..=299 => by_text.unwrap_or(Said::Taken),
            401 | 403 => Said::Unauthorized,
            409 if !id.is_empty() && body.contains(id) => Said::AlreadyTaken,
            412 | 424 | 425 => Said::OutOfOrder,
            429 | 503 => Said::Busy,
            408 => Said::Failed,
            // The status says that it has no success to tell, whatever the words are.
            400..=499 => by_text
                .filter(|said| *said == Said::OutOfOrder)
                .unwrap_or(Said::Refused),
            // A SOAP 1.1 fault says in its code whose fault it is.
            500 if by_text.is_none() && text.contains(":client</") => Said::Refused,
            _ => by_text.unwrap_or(Said::Failed),
        };
        Self::new(said, format!("HTTP {status} {}", without_tags(body)))
    }

    /// The reading of a verdict of the `Inbox` service.
    pub(super) fn of_verdict(verdict: Option<v1::Verdict>) -> Self {
        match verdict.and_then(|verdict| verdict.verdict) {
            Some(Verdict::Taken(_)) => Self::new(Said::Taken, "taken"),
            Some(Verdict::AlreadyTaken(_)) => Self::new(Said::AlreadyTaken, "already_taken"),
            Some(Verdict::Busy(busy)) => Self::new(Said::Busy, format!("busy: {}", busy.reason)),
            Some(Verdict::NotTaken(refusal)) => {
                let words = format!("not_taken: {} {}", refusal.code, refusal.reason);
                let text = words.to_lowercase();
                let by_text = TEXTS.iter().find(|(words, _)| text.contains(words));
                Self::new(by_text.map_or(Said::Refused, |(_, said)| *said), words)
            }
            None => Self::new(Said::Failed, "an answer without a verdict"),
        }
    }

    /// The reading of a gRPC status.
    pub(super) fn of_status(status: &Status) -> Self {
        let said = match status.code() {
            Code::AlreadyExists => Said::AlreadyTaken,
            Code::FailedPrecondition => Said::OutOfOrder,
            Code::InvalidArgument | Code::OutOfRange => Said::Refused,
            Code::Unauthenticated | Code::PermissionDenied => Said::Unauthorized,
            Code::ResourceExhausted => Said::Busy,
            Code::Unavailable | Code::Unknown | Code::Cancelled
                if std::error::Error::source(status).is_some() =>
            {
                return Self::cut(status.message());
            }
            Code::Unavailable => Said::Busy,
            Code::Internal if status.message().to_lowercase().contains("decod") => {
                Said::Undecodable
            }
            Code::Internal
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::Aborted
            | Code::Unimplemented
            | Code::DataLoss
            | Code::Ok => Said::Failed,
        };
        Self::new(said, format!("{:?}: {}", status.code(), status.message()))
    }
}

/// The text of an answer, in one language or the other, without the tags of XML.
fn without_tags(body: &str) -> String {
    let body = body.trim();
    if !body.starts_with('<') {
        return body.to_owned();
    }
    let texts = body
        .split('<')
        .filter_map(|part| Some(part.split_once('>')?.1.trim()));
    let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_provincial_systems_count_where_the_status_leaves_it_open() {
        let check = |status, body: &str, said| {
            assert_eq!(
                Reply::of_http(status, body, "0af7").said,
                said,
                "{status} {body}"
            );
        };
        check(200, r#"{"message":"Thành công"}"#, Said::Taken);
        check(
            200,
            "Hồ sơ đã tồn tại trong một cửa điện tử",
            Said::AlreadyTaken,
        );
        check(200, "logic xử lý không hợp lệ", Said::Refused);
        check(
            500,
            "Hồ sơ chưa được gửi không thể cập nhật trạng thái",
            Said::OutOfOrder,
        );
        check(
            409,
            "chưa được gửi không thể cập nhật trạng thái",
            Said::OutOfOrder,
        );
        check(500, "boom", Said::Failed);
        check(409, r#"{"id":"0af7"}"#, Said::AlreadyTaken);
        check(409, "another content", Said::Refused);
        check(422, "already taken", Said::Refused);
        check(503, "", Said::Busy);
        check(302, "", Said::Failed);
        check(
            500,
            "<x:Fault><faultcode>x:Client</faultcode></x:Fault>",
            Said::Refused,
        );
        check(
            500,
            "<x:Fault><faultcode>x:Server</faultcode></x:Fault>",
            Said::Failed,
        );
    }

    #[test]
    fn an_envelope_is_shown_by_its_words() {
        let reply = Reply::of_http(200, "<a><b>0</b>\n<c>thành công</c></a>", "");
        assert_eq!(reply.words, "HTTP 200 0 thành công");
    }
}
