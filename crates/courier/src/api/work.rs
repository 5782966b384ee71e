//! Jobs, and orders on lanes and sidelines.

use std::num::NonZeroU32;

use domain::{Action, DeliveryId, DestinationId, JobId, RecordId};
use proto::v1;
use tonic::Status;

use super::Api;
use super::wire::{
    count, field_error, filter, invalid, job, lane, order_record, signature, unreadable, wire,
};
use crate::controls;
use crate::dead::{self, Filter, Letter};
use crate::entry::Millis;
use crate::jobs::{self, JobState};
use crate::orders;
use crate::sidelines::Rules;
use crate::view::LaneView;

/// The largest set of a job.
const MOST_ITEMS: usize = 100_000;
/// Items in one record of a set.
const ITEMS_AT_ONCE: usize = 5_000;
const USUAL_RATE: u32 = 10;
const HIGHEST_RATE: u32 = 10_000;
const MOST_JOBS: usize = 100;
const MOST_ORDERS: usize = 20;

// === impl Api ===

impl Api {
    /// The dead letters that the filter means, in the order of the log.
    pub(super) async fn meant(&self, filter: &Filter) -> Result<Vec<Letter>, Status> {
        if !filter.narrows() {
            return Err(invalid(
                "filter",
                "must narrow: name a destination, a group, …",
            ));
        }
        let letters = dead::matching(&self.store, filter, MOST_ITEMS)
            .await
            .map_err(|error| unreadable(&error))?;
        if letters.len() > MOST_ITEMS {
            let rule = format!("means more than {MOST_ITEMS} dead letters; narrow it");
            return Err(invalid("filter", rule));
        }
        Ok(letters)
    }

    pub(super) async fn begin_job(
        &self,
        request: v1::StartJobRequest,
    ) -> Result<v1::StartJobResponse, Status> {
        let (by, reason) = signature(&request.by, &request.reason)?;
        let filter = filter(request.filter)?;
        let rate = match request.rate_per_second {
            0 => USUAL_RATE,
            rate if rate <= HIGHEST_RATE => rate,
            _ => {
                let rule = format!("must be at most {HIGHEST_RATE}");
                return Err(invalid("rate_per_second", rule));
            }
        };
        let rate = NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN);
        let id = self.job_id(&request.job)?;
        if let Some(known) = self
            .job(&id)
            .await?
            .filter(|job| job.state != JobState::Gathering)
        {
            return Ok(v1::StartJobResponse {
                job: known.id.into(),
                total: known.total.into(),
            });
        }
        let letters = self.meant(&filter).await?;
        if count(letters.len()) != request.count || letters.is_empty() {
            return Err(Status::failed_precondition(format!(
                "count: {} dead letters are meant now, not {}; look at the preview again",
                letters.len(),
                request.count
            )));
        }
        let ids: Vec<DeliveryId> = letters.into_iter().map(|letter| letter.id).collect();
        let total = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let mut actions = vec![Action::StartJob {
            job: id.clone(),
            rate,
            total,
            filter: filter.to_string(),
        }];
        let mut first = 0;
        for deliveries in ids.chunks(ITEMS_AT_ONCE) {
            actions.push(Action::JobItems {
                job: id.clone(),
                first,
                deliveries: deliveries.to_vec(),
            });
            first += u32::try_from(deliveries.len()).unwrap_or(u32::MAX);
        }
        self.order(actions, &by, &reason).await?;
        Ok(v1::StartJobResponse {
            job: id.into(),
            total: total.into(),
        })
    }

    fn job_id(&self, asked: &str) -> Result<JobId, Status> {
        if !asked.is_empty() {
            return asked.parse().map_err(|error| invalid("job", error));
        }
        let id = RecordId::of("job", &[&self.clock.now().to_string()]).to_string();
        let chosen = format!("job-{}", &id[..12]).parse();
        chosen.map_err(|error: domain::InvalidId| Status::internal(error.to_string()))
    }

    async fn job(&self, id: &JobId) -> Result<Option<jobs::Job>, Status> {
        let found = jobs::of_ids(&self.store, std::iter::once(id))
            .await
            .map_err(|error| unreadable(&error))?;
        Ok(found.into_iter().next())
    }

    pub(super) async fn jobs(&self) -> Result<v1::ListJobsResponse, Status> {
        let jobs = jobs::newest(&self.store, MOST_JOBS)
            .await
            .map_err(|error| unreadable(&error))?;
        Ok(v1::ListJobsResponse {
            jobs: jobs.into_iter().map(job).collect(),
        })
    }

    pub(super) async fn end_job(&self, request: v1::CancelJobRequest) -> Result<(), Status> {
        let (by, reason) = signature(&request.by, &request.reason)?;
        let id: JobId = request.job.parse().map_err(|error| invalid("job", error))?;
        match self.job(&id).await? {
            None => Err(Status::not_found(format!("no job `{id}`"))),
            Some(job) if !job.is_open() => {
                let state = job.state.as_str();
                Err(Status::failed_precondition(format!(
                    "job `{id}` is {state}"
                )))
            }
            Some(_) => {
                self.order(vec![Action::CancelJob { job: id }], &by, &reason)
                    .await
            }
        }
    }

    async fn view(&self, destination: &DestinationId) -> Result<LaneView, Status> {
        let views = self.lanes.all_views(&self.store).await;
        let views = views.map_err(|error| unreadable(&error))?;
        let found = views
            .into_iter()
            .find(|view| view.destination == *destination);
        found.ok_or_else(|| Status::not_found(format!("no lane `{destination}`")))
    }

    pub(super) async fn one_lane(
        &self,
        request: v1::GetLaneRequest,
    ) -> Result<v1::GetLaneResponse, Status> {
        let destination: DestinationId = request
            .destination
            .parse()
            .map_err(|error| invalid("destination", error))?;
        let view = self.view(&destination).await?;
        let mut all = controls::load(&self.store)
            .await
            .map_err(|error| unreadable(&error))?;
        let controls = all.remove(&destination).unwrap_or_default();
        let orders = orders::on(&self.store, destination.as_str(), MOST_ORDERS)
            .await
            .map_err(|error| unreadable(&error))?;
        let now = Millis::from(self.clock.now());
        let windows = controls
            .windows
            .into_iter()
            .filter(|window| window.to > now);
        Ok(v1::GetLaneResponse {
            lane: Some(lane(view)),
            paused: controls.paused.map(|paused| v1::LanePause {
                since: Some(wire(paused.since)),
                by: paused.by.into(),
                reason: paused.reason.into(),
            }),
            ordered_limit: controls.limit.unwrap_or(0),
            windows: windows
                .map(|window| v1::LaneWindow {
                    from: Some(wire(window.from)),
                    to: Some(wire(window.to)),
                    reason: window.reason.into(),
                })
                .collect(),
            orders: orders.into_iter().map(order_record).collect(),
        })
    }

    pub(super) async fn test(
        &self,
        request: v1::TestDestinationRequest,
    ) -> Result<v1::TestDestinationResponse, Status> {
        let destination: DestinationId = request
            .destination
            .parse()
            .map_err(|error| invalid("destination", error))?;
        let tried = self.lanes.try_destination(&destination).await;
        let trial = tried
            .ok_or_else(|| Status::not_found(format!("no lane `{destination}` at this courier")))?
            .ok_or_else(|| {
                let rule = "is never called: it pulls, or has a topic of its own";
                Status::failed_precondition(format!("destination `{destination}` {rule}"))
            })?;
        Ok(v1::TestDestinationResponse {
            asked: trial.asked,
            works: trial.answer.class.is_success(),
            class: trial.answer.class.as_str().to_owned(),
            detail: trial.answer.detail,
            took_millis: u64::try_from(trial.took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    pub(super) async fn command_lane(&self, request: v1::OrderLaneRequest) -> Result<(), Status> {
        let (by, reason) = signature(&request.by, &request.reason)?;
        let order = request.order.unwrap_or_default();
        let action = proto::lane_action(order).map_err(field_error)?;
        if let Action::Lane {
            destination,
            action: asked,
        } = &action
        {
            self.view(destination).await?;
            if let domain::LaneAction::Window { to, .. } = asked
                && *to <= self.clock.now()
            {
                return Err(invalid("window.to", "is over"));
            }
        }
        self.order(vec![action], &by, &reason).await
    }

    pub(super) async fn command_sideline(
        &self,
        request: v1::SidelineRequest,
    ) -> Result<(), Status> {
        let (by, reason) = signature(&request.by, &request.reason)?;
        let order = request.order.unwrap_or_default();
        let action = proto::sideline(order).map_err(field_error)?;
        if let Action::Sideline {
            rule: Some((_, until)),
            ..
        } = action
            && until <= self.clock.now()
        {
            return Err(invalid("until", "is over"));
        }
        self.order(vec![action], &by, &reason).await
    }

    pub(super) async fn sidelines(&self) -> Result<v1::ListSidelinesResponse, Status> {
        let rules = Rules::load(&self.store)
            .await
            .map_err(|error| unreadable(&error))?;
        let now = Millis::from(self.clock.now());
        let rules = rules.0.into_iter().filter(|(_, rule)| rule.until > now);
        Ok(v1::ListSidelinesResponse {
            rules: rules
                .map(|(subject, rule)| v1::SidelineRule {
                    subject: subject.to_string(),
                    way: v1::SidelineWay::from(rule.way).into(),
                    since: Some(wire(rule.since)),
                    until: Some(wire(rule.until)),
                    by: rule.by.into(),
                    reason: rule.reason.into(),
                })
                .collect(),
        })
    }
}
