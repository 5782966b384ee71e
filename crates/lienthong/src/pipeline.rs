//! The roles wired to one log, one store and one plan: what `up` and each single-role command start.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use log::Log;
use replies::RuleSets;
use router::Plan;
use runtime::{Admin, AdminError, Background, Clock, Health, Metrics, Tasks};
use store::Store;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::{boundary, plan, plan::PlanError, settings::Settings};

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Takes events from agencies.
    Gateway,
    /// Decides which steps open.
    Router,
    /// Hands work over.
    Courier,
    /// Answers where dossiers stand.
    Tracker,
}

/// What roles are made of. Cheap to clone; clones share log and store.
#[derive(Clone)]
pub struct Pipeline {
    settings: Settings,
    plan: Plan,
    replies: RuleSets,
    log: Log,
    store: Option<Store>,
    clock: Clock,
    health: Health,
    background: Background,
}

/// Where the roles that were started answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    /// Events are published here.
    pub gateway: Option<SocketAddr>,
    /// Dossiers are asked for here.
    pub tracker: Option<SocketAddr>,
    /// Lanes and dead letters are asked for here.
    pub courier: Option<SocketAddr>,
    /// Agencies that cannot be called take their deliveries here.
    pub pull: Option<SocketAddr>,
    /// Metrics and health are served here.
    pub admin: Option<SocketAddr>,
}

/// Roles cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Routes, destinations, calendars or units.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The log.
    #[error("cannot open the event log")]
    Log(#[from] log::OpenError),
    /// The store.
    #[error("cannot open the store")]
    Store(#[from] store::OpenError),
    /// The gateway.
    #[error("cannot start the gateway")]
    Gateway(#[from] gateway::Error),
    /// The courier.
    #[error("cannot start the courier")]
    Courier(#[from] courier::StartError),
    /// The tracker.
    #[error("cannot start the tracker")]
    Tracker(#[from] tracker::Error),
    /// The operators' page.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A role would speak plaintext on a network.
    #[error("refusing to listen on {address} without TLS: set `{setting}` to a loopback address")]
    Plaintext {
        /// The address.
        address: SocketAddr,
        /// Its setting.
        setting: &'static str,
    },
    /// The file of trusted roots cannot be read.
    #[error("cannot read {path}, which `courier.roots_file` names")]
    NoRoots {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file of trusted roots holds nothing that can be trusted.
    #[error("{path}, which `courier.roots_file` names, cannot be used")]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: dial::InvalidRoots,
    },
    /// It panicked, or the threads of the background have ended.
    #[error("a start broke off")]
    BrokeOff(#[from] tokio::task::JoinError),
    /// An address cannot be had.
    #[error(
        "cannot listen on {address}; is another process using the port? choose another with `{setting}`"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Its setting.
        setting: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// How long pullers may take to read their last answers at the stop.
const LAST_PULLERS: Duration = Duration::from_secs(5);

// === impl Role ===

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Router, Self::Courier, Self::Tracker];

    /// The name in commands, health and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Router => "router",
            Self::Courier => "courier",
            Self::Tracker => "tracker",
        }
    }
}

// === impl Pipeline ===

impl Pipeline {
    /// Reads the plan, and opens the log and, where a role needs it, the store. The roles besides the
    /// gateway run in the background, and the store with them.
    ///
    /// # Errors
    /// What cannot be read or opened, where, and what to do.
    pub async fn open(
        settings: Settings,
        roles: &[Role],
        clock: Clock,
        background: Background,
    ) -> Result<Self, StartError> {
        let plan = plan::load(&settings.routes)?;
        Self::open_with(settings, plan, roles, clock, background).await
    }

    /// The same with a plan that is in memory already.
    ///
    /// # Errors
    /// What cannot be read or opened, where, and what to do.
    pub async fn open_with(
        settings: Settings,
        plan: Plan,
        roles: &[Role],
        clock: Clock,
        background: Background,
    ) -> Result<Self, StartError> {
        let replies = if roles.contains(&Role::Courier) {
            plan::reply_rules(&settings.routes, &plan.routes)?
        } else {
            RuleSets::default()
        };
        let log = Log::open(settings.log_config(&clock)).await?;
        let store = if roles.iter().any(|role| *role != Role::Gateway) {
            let open = Store::open(settings.store_config());
            Some(background.run(open).await??)
        } else {
            None
        };
        Ok(Self {
            settings,
            plan,
            replies,
            log,
            store,
            clock,
            health: Health::default(),
            background,
        })
    }

    /// The same pipeline over another log and store, for tests that wrap them.
    #[must_use]
    pub fn over(mut self, log: Log, store: Store) -> Self {
        self.log = log;
        self.store = Some(store);
        self
    }

    /// Takes every address, then starts the roles under `tasks`.
    ///
    /// # Errors
    /// The first role that cannot start.
    pub async fn start(&self, roles: &[Role], tasks: &Tasks) -> Result<Addresses, StartError> {
        let mut addresses = Addresses::default();
        for role in roles {
            let start = self.clone().start_role(*role, tasks.clone(), addresses);
            addresses = match role {
                Role::Gateway => start.await?,
                Role::Router | Role::Courier | Role::Tracker => {
                    self.background.run(start).await??
                }
            };
        }
        Ok(addresses)
    }

    async fn start_role(
        self,
        role: Role,
        tasks: Tasks,
        mut addresses: Addresses,
    ) -> Result<Addresses, StartError> {
        match role {
            Role::Gateway => addresses.gateway = Some(self.start_gateway(&tasks).await?),
            Role::Router => self.start_router(&tasks),
            Role::Courier => {
                [addresses.courier, addresses.pull] = self.start_courier(&tasks).await?;
            }
            Role::Tracker => addresses.tracker = self.start_tracker(&tasks).await?,
        }
        Ok(addresses)
    }

    /// Serves the operators' page.
    ///
    /// # Errors
    /// Its address cannot be had.
    pub async fn start_admin(
        &self,
        metrics: Option<Metrics>,
        tasks: &Tasks,
    ) -> Result<SocketAddr, StartError> {
        let admin = Admin::bind(self.settings.admin.listen).await?;
        let address = admin.address();
        let health = self.health.clone();
        tasks.spawn("admin", |stop| admin.run(health, metrics, stop));
        Ok(address)
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The store, where a role needed it.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// How the roles stand.
    pub fn health(&self) -> &Health {
        &self.health
    }

    async fn start_gateway(&self, tasks: &Tasks) -> Result<SocketAddr, StartError> {
        let gateway = gateway::Gateway::new(
            self.settings.gateway_config(),
            self.log.clone(),
            self.clock.clone(),
            self.health.clone(),
            tasks.clone(),
        );
        let bound = gateway.bind().await?;
        let address = bound.address();
        tasks.spawn("gateway", |stop| bound.run(stop));
        Ok(address)
    }

    async fn start_courier(&self, tasks: &Tasks) -> Result<[Option<SocketAddr>; 2], StartError> {
        let Some(store) = self.store.clone() else {
            return Ok([None; 2]);
        };
        let listener = self
            .listen(self.settings.courier.listen, "courier.listen")
            .await?;
        let puller_listener = self.listen_for_pullers().await?;
        let addresses = [Some(&listener), puller_listener.as_ref()]
            .map(|listener| listener.and_then(|listener| listener.local_addr().ok()));
        let destinations = self.plan.routes.destinations().cloned().collect();
        let mut config = courier::Config::new(destinations, Arc::clone(&self.plan.calendars));
        config.consumer = self.settings.options();
        config.boundary = boundary::of(&self.plan, self.clock.clone());
        config.replies = self.replies.clone();
        config.roots = roots(&self.settings.courier.roots_file)?;
        config.name.clone_from(&self.settings.courier.name);
        config.lease = Duration::from_secs(self.settings.courier.lease_seconds);
        let handle = courier::Service::start(
            config,
            self.log.clone(),
            store,
            self.clock.clone(),
            tasks,
            self.health.clone(),
        )
        .await?;
        let service = handle.grpc();
        tasks.spawn("courier-lanes", |stop| {
            let incoming = TcpListenerStream::new(listener);
            let server = Server::builder().add_service(service);
            server.serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        });
        if let Some(listener) = puller_listener {
            serve_pullers(listener, &handle, tasks);
        }
        Ok(addresses)
    }

    /// Takes the pullers' address, if any destination pulls.
    async fn listen_for_pullers(&self) -> Result<Option<TcpListener>, StartError> {
        let mut destinations = self.plan.routes.destinations();
        if !destinations.any(|destination| destination.endpoint == domain::Endpoint::Pull) {
            return Ok(None);
        }
        let address = self.settings.courier.pull_listen;
        self.listen(address, "courier.pull_listen").await.map(Some)
    }

    async fn start_tracker(&self, tasks: &Tasks) -> Result<Option<SocketAddr>, StartError> {
        let Some(store) = self.store.clone() else {
            return Ok(None);
        };
        let routes = &self.plan.routes;
        let calendar_of = |destination: &domain::Destination| {
            (destination.id.clone(), destination.calendar.clone())
        };
        let config = tracker::Config {
            listen: self.settings.tracker.listen,
            allow_plaintext: self.settings.gateway.allow_plaintext,
            calendars: Arc::clone(&self.plan.calendars),
            destinations: routes.destinations().map(calendar_of).collect(),
            routes: routes
                .routes()
                .map(|route| (route.id.clone(), route.calendar.clone()))
                .collect(),
            options: self.settings.tracker_options(),
        };
        let (log, clock) = (self.log.clone(), self.clock.clone());
        let handle =
            tracker::Service::start(config, log, store, clock, tasks, &self.health).await?;
        Ok(Some(handle.address()))
    }

    async fn listen(
        &self,
        address: SocketAddr,
        setting: &'static str,
    ) -> Result<TcpListener, StartError> {
        if !address.ip().is_loopback() && !self.settings.gateway.allow_plaintext {
            return Err(StartError::Plaintext { address, setting });
        }
        TcpListener::bind(address)
            .await
            .map_err(|source| StartError::Bind {
                address,
                setting,
                source,
            })
    }

    fn start_router(&self, tasks: &Tasks) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let config = router::Config {
            plan: self.plan.clone(),
            options: self.settings.options(),
        };
        let service = router::Service::new(
            config,
            self.log.clone(),
            store,
            self.clock.clone(),
            self.health.clone(),
        );
        tasks.spawn("router", |stop| service.run(stop));
    }
}

/// The roots in that file; none where it has no name.
fn roots(path: &Path) -> Result<Option<dial::Roots>, StartError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let pem = std::fs::read(path).map_err(|source| StartError::NoRoots {
        path: path.to_owned(),
        source,
    })?;
    let roots = dial::Roots::from_pem(&pem).map_err(|source| StartError::Roots {
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(roots))
}

/// gRPC and HTTP on one port.
fn serve_pullers(listener: TcpListener, handle: &courier::Handle, tasks: &Tasks) {
    let grpc = Routes::new(handle.pull_grpc()).into_axum_router();
    let routes = Routes::from(grpc.merge(handle.pull_http()));
    tasks.spawn("courier-pullers", |stop| async move {
        let incoming = TcpListenerStream::new(listener);
        let mut server = Server::builder().accept_http1(true);
        let server = server.add_routes(routes);
        let serve = server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST_PULLERS).await;
        };
        tokio::select! {
            served = serve => served,
            () = patience => Ok(()),
        }
    });
}

/// Describes every metric, so that the page explains itself from the first scrape.
pub fn describe_metrics() {
    consumer::describe_metrics();
    courier::describe_metrics();
    gateway::describe_metrics();
    router::describe_metrics();
    store::describe_metrics();
    tracker::describe_metrics();
}

#[cfg(test)]
mod tests {
    use runtime::ErrorChain;

    use super::*;

    #[test]
    fn a_file_of_roots_that_is_no_use_is_named() {
        assert!(roots(Path::new("")).unwrap().is_none());
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, expected: &str| {
            let error = roots(&dir.path().join(name)).unwrap_err();
            let text = ErrorChain(&error).to_string();
            let names = text.contains(name) && text.contains("courier.roots_file");
            assert!(names && text.contains(expected), "{text}");
        };
        check("none.pem", "cannot read");
        std::fs::write(dir.path().join("empty.pem"), "no certificate").unwrap();
        check("empty.pem", "hold no certificate");
    }

    #[tokio::test]
    async fn rules_for_replies_that_are_not_there_are_told_before_anything_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let demo = include_str!("../../../deploy/destinations/demo.yaml");
        let (agency, named) = ("  agency: justice\n", "  agency: justice\n  replies: tax\n");
        std::fs::write(dir.path().join("d.yaml"), demo.replacen(agency, named, 1)).unwrap();
        let mut settings = Settings::load(None).unwrap();
        settings.data.dir = dir.path().join("data");
        let mut plan = plan::load(&settings.routes).unwrap();
        settings.routes.destinations_dir = dir.path().to_owned();
        let destinations = plan::destinations_alone(dir.path(), &settings.routes).unwrap();
        plan.routes = Arc::new(destinations);
        let opened = |roles: &'static [Role]| {
            let (settings, plan) = (settings.clone(), plan.clone());
            let here = Background::none();
            Pipeline::open_with(settings, plan, roles, Clock::system(), here)
        };
        let Err(error) = opened(&Role::ALL).await else {
            panic!("`tax` is not there");
        };
        let text = ErrorChain(&error).to_string();
        assert!(
            text.contains("d.yaml:8:12: destination `demo-justice`: `replies` is `tax`; expected "),
            "{text}"
        );
        assert!(!settings.data.dir.exists());
        assert!(opened(&[Role::Gateway]).await.is_ok());
    }
}
