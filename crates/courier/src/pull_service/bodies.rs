//! The JSON of pulling over HTTP.

use std::time::Duration;

use proto::v1::{self, verdict::Verdict};
use serde::{Deserialize, Serialize};

use super::Refusal;

/// `?max=&wait=&lease=`, spans in seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TakeQuery {
    pub(super) max: usize,
    wait: Option<f64>,
    lease: Option<f64>,
}

/// One thing or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

/// The verdict on one leased delivery.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmBody {
    token: String,
    verdict: Word,
    /// Of `busy`, in seconds.
    retry_after: Option<f64>,
    /// Of `not_taken`.
    #[serde(default)]
    code: String,
    /// Of `busy` and `not_taken`.
    #[serde(default)]
    reason: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Taken,
    AlreadyTaken,
    Busy,
    NotTaken,
}

/// Asks for more time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtendBody {
    pub(super) tokens: OneOrMany<String>,
    by: Option<f64>,
}

/// Gives deliveries back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseBody {
    pub(super) tokens: OneOrMany<String>,
}

/// What became of one lease.
#[derive(Debug, Serialize)]
pub(super) struct AnswerBody {
    token: String,
    standing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<jiff::Timestamp>,
}

// === impl TakeQuery ===

impl TakeQuery {
    pub(super) fn wait(&self) -> Result<Option<Duration>, Refusal> {
        seconds("wait", self.wait)
    }

    pub(super) fn lease(&self) -> Result<Option<Duration>, Refusal> {
        seconds("lease", self.lease)
    }
}

// === impl OneOrMany ===

impl<T> OneOrMany<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(many) => many,
            Self::One(one) => vec![one],
        }
    }
}

// === impl ConfirmBody ===

impl ConfirmBody {
    pub(super) fn into_wire(self) -> Result<v1::Confirmation, Refusal> {
        let verdict = match self.verdict {
            Word::Taken => Verdict::Taken(v1::Taken {}),
            Word::AlreadyTaken => Verdict::AlreadyTaken(v1::AlreadyTaken {}),
            Word::Busy => Verdict::Busy(v1::Busy {
                retry_after: seconds("retry_after", self.retry_after)?.map(proto::duration_to_wire),
                reason: self.reason,
            }),
            Word::NotTaken => Verdict::NotTaken(v1::NotTaken {
                code: self.code,
                reason: self.reason,
            }),
        };
        Ok(v1::Confirmation {
            token: self.token,
            verdict: Some(v1::Verdict {
                verdict: Some(verdict),
            }),
        })
    }
}

// === impl ExtendBody ===

impl ExtendBody {
    pub(super) fn by(&self) -> Result<Option<Duration>, Refusal> {
        seconds("by", self.by)
    }
}

// === impl AnswerBody ===

impl From<v1::LeaseAnswer> for AnswerBody {
    fn from(answer: v1::LeaseAnswer) -> Self {
        let standing = match answer.standing() {
            v1::LeaseStanding::Held => "held",
            v1::LeaseStanding::Confirmed => "confirmed",
            v1::LeaseStanding::Released => "released",
            v1::LeaseStanding::Expired => "expired",
            v1::LeaseStanding::Unspecified | v1::LeaseStanding::Unknown => "unknown",
        };
        let until = proto::timestamp_from_wire("until", answer.until).ok();
        Self {
            token: answer.token,
            standing,
            until,
        }
    }
}

fn seconds(field: &'static str, seconds: Option<f64>) -> Result<Option<Duration>, Refusal> {
    let span = seconds.map(Duration::try_from_secs_f64).transpose();
    span.map_err(|_| Refusal::Invalid {
        field,
        reason: "must be a number of seconds, not below zero".to_owned(),
    })
}
