use std::{collections::BTreeMap, time::Duration};

use domain::Event;
use lienthong::pipeline::{Pipeline, Role};
use log::Log;
use proto::v1::{
    DeliveryState, Dossier, GetDeliveryRequest, GetDossierRequest, TimelineEntry,
    courier_client::CourierClient, get_dossier_request::Name, tracker_client::TrackerClient,
};
use runtime::Background;
use simulator::{
    Answer, Fate, Invariant, Record, Script, TrackerQueries, TrackerView, Violation, check,
};
use store::Store;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};
use tonic::transport::{Channel, Endpoint};

use super::{Backend, Roles, Site, World, eventually, world};

/// A site, its world, and the roles that run in this process.
pub(crate) struct House {
    pub(crate) site: Site,
    pub(crate) world: World,
    running: Option<(Pipeline, Roles)>,
}

/// What the tracker knows of one dossier.
pub(crate) struct Found {
    pub(crate) dossier: Dossier,
    pub(crate) timeline: Vec<TimelineEntry>,
}

// === impl House ===

impl House {
    /// A house whose agencies answer at once and take ten milliseconds for their work.
    pub(crate) async fn new(backend: Backend) -> Self {
        Self::with(backend, |_| quick()).await
    }

    /// A house whose agencies behave as the script of each says. No role runs yet.
    pub(crate) async fn with(backend: Backend, script: impl Fn(&str) -> Script) -> Self {
        let (addresses, endpoints) = world::addresses();
        let site = Site::new(backend, endpoints);
        let world = World::start(addresses, site.gateway, &site.clock, 1, script).await;
        Self {
            site,
            world,
            running: None,
        }
    }

    /// The same with every role running.
    pub(crate) async fn started(backend: Backend) -> Self {
        let mut house = Self::new(backend).await;
        house.start().await;
        house
    }

    pub(crate) async fn start(&mut self) {
        let pipeline = self.open().await;
        self.start_over(pipeline).await;
    }

    pub(crate) async fn open(&self) -> Pipeline {
        let (settings, clock) = (self.site.settings(), self.site.clock.clone());
        Pipeline::open_with(
            settings,
            self.site.plan(),
            &Role::ALL,
            clock,
            Background::none(),
        )
        .await
        .unwrap()
    }

    /// The same over another log and a store that is open.
    pub(crate) async fn open_over(&self, log: Log, store: Store) -> Pipeline {
        let mut settings = self.site.settings();
        settings.data.dir = self.site.path("spare");
        let clock = self.site.clock.clone();
        let spare = Pipeline::open_with(
            settings,
            self.site.plan(),
            &Role::ALL,
            clock,
            Background::none(),
        )
        .await;
        spare.unwrap().over(log, store)
    }

    pub(crate) async fn start_over(&mut self, pipeline: Pipeline) {
        let mut roles = Roles::start(pipeline.clone(), Role::ALL.to_vec());
        roles.ready().await;
        self.running = Some((pipeline, roles));
    }

    /// Stops the roles as an operator does.
    pub(crate) async fn stop(&mut self) {
        let (_, roles) = self.running.take().unwrap();
        roles.stop().await.unwrap();
    }

    /// Stops the roles as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.running.as_ref().unwrap().0
    }

    pub(crate) fn event(&self, dossier: &str, procedure: &str) -> Event {
        super::accepted(dossier, procedure, self.site.clock.now())
    }

    /// Publishes, and waits for the answer that counts.
    pub(crate) async fn submit(&self, event: Event) -> Answer {
        self.world.desk.publish(event).await.unwrap()
    }

    /// A desk accepts a dossier, and so does the gateway.
    pub(crate) async fn accept(&self, dossier: &str, procedure: &str) {
        let answer = self.submit(self.event(dossier, procedure)).await;
        assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
    }

    pub(crate) async fn find(&self, dossier: &str) -> Option<Found> {
        let request = GetDossierRequest {
            name: Some(Name::Key(dossier.to_owned())),
        };
        let answer = self.tracker().get_dossier(request).await.ok()?.into_inner();
        Some(Found {
            dossier: answer.dossier?,
            timeline: answer.timeline,
        })
    }

    /// Waits until a dossier is as described.
    pub(crate) async fn until(
        &self,
        dossier: &str,
        what: &str,
        mut is: impl FnMut(&Found) -> bool,
    ) -> Found {
        eventually(&format!("{dossier} {what}"), async || {
            self.find(dossier).await.filter(|found| is(found))
        })
        .await
    }

    pub(crate) fn tracker(&self) -> TrackerClient<Channel> {
        TrackerClient::new(channel(self.site.tracker))
    }

    pub(crate) fn courier(&self) -> CourierClient<Channel> {
        CourierClient::new(channel(self.site.courier))
    }

    /// What the agencies have taken, repeats not counted.
    pub(crate) fn taken(&self) -> usize {
        self.world.agencies().map(simulator::Agency::taken).sum()
    }

    /// Whether the process that has the tracker says that all its roles can work.
    pub(crate) async fn is_ready(&self) -> bool {
        let asked = async {
            let mut stream = TcpStream::connect(self.site.admin).await?;
            stream
                .write_all(b"GET /ready HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
                .await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = asked.await;
        answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// Waits until nothing is on its way any more, or for `bound` nothing has happened, and compares what the
    /// world saw with what the tracker claims.
    pub(crate) async fn violations(&self, bound: Duration) -> Vec<Violation> {
        at_rest(&self.site, &self.world, bound).await
    }

    /// I1 to I7 hold.
    pub(crate) async fn holds(&self) {
        let violations = self.violations(super::PATIENCE).await;
        assert!(violations.is_empty(), "{}", listed(&violations));
    }
}

const LAST_ANSWERS: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A circle that never comes to rest is left after so many times the bound, whatever goes on in it.
const ENDLESS: u32 = 10;

/// As [`House::violations`], wherever the roles run.
pub(crate) async fn at_rest(site: &Site, world: &World, bound: Duration) -> Vec<Violation> {
    let queries = TrackerQueries::connect(&site.tracker.to_string()).unwrap();
    // The bound is I6; what keeps the circle going is told by the comparison.
    let _ = tokio::time::timeout(bound * ENDLESS, still(world, &queries, bound)).await;
    // The last answers may come between two of the questions.
    let agree = eventually("both tell the same", async || {
        let violations = compare(site, &queries, world).await;
        violations.is_empty().then_some(())
    });
    match tokio::time::timeout(LAST_ANSWERS, agree).await {
        Ok(()) => Vec::new(),
        Err(_) => compare(site, &queries, world).await,
    }
}

/// Waits until nothing is on its way, or nothing has happened for `bound`: a backlog takes as long as the
/// machine needs for it.
async fn still(world: &World, queries: &TrackerQueries, bound: Duration) {
    let mut seen = (None, Instant::now());
    while seen.1.elapsed() < bound {
        let unknown = world.history.count(Fate::Unknown);
        let accepted = world.history.count(Fate::Accepted) as u64;
        let owed: usize = world.agencies().map(simulator::Agency::owed).sum();
        let taken: usize = world.agencies().map(simulator::Agency::taken).sum();
        if let Ok(summary) = queries.summary().await {
            let pending: u64 = summary.destinations.iter().map(|d| d.pending).sum();
            if owed == 0 && unknown == 0 && pending == 0 && summary.events >= accepted {
                return;
            }
            let now = Some((accepted, taken, pending, summary.events));
            if seen.0 != now {
                seen = (now, Instant::now());
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

async fn compare(site: &Site, queries: &TrackerQueries, world: &World) -> Vec<Violation> {
    let record = world.history.record();
    let view = queries.view(&record).await.unwrap();
    let mut violations = check(&record, &view);
    violations.extend(courier_differs(site, &record, &view).await);
    violations
}

/// I7 for the courier: of deliveries that were tried more than once it says what the tracker says.
async fn courier_differs(site: &Site, record: &Record, view: &TrackerView) -> Vec<Violation> {
    let mut tries: BTreeMap<String, u32> = BTreeMap::new();
    for arrival in &record.arrivals {
        *tries.entry(arrival.delivery.to_string()).or_default() += 1;
    }
    let steps = view.dossiers.values().flat_map(|dossier| &dossier.steps);
    let tried_again = steps.filter(|step| tries.get(&step.delivery).is_some_and(|n| *n > 1));
    let mut courier = CourierClient::new(channel(site.courier));
    let mut violations = Vec::new();
    for step in tried_again {
        let tracker = match step.delivery_state() {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
            DeliveryState::Unspecified => "in no state",
        };
        let delivery = step.delivery.clone();
        let request = GetDeliveryRequest { delivery };
        let answer = courier.get_delivery(request).await;
        let courier = answer.map_or_else(
            |status| status.to_string(),
            |answer| answer.into_inner().state,
        );
        if courier != tracker {
            let delivery = &step.delivery;
            violations.push(Violation {
                invariant: Invariant::Totals,
                detail: format!(
                    "delivery {delivery}: {courier} at the courier, {tracker} at the tracker"
                ),
            });
        }
    }
    violations
}

pub(crate) fn listed(violations: &[Violation]) -> String {
    let lines = violations.iter().take(10).map(ToString::to_string);
    let lines: Vec<_> = lines.collect();
    format!("{} violation(s):\n{}", violations.len(), lines.join("\n"))
}

fn channel(address: std::net::SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// An agency without delay and without faults.
pub(crate) fn quick() -> Script {
    Script {
        work: simulator::Spread::Fixed(Duration::from_millis(10)),
        ..Script::default()
    }
}
