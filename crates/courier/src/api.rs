//! The `Courier` service for operators.

use std::collections::BTreeMap;

use domain::{DeliveryId, DestinationId, DossierKey, RecordId};
use log::{Log, Topic};
use proto::{Redrive, timestamp_to_wire, v1};
use runtime::{Clock, ErrorChain};
use store::{ReadError, Store};
use tonic::{Request, Response, Status};

use crate::entry::{Millis, Place};
use crate::lanes::Lanes;
use crate::stored::{self, Last, Stored};
use crate::tables::State;
use crate::view::LaneView;

/// Answers operators and takes their orders.
pub struct Api {
    lanes: Lanes,
    log: Log,
    store: Store,
    clock: Clock,
}

const USUAL_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;
const MOST_REDRIVEN: usize = 1_000;
const LONGEST_REASON: usize = 500;

// === impl Api ===

impl Api {
    pub(crate) fn new(lanes: Lanes, log: Log, store: Store, clock: Clock) -> Self {
        Self {
            lanes,
            log,
            store,
            clock,
        }
    }

    async fn dead_among(&self, ids: &[DeliveryId]) -> Result<BTreeMap<DeliveryId, Stored>, Status> {
        let rows = Stored::of_ids(&self.store, ids)
            .await
            .map_err(|error| unreadable(&error))?;
        let dead = rows.into_iter().filter(|row| row.state == State::Dead);
        Ok(dead.map(|row| (row.entry.id, row)).collect())
    }

    fn order(&self, row: &Stored, reason: &str) -> Result<log::Record, Status> {
        let invalid = |error: domain::InvalidId| Status::internal(error.to_string());
        let dossier: DossierKey = row.dossier.parse().map_err(invalid)?;
        let delivery = row.entry.id;
        let tries = row.entry.tries.to_string();
        let order = Redrive {
            // The same dead letter ordered twice is one order.
            id: RecordId::of("redrive", &[&delivery.to_string(), &tries]),
            delivery,
            dossier,
            at: self.clock.now(),
            reason: reason.to_owned(),
        };
        let (attributes, data) = proto::encode_redrive(&order);
        Ok(consumer::record(&order.dossier, attributes, data))
    }
}

#[tonic::async_trait]
impl v1::courier_server::Courier for Api {
    async fn list_lanes(
        &self,
        _request: Request<v1::ListLanesRequest>,
    ) -> Result<Response<v1::ListLanesResponse>, Status> {
        let views = self.lanes.views().await;
        Ok(Response::new(v1::ListLanesResponse {
            lanes: views.into_iter().map(lane).collect(),
        }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Result<Response<v1::ListDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let destination = match request.destination.as_str() {
            "" => None,
            text => Some(
                text.parse::<DestinationId>()
                    .map_err(|e| invalid("destination", e))?,
            ),
        };
        let after = read_token(&request.page_token)?;
        let size = match request.page_size {
            0 => USUAL_PAGE,
            size => size.min(LARGEST_PAGE),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let rows = Stored::dead(&self.store, destination.as_ref(), after, size)
            .await
            .map_err(|error| unreadable(&error))?;
        let last = rows.last().map(|row| row.entry.place);
        let next_page_token = last.filter(|_| rows.len() == size).map(token);
        Ok(Response::new(v1::ListDeadLettersResponse {
            dead_letters: rows.into_iter().map(dead_letter).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn get_delivery(
        &self,
        request: Request<v1::GetDeliveryRequest>,
    ) -> Result<Response<v1::GetDeliveryResponse>, Status> {
        let id: DeliveryId = request
            .into_inner()
            .delivery
            .parse()
            .map_err(|error| invalid("delivery", error))?;
        let rows = Stored::of_ids(&self.store, &[id])
            .await
            .map_err(|error| unreadable(&error))?;
        let row = rows
            .into_iter()
            .next()
            .ok_or_else(|| Status::not_found(format!("no delivery `{id}`")))?;
        let failed = stored::attempts(&self.store, row.entry.place)
            .await
            .map_err(|error| unreadable(&error))?;
        let mut attempts: Vec<_> = failed
            .into_iter()
            .map(|failed| attempt(failed.number, failed.last))
            .collect();
        if let Some(last) = row.last.filter(Last::is_success) {
            attempts.push(attempt(row.entry.tries, last));
        }
        Ok(Response::new(v1::GetDeliveryResponse {
            dossier: row.dossier,
            destination: row.destination,
            state: row.state.as_str().to_owned(),
            attempts,
        }))
    }

    async fn redrive(
        &self,
        request: Request<v1::RedriveRequest>,
    ) -> Result<Response<v1::RedriveResponse>, Status> {
        let v1::RedriveRequest { deliveries, reason } = request.into_inner();
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
            let rule = format!("must say who and why in 1 to {LONGEST_REASON} characters");
            return Err(invalid("reason", rule));
        }
        if reason.chars().any(char::is_control) {
            return Err(invalid("reason", "must be one line of text"));
        }
        if deliveries.is_empty() || deliveries.len() > MOST_REDRIVEN {
            return Err(invalid(
                "deliveries",
                format!("must be 1 to {MOST_REDRIVEN} ids"),
            ));
        }
        let ids = deliveries
            .iter()
            .map(|text| text.parse().map_err(|error| invalid("deliveries", error)))
            .collect::<Result<Vec<DeliveryId>, Status>>()?;
        let dead = self.dead_among(&ids).await?;
        let orders = dead
            .values()
            .map(|row| self.order(row, reason))
            .collect::<Result<Vec<_>, Status>>()?;
        if !orders.is_empty() {
            self.log
                .append(Topic::Deliveries, orders)
                .await
                .map_err(|error| unwritten(&error))?;
        }
        let not_dead = ids.iter().filter(|id| !dead.contains_key(id));
        Ok(Response::new(v1::RedriveResponse {
            redriven: u32::try_from(dead.len()).unwrap_or(u32::MAX),
            not_dead: not_dead.map(DeliveryId::to_string).collect(),
        }))
    }
}

fn lane(view: LaneView) -> v1::Lane {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let rest = view.hold.filter(|hold| hold.is_rest);
    let (resting, next_probe_at) = rest
        .map(|hold| (hold.reason, hold.until))
        .unwrap_or_default();
    v1::Lane {
        destination: view.destination.into(),
        queued: count(view.counts.queued),
        in_flight: count(view.counts.in_flight),
        waiting: count(view.counts.delayed + view.counts.behind),
        dead: count(view.counts.dead),
        oldest_at: view.oldest.map(wire),
        lag_working_seconds: view.lag.as_seconds(),
        resting,
        next_probe_at: next_probe_at.map(timestamp_to_wire),
    }
}

fn dead_letter(row: Stored) -> v1::DeadLetter {
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

fn attempt(number: u32, last: Last) -> v1::AttemptRecord {
    v1::AttemptRecord {
        number,
        started_at: Some(wire(last.started_at)),
        took_millis: u64::try_from(last.took).unwrap_or(0),
        class: last.class,
        detail: last.detail,
    }
}

fn wire(at: Millis) -> prost_types::Timestamp {
    timestamp_to_wire(at.timestamp())
}

fn token(place: Place) -> String {
    format!("{}-{}", place.partition, place.offset)
}

fn read_token(text: &str) -> Result<Place, Status> {
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

fn invalid(field: &str, reason: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {reason}"))
}

fn unreadable(error: &ReadError) -> Status {
    let text = ErrorChain(error).to_string();
    if error.is_transient() {
        Status::unavailable(text)
    } else {
        Status::internal(text)
    }
}

fn unwritten(error: &log::AppendError) -> Status {
    let text = ErrorChain(error).to_string();
    if error.is_transient() {
        Status::unavailable(text)
    } else {
        Status::internal(text)
    }
}
