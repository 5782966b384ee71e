//! What an error of PostgreSQL means.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::error::{CommitError, ReadError, Source};

/// An error of the driver, with the server's own words: the driver prints only "db error".
#[derive(Debug, thiserror::Error)]
#[error("{}", message(.0))]
pub(super) struct Failure(Error);

/// The server did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL did not answer within {0:?}")]
pub(super) struct NoAnswer(pub(super) std::time::Duration);

/// SQLSTATE classes that pass by themselves: connection, transaction rollback, resources, operator
/// intervention (restart, cancelled by a time-out), system error of the server.
const PASSING_CLASSES: &[&str] = &["08", "40", "53", "57", "58"];

/// Single codes that pass: a lock not available, an idle transaction cut, a standby that is not
/// promoted yet.
const PASSING: &[SqlState] = &[
    SqlState::LOCK_NOT_AVAILABLE,
    SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    SqlState::READ_ONLY_SQL_TRANSACTION,
];

/// A failure before `commit` was sent: nothing was committed.
pub(super) fn before_commit(error: Error) -> CommitError {
    if is_transient(&error) {
        CommitError::transient(Failure(error))
    } else {
        CommitError::fatal(Failure(error))
    }
}

/// A failure of `commit` itself. Only a plain refusal of the server proves that nothing was
/// committed; a lost connection or a server on its way down proves nothing.
pub(super) fn in_commit(error: Error) -> CommitError {
    let refused = error
        .code()
        .is_some_and(|code| !["08", "57", "58", "XX"].contains(&class(code)));
    if refused {
        before_commit(error)
    } else {
        CommitError::Transient {
            unknown: true,
            source: Arc::new(Failure(error)),
        }
    }
}

/// A failure of a read.
pub(super) fn in_read(error: Error) -> ReadError {
    let transient = is_transient(&error);
    let source: Source = Arc::new(Failure(error));
    if transient {
        ReadError::Transient(source)
    } else {
        ReadError::Fatal(source)
    }
}

/// Whether the server answered and refused, rather than being away.
pub(super) fn is_refusal(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| !PASSING_CLASSES.contains(&class(code)))
}

/// The error with the server's words.
pub(super) fn source(error: Error) -> Source {
    Arc::new(Failure(error))
}

fn is_transient(error: &Error) -> bool {
    if let Some(server) = error.as_db_error() {
        // A prepared statement outdated by a migration: the next connection prepares it anew.
        let outdated = server.routine() == Some("RevalidateCachedQuery");
        let code = server.code();
        return PASSING_CLASSES.contains(&class(code)) || PASSING.contains(code) || outdated;
    }
    error.is_closed()
        || error
            .source()
            .is_some_and(|source| source.is::<io::Error>())
}

fn class(code: &SqlState) -> &str {
    code.code().get(..2).unwrap_or_default()
}

fn message(error: &Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(server), _) => format!("{} ({})", server.message(), server.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
