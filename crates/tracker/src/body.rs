//! The bytes in which a dossier's state is kept.

use bytes::Bytes;
use domain::{DeliveryId, DossierEnd, Fact, HoldReason, Status, StepId};
use jiff::Timestamp;
use prost::Message;
use proto::{InvalidField, timestamp_from_wire, timestamp_to_wire, v1::DeliveryState};

use crate::{
    deadline::{Deadline, LegalClock},
    state::{Handover, Named, Namer, Opened, Routed, State, Step},
    tail::Tail,
};

/// Kept bytes are no state: the database was changed by something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a dossier's state cannot be read back: {0}")]
pub(crate) struct Damaged(String);

type Time = prost_types::Timestamp;

#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(uint64, tag = "1")]
    tail_next: u64,
    #[prost(message, optional, tag = "2")]
    named: Option<NamedBody>,
    #[prost(message, optional, tag = "3")]
    code_at: Option<Time>,
    #[prost(string, tag = "4")]
    code: String,
    #[prost(message, optional, tag = "5")]
    routed: Option<RoutedBody>,
    #[prost(message, repeated, tag = "6")]
    facts: Vec<FactBody>,
    #[prost(string, tag = "7")]
    hold: String,
    #[prost(string, tag = "8")]
    end: String,
    #[prost(message, optional, tag = "9")]
    end_at: Option<Time>,
    #[prost(message, repeated, tag = "10")]
    steps: Vec<StepBody>,
    #[prost(message, optional, tag = "11")]
    deadline: Option<DeadlineBody>,
    #[prost(uint64, tag = "12")]
    tail_first: u64,
    #[prost(bytes = "vec", tag = "13")]
    tail: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedBody {
    #[prost(message, optional, tag = "1")]
    at: Option<Time>,
    /// Of the event; empty if a delivery names the dossier.
    #[prost(string, tag = "2")]
    event: String,
    #[prost(bytes = "bytes", tag = "3")]
    delivery: Bytes,
    #[prost(string, tag = "4")]
    procedure: String,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, Message)]
struct RoutedBody {
    #[prost(message, optional, tag = "1")]
    at: Option<Time>,
    #[prost(bytes = "bytes", tag = "2")]
    delivery: Bytes,
    #[prost(string, tag = "3")]
    route: String,
    #[prost(message, optional, tag = "4")]
    received_at: Option<Time>,
    #[prost(message, optional, tag = "5")]
    due_at: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
struct FactBody {
    #[prost(message, optional, tag = "1")]
    at: Option<Time>,
    #[prost(uint32, tag = "2")]
    status: u32,
}

#[derive(Clone, PartialEq, Message)]
struct DeadlineBody {
    #[prost(uint32, tag = "1")]
    clock: u32,
    #[prost(message, optional, tag = "2")]
    due_at: Option<Time>,
    #[prost(message, optional, tag = "3")]
    risk_at: Option<Time>,
    #[prost(message, optional, tag = "4")]
    ended_at: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
struct StepBody {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, repeated, tag = "2")]
    facts: Vec<FactBody>,
    #[prost(message, optional, tag = "3")]
    opened: Option<OpenedBody>,
    #[prost(message, repeated, tag = "4")]
    handovers: Vec<HandoverBody>,
    #[prost(message, optional, tag = "5")]
    deadline: Option<DeadlineBody>,
}

#[derive(Clone, PartialEq, Message)]
struct OpenedBody {
    #[prost(bytes = "bytes", tag = "1")]
    delivery: Bytes,
    #[prost(message, optional, tag = "2")]
    at: Option<Time>,
    #[prost(message, optional, tag = "3")]
    due_at: Option<Time>,
    #[prost(string, tag = "4")]
    agency: String,
    #[prost(string, tag = "5")]
    unit: String,
    #[prost(string, tag = "6")]
    task: String,
    #[prost(string, tag = "7")]
    product: String,
    #[prost(string, tag = "8")]
    legal_basis: String,
    /// Empty if the unit itself acts.
    #[prost(string, tag = "9")]
    province: String,
}

#[derive(Clone, PartialEq, Message)]
struct HandoverBody {
    #[prost(bytes = "bytes", tag = "1")]
    delivery: Bytes,
    #[prost(string, tag = "2")]
    destination: String,
    #[prost(message, optional, tag = "3")]
    opened_at: Option<Time>,
    #[prost(enumeration = "DeliveryState", tag = "4")]
    state: i32,
    #[prost(uint32, tag = "5")]
    attempts: u32,
    #[prost(message, optional, tag = "6")]
    delivered_at: Option<Time>,
}

/// The state as bytes.
pub(crate) fn encode(state: &State) -> Bytes {
    let body = Body {
        tail_next: state.tail.next,
        tail_first: state.tail.first,
        tail: state.tail.bytes.clone(),
        named: state.named.as_ref().map(encode_named),
        code_at: state.code.as_ref().map(|(at, _)| timestamp_to_wire(*at)),
        code: state
            .code
            .as_ref()
            .map(|(_, code)| code.to_string())
            .unwrap_or_default(),
        routed: state.routed.as_ref().map(|routed| RoutedBody {
            at: time(routed.by.0),
            delivery: bytes(&routed.by.1),
            route: routed.route.to_string(),
            received_at: time(routed.received_at),
            due_at: time(routed.due_at),
        }),
        facts: encode_facts(&state.history),
        hold: state
            .hold
            .map(|hold| hold.as_str().to_owned())
            .unwrap_or_default(),
        end: state
            .end
            .map(|(end, _)| end.as_str().to_owned())
            .unwrap_or_default(),
        end_at: state.end.map(|(_, at)| timestamp_to_wire(at)),
        steps: state.steps.iter().map(encode_step).collect(),
        deadline: Some(encode_deadline(&state.deadline)),
    };
    body.encode_to_vec().into()
}

/// The state that the bytes hold.
pub(crate) fn decode(bytes: Bytes) -> Result<State, Damaged> {
    let body = Body::decode(bytes)?;
    let code = match body.code_at {
        Some(at) => Some((read_time(Some(at))?, parse(&body.code)?)),
        None => None,
    };
    let end = match body.end_at {
        Some(at) => {
            let end = DossierEnd::from_word(&body.end).ok_or_else(|| unknown(&body.end))?;
            Some((end, read_time(Some(at))?))
        }
        None => None,
    };
    let hold = match body.hold.as_str() {
        "" => None,
        word => Some(HoldReason::from_word(word).ok_or_else(|| unknown(word))?),
    };
    Ok(State {
        tail: Tail {
            first: body.tail_first,
            next: body.tail_next,
            bytes: body.tail,
        },
        named: body.named.map(decode_named).transpose()?,
        code,
        routed: body.routed.map(decode_routed).transpose()?,
        history: decode_facts(body.facts)?,
        hold,
        end,
        steps: body
            .steps
            .into_iter()
            .map(decode_step)
            .collect::<Result<_, _>>()?,
        deadline: decode_deadline(body.deadline.unwrap_or_default())?,
    })
}

fn encode_named(named: &Named) -> NamedBody {
    let (at, event, delivery) = match &named.by {
        Namer::Event(at, id) => (*at, id.clone(), Bytes::new()),
        Namer::Delivery(at, id) => (*at, String::new(), bytes(id)),
    };
    NamedBody {
        at: time(at),
        event,
        delivery,
        procedure: named.procedure.to_string(),
        unit: named.unit.to_string(),
    }
}

fn decode_named(body: NamedBody) -> Result<Named, Damaged> {
    let at = read_time(body.at)?;
    let by = if body.delivery.is_empty() {
        Namer::Event(at, body.event)
    } else {
        Namer::Delivery(at, delivery_id(&body.delivery)?)
    };
    Ok(Named {
        by,
        procedure: parse(&body.procedure)?,
        unit: parse(&body.unit)?,
    })
}

fn decode_routed(body: RoutedBody) -> Result<Routed, Damaged> {
    Ok(Routed {
        by: (read_time(body.at)?, delivery_id(&body.delivery)?),
        route: parse(&body.route)?,
        received_at: read_time(body.received_at)?,
        due_at: read_time(body.due_at)?,
    })
}

fn encode_facts(history: &domain::History) -> Vec<FactBody> {
    let fact = |fact: &Fact| FactBody {
        at: time(fact.at),
        status: fact.status.code().into(),
    };
    history.facts().iter().map(fact).collect()
}

fn decode_facts(facts: Vec<FactBody>) -> Result<domain::History, Damaged> {
    let mut history = domain::History::default();
    for fact in facts {
        let status = Status::from_code(fact.status.into())?;
        history.insert(Fact {
            at: read_time(fact.at)?,
            status,
        });
    }
    Ok(history)
}

fn encode_deadline(deadline: &Deadline) -> DeadlineBody {
    DeadlineBody {
        clock: deadline.clock.code(),
        due_at: deadline.due_at.map(timestamp_to_wire),
        risk_at: deadline.risk_at.map(timestamp_to_wire),
        ended_at: deadline.ended_at.map(timestamp_to_wire),
    }
}

fn decode_deadline(body: DeadlineBody) -> Result<Deadline, Damaged> {
    let clock = LegalClock::from_code(body.clock);
    Ok(Deadline {
        clock: clock.ok_or_else(|| unknown(&body.clock.to_string()))?,
        due_at: optional_time(body.due_at)?,
        risk_at: optional_time(body.risk_at)?,
        ended_at: optional_time(body.ended_at)?,
    })
}

fn encode_step((id, step): &(StepId, Step)) -> StepBody {
    StepBody {
        id: id.to_string(),
        facts: encode_facts(&step.history),
        opened: step.opened.as_ref().map(|opened| OpenedBody {
            delivery: bytes(&opened.delivery),
            at: time(opened.at),
            due_at: time(opened.due_at),
            agency: opened.agency.to_string(),
            unit: opened.unit.to_string(),
            task: opened.task.clone(),
            product: opened.product.clone(),
            legal_basis: opened.legal_basis.clone(),
            province: opened.province.map(String::from).unwrap_or_default(),
        }),
        handovers: step.handovers.iter().map(encode_handover).collect(),
        deadline: Some(encode_deadline(&step.deadline)),
    }
}

fn decode_step(body: StepBody) -> Result<(StepId, Step), Damaged> {
    let handovers = body.handovers.into_iter().map(decode_handover);
    let step = Step {
        history: decode_facts(body.facts)?,
        opened: body.opened.map(decode_opened).transpose()?,
        handovers: handovers.collect::<Result<_, _>>()?,
        deadline: decode_deadline(body.deadline.unwrap_or_default())?,
    };
    Ok((parse(&body.id)?, step))
}

fn decode_opened(body: OpenedBody) -> Result<Opened, Damaged> {
    let province = match body.province.as_str() {
        "" => None,
        code => Some(parse(code)?),
    };
    Ok(Opened {
        delivery: delivery_id(&body.delivery)?,
        at: read_time(body.at)?,
        due_at: read_time(body.due_at)?,
        agency: parse(&body.agency)?,
        unit: parse(&body.unit)?,
        province,
        task: body.task,
        product: body.product,
        legal_basis: body.legal_basis,
    })
}

fn encode_handover(handover: &Handover) -> HandoverBody {
    HandoverBody {
        delivery: bytes(&handover.delivery),
        destination: handover.destination.to_string(),
        opened_at: handover.opened_at.map(timestamp_to_wire),
        state: handover.state.into(),
        attempts: handover.attempts,
        delivered_at: handover.delivered_at.map(timestamp_to_wire),
    }
}

fn decode_handover(body: HandoverBody) -> Result<Handover, Damaged> {
    Ok(Handover {
        delivery: delivery_id(&body.delivery)?,
        destination: parse(&body.destination)?,
        opened_at: optional_time(body.opened_at)?,
        state: body.state(),
        attempts: body.attempts,
        delivered_at: optional_time(body.delivered_at)?,
    })
}

fn bytes(id: &DeliveryId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn delivery_id(bytes: &Bytes) -> Result<DeliveryId, Damaged> {
    <[u8; 16]>::try_from(bytes.as_ref())
        .map(DeliveryId::from)
        .map_err(|_| Damaged(format!("a delivery id of {} bytes", bytes.len())))
}

fn time(at: Timestamp) -> Option<Time> {
    Some(timestamp_to_wire(at))
}

fn read_time(time: Option<Time>) -> Result<Timestamp, Damaged> {
    Ok(timestamp_from_wire("time", time)?)
}

fn optional_time(time: Option<Time>) -> Result<Option<Timestamp>, Damaged> {
    time.map(|time| read_time(Some(time))).transpose()
}

pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &str,
) -> Result<T, Damaged> {
    text.parse()
        .map_err(|error: T::Err| Damaged(error.to_string()))
}

pub(crate) fn unknown(word: &str) -> Damaged {
    Damaged(format!("unknown word `{word}`"))
}

// === impl Damaged ===

impl From<prost::DecodeError> for Damaged {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl From<InvalidField> for Damaged {
    fn from(error: InvalidField) -> Self {
        Self(error.to_string())
    }
}

impl From<domain::UnknownStatus> for Damaged {
    fn from(error: domain::UnknownStatus) -> Self {
        Self(error.to_string())
    }
}
