//! What goes over the wire, and what is wrong with what came.

use domain::{AttemptClass, DestinationId, InvalidNote, Note};
use proto::{InvalidField, timestamp_from_wire, timestamp_to_wire, v1};
use runtime::ErrorChain;
use store::ReadError;
use tonic::Status;

use crate::dead::Filter;
use crate::entry::{Millis, Place};
use crate::groups::Group;
use crate::jobs::Job;
use crate::orders::Audited;
use crate::stored::{Last, Stored};
use crate::view::LaneView;

const USUAL_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;

pub(super) fn lane(view: LaneView) -> v1::Lane {
    let hold = view.hold.as_ref();
    let rest = hold.filter(|hold| hold.is_rest);
    v1::Lane {
        destination: view.destination.into(),
        queued: count(view.counts.queued),
        in_flight: count(view.counts.in_flight),
        waiting: count(view.counts.delayed + view.counts.behind),
        dead: count(view.counts.dead),
        oldest_at: view.oldest.map(wire),
        lag_working_seconds: view.lag.as_seconds(),
        resting: rest.map(|hold| hold.reason.clone()).unwrap_or_default(),
        next_probe_at: rest.and_then(|hold| hold.until).map(timestamp_to_wire),
        hold: hold.map(|hold| hold.reason.clone()).unwrap_or_default(),
        hold_until: hold.and_then(|hold| hold.until).map(timestamp_to_wire),
        hold_word: hold.map(|hold| hold.word.to_owned()).unwrap_or_default(),
        limit: count(view.limit),
        unknown: count(view.counts.unknown),
    }
}

pub(super) fn dead_letter(row: Stored) -> v1::DeadLetter {
    let delivery = row
        .payload
        .and_then(|body| proto::decode_delivery(body).ok());
    let ended_at = row
        .last
        .as_ref()
        .map(|last| Millis(last.started_at.0.saturating_add(last.took)));
    let (class, reason) = row
        .last
        .map(|last| (last.class, last.detail))
        .unwrap_or_default();
    v1::DeadLetter {
        delivery: row.entry.id.to_string(),
        dossier: row.dossier,
        step: delivery
            .map(|delivery| delivery.step.into())
            .unwrap_or_default(),
        destination: row.destination,
        attempts: row.entry.tries,
        class,
        reason,
        dead_at: ended_at.map(wire),
        due_at: Some(wire(row.entry.due_at)),
    }
}

pub(super) fn attempt(number: u32, last: Last) -> v1::AttemptRecord {
    v1::AttemptRecord {
        number,
        started_at: Some(wire(last.started_at)),
        took_millis: u64::try_from(last.took).unwrap_or(0),
        class: last.class,
        detail: last.detail,
    }
}

pub(super) fn order_record(order: Audited) -> v1::OrderRecord {
    v1::OrderRecord {
        at: Some(wire(order.at)),
        by: order.by,
        action: order.action,
        reason: order.reason,
        result: order.result,
    }
}

pub(super) fn group(group: Group) -> v1::DeadGroup {
    v1::DeadGroup {
        group: group.id,
        destination: group.destination,
        class: group.class,
        text: group.text,
        count: group.count,
        first_at: Some(wire(group.first)),
        last_at: Some(wire(group.last)),
        sample: group.sample.to_string(),
    }
}

pub(super) fn job(job: Job) -> v1::Job {
    v1::Job {
        job: job.id.into(),
        state: job.state.as_str().to_owned(),
        rate_per_second: job.rate,
        total: job.total.into(),
        redriven: job.redriven.into(),
        refused: job.refused.into(),
        passed_over: job.passed_over.into(),
        started_at: Some(wire(job.started_at)),
        by: job.by.into(),
        reason: job.reason.into(),
        filter: job.filter,
    }
}

pub(super) fn filter(wire: Option<v1::DeadFilter>) -> Result<Filter, Status> {
    let v1::DeadFilter {
        destination,
        class,
        group,
        procedure,
        dead_from,
        dead_to,
    } = wire.unwrap_or_default();
    let class = match class.as_str() {
        "" => None,
        word => Some(
            AttemptClass::ALL
                .into_iter()
                .find(|class| class.as_str() == word)
                .ok_or_else(|| invalid("class", format!("`{word}` is none")))?,
        ),
    };
    let procedure = match procedure.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|error| invalid("procedure", error))?),
    };
    let time = |field, at: Option<prost_types::Timestamp>| {
        at.map(|at| timestamp_from_wire(field, Some(at)).map(Millis::from))
            .transpose()
            .map_err(field_error)
    };
    Ok(Filter {
        destination: optional_destination(&destination)?,
        class,
        group: Some(group).filter(|group| !group.is_empty()),
        procedure,
        from: time("dead_from", dead_from)?,
        to: time("dead_to", dead_to)?,
    })
}

pub(super) fn optional_destination(text: &str) -> Result<Option<DestinationId>, Status> {
    match text {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|error| invalid("destination", error)),
    }
}

/// Who asks and why.
pub(super) fn signature(by: &str, reason: &str) -> Result<(Note, Note), Status> {
    let note = |field, text: &str| {
        text.parse::<Note>()
            .map_err(|error: InvalidNote| invalid(field, error))
    };
    Ok((note("by", by)?, note("reason", reason)?))
}

pub(super) fn page_size(asked: u32) -> usize {
    let size = match asked {
        0 => USUAL_PAGE,
        size => size.min(LARGEST_PAGE),
    };
    usize::try_from(size).unwrap_or(usize::MAX)
}

pub(super) fn wire(at: Millis) -> prost_types::Timestamp {
    timestamp_to_wire(at.timestamp())
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

pub(super) fn token(place: Place) -> String {
    format!("{}-{}", place.partition, place.offset)
}

pub(super) fn read_token(text: &str) -> Result<Place, Status> {
    if text.is_empty() {
        return Ok(Place {
            partition: -1,
            offset: -1,
        });
    }
    let parts = text.split_once('-');
    let place = parts.and_then(|(partition, offset)| {
        Some(Place {
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    });
    place.ok_or_else(|| invalid("page_token", "is not one that was given out"))
}

pub(super) fn invalid(field: &str, reason: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {reason}"))
}

pub(super) fn field_error(error: InvalidField) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(super) fn unreadable(error: &ReadError) -> Status {
    let text = ErrorChain(error).to_string();
    if error.is_transient() {
        Status::unavailable(text)
    } else {
        Status::internal(text)
    }
}

pub(super) fn unwritten(error: &log::AppendError) -> Status {
    let text = ErrorChain(error).to_string();
    if error.is_transient() {
        Status::unavailable(text)
    } else {
        Status::internal(text)
    }
}
