use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AgencyId, Attempt, DeliveryId, DestinationId, DossierKey, EventId, RecordId, StepId};

/// The fact that a dossier's or a delivery's state changed inside the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Derived from the cause.
    pub id: RecordId,
    /// The dossier.
    pub dossier: DossierKey,
    /// When it happened. Decided once, with the id: readers recognise a repeat by both.
    pub at: Timestamp,
    /// What happened.
    pub kind: OutcomeKind,
}

/// What happened inside the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The router cannot go on with the dossier until a cause outside it is gone.
    DossierHeld {
        /// Why.
        reason: HoldReason,
        /// The reason in words, with values.
        detail: String,
    },
    /// The cause of the hold is gone.
    DossierReleased,
    /// Every step has ended, or the dossier was withdrawn or refused.
    DossierEnded {
        /// How.
        end: DossierEnd,
        /// When its last step ended.
        ended_at: Timestamp,
    },
    /// An event was kept as a fact and moved no state.
    FactKept {
        /// The event.
        event: (AgencyId, EventId),
        /// Why it moved nothing.
        reason: FactReason,
    },
    /// An attempt failed; another will follow.
    AttemptFailed {
        /// The delivery.
        delivery: DeliveryId,
        /// Its step.
        step: StepId,
        /// Its destination.
        destination: DestinationId,
        /// The attempt.
        attempt: Attempt,
        /// When the next one is planned.
        next_at: Timestamp,
    },
    /// The destination has the delivery.
    Delivered {
        /// The delivery.
        delivery: DeliveryId,
        /// Its step.
        step: StepId,
        /// Its destination.
        destination: DestinationId,
        /// The attempt that succeeded.
        attempt: Attempt,
    },
    /// The delivery needs a person.
    DeadLettered {
        /// The delivery.
        delivery: DeliveryId,
        /// Its step.
        step: StepId,
        /// Its destination.
        destination: DestinationId,
        /// The last attempt.
        attempt: Attempt,
    },
    /// A person sent a dead letter on its way again.
    Redriven {
        /// The delivery.
        delivery: DeliveryId,
        /// Its step.
        step: StepId,
        /// Its destination.
        destination: DestinationId,
        /// Who did it and why.
        reason: String,
    },
    /// Nobody knows whether the destination has the delivery, and it may not be sent again blindly.
    Unknown {
        /// The delivery.
        delivery: DeliveryId,
        /// Its step.
        step: StepId,
        /// Its destination.
        destination: DestinationId,
        /// The attempt without an answer.
        attempt: Attempt,
    },
    /// An unknown outcome became known.
    Settled {
        /// The delivery.
        delivery: DeliveryId,
        /// Its step.
        step: StepId,
        /// Its destination.
        destination: DestinationId,
        /// Whether the destination has it; otherwise it is sent again.
        arrived: bool,
        /// How that became known.
        reason: String,
    },
    /// A person gave a dead letter up.
    Discarded {
        /// The delivery.
        delivery: DeliveryId,
        /// Its step.
        step: StepId,
        /// Its destination.
        destination: DestinationId,
        /// Who did it and why.
        reason: String,
    },
    /// So much of the time for the step has passed, and the delivery has not arrived.
    BudgetUsed {
        /// The delivery.
        delivery: DeliveryId,
        /// Its step.
        step: StepId,
        /// Its destination.
        destination: DestinationId,
        /// 50, 80 or 100.
        percent: u32,
    },
}

/// Why a dossier is held. A closed set: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldReason {
    /// Events came, but none that accepts the dossier.
    NotAccepted,
    /// No route covers the procedure on the day of receipt.
    NoRoute,
    /// The unit code is unknown or has no derivable successor.
    NoUnit,
    /// No destination serves the agency in that unit.
    NoDestination,
    /// The calendar does not reach as far as the deadline.
    NoCalendar,
}

/// How a dossier ended. A closed set: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DossierEnd {
    /// Every step ended with its product.
    Completed,
    /// Some steps ended with their product, others were refused.
    Partial,
    /// No step ended with its product, or the desk did not accept the dossier.
    Refused,
    /// The applicant withdrew.
    Withdrawn,
}

/// Why an event moved no state. A closed set: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactReason {
    /// Its status contradicts the state or came late.
    Contradicts,
    /// The dossier or step had ended.
    AfterEnd,
    /// The same id came before with another body.
    Conflict,
    /// The route has no such step.
    UnknownStep,
    /// The step is not open yet.
    StepNotOpen,
}

macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The metric label and page word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// The value with a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(HoldReason {
    NotAccepted => "not-accepted",
    NoRoute => "no-route",
    NoUnit => "no-unit",
    NoDestination => "no-destination",
    NoCalendar => "no-calendar",
});

words!(DossierEnd {
    Completed => "completed",
    Partial => "partial",
    Refused => "refused",
    Withdrawn => "withdrawn",
});

words!(FactReason {
    Contradicts => "contradicts",
    AfterEnd => "after-end",
    Conflict => "conflict",
    UnknownStep => "unknown-step",
    StepNotOpen => "step-not-open",
});
