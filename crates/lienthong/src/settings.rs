//! Settings as they are written, validated once.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use runtime::{Clock, LogFormat, config::LoadError};
use serde::Deserialize;

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("../../../deploy/config/default.toml");

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where data lies.
    pub data: Data,
    /// The event log.
    pub log: LogSettings,
    /// The store.
    pub store: StoreSettings,
    /// Route, destination and calendar files.
    pub routes: RoutesSettings,
    /// The gateway.
    pub gateway: GatewaySettings,
    /// The tracker.
    pub tracker: Listen,
    /// The courier.
    pub courier: CourierSettings,
    /// The operators' page.
    pub admin: Listen,
    /// Log lines.
    pub logs: Logs,
    /// Shutdown.
    pub shutdown: Shutdown,
}

/// Where data lies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The directory.
    pub dir: PathBuf,
}

/// The event log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// Which one.
    pub kind: LogKind,
    /// How long records stay.
    pub retention_days: u32,
    /// Where Kafka is.
    pub kafka: KafkaSettings,
}

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LogKind {
    /// One file.
    Embedded,
    /// Apache Kafka.
    Kafka,
}

/// Where Kafka is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// Addresses, separated by commas.
    pub brokers: String,
    /// First part of topic names.
    pub prefix: String,
    /// Partitions of topics that are made.
    pub partitions: i32,
    /// Copies of topics that are made.
    pub replication: i16,
}

/// The store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Which one.
    pub kind: StoreKind,
    /// How long record ids are remembered.
    pub inbox_retention_days: u32,
    /// Where PostgreSQL is.
    pub postgres: PostgresSettings,
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum StoreKind {
    /// One file.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// Where PostgreSQL is.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// The connection string.
    pub url: String,
    /// The schema of the tables.
    pub schema: String,
}

/// Where route, destination and calendar files lie; empty paths name the built-in samples.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutesSettings {
    /// Route files.
    pub routes_dir: PathBuf,
    /// Destination files.
    pub destinations_dir: PathBuf,
    /// Calendar files.
    pub calendars_dir: PathBuf,
}

/// The gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether plaintext may be spoken off the loopback interface.
    pub allow_plaintext: bool,
    /// The largest event.
    pub event_bytes: usize,
    /// Events a second from one source.
    pub rate: u32,
    /// Events at once from one source.
    pub burst: u32,
}

/// The courier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CourierSettings {
    /// Where it answers operators.
    pub listen: SocketAddr,
    /// Where agencies pull.
    pub pull_listen: SocketAddr,
    /// Who vouches for the servers of agencies.
    pub roots_file: PathBuf,
    /// What this courier is called beside others.
    pub name: String,
    /// How long a courier that is not heard of keeps its lanes.
    pub lease_seconds: u64,
}

/// Where a role listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// The address.
    pub listen: SocketAddr,
}

/// Log lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// How they look.
    pub format: LogFormat,
    /// Which ones are shown.
    pub filter: String,
}

/// Shutdown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long roles may take.
    pub grace_seconds: u64,
}

// === impl Settings ===

impl Settings {
    /// Defaults, then the file, then the environment.
    ///
    /// # Errors
    /// The file cannot be read, or a value is wrong.
    pub fn load(file: Option<&Path>) -> Result<Self, LoadError> {
        runtime::config::load(DEFAULTS, file)
    }

    /// The log that they describe, by the given clock.
    pub fn log_config(&self, clock: &Clock) -> log::Config {
        let retention = days(self.log.retention_days);
        match self.log.kind {
            LogKind::Embedded => {
                let clock = clock.clone();
                let now = std::sync::Arc::new(move || clock.now());
                let mut embedded = log::Embedded::new(self.data.dir.join("log"), now);
                embedded.retention = retention;
                log::Config::Embedded(embedded)
            }
            LogKind::Kafka => {
                let set = &self.log.kafka;
                let mut kafka = log::Kafka::new(&set.brokers, &set.prefix);
                kafka.partitions = set.partitions;
                kafka.replication = set.replication;
                kafka.retention = retention;
                log::Config::Kafka(kafka)
            }
        }
    }

    /// The store that they describe.
    pub fn store_config(&self) -> store::Config {
        match self.store.kind {
            StoreKind::Sqlite => store::Config::sqlite(self.data.dir.join("store.db")),
            StoreKind::Postgres => {
                let set = &self.store.postgres;
                store::Config::postgres(&set.url, &set.schema)
            }
        }
    }

    /// How much roles read at once, and how long they remember ids. SQLite pays for every page that a
    /// transaction touches, so its transactions are larger; PostgreSQL pays for every row.
    pub fn options(&self) -> consumer::Options {
        let records = match self.store.kind {
            StoreKind::Sqlite => 2_000,
            StoreKind::Postgres => 1_000,
        };
        consumer::Options {
            limit: log::Limit {
                records,
                bytes: 2 << 20,
            },
            inbox_retention: days(self.store.inbox_retention_days),
            ..consumer::Options::default()
        }
    }

    /// The same for the tracker, whose rows a dossier's event, delivery and outcome share when they are
    /// read together. Where it writes in our own process, a short wait keeps its transactions short as well.
    pub fn tracker_options(&self) -> consumer::Options {
        let linger = match self.store.kind {
            StoreKind::Sqlite => 25,
            StoreKind::Postgres => 100,
        };
        consumer::Options {
            limit: log::Limit {
                records: 2_000,
                bytes: 4 << 20,
            },
            linger: Duration::from_millis(linger),
            ..self.options()
        }
    }

    /// The gateway's configuration.
    pub fn gateway_config(&self) -> gateway::Config {
        let set = &self.gateway;
        let limits = gateway::Limits {
            event_bytes: set.event_bytes,
            rate: set.rate,
            burst: set.burst,
            ..gateway::Limits::default()
        };
        gateway::Config {
            listen: set.listen,
            allow_plaintext: set.allow_plaintext,
            limits,
        }
    }

    /// How long roles may take to finish.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.shutdown.grace_seconds)
    }
}

impl TryFrom<String> for LogKind {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "embedded" => Ok(Self::Embedded),
            "kafka" => Ok(Self::Kafka),
            _ => Err(format!("`{word}` is neither `embedded` nor `kafka`")),
        }
    }
}

impl TryFrom<String> for StoreKind {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Postgres),
            _ => Err(format!("`{word}` is neither `sqlite` nor `postgres`")),
        }
    }
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("url", &"***")
            .field("schema", &self.schema)
            .finish()
    }
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_defaults_are_whole() {
        let settings: Settings = runtime::config::load(DEFAULTS, None).unwrap();
        assert_eq!(
            (settings.log.kind, settings.store.kind),
            (LogKind::Embedded, StoreKind::Sqlite)
        );
        assert!(settings.store.inbox_retention_days >= settings.log.retention_days);
    }

    #[test]
    fn a_kind_that_is_not_known_is_named_with_those_that_are() {
        let wrong = DEFAULTS.replace("kind = \"embedded\"", "kind = \"kafak\"");
        let error = runtime::config::load::<Settings>(&wrong, None).unwrap_err();
        let text = runtime::ErrorChain(&error).to_string();
        assert!(
            text.contains("`kafak` is neither `embedded` nor `kafka`") && text.contains("log.kind"),
            "{text}"
        );
    }
}
