//! What is ordered of the courier, by people and by the router, as the log holds it.

use std::num::NonZeroU32;
use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AgencyId, DeliveryId, DestinationId, DossierKey, JobId, ProcedureCode, RecordId};

/// An order, with who gave it and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Of the record; chosen by whoever takes the order in. The same id twice is one order.
    pub id: RecordId,
    /// When it was given.
    pub at: Timestamp,
    /// Who gave it.
    pub by: Note,
    /// Why.
    pub reason: Note,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Something with a lane.
    Lane {
        /// Its destination.
        destination: DestinationId,
        /// What.
        action: LaneAction,
    },
    /// Deliveries stand aside for a while, or not any more.
    Sideline {
        /// Which.
        subject: Subject,
        /// How and until when; `None` lifts what was ordered before.
        rule: Option<(SidelineWay, Timestamp)>,
    },
    /// A dead letter goes on its way again.
    Redrive {
        /// The dead letter.
        delivery: DeliveryId,
        /// Its dossier.
        dossier: DossierKey,
        /// The job that asks for it and the number of the item there.
        item: Option<(JobId, u32)>,
    },
    /// An outcome that nobody knows is settled by a person.
    Settle {
        /// The delivery.
        delivery: DeliveryId,
        /// Its dossier.
        dossier: DossierKey,
        /// Whether the destination has it; otherwise it is sent again.
        arrived: bool,
    },
    /// An event of the agency that a step was delivered to tells that it has the delivery: by the router,
    /// with the event as its reason. An outcome that nobody knows is settled by it, and nothing else.
    Prove {
        /// The delivery.
        delivery: DeliveryId,
        /// Its dossier.
        dossier: DossierKey,
    },
    /// A dead letter is given up.
    Discard {
        /// The dead letter.
        delivery: DeliveryId,
        /// Its dossier.
        dossier: DossierKey,
    },
    /// A job that sends many dead letters again; its frozen set follows as items.
    StartJob {
        /// The job.
        job: JobId,
        /// So many a second.
        rate: NonZeroU32,
        /// How many items follow.
        total: u32,
        /// By what they were chosen, in words.
        filter: String,
    },
    /// A part of a job's frozen set, in the order in which it is worked off.
    JobItems {
        /// The job.
        job: JobId,
        /// The number of the first, counted from zero.
        first: u32,
        /// The dead letters.
        deliveries: Vec<DeliveryId>,
    },
    /// A job ends before its last item.
    CancelJob {
        /// The job.
        job: JobId,
    },
}

/// What is to be done with a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneAction {
    /// It holds everything.
    Pause,
    /// It works again.
    Resume,
    /// It tries its destination now, whatever it waits for.
    Probe,
    /// At most so many in flight; `None` lifts the limit.
    Limit(Option<NonZeroU32>),
    /// The destination will be away.
    Window {
        /// From then on.
        from: Timestamp,
        /// Until then, which is outside.
        to: Timestamp,
    },
    /// The destination will not be away after all.
    CancelWindow {
        /// Where the window begins.
        from: Timestamp,
    },
}

/// Whose deliveries stand aside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Those of one dossier.
    Dossier(DossierKey),
    /// Those of one procedure.
    Procedure(ProcedureCode),
    /// Those that events of one agency cause.
    Sender(AgencyId),
}

/// How deliveries stand aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SidelineWay {
    /// They wait.
    Hold,
    /// All others go first.
    Demote,
}

/// One line of text by a person: a name, a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Note(String);

/// The text is no note.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one line of 1 to {max} characters", max = Note::MAX_CHARS)]
pub struct InvalidNote;

/// The text names no subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be `dossier KEY`, `procedure CODE` or `agency ID`, got `{text}`: {reason}")]
pub struct InvalidSubject {
    text: String,
    reason: String,
}

// === impl Action ===

impl Action {
    /// The word of its kind, as it stands in the type of its record and in the audit.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Lane { .. } => "lane",
            Self::Sideline { .. } => "sideline",
            Self::Redrive { .. } => "redrive",
            Self::Settle { .. } => "settle",
            Self::Prove { .. } => "prove",
            Self::Discard { .. } => "discard",
            Self::StartJob { .. } => "job-start",
            Self::JobItems { .. } => "job-items",
            Self::CancelJob { .. } => "job-cancel",
        }
    }

    /// The dossier that it is about, if it is about one.
    pub fn dossier(&self) -> Option<&DossierKey> {
        match self {
            Self::Redrive { dossier, .. }
            | Self::Settle { dossier, .. }
            | Self::Prove { dossier, .. }
            | Self::Discard { dossier, .. }
            | Self::Sideline {
                subject: Subject::Dossier(dossier),
                ..
            } => Some(dossier),
            Self::Lane { .. }
            | Self::Sideline { .. }
            | Self::StartJob { .. }
            | Self::JobItems { .. }
            | Self::CancelJob { .. } => None,
        }
    }

    /// The key of its record. Orders with the same key keep their order; those on a delivery stand behind it.
    pub fn key(&self) -> String {
        if let Some(dossier) = self.dossier() {
            return dossier.to_string();
        }
        match self {
            Self::Lane { destination, .. } => destination.to_string(),
            Self::StartJob { job, .. } | Self::JobItems { job, .. } | Self::CancelJob { job } => {
                job.to_string()
            }
            _ => self.subject(),
        }
    }

    /// What it is done to, as the audit shows it.
    pub fn subject(&self) -> String {
        match self {
            Self::Lane { destination, .. } => destination.to_string(),
            Self::Sideline { subject, .. } => subject.to_string(),
            Self::Redrive { delivery, .. }
            | Self::Settle { delivery, .. }
            | Self::Prove { delivery, .. }
            | Self::Discard { delivery, .. } => delivery.to_string(),
            Self::StartJob { job, .. } | Self::JobItems { job, .. } | Self::CancelJob { job } => {
                job.to_string()
            }
        }
    }

    /// The delivery that it is about, if it is about one.
    pub fn delivery(&self) -> Option<DeliveryId> {
        match self {
            Self::Redrive { delivery, .. }
            | Self::Settle { delivery, .. }
            | Self::Prove { delivery, .. }
            | Self::Discard { delivery, .. } => Some(*delivery),
            _ => None,
        }
    }
}

// === impl Subject ===

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dossier(key) => write!(f, "dossier {key}"),
            Self::Procedure(code) => write!(f, "procedure {}", code.as_str()),
            Self::Sender(agency) => write!(f, "agency {agency}"),
        }
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let invalid = |reason: String| InvalidSubject {
            text: text.chars().take(160).collect(),
            reason,
        };
        let (kind, name) = text.split_once(' ').unwrap_or((text, ""));
        let parsed = match kind {
            "dossier" => name.parse().map(Self::Dossier).map_err(|e| e.to_string()),
            "agency" => name.parse().map(Self::Sender).map_err(|e| e.to_string()),
            "procedure" => name
                .parse()
                .map(Self::Procedure)
                .map_err(|e: crate::InvalidProcedureCode| e.to_string()),
            _ => Err(format!("`{kind}` is none of them")),
        };
        parsed.map_err(invalid)
    }
}

// === impl SidelineWay ===

impl SidelineWay {
    /// The word for people and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Demote => "demote",
        }
    }
}

// === impl LaneAction ===

impl fmt::Display for LaneAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause => f.write_str("pause"),
            Self::Resume => f.write_str("resume"),
            Self::Probe => f.write_str("probe"),
            Self::Limit(Some(limit)) => write!(f, "limit {limit}"),
            Self::Limit(None) => f.write_str("limit lifted"),
            Self::Window { from, to } => write!(f, "window {from} to {to}"),
            Self::CancelWindow { from } => write!(f, "window {from} cancelled"),
        }
    }
}

// === impl Note ===

impl Note {
    /// The longest, in characters.
    pub const MAX_CHARS: usize = 500;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Note {
    type Err = InvalidNote;

    /// Without the white space around it.
    fn from_str(text: &str) -> Result<Self, InvalidNote> {
        let text = text.trim();
        let is_note = (1..=Self::MAX_CHARS).contains(&text.chars().count())
            && !text.chars().any(char::is_control);
        is_note.then(|| Self(text.to_owned())).ok_or(InvalidNote)
    }
}

impl TryFrom<String> for Note {
    type Error = InvalidNote;

    fn try_from(text: String) -> Result<Self, InvalidNote> {
        text.parse()
    }
}

impl From<Note> for String {
    fn from(note: Note) -> String {
        note.0
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_line_of_some_length() {
        assert_eq!("  vì sự cố ".parse::<Note>().unwrap().as_str(), "vì sự cố");
        for text in ["", "  ", "a\nb", "a\u{0}b", &"ạ".repeat(501)] {
            assert_eq!(text.parse::<Note>(), Err(InvalidNote), "{text}");
        }
        assert!("ạ".repeat(500).parse::<Note>().is_ok());
    }

    #[test]
    fn a_subject_goes_round_as_text() {
        for text in ["dossier d-1", "procedure 3.000722.H56", "agency desk"] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
        let error = "office x".parse::<Subject>().unwrap_err().to_string();
        assert!(error.ends_with("`office` is none of them"), "{error}");
        assert!("agency".parse::<Subject>().is_err());
    }
}
