//! Orders of operators and of the router: control records of the deliveries topic.

use std::num::NonZeroU32;

use bytes::Bytes;
use domain::{Action, DeliveryId, LaneAction, Note, Order, RecordId, SidelineWay, Subject};
use jiff::Timestamp;
use prost::Message;

use crate::error::parse;
use crate::record::decode;
use crate::v1::{self, lane_order};
use crate::{Encoded, InvalidField, timestamp_from_wire, timestamp_to_wire};

/// The CloudEvents type of the control record that sends a dead letter on its way again.
pub const REDRIVE_TYPE: &str = "vn.lienthong.control.redrive.v1";

const PREFIX: &str = "vn.lienthong.control.";
const SUFFIX: &str = ".v1";
/// Who gave the redrive orders of earlier versions, which did not say.
const UNNAMED: &str = "operator";

/// Whether a record of this CloudEvents type is an order.
pub fn is_order(kind: &str) -> bool {
    kind.starts_with(PREFIX)
}

/// The record of an order.
pub fn encode_order(order: &Order) -> Encoded {
    let mut attributes = vec![
        ("specversion", "1.0".to_owned()),
        ("id", order.id.to_string()),
        ("source", "lienthong".to_owned()),
        ("type", format!("{PREFIX}{}{SUFFIX}", order.action.word())),
        ("time", order.at.to_string()),
        ("subject", order.action.key()),
        ("datacontenttype", "application/protobuf".to_owned()),
        ("by", order.by.to_string()),
        ("reason", order.reason.to_string()),
    ];
    if let Action::Redrive {
        item: Some((job, number)),
        ..
    } = &order.action
    {
        attributes.push(("job", job.to_string()));
        attributes.push(("item", number.to_string()));
    }
    (attributes, data(&order.action))
}

fn data(action: &Action) -> Bytes {
    let bytes = match action {
        Action::Lane {
            destination,
            action,
        } => lane_to_wire(destination.to_string(), *action).encode_to_vec(),
        Action::Sideline { subject, rule } => v1::SidelineOrder {
            subject: subject.to_string(),
            way: rule
                .map_or(v1::SidelineWay::Unspecified, |(way, _)| way.into())
                .into(),
            until: rule.map(|(_, until)| timestamp_to_wire(until)),
        }
        .encode_to_vec(),
        Action::Redrive { delivery, .. } => delivery.to_string().into_bytes(),
        Action::Settle {
            delivery, arrived, ..
        } => v1::SettleOrder {
            delivery: delivery.to_string(),
            arrived: *arrived,
        }
        .encode_to_vec(),
        Action::Prove { delivery, .. } => v1::ProveOrder {
            delivery: delivery.to_string(),
        }
        .encode_to_vec(),
        Action::Discard { delivery, .. } => v1::DiscardOrder {
            delivery: delivery.to_string(),
        }
        .encode_to_vec(),
        Action::StartJob {
            job,
            rate,
            total,
            filter,
        } => v1::JobStart {
            job: job.to_string(),
            rate_per_second: rate.get(),
            total: *total,
            filter: filter.clone(),
        }
        .encode_to_vec(),
        Action::JobItems {
            job,
            first,
            deliveries,
        } => v1::JobItems {
            job: job.to_string(),
            first: *first,
            deliveries: side_by_side(deliveries),
        }
        .encode_to_vec(),
        Action::CancelJob { job } => v1::JobCancel {
            job: job.to_string(),
        }
        .encode_to_vec(),
    };
    bytes.into()
}

fn side_by_side(deliveries: &[DeliveryId]) -> Bytes {
    let bytes = deliveries.iter().flat_map(|id| *id.as_bytes());
    bytes.collect::<Vec<u8>>().into()
}

fn lane_to_wire(destination: String, action: LaneAction) -> v1::LaneOrder {
    use lane_order::Action as Wire;
    let action = match action {
        LaneAction::Pause => Wire::Pause(v1::PauseLane {}),
        LaneAction::Resume => Wire::Resume(v1::ResumeLane {}),
        LaneAction::Probe => Wire::Probe(v1::ProbeLane {}),
        LaneAction::Limit(limit) => Wire::Limit(v1::LimitLane {
            in_flight: limit.map_or(0, NonZeroU32::get),
        }),
        LaneAction::Window { from, to } => Wire::Window(v1::AnnounceWindow {
            from: Some(timestamp_to_wire(from)),
            to: Some(timestamp_to_wire(to)),
        }),
        LaneAction::CancelWindow { from } => Wire::CancelWindow(v1::CancelWindow {
            from: Some(timestamp_to_wire(from)),
        }),
    };
    v1::LaneOrder {
        destination,
        action: Some(action),
    }
}

/// Reads an order from the attributes and the data of its record.
pub fn decode_order<'a>(
    get: impl Fn(&str) -> Option<&'a str>,
    data: &[u8],
) -> Result<Order, InvalidField> {
    let text = |name| get(name).unwrap_or_default();
    let kind = text("type");
    let word = kind
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .ok_or_else(|| InvalidField::new("type", format!("`{kind}` is no order")))?;
    let by = match get("by") {
        None if word == "redrive" => UNNAMED,
        by => by.unwrap_or_default(),
    };
    Ok(Order {
        id: parse::<DeliveryId>("id", text("id")).map(|id| RecordId::from(*id.as_bytes()))?,
        at: parse::<Timestamp>("time", text("time"))?,
        by: parse::<Note>("by", by)?,
        reason: parse::<Note>("reason", text("reason"))?,
        action: action(word, &get, data)?,
    })
}

fn action<'a>(
    word: &str,
    get: &impl Fn(&str) -> Option<&'a str>,
    data: &[u8],
) -> Result<Action, InvalidField> {
    let dossier = || parse("subject", get("subject").unwrap_or_default());
    match word {
        "lane" => lane_action(decode::<v1::LaneOrder>(data)?),
        "sideline" => sideline(decode::<v1::SidelineOrder>(data)?),
        "redrive" => {
            let item = match get("job") {
                None => None,
                Some(job) => {
                    let number = get("item").unwrap_or_default();
                    Some((parse("job", job)?, parse("item", number)?))
                }
            };
            let text =
                std::str::from_utf8(data).map_err(|error| InvalidField::new("data", error))?;
            Ok(Action::Redrive {
                delivery: parse("data", text)?,
                dossier: dossier()?,
                item,
            })
        }
        "settle" => {
            let order: v1::SettleOrder = decode(data)?;
            Ok(Action::Settle {
                delivery: parse("delivery", &order.delivery)?,
                dossier: dossier()?,
                arrived: order.arrived,
            })
        }
        "prove" => {
            let order: v1::ProveOrder = decode(data)?;
            Ok(Action::Prove {
                delivery: parse("delivery", &order.delivery)?,
                dossier: dossier()?,
            })
        }
        "discard" => {
            let order: v1::DiscardOrder = decode(data)?;
            Ok(Action::Discard {
                delivery: parse("delivery", &order.delivery)?,
                dossier: dossier()?,
            })
        }
        "job-start" => job_start(decode(data)?),
        "job-items" => job_items(&decode(data)?),
        "job-cancel" => {
            let order: v1::JobCancel = decode(data)?;
            Ok(Action::CancelJob {
                job: parse("job", &order.job)?,
            })
        }
        other => Err(InvalidField::new(
            "type",
            format!("no order is called `{other}`"),
        )),
    }
}

/// Reads what is to be done with a lane.
pub fn lane_action(order: v1::LaneOrder) -> Result<Action, InvalidField> {
    use lane_order::Action as Wire;
    let action = order
        .action
        .ok_or_else(|| InvalidField::missing("action"))?;
    let action = match action {
        Wire::Pause(_) => LaneAction::Pause,
        Wire::Resume(_) => LaneAction::Resume,
        Wire::Probe(_) => LaneAction::Probe,
        Wire::Limit(limit) => LaneAction::Limit(NonZeroU32::new(limit.in_flight)),
        Wire::Window(window) => LaneAction::Window {
            from: timestamp_from_wire("window.from", window.from)?,
            to: timestamp_from_wire("window.to", window.to)?,
        },
        Wire::CancelWindow(window) => LaneAction::CancelWindow {
            from: timestamp_from_wire("cancel_window.from", window.from)?,
        },
    };
    if let LaneAction::Window { from, to } = action
        && to <= from
    {
        return Err(InvalidField::new("window.to", "must be after window.from"));
    }
    Ok(Action::Lane {
        destination: parse("destination", &order.destination)?,
        action,
    })
}

/// Reads which deliveries stand aside.
pub fn sideline(order: v1::SidelineOrder) -> Result<Action, InvalidField> {
    let subject: Subject = parse("subject", &order.subject)?;
    let way = match v1::SidelineWay::try_from(order.way) {
        Ok(v1::SidelineWay::Unspecified) => None,
        Ok(v1::SidelineWay::Hold) => Some(SidelineWay::Hold),
        Ok(v1::SidelineWay::Demote) => Some(SidelineWay::Demote),
        Err(error) => return Err(InvalidField::new("way", error)),
    };
    let rule = match way {
        None => None,
        Some(way) => Some((way, timestamp_from_wire("until", order.until)?)),
    };
    Ok(Action::Sideline { subject, rule })
}

fn job_start(order: v1::JobStart) -> Result<Action, InvalidField> {
    Ok(Action::StartJob {
        job: parse("job", &order.job)?,
        rate: NonZeroU32::new(order.rate_per_second)
            .ok_or_else(|| InvalidField::new("rate_per_second", "must not be 0"))?,
        total: order.total,
        filter: order.filter,
    })
}

fn job_items(order: &v1::JobItems) -> Result<Action, InvalidField> {
    let (ids, rest) = order.deliveries.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(InvalidField::new("deliveries", "must be 16 bytes each"));
    }
    Ok(Action::JobItems {
        job: parse("job", &order.job)?,
        first: order.first,
        deliveries: ids.iter().copied().map(DeliveryId::from).collect(),
    })
}

impl From<SidelineWay> for v1::SidelineWay {
    fn from(way: SidelineWay) -> Self {
        match way {
            SidelineWay::Hold => Self::Hold,
            SidelineWay::Demote => Self::Demote,
        }
    }
}
