//! The `Courier` service for operators.

mod letters;
mod wire;
mod work;

use domain::{Action, DeliveryId, Note, Order, RecordId};
use log::{Log, Topic};
use proto::v1;
use runtime::Clock;
use store::Store;
use tonic::{Request, Response, Status};

use crate::lanes::Lanes;
use crate::orders::{self, Gate, Stamps};
use crate::stored::{self, Last, Stored, Wait};
use crate::verdicts;

use wire::{attempt, invalid, lane, order_record, unreadable, unwritten};

/// Answers operators and takes their orders. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    lanes: Lanes,
    log: Log,
    store: Store,
    clock: Clock,
    gate: Gate,
    stamps: Stamps,
}

/// The most deliveries of one order.
const MOST_AT_ONCE: usize = 1_000;
const MOST_ORDERS: usize = 100;

// === impl Api ===

impl Api {
    pub(crate) fn new(lanes: Lanes, log: Log, store: Store, clock: Clock, gate: Gate) -> Self {
        Self {
            lanes,
            log,
            store,
            clock,
            gate,
            stamps: Stamps::default(),
        }
    }

    /// Writes the orders into the log, durably.
    async fn order(&self, actions: Vec<Action>, by: &Note, reason: &Note) -> Result<(), Status> {
        let at = self.stamps.next(self.clock.now());
        let records: Vec<_> = actions
            .into_iter()
            .map(|action| {
                orders::record(&Order {
                    id: order_id(&action, at),
                    at,
                    by: by.clone(),
                    reason: reason.clone(),
                    action,
                })
            })
            .collect();
        if records.is_empty() {
            return Ok(());
        }
        self.log
            .append(Topic::Deliveries, records)
            .await
            .map_err(|error| unwritten(&error))?;
        Ok(())
    }
}

/// The records of a job have the same ids whenever it is started: the same start sent twice is one job.
fn order_id(action: &Action, at: jiff::Timestamp) -> RecordId {
    let (word, subject) = (action.word(), action.subject());
    match action {
        Action::StartJob { .. } => RecordId::of(word, &[&subject]),
        Action::JobItems { first, .. } => RecordId::of(word, &[&subject, &first.to_string()]),
        _ => RecordId::of(word, &[&subject, &at.to_string()]),
    }
}

#[tonic::async_trait]
impl v1::courier_server::Courier for Api {
    async fn list_lanes(
        &self,
        _request: Request<v1::ListLanesRequest>,
    ) -> Result<Response<v1::ListLanesResponse>, Status> {
        let views = self.lanes.all_views(&self.store).await;
        let views = views.map_err(|error| unreadable(&error))?;
        Ok(Response::new(v1::ListLanesResponse {
            lanes: views.into_iter().map(lane).collect(),
        }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Result<Response<v1::ListDeadLettersResponse>, Status> {
        let asked = request.into_inner();
        let (size, page_token) = (asked.page_size, &asked.page_token);
        let page = self.page(Wait::Dead, &asked.destination, size, page_token);
        let (dead_letters, next_page_token) = page.await?;
        Ok(Response::new(v1::ListDeadLettersResponse {
            dead_letters,
            next_page_token,
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
        let late = verdicts::late(&self.store, row.entry.place)
            .await
            .map_err(|error| unreadable(&error))?
            .into_iter()
            .map(|late| attempt(late.number, late.last))
            .collect();
        let orders = orders::on(&self.store, &id.to_string(), MOST_ORDERS)
            .await
            .map_err(|error| unreadable(&error))?;
        let plan = match row.destination.parse() {
            Ok(destination) => self.lanes.forecast(&destination, id).await,
            Err(_) => None,
        };
        let plan = plan.unwrap_or_default();
        Ok(Response::new(v1::GetDeliveryResponse {
            planned: plan.attempts.into_iter().map(wire::wire).collect(),
            last_chance: plan.last_chance.map(wire::wire),
            dossier: row.dossier,
            destination: row.destination,
            state: row.state.as_str().to_owned(),
            attempts,
            late,
            orders: orders.into_iter().rev().map(order_record).collect(),
        }))
    }

    async fn redrive(
        &self,
        request: Request<v1::RedriveRequest>,
    ) -> Result<Response<v1::RedriveResponse>, Status> {
        self.redrive_each(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn list_dead_groups(
        &self,
        request: Request<v1::ListDeadGroupsRequest>,
    ) -> Result<Response<v1::ListDeadGroupsResponse>, Status> {
        self.groups(request.into_inner()).await.map(Response::new)
    }

    async fn preview_redrive(
        &self,
        request: Request<v1::PreviewRedriveRequest>,
    ) -> Result<Response<v1::PreviewRedriveResponse>, Status> {
        self.preview(request.into_inner()).await.map(Response::new)
    }

    async fn start_job(
        &self,
        request: Request<v1::StartJobRequest>,
    ) -> Result<Response<v1::StartJobResponse>, Status> {
        self.begin_job(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn list_jobs(
        &self,
        _request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        self.jobs().await.map(Response::new)
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::CancelJobResponse>, Status> {
        self.end_job(request.into_inner()).await?;
        Ok(Response::new(v1::CancelJobResponse {}))
    }

    async fn discard(
        &self,
        request: Request<v1::DiscardRequest>,
    ) -> Result<Response<v1::DiscardResponse>, Status> {
        self.discard_each(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn list_unknown(
        &self,
        request: Request<v1::ListUnknownRequest>,
    ) -> Result<Response<v1::ListUnknownResponse>, Status> {
        let asked = request.into_inner();
        let (size, page_token) = (asked.page_size, &asked.page_token);
        let page = self.page(Wait::Unknown, &asked.destination, size, page_token);
        let (deliveries, next_page_token) = page.await?;
        Ok(Response::new(v1::ListUnknownResponse {
            deliveries,
            next_page_token,
        }))
    }

    async fn settle(
        &self,
        request: Request<v1::SettleRequest>,
    ) -> Result<Response<v1::SettleResponse>, Status> {
        self.settle_each(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn list_reviews(
        &self,
        request: Request<v1::ListReviewsRequest>,
    ) -> Result<Response<v1::ListReviewsResponse>, Status> {
        let asked = request.into_inner();
        let (size, page_token) = (asked.page_size, &asked.page_token);
        let page = self.page(Wait::Review, &asked.destination, size, page_token);
        let (deliveries, next_page_token) = page.await?;
        Ok(Response::new(v1::ListReviewsResponse {
            deliveries,
            next_page_token,
        }))
    }

    async fn get_lane(
        &self,
        request: Request<v1::GetLaneRequest>,
    ) -> Result<Response<v1::GetLaneResponse>, Status> {
        self.one_lane(request.into_inner()).await.map(Response::new)
    }

    async fn test_destination(
        &self,
        request: Request<v1::TestDestinationRequest>,
    ) -> Result<Response<v1::TestDestinationResponse>, Status> {
        self.test(request.into_inner()).await.map(Response::new)
    }

    async fn order_lane(
        &self,
        request: Request<v1::OrderLaneRequest>,
    ) -> Result<Response<v1::OrderLaneResponse>, Status> {
        self.command_lane(request.into_inner()).await?;
        Ok(Response::new(v1::OrderLaneResponse {}))
    }

    async fn sideline(
        &self,
        request: Request<v1::SidelineRequest>,
    ) -> Result<Response<v1::SidelineResponse>, Status> {
        self.command_sideline(request.into_inner()).await?;
        Ok(Response::new(v1::SidelineResponse {}))
    }

    async fn list_sidelines(
        &self,
        _request: Request<v1::ListSidelinesRequest>,
    ) -> Result<Response<v1::ListSidelinesResponse>, Status> {
        self.sidelines().await.map(Response::new)
    }
}
