//! The words of the field as plain data and pure functions: ids, events, lifecycle, deliveries,
//! attempts, outcomes, destinations.
//!
//! Nothing here reads a clock, a file or the network. Every id is built by `FromStr` or `TryFrom`
//! alone, so a value of such a type is always well formed.

mod classification;
mod delivery;
mod destination;
mod dossier_code;
mod event;
mod history;
mod id;
mod lifecycle;
mod order;
mod outage;
mod outcome;
mod procedure;
mod unit;

pub use classification::{Classification, UnknownClassification};
pub use delivery::{Attempt, AttemptClass, Delivery, DeliveryId, InvalidDeliveryId, RecordId};
pub use destination::{
    Canary, Destination, Endpoint, Envelope, InvalidEndpoint, Peer, Rate, RetrySteps, Terms,
};
pub use dossier_code::{DossierCode, InvalidDossierCode};
pub use event::{Event, EventKind, InvalidAttribute, UnknownEventKind};
pub use history::{Fact, Fold, History};
pub use id::{
    AgencyId, CalendarId, DestinationId, DossierKey, EventId, InvalidId, JobId, RouteId, StepId,
};
pub use lifecycle::{DossierClock, Status, Transition, UnknownStatus};
pub use order::{
    Action, InvalidNote, InvalidSubject, LaneAction, Note, Order, SidelineWay, Subject,
};
pub use outage::{Outage, OutageTime};
pub use outcome::{DossierEnd, FactReason, HoldReason, Outcome, OutcomeKind};
pub use procedure::{InvalidProcedureCode, ProcedureCode};
pub use unit::{InvalidUnitCode, ProvinceCode, UnitCode, UnitRef};
