use std::fmt;

use serde::{Deserialize, Serialize};

/// A dossier's status in the vocabulary of the National Portal (`TrangThaiHoSo`, codes 1 to 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Status {
    /// 1: newly filed, not yet accepted.
    Filed = 1,
    /// 2: accepted; the legal clock runs from here.
    Accepted = 2,
    /// 3: not accepted.
    Rejected = 3,
    /// 4: in process.
    InProcess = 4,
    /// 5: a supplement is requested from the applicant; the clock pauses.
    SupplementRequested = 5,
    /// 6: a financial obligation is open; the clock pauses.
    PaymentRequested = 6,
    /// 7: withdrawn by the applicant.
    Withdrawn = 7,
    /// 8: stopped by an official.
    Stopped = 8,
    /// 9: processed, the result is ready.
    Processed = 9,
    /// 10: the result was handed over.
    HandedOver = 10,
}

/// The number or word names no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("status must be a portal code from 1 to 10, got `{0}`")]
pub struct UnknownStatus(pub String);

/// What the legal clock does while a dossier or step has a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DossierClock {
    /// It has not started.
    NotStarted,
    /// It runs.
    Runs,
    /// It stands still until the status changes.
    Pauses,
    /// It has ended.
    Ended,
}

/// What a status does to the state it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The state moves to the new status.
    Moves,
    /// The state has this status already.
    Repeats,
    /// The status contradicts the state: kept as a fact, the state stays.
    Contradicts,
    /// The state has ended: kept as a fact.
    AfterEnd,
}

// === impl Status ===

impl Status {
    /// Every status in the order of its portal code.
    pub const ALL: [Self; 10] = [
        Self::Filed,
        Self::Accepted,
        Self::Rejected,
        Self::InProcess,
        Self::SupplementRequested,
        Self::PaymentRequested,
        Self::Withdrawn,
        Self::Stopped,
        Self::Processed,
        Self::HandedOver,
    ];

    /// The portal's code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The status with a portal code.
    pub fn from_code(code: i64) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|s| i64::from(s.code()) == code)
            .ok_or_else(|| UnknownStatus(code.to_string()))
    }

    /// The word used in event types and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filed => "filed",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::InProcess => "in-process",
            Self::SupplementRequested => "supplement-requested",
            Self::PaymentRequested => "payment-requested",
            Self::Withdrawn => "withdrawn",
            Self::Stopped => "stopped",
            Self::Processed => "processed",
            Self::HandedOver => "handed-over",
        }
    }

    /// The status with a word.
    pub fn from_word(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == word)
            .ok_or_else(|| UnknownStatus(word.chars().take(32).collect()))
    }

    /// What the legal clock does in this status.
    pub fn clock(self) -> DossierClock {
        match self {
            Self::Filed => DossierClock::NotStarted,
            Self::Accepted | Self::InProcess => DossierClock::Runs,
            Self::SupplementRequested | Self::PaymentRequested => DossierClock::Pauses,
            Self::Rejected
            | Self::Withdrawn
            | Self::Stopped
            | Self::Processed
            | Self::HandedOver => DossierClock::Ended,
        }
    }

    /// Whether the work ended with its product: processed or handed over.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Processed | Self::HandedOver)
    }

    /// Whether the work ended without its product.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Rejected | Self::Withdrawn | Self::Stopped)
    }

    /// What `next` does to a state that has this status. The legal backward moves are 5 → 4 and 6 → 4.
    pub fn meets(self, next: Self) -> Transition {
        if self == next {
            return Transition::Repeats;
        }
        if self == Self::HandedOver || self.is_refusal() {
            return Transition::AfterEnd;
        }
        let moves = match (self, next) {
            (Self::Processed, Self::HandedOver) => true,
            (Self::Processed, _) => return Transition::AfterEnd,
            (_, Self::Rejected) => matches!(self, Self::Filed | Self::Accepted),
            (
                Self::SupplementRequested | Self::PaymentRequested,
                Self::InProcess | Self::SupplementRequested | Self::PaymentRequested,
            ) => true,
            _ => next > self,
        };
        if moves {
            Transition::Moves
        } else {
            Transition::Contradicts
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{Status::*, *};

    #[track_caller]
    fn check(from: Status, to: Status, expected: Transition) {
        assert_eq!(from.meets(to), expected, "{from} meets {to}");
    }

    #[test]
    fn the_legal_order_of_the_portal() {
        check(Filed, Accepted, Transition::Moves);
        check(Filed, Rejected, Transition::Moves);
        check(InProcess, Rejected, Transition::Contradicts);
        check(Accepted, Processed, Transition::Moves);
        check(SupplementRequested, InProcess, Transition::Moves);
        check(PaymentRequested, InProcess, Transition::Moves);
        check(PaymentRequested, SupplementRequested, Transition::Moves);
        check(InProcess, Accepted, Transition::Contradicts);
        check(Processed, HandedOver, Transition::Moves);
        check(Processed, InProcess, Transition::AfterEnd);
        check(Withdrawn, InProcess, Transition::AfterEnd);
        check(HandedOver, Processed, Transition::AfterEnd);
        check(InProcess, InProcess, Transition::Repeats);
    }

    #[test]
    fn nothing_leaves_an_end_but_a_handover() {
        for from in Status::ALL
            .into_iter()
            .filter(|s| s.clock() == DossierClock::Ended)
        {
            for to in Status::ALL.into_iter().filter(|to| *to != from) {
                let expected = if (from, to) == (Processed, HandedOver) {
                    Transition::Moves
                } else {
                    Transition::AfterEnd
                };
                check(from, to, expected);
            }
        }
    }

    #[test]
    fn codes_and_words_go_round() {
        for status in Status::ALL {
            assert_eq!(Status::from_code(status.code().into()), Ok(status));
            assert_eq!(Status::from_word(status.as_str()), Ok(status));
        }
        assert!(Status::from_code(0).is_err() && Status::from_code(11).is_err());
    }
}
