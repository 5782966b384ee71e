//! A pipeline small enough to be seen through: every dossier has one step, at justice. Tests play
//! against it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use domain::DossierClock;
use futures_util::{Stream, StreamExt};
use proto::v1::{
    self, Accepted, DeadlineState, DeliverRequest, DeliveryState, DestinationSummary, Dossier,
    DossierState, GetDossierRequest, GetDossierResponse, GetSummaryRequest, GetSummaryResponse,
    ListDossiersRequest, ListDossiersResponse, PublishRequest, PublishResponse,
    PublishStreamRequest, PublishStreamResponse, ReconcileRequest, ReconcileResponse, StateCount,
    Step, WatchDossierRequest, WatchDossierResponse,
    gateway_server::{Gateway, GatewayServer},
    get_dossier_request::Name,
    inbox_client::InboxClient,
    publish_stream_response::Answer,
    tracker_server::{Tracker, TrackerServer},
};
use runtime::Tasks;
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::{instant_inbox::bind, publisher::endpoint, test_support};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the pipeline does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Accepts one event of an agency and forgets it.
    LosesOneEvent,
    /// Counts one delivery that never was.
    ClaimsOneDelivery,
}

#[derive(Clone)]
pub(crate) struct ToyPipeline {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    justice: String,
    fault: Option<Fault>,
    tasks: Tasks,
}

#[derive(Default)]
struct State {
    events: BTreeMap<(String, String), v1::Event>,
    dossiers: BTreeMap<String, Dossier>,
    lost: bool,
}

impl ToyPipeline {
    pub(crate) fn start(justice: SocketAddr, fault: Option<Fault>, tasks: &Tasks) -> Self {
        let (incoming, address) = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let toy = Self {
            address,
            state: Arc::default(),
            justice: justice.to_string(),
            fault,
            tasks: tasks.clone(),
        };
        let (gateway, tracker) = (
            GatewayServer::new(toy.clone()),
            TrackerServer::new(toy.clone()),
        );
        tasks.spawn("toy-pipeline", |stop| {
            Server::builder()
                .add_service(gateway)
                .add_service(tracker)
                .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        });
        toy
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn take(&self, event: v1::Event) {
        let wire = event.clone();
        let event = domain::Event::try_from(event).expect("simulated events are well formed");
        let mut state = self.state.lock().unwrap();
        let loses = self.fault == Some(Fault::LosesOneEvent) && event.step.is_some();
        if loses && !std::mem::replace(&mut state.lost, true) {
            return;
        }
        let name = (event.source.to_string(), event.id.to_string());
        if state.events.insert(name, wire).is_some() {
            return;
        }
        let Some(status) = event.kind.status() else {
            return;
        };
        if status == domain::Status::Accepted && event.step.is_none() {
            let delivery = test_support::delivery(&event, "registration");
            let dossier = Dossier {
                key: event.dossier.to_string(),
                state: DossierState::Open.into(),
                steps: vec![Step {
                    id: "registration".to_owned(),
                    destination: "demo-justice".to_owned(),
                    delivery: delivery.id.to_string(),
                    delivery_state: DeliveryState::Pending.into(),
                    ..Step::default()
                }],
                ..Dossier::default()
            };
            state.dossiers.insert(dossier.key.clone(), dossier);
            let toy = self.clone();
            self.tasks.spawn_brief(toy.deliver(delivery));
        } else if event.step.is_some()
            && status.clock() == DossierClock::Ended
            && let Some(dossier) = state.dossiers.get_mut(event.dossier.as_str())
        {
            dossier.state = DossierState::Completed.into();
            dossier.deadline = DeadlineState::Met.into();
        }
    }

    async fn deliver(self, delivery: domain::Delivery) {
        let channel = endpoint(&self.justice).unwrap().connect_lazy();
        let mut client = InboxClient::new(channel);
        let request = DeliverRequest {
            delivery: Some(delivery.clone().into()),
        };
        let stop = self.tasks.stop_token();
        let pushing = async {
            // Errors and busy answers alike: again, a little later.
            while !matches!(
                client
                    .deliver(request.clone())
                    .await
                    .map(|answer| answer.into_inner().verdict),
                Ok(Some(v1::Verdict {
                    verdict: Some(
                        v1::verdict::Verdict::Taken(_) | v1::verdict::Verdict::AlreadyTaken(_)
                    )
                }))
            ) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        if stop.run_until_cancelled(pushing).await.is_none() {
            return;
        }
        let mut state = self.state.lock().unwrap();
        if let Some(dossier) = state.dossiers.get_mut(delivery.dossier.as_str()) {
            dossier.steps[0].delivery_state = DeliveryState::Delivered.into();
        }
    }

    fn summary(&self) -> GetSummaryResponse {
        let state = self.state.lock().unwrap();
        let dossiers = || state.dossiers.values();
        let states = [DossierState::Open, DossierState::Completed].map(|of| StateCount {
            state: of.into(),
            count: dossiers().filter(|dossier| dossier.state() == of).count() as u64,
        });
        let deliveries = |of| {
            let steps = dossiers().map(|dossier| dossier.steps[0].delivery_state());
            steps.filter(|state| *state == of).count() as u64
        };
        let invented =
            u64::from(self.fault == Some(Fault::ClaimsOneDelivery) && !state.events.is_empty());
        GetSummaryResponse {
            events: state.events.len() as u64,
            on_time: states[1].count,
            states: states.to_vec(),
            destinations: vec![DestinationSummary {
                destination: "demo-justice".to_owned(),
                pending: deliveries(DeliveryState::Pending),
                delivered: deliveries(DeliveryState::Delivered) + invented,
                ..DestinationSummary::default()
            }],
            ..GetSummaryResponse::default()
        }
    }
}

#[tonic::async_trait]
impl Gateway for ToyPipeline {
    type PublishStreamStream = Answers<PublishStreamResponse>;

    async fn publish(
        &self,
        _request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        Err(Status::unimplemented("streams only"))
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let toy = self.clone();
        let answers = request.into_inner().map(move |request| {
            let event = request?.event.unwrap_or_default();
            let event_id = event.id.clone();
            toy.take(event);
            Ok(PublishStreamResponse {
                event_id,
                answer: Some(Answer::Accepted(Accepted::default())),
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[tonic::async_trait]
impl Tracker for ToyPipeline {
    type WatchDossierStream = Answers<WatchDossierResponse>;

    async fn get_dossier(
        &self,
        request: Request<GetDossierRequest>,
    ) -> Result<Response<GetDossierResponse>, Status> {
        let Some(Name::Key(key)) = request.into_inner().name else {
            return Err(Status::unimplemented("keys only"));
        };
        let state = self.state.lock().unwrap();
        let dossier = state.dossiers.get(&key).cloned();
        Ok(Response::new(GetDossierResponse {
            dossier: Some(dossier.ok_or_else(|| Status::not_found(key))?),
            timeline: Vec::new(),
        }))
    }

    async fn list_dossiers(
        &self,
        request: Request<ListDossiersRequest>,
    ) -> Result<Response<ListDossiersResponse>, Status> {
        let request = request.into_inner();
        let state = self.state.lock().unwrap();
        let any = DeadlineState::Unspecified;
        let fits = |dossier: &&Dossier| {
            request.deadline() == any || dossier.deadline() == request.deadline()
        };
        let rest = state
            .dossiers
            .values()
            .filter(|dossier| dossier.key > request.page_token);
        // Small pages, so that reading on is part of every test.
        let dossiers: Vec<_> = rest.filter(fits).take(10).cloned().collect();
        let last = dossiers.last().map(|dossier| dossier.key.clone());
        Ok(Response::new(ListDossiersResponse {
            next_page_token: last.filter(|_| dossiers.len() == 10).unwrap_or_default(),
            dossiers,
        }))
    }

    async fn watch_dossier(
        &self,
        _request: Request<WatchDossierRequest>,
    ) -> Result<Response<Self::WatchDossierStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn get_summary(
        &self,
        _request: Request<GetSummaryRequest>,
    ) -> Result<Response<GetSummaryResponse>, Status> {
        Ok(Response::new(self.summary()))
    }

    async fn reconcile(
        &self,
        request: Request<ReconcileRequest>,
    ) -> Result<Response<ReconcileResponse>, Status> {
        let ReconcileRequest { source, event_ids } = request.into_inner();
        let state = self.state.lock().unwrap();
        let is_missing = |id: &String| !state.events.contains_key(&(source.clone(), id.clone()));
        Ok(Response::new(ReconcileResponse {
            missing: event_ids.into_iter().filter(is_missing).collect(),
        }))
    }
}
