//! A few connections, each with its prepared statements; reconnects with back-off.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{self, Semaphore, SemaphorePermit};
use tokio::time::{self, Instant};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Error, NoTls, Statement};
use tokio_util::task::TaskTracker;

use super::failure;
use crate::config::PostgresConfig;
use crate::error::OpenError;
use crate::sql::quoted;
use crate::telemetry::Chain;

/// The connections of one store.
pub(super) struct Pool {
    config: tokio_postgres::Config,
    setup: String,
    schema: String,
    /// How long a round trip may take before the connection is given up.
    pub(super) patience: Duration,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    backoff: sync::Mutex<Backoff>,
    /// The tasks that move the connections' bytes; each ends with its connection.
    drivers: TaskTracker,
}

/// One connection and its prepared statements.
pub(super) struct Connection {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
}

/// A connection on loan. Dropping it closes the connection, and the server rolls back whatever was
/// open; only [`Lease::give_back`] keeps it.
pub(super) struct Lease<'a> {
    pool: &'a Pool,
    connection: Connection,
    _permit: SemaphorePermit<'a>,
}

#[derive(Default)]
struct Backoff {
    failures: u32,
    next_try: Option<Instant>,
}

// === impl Pool ===

impl Pool {
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
    const IDLE_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);
    /// What a round trip may take beyond the server's own limit on a statement.
    const ROUND_TRIP: Duration = Duration::from_secs(5);

    pub(super) async fn open(config: &PostgresConfig) -> Result<Self, OpenError> {
        let setting = |setting, reason| OpenError::Setting { setting, reason };
        let mut driver: tokio_postgres::Config = config
            .url
            .parse()
            .map_err(|error: Error| setting("url", Chain(&error).to_string()))?;
        if driver.get_hosts().is_empty() && driver.get_hostaddrs().is_empty() {
            return Err(setting("url", "it names no host".to_owned()));
        }
        if !is_plain_name(&config.schema) {
            let reason = "use letters, digits and underscores, at most 63".to_owned();
            return Err(setting("schema", reason));
        }
        if config.connections == 0 {
            return Err(setting("connections", "at least one is needed".to_owned()));
        }
        driver
            .connect_timeout(Self::CONNECT_TIMEOUT)
            .tcp_user_timeout(config.statement_timeout + Self::ROUND_TRIP)
            .keepalives_idle(Duration::from_secs(30))
            .application_name("lienthong");
        let pool = Self {
            setup: setup(config, Self::IDLE_TRANSACTION_TIMEOUT),
            schema: config.schema.clone(),
            patience: config.statement_timeout + Self::ROUND_TRIP,
            permits: Semaphore::new(config.connections),
            idle: Mutex::default(),
            backoff: sync::Mutex::default(),
            drivers: TaskTracker::new(),
            config: driver,
        };
        let lease = pool.lease().await.map_err(|error| pool.explain(error))?;
        lease.give_back();
        Ok(pool)
    }

    pub(super) async fn drop_schema(&self) -> Result<(), OpenError> {
        let lease = self.lease().await.map_err(|error| self.explain(error))?;
        let drop = format!("drop schema if exists {} cascade", quoted(&self.schema));
        let client = &lease.connection.client;
        let dropped = client.batch_execute(&drop).await;
        dropped.map_err(|error| self.explain(error))
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// A connection: an idle one, or a new one.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, Error> {
        let permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        let connection = match self.idle() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Lease {
            pool: self,
            connection,
            _permit: permit,
        })
    }

    fn idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.client.is_closed());
        idle.pop()
    }

    /// Connects, one attempt at a time; after a failure the next attempt waits.
    async fn connect(&self) -> Result<Connection, Error> {
        let mut backoff = self.backoff.lock().await;
        if let Some(next_try) = backoff.next_try {
            time::sleep_until(next_try).await;
        }
        let result = self.try_connect().await;
        match &result {
            Ok(_) => *backoff = Backoff::default(),
            Err(error) => {
                backoff.failed();
                let attempt = backoff.failures;
                tracing::warn!(attempt, error = %Chain(error), "cannot connect to PostgreSQL");
            }
        }
        result
    }

    async fn try_connect(&self) -> Result<Connection, Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        self.drivers.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %Chain(&error), "connection to PostgreSQL lost");
            }
        });
        client.batch_execute(&self.setup).await?;
        Ok(Connection {
            client,
            statements: HashMap::new(),
        })
    }

    fn explain(&self, error: Error) -> OpenError {
        let server = self.server();
        let refused = failure::is_refusal(&error);
        let source = failure::source(error);
        if refused {
            OpenError::Refused { server, source }
        } else {
            OpenError::Unreachable { server, source }
        }
    }

    fn server(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => self
                .config
                .get_hostaddrs()
                .first()
                .map_or_else(String::new, ToString::to_string),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        format!("{host}:{port}")
    }
}

// === impl Connection ===

impl Connection {
    /// The most statements to keep: texts may be composed, and each costs the server memory.
    const STATEMENTS: usize = 512;

    /// The prepared statement for a text.
    pub(super) async fn statement(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        if self.statements.len() >= Self::STATEMENTS {
            self.statements.clear();
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

// === impl Lease ===

impl Lease<'_> {
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Puts the connection back. Only when no transaction is open and no answer is outstanding.
    pub(super) fn give_back(self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.push(self.connection);
    }
}

// === impl Backoff ===

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(2);

    fn failed(&mut self) {
        let wait = Self::FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.next_try = Some(Instant::now() + wait);
    }
}

/// Every statement names its rows by a key. A plan that reads a whole table is right only while the
/// table is new and small, and a prepared statement keeps it until the next `analyze`.
const BY_KEY: &str =
    "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off";

fn setup(config: &PostgresConfig, idle: Duration) -> String {
    format!(
        "set search_path to {}; set statement_timeout = {}; set lock_timeout = {}; \
         set idle_in_transaction_session_timeout = {}; set synchronous_commit = on; {BY_KEY}; \
         set default_transaction_isolation = 'read committed'; set client_min_messages = warning",
        quoted(&config.schema),
        config.statement_timeout.as_millis(),
        config.lock_timeout.as_millis(),
        idle.as_millis(),
    )
}

fn is_plain_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=63).contains(&name.len()) && name.chars().all(allowed)
}
