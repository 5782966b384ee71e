use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use lienthong::{plan, settings::Settings};
use router::Plan;
use runtime::Clock;
use tempfile::TempDir;

use super::{Backend, free_port, variable};

/// Monday, 21 September 2026, 9 o'clock in Viet Nam: what every clock shows when a test begins.
pub(crate) const START: &str = "2026-09-21T02:00:00Z";

/// Where one pipeline lives.
pub(crate) struct Site {
    dir: TempDir,
    backend: Backend,
    name: String,
    /// The system's time when the clock showed [`START`].
    pub(crate) began: Timestamp,
    pub(crate) clock: Clock,
    pub(crate) gateway: SocketAddr,
    pub(crate) tracker: SocketAddr,
    pub(crate) courier: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// What takes deliveries: agency role and endpoint.
    endpoints: Vec<(&'static str, String)>,
    /// Attempts before a delivery is a dead letter.
    pub(crate) attempts: u32,
    /// The agency that a repeat would harm, if there is one.
    pub(crate) harmed: Option<&'static str>,
    /// Whether that one can be asked what it has.
    pub(crate) queryable: bool,
    /// How long a courier that was killed or stopped keeps its lanes, in whole seconds.
    pub(crate) lease: Duration,
}

/// [`Site::lease`] unless a test sets it.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

static SITES: AtomicU32 = AtomicU32::new(0);

// === impl Site ===

impl Site {
    pub(crate) fn new(backend: Backend, endpoints: Vec<(&'static str, String)>) -> Self {
        let began = Clock::system().now();
        let number = SITES.fetch_add(1, Ordering::Relaxed);
        let name = format!("lt-{}-{}-{number}", began.as_second(), std::process::id());
        let site = Self {
            dir: TempDir::with_prefix("lienthong-").unwrap(),
            backend,
            name,
            began,
            clock: clock_since(began),
            gateway: free_port(),
            tracker: free_port(),
            courier: free_port(),
            admin: free_port(),
            endpoints,
            attempts: 10,
            harmed: None,
            queryable: true,
            lease: LEASE,
        };
        for sub in ["routes", "destinations", "calendars", "data"] {
            fs::create_dir(site.path(sub)).unwrap();
        }
        for (kind, sub) in [("routes", "routes"), ("calendars", "calendars")] {
            for (name, text) in deployed(kind) {
                fs::write(site.path(sub).join(name), text).unwrap();
            }
        }
        site
    }

    /// Topics under this name instead of one of their own.
    pub(crate) fn named(mut self, name: String) -> Self {
        self.name = name;
        self
    }

    /// Another back end than the one that the site was made for; nothing has been opened yet.
    pub(crate) fn move_to(&mut self, backend: Backend) {
        self.backend = backend;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the settings as they are now; answers the file.
    pub(crate) fn write(&self) -> PathBuf {
        fs::write(
            self.path("destinations").join("test.yaml"),
            self.destinations(),
        )
        .unwrap();
        let file = self.path("lienthong.toml");
        fs::write(&file, self.settings_text()).unwrap();
        file
    }

    /// The same for one more courier, which answers operators elsewhere.
    pub(crate) fn write_for_courier(&self, listen: SocketAddr) -> PathBuf {
        let (own, other) = (self.courier.to_string(), listen.to_string());
        let text = fs::read_to_string(self.write()).unwrap();
        let file = self.path(&format!("courier-{}.toml", listen.port()));
        fs::write(&file, text.replace(&own, &other)).unwrap();
        file
    }

    /// The settings as a role reads them.
    pub(crate) fn settings(&self) -> Settings {
        Settings::load(Some(&self.write())).unwrap()
    }

    /// The plan of the files as they are now; the units, which take longest, are read once.
    pub(crate) fn plan(&self) -> Plan {
        static UNITS: OnceLock<Plan> = OnceLock::new();
        let settings = self.settings().routes;
        let units = UNITS.get_or_init(|| plan::load(&settings).unwrap());
        let calendars = units.calendars.clone();
        let routes = routes_of(&settings.routes_dir, &settings.destinations_dir, &calendars);
        Plan {
            routes: Arc::new(routes),
            territory: units.territory.clone(),
            calendars,
        }
    }

    /// Takes a route file away; [`Site::put_route`] has it back.
    pub(crate) fn take_route(&self, name: &str) {
        fs::remove_file(self.path("routes").join(name)).unwrap();
    }

    pub(crate) fn put_route(&self, name: &str) {
        let (_, text) = deployed("routes")
            .into_iter()
            .find(|(known, _)| known == name)
            .unwrap();
        fs::write(self.path("routes").join(name), text).unwrap();
    }

    fn destinations(&self) -> String {
        let (attempts, queryable) = (self.attempts, self.queryable);
        let entries = self.endpoints.iter().map(|(role, endpoint)| {
            let harm = if self.harmed == Some(role) {
                format!("  idempotent: false\n  queryable: {queryable}\n")
            } else {
                String::new()
            };
            format!(
                "- id: test-{role}\n  agency: {role}\n  agency_id: test-{role}\n  \
                 serves: {{ provinces: all }}\n  endpoint: {endpoint}\n  \
                 calendar: national-office\n  max_in_flight: 32\n  timeout: 2s\n  \
                 retry: {{ steps: [100ms, 300ms, 1s], attempts: {attempts} }}\n\
                 {harm}  valid: {{ from: 2025-07-01 }}\n"
            )
        });
        entries.collect()
    }

    fn settings_text(&self) -> String {
        let (log, store, brokers, url) = match &self.backend {
            Backend::Embedded => (
                "embedded",
                "sqlite",
                "127.0.0.1:1",
                "postgres://127.0.0.1:1/x",
            ),
            Backend::Real { brokers, postgres } => {
                ("kafka", "postgres", brokers.as_str(), postgres.as_str())
            }
        };
        let schema = self.name.replace(['-', '.'], "_");
        let dir = |name| self.path(name).display().to_string();
        format!(
            "[data]\ndir = {:?}\n[log]\nkind = {log:?}\n[log.kafka]\nbrokers = {brokers:?}\n\
             prefix = {:?}\npartitions = 3\n[store]\nkind = {store:?}\n[store.postgres]\n\
             url = {url:?}\nschema = {schema:?}\n[routes]\nroutes_dir = {:?}\n\
             destinations_dir = {:?}\ncalendars_dir = {:?}\n[gateway]\nlisten = \"{}\"\n\
             [tracker]\nlisten = \"{}\"\n[courier]\nlisten = \"{}\"\nlease_seconds = {}\n[admin]\nlisten = \"{}\"\n\
             [logs]\nfilter = {:?}\n",
            dir("data"),
            self.name,
            dir("routes"),
            dir("destinations"),
            dir("calendars"),
            self.gateway,
            self.tracker,
            self.courier,
            self.lease.as_secs(),
            self.admin,
            variable("LIENTHONG_TEST_LOGS").unwrap_or_else(|| "error".to_owned()),
        )
    }
}

/// The clock of a site that began then: every process of a site shows the same time.
pub(crate) fn clock_since(began: Timestamp) -> Clock {
    let start: Timestamp = START.parse().unwrap();
    Clock::scaled(start + Clock::system().now().duration_since(began), 1.0)
}

fn routes_of(
    routes: &Path,
    destinations: &Path,
    calendars: &calendar::Calendars,
) -> routes::RouteSet {
    routes::RouteSet::load(routes, destinations, calendars)
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The files of `deploy`.
fn deployed(kind: &str) -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(kind);
    let entries = fs::read_dir(dir).unwrap();
    let files = entries.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read_to_string(entry.path()).unwrap())
    });
    files.collect()
}
