//! Opening the file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::config::SqliteConfig;
use crate::error::OpenError;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 256;
/// Under full load, when the writer never rests, 128 MiB of the write-ahead file are copied back at once: the rarer
/// it happens, the fewer pages are copied more than once.
const PRAGMAS: &str = "pragma synchronous = full; pragma foreign_keys = on; \
     pragma temp_store = memory; pragma cache_size = -16000; pragma wal_autocheckpoint = 32768; \
     pragma journal_size_limit = 142606336;";

/// Takes the lock file beside the database, so that a second process cannot open it.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::create_dir_all(directory).map_err(|error| OpenError::Directory {
            path: directory.to_owned(),
            source: Arc::new(error),
        })?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let not_writable = |error| OpenError::NotWritable {
        path: path.to_owned(),
        source: Arc::new(error),
    };
    let options = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name);
    let file = options.map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(not_writable(error)),
    }
}

/// The connection of the one writer.
pub(super) fn open_writer(config: &SqliteConfig) -> Result<Connection, OpenError> {
    let open = || {
        let connection = open(
            config,
            OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_READ_WRITE,
        )?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        if !mode.eq_ignore_ascii_case("wal") {
            tracing::warn!(
                mode,
                "the store's file system does not allow a write-ahead log"
            );
        }
        if let Some(pages) = config.max_pages {
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        }
        connection.execute_batch(PRAGMAS)?;
        Ok(connection)
    };
    open().map_err(|error| explain(&config.path, error))
}

/// A connection of a reader; the writer's must have been opened before.
pub(super) fn open_reader(config: &SqliteConfig) -> Result<Connection, OpenError> {
    let open = || {
        let connection = open(config, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.execute_batch(PRAGMAS)?;
        Ok(connection)
    };
    open().map_err(|error| explain(&config.path, error))
}

/// Free space on the disk of the file.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn open(config: &SqliteConfig, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(&config.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(connection)
}

fn explain(path: &Path, error: rusqlite::Error) -> OpenError {
    let (path, code) = (path.to_owned(), error.sqlite_error_code());
    let source = Arc::new(error);
    match code {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable { path, source }
        }
        _ => OpenError::Unreadable { path, source },
    }
}
