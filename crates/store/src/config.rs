use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Which database, and how.
#[derive(Clone, Debug)]
pub enum Config {
    /// One file on this machine.
    Sqlite(SqliteConfig),
    /// A server.
    Postgres(PostgresConfig),
}

/// A store in one file. A local disk, please: network file systems lose locks.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The database file; a missing directory is created.
    pub path: PathBuf,
    /// A read that takes longer is cut, so that the write-ahead log cannot grow without bound.
    pub read_limit: Duration,
    /// The file never has more pages (of 4 KiB); beyond, it behaves like a full disk.
    pub max_pages: Option<u32>,
}

/// A store on a PostgreSQL server.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database`; printed without the password.
    pub url: String,
    /// The schema that holds all tables; created when missing.
    pub schema: String,
    /// The most connections.
    pub connections: usize,
    /// The server cuts a statement after this time.
    pub statement_timeout: Duration,
    /// The server gives up waiting for a row lock after this time.
    pub lock_timeout: Duration,
}

// === impl Config ===

impl Config {
    /// A store in one file, with the usual settings.
    #[must_use]
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self::Sqlite(SqliteConfig {
            path: path.into(),
            read_limit: Duration::from_secs(5),
            max_pages: None,
        })
    }

    /// A store on a server, with the usual settings.
    #[must_use]
    pub fn postgres(url: impl Into<String>, schema: impl Into<String>) -> Self {
        Self::Postgres(PostgresConfig {
            url: url.into(),
            schema: schema.into(),
            connections: 4,
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
        })
    }
}

// === impl PostgresConfig ===

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("url", &"***")
            .field("schema", &self.schema)
            .field("connections", &self.connections)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .finish()
    }
}
