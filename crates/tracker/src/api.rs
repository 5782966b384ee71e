//! The `Tracker` service.

use std::{pin::Pin, sync::Arc, time::Duration};

use domain::{AgencyId, DossierKey, EventId, RecordId, UnitCode};
use futures_util::Stream;
use jiff::Timestamp;
use proto::{
    duration_to_wire, timestamp_to_wire,
    v1::{
        DeadlineState, DestinationSummary, DossierState, GetDossierRequest, GetDossierResponse,
        GetSummaryRequest, GetSummaryResponse, ListDossiersRequest, ListDossiersResponse,
        ReconcileRequest, ReconcileResponse, StateCount, WatchDossierRequest, WatchDossierResponse,
        get_dossier_request::Name, tracker_server::Tracker,
    },
};
use runtime::Clock;
use store::Store;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    figures::{Live, Totals},
    query::{self, Filter},
    shared::Shared,
    status::{invalid, not_found, read_failed},
    telemetry::STATES,
    view,
    watch::Watcher,
};

/// Answers from the tables and the figures.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
}

const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;
const MOST_EVENTS: usize = 10_000;

// === impl Api ===

impl Api {
    /// The counts as of the last commit.
    pub(crate) async fn summary(&self) -> Result<GetSummaryResponse, store::ReadError> {
        let unreadable = query::unreadable(&self.store).await?;
        let now = self.clock.now();
        Ok(self
            .shared
            .read(|totals, live| summary(totals, live, unreadable, now)))
    }

    /// What the status page shows.
    pub(crate) fn status(&self) -> serde_json::Value {
        let now = self.clock.now();
        self.shared.read(|totals, live| {
            let states = STATES.iter().map(|(state, word)| {
                let count = totals.all.states.get(&i32::from(*state));
                ((*word).to_owned(), count.copied().unwrap_or(0).into())
            });
            serde_json::json!({
                "events": totals.all.events,
                "dossiers": states.collect::<serde_json::Map<_, _>>(),
                "on_time": totals.all.met,
                "late": totals.all.missed + live.overdue_dossiers(now),
            })
        })
    }

    async fn key_of_code(&self, code: &str) -> Result<DossierKey, Status> {
        let mut keys = query::by_code(&self.store, code)
            .await
            .map_err(|e| read_failed(&e))?;
        match (keys.pop(), keys.is_empty()) {
            (Some(key), true) => Ok(key),
            (None, _) => Err(not_found("code", code)),
            (Some(key), false) => {
                keys.push(key);
                let keys: Vec<_> = keys.iter().map(DossierKey::as_str).collect();
                let keys = keys.join(", ");
                let text = format!("code `{code}` is on several dossiers: {keys}; ask by key");
                Err(Status::failed_precondition(text))
            }
        }
    }
}

#[tonic::async_trait]
impl Tracker for Api {
    type WatchDossierStream =
        Pin<Box<dyn Stream<Item = Result<WatchDossierResponse, Status>> + Send>>;

    async fn get_dossier(
        &self,
        request: Request<GetDossierRequest>,
    ) -> Result<Response<GetDossierResponse>, Status> {
        let key = match request.into_inner().name {
            Some(Name::Key(key)) => parse("key", &key)?,
            Some(Name::Code(code)) => self.key_of_code(&code).await?,
            None => return Err(invalid("name", "give a key or a code")),
        };
        let state = query::dossier(&self.store, &key)
            .await
            .map_err(|e| read_failed(&e))?;
        let state = state.ok_or_else(|| not_found("key", key.as_str()))?;
        let timeline = query::timeline(&self.store, &key, &state).await;
        let timeline = timeline.map_err(|e| read_failed(&e))?;
        let mut timeline: Vec<_> = timeline.into_values().collect();
        // Stable: what happened at the same time stays in the order of its reading.
        timeline.sort_by_key(|entry| entry.at.map(|at| (at.seconds, at.nanos)));
        let now = self.clock.now();
        let mut dossier = view::dossier(&key, &state, now);
        dossier.steps = view::steps(&state, now);
        Ok(Response::new(GetDossierResponse {
            dossier: Some(dossier),
            timeline,
        }))
    }

    async fn list_dossiers(
        &self,
        request: Request<ListDossiersRequest>,
    ) -> Result<Response<ListDossiersResponse>, Status> {
        let request = request.into_inner();
        let (filter, size) = filter(&request)?;
        let now = self.clock.now();
        let found = query::list(&self.store, &filter, now, size + 1).await;
        let mut found = found.map_err(|e| read_failed(&e))?;
        let more = found.len() > size as usize;
        found.truncate(size as usize);
        let next_page_token = match found.last() {
            Some((key, _)) if more => key.to_string(),
            _ => String::new(),
        };
        let dossiers = found
            .iter()
            .map(|(key, state)| view::dossier(key, state, now))
            .collect();
        Ok(Response::new(ListDossiersResponse {
            dossiers,
            next_page_token,
        }))
    }

    async fn watch_dossier(
        &self,
        request: Request<WatchDossierRequest>,
    ) -> Result<Response<Self::WatchDossierStream>, Status> {
        let key: DossierKey = parse("key", &request.into_inner().key)?;
        let updates = self.shared.subscribe();
        let mut watcher = Watcher::new(self.store.clone(), key, updates, self.stop.clone());
        if !watcher.look().await.map_err(|e| read_failed(&e))? {
            return Err(not_found("key", watcher.dossier.as_str()));
        }
        Ok(Response::new(Box::pin(watcher.stream())))
    }

    async fn get_summary(
        &self,
        _: Request<GetSummaryRequest>,
    ) -> Result<Response<GetSummaryResponse>, Status> {
        self.summary()
            .await
            .map(Response::new)
            .map_err(|e| read_failed(&e))
    }

    async fn reconcile(
        &self,
        request: Request<ReconcileRequest>,
    ) -> Result<Response<ReconcileResponse>, Status> {
        let request = request.into_inner();
        let source: AgencyId = parse("source", &request.source)?;
        let ids = &request.event_ids;
        if ids.len() > MOST_EVENTS {
            let reason = format!("must be at most {MOST_EVENTS}, got {}", ids.len());
            return Err(invalid("event_ids", reason));
        }
        let record = |id: &String| {
            let id: EventId = parse("event_ids", id)?;
            Ok(RecordId::of("event", &[source.as_str(), id.as_str()]))
        };
        let records: Vec<_> = ids.iter().map(record).collect::<Result<_, Status>>()?;
        let missing = query::missing(&self.store, &records).await;
        let missing = missing.map_err(|e| read_failed(&e))?;
        let missing = missing
            .into_iter()
            .map(|place| ids[place].clone())
            .collect();
        Ok(Response::new(ReconcileResponse { missing }))
    }
}

fn parse<T>(field: &str, text: &str) -> Result<T, Status>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error| invalid(field, error))
}

fn filter(request: &ListDossiersRequest) -> Result<(Filter, u32), Status> {
    let state = DossierState::try_from(request.state)
        .map_err(|_| invalid("state", format!("unknown number {}", request.state)))?;
    let deadline = DeadlineState::try_from(request.deadline)
        .map_err(|_| invalid("deadline", format!("unknown number {}", request.deadline)))?;
    let procedure = optional(&request.procedure, |text| {
        let code: domain::ProcedureCode = parse("procedure", text)?;
        Ok(code.base().to_owned())
    })?;
    let unit = optional(&request.unit, |text| {
        Ok(parse::<UnitCode>("unit", text)?.to_string())
    })?;
    let after = optional(&request.page_token, |text| parse("page_token", text))?;
    let size = match request.page_size {
        0 => PAGE,
        size @ 1..=LARGEST_PAGE => size,
        size => {
            let reason = format!("must be 1 to {LARGEST_PAGE}, got {size}");
            return Err(invalid("page_size", reason));
        }
    };
    let filter = Filter {
        state: Some(state).filter(|state| *state != DossierState::Unspecified),
        deadline: Some(deadline).filter(|deadline| *deadline != DeadlineState::Unspecified),
        procedure,
        unit,
        after,
    };
    Ok((filter, size))
}

fn optional<T>(text: &str, read: impl Fn(&str) -> Result<T, Status>) -> Result<Option<T>, Status> {
    (!text.is_empty()).then(|| read(text)).transpose()
}

fn summary(totals: &Totals, live: &Live, unreadable: u64, now: Timestamp) -> GetSummaryResponse {
    let states = STATES.iter().map(|(state, _)| StateCount {
        state: (*state).into(),
        count: totals
            .all
            .states
            .get(&i32::from(*state))
            .copied()
            .unwrap_or(0),
    });
    let latency = |micros: Option<u64>| micros.map(Duration::from_micros).map(duration_to_wire);
    let destinations = totals
        .destinations
        .iter()
        .map(|(name, sums)| DestinationSummary {
            destination: name.to_string(),
            pending: sums.pending,
            delivered: sums.delivered,
            dead: sums.dead,
            attempts: sums.attempts,
            oldest_pending_at: live.oldest_pending(name).map(timestamp_to_wire),
            latency_p50: latency(sums.latency.permille(500)),
            latency_p99: latency(sums.latency.permille(990)),
        });
    GetSummaryResponse {
        events: totals.all.events,
        states: states.collect(),
        on_time: totals.all.met,
        late: totals.all.missed + live.overdue_dossiers(now),
        destinations: destinations.collect(),
        unreadable,
    }
}
