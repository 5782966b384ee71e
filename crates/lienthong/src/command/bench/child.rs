//! The system under test: `lienthong up` in a process of its own.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{net::TcpStream, process::Command, time};

use super::load::{DEAD, QUICK};
use crate::settings::Settings;

/// What the system under test stands on.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    pub(crate) target: f64,
    real: Option<Real>,
}

#[derive(Clone, Debug)]
struct Real {
    brokers: String,
    postgres: String,
    partitions: i32,
}

/// A running `lienthong up`.
pub(crate) struct Child {
    process: tokio::process::Child,
    pub(crate) gateway: String,
    pub(crate) courier: String,
    pub(crate) pid: u32,
    _scratch: Scratch,
}

/// The second destination, to which the work of [`DEAD`] goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Other<'a> {
    pub(crate) endpoint: &'a str,
    /// By contract.
    pub(crate) per_second: Option<u64>,
}

/// What the second destination is called.
pub(crate) const OTHER: &str = "bench-dead";
const NOT_THERE: Other<'_> = Other {
    endpoint: "grpc://127.0.0.1:1",
    per_second: None,
};

/// A directory that goes away with its owner.
pub(crate) struct Scratch(std::path::PathBuf);

// === impl Backend ===

impl Backend {
    pub(crate) fn embedded() -> Self {
        Self {
            name: "embedded",
            target: 0.3,
            real: None,
        }
    }

    pub(crate) fn real(brokers: &str, postgres: &str, settings: &Settings) -> Self {
        let real = Real {
            brokers: brokers.to_owned(),
            postgres: postgres.to_owned(),
            partitions: settings.log.kafka.partitions,
        };
        Self {
            name: "kafka+postgres",
            target: 0.18,
            real: Some(real),
        }
    }

    /// A log configuration of its own, for bare appends.
    pub(crate) fn log(&self, scratch: &Scratch) -> log::Config {
        match &self.real {
            None => {
                let clock = runtime::Clock::system();
                let now = std::sync::Arc::new(move || clock.now());
                log::Config::Embedded(log::Embedded::new(scratch.path().join("log"), now))
            }
            Some(real) => {
                let prefix = format!("bench{}", std::process::id());
                log::Config::Kafka(log::Kafka::new(&real.brokers, prefix))
            }
        }
    }

    fn settings(&self, run: &str) -> String {
        match &self.real {
            None => String::new(),
            Some(Real {
                brokers,
                postgres,
                partitions,
            }) => format!(
                "[log]\nkind = \"kafka\"\n[log.kafka]\nbrokers = \"{brokers}\"\n\
                 prefix = \"{run}\"\npartitions = {partitions}\n[store]\nkind = \"postgres\"\n\
                 [store.postgres]\nurl = \"{postgres}\"\nschema = \"{run}\"\n"
            ),
        }
    }
}

// === impl Scratch ===

impl Scratch {
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("lienthong-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make the scratch directory {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// === impl Child ===

impl Child {
    /// Starts the system with one agency at `inbox` and one that is not there, and waits until it takes
    /// events.
    pub(crate) async fn start(
        backend: &Backend,
        run: &str,
        inbox: SocketAddr,
    ) -> anyhow::Result<Self> {
        Self::start_beside(backend, run, inbox, NOT_THERE).await
    }

    /// The same with the other agency somewhere else.
    pub(crate) async fn start_beside(
        backend: &Backend,
        run: &str,
        inbox: SocketAddr,
        other: Other<'_>,
    ) -> anyhow::Result<Self> {
        let run = format!("bench_{run}_{}", std::process::id());
        let scratch = Scratch::new(&run)?;
        let ports = free_ports()?;
        let config = scratch.path().join("settings.toml");
        std::fs::write(&config, settings(backend, &run, scratch.path(), ports))?;
        write_routes(scratch.path(), inbox, other)?;
        let process = Command::new(std::env::current_exe()?)
            .arg("--config")
            .arg(&config)
            .arg("up")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the system under test")?;
        let pid = process
            .id()
            .context("the system under test ended at once")?;
        let [gateway, _, courier, _] = ports.map(|port| format!("127.0.0.1:{port}"));
        let mut child = Self {
            process,
            gateway,
            courier,
            pid,
            _scratch: scratch,
        };
        child.wait_until_up().await?;
        Ok(child)
    }

    /// Ends it.
    pub(crate) async fn stop(mut self) {
        let _ = self.process.kill().await;
    }

    async fn wait_until_up(&mut self) -> anyhow::Result<()> {
        for _ in 0..600 {
            if let Some(status) = self.process.try_wait()? {
                bail!("the system under test ended: {status}");
            }
            if TcpStream::connect(&self.gateway).await.is_ok() {
                return Ok(());
            }
            time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the system under test did not take events within 30 s")
    }
}

fn free_ports() -> anyhow::Result<[u16; 4]> {
    let listeners: Vec<TcpListener> = (0..4)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

fn settings(backend: &Backend, run: &str, dir: &Path, ports: [u16; 4]) -> String {
    let dir = dir.display();
    let [gateway, tracker, courier, admin] = ports;
    format!(
        "[data]\ndir = \"{dir}/data\"\n[routes]\nroutes_dir = \"{dir}/routes\"\n\
         destinations_dir = \"{dir}/destinations\"\n[gateway]\nlisten = \"127.0.0.1:{gateway}\"\n\
         rate = 1000000\nburst = 1000000\n[tracker]\nlisten = \"127.0.0.1:{tracker}\"\n\
         [courier]\nlisten = \"127.0.0.1:{courier}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
         [logs]\nfilter = \"warn\"\n{}",
        backend.settings(run)
    )
}

fn write_routes(dir: &Path, inbox: SocketAddr, other: Other<'_>) -> anyhow::Result<()> {
    let route = |name: &str, procedure: &str| {
        format!(
            "route: bench-{name}\ntitle: {{vi: Đo, en: Measure}}\nprocedures: [\"{procedure}\"]\n\
             valid: {{from: 2025-07-01}}\n\
             boundary: {{policy: national, legal_basis: none, this is a measurement}}\n\
             calendar: national-office\nwithin: 4 working days\nlegal_basis: none\nsteps:\n  \
             - id: work\n    agency: bench-{name}\n    unit: competent\n    \
             task: {{vi: Đo, en: Measure}}\n    within: 2 working days\n    \
             product: {{vi: Số đo, en: Figure}}\n    responsible: {{vi: Không ai, en: Nobody}}\n    \
             legal_basis: none\n"
        )
        .replace("none, this is a measurement", "none")
    };
    let destination = |name: &str, endpoint: &str| {
        format!(
            "- id: bench-{name}\n  agency: bench-{name}\n  agency_id: bench-{name}\n  \
             serves: {{provinces: all}}\n  endpoint: {endpoint}\n  calendar: national-office\n  \
             max_in_flight: 4096\n  timeout: 30s\n  retry: {{steps: [1m, 5m], attempts: 12}}\n  \
             valid: {{from: 2025-07-01}}\n"
        )
    };
    let put = |folder: &str, text: String| -> anyhow::Result<()> {
        std::fs::create_dir_all(dir.join(folder))?;
        Ok(std::fs::write(dir.join(folder).join("bench.yaml"), text)?)
    };
    let rate = other.per_second.map_or(String::new(), |number| {
        format!("  rate: {{per_second: {number}}}\n")
    });
    put(
        "routes",
        format!("{}---\n{}", route("quick", QUICK), route("dead", DEAD)),
    )?;
    put(
        "destinations",
        destination("quick", &format!("grpc://{inbox}"))
            + &destination("dead", other.endpoint)
            + &rate,
    )
}
