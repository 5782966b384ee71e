//! What an error of SQLite means for the write, for its neighbours, and for the file.

use std::sync::Arc;

use rusqlite::{ErrorCode, ffi};

use crate::error::{CommitError, Source};

/// How far a failure reaches.
#[derive(Debug)]
pub(super) enum Failure<E = CommitError> {
    /// This write alone; the others of its group may be committed.
    Refused(E),
    /// The whole group; it may be tried again.
    Group(CommitError),
    /// The file: after a failed write or fsync nothing here can be trusted.
    Broken(CommitError),
}

/// The reach of an error, without a particular write in mind.
enum Reach {
    Write,
    Group,
    File,
}

// === impl Failure ===

impl<E: From<CommitError>> From<rusqlite::Error> for Failure<E> {
    fn from(error: rusqlite::Error) -> Self {
        let reach = reach(&error);
        let source: Source = Arc::new(error);
        match reach {
            Reach::Write => Self::Refused(CommitError::Fatal(source).into()),
            Reach::Group => Self::Group(CommitError::Transient {
                unknown: false,
                source,
            }),
            Reach::File => Self::Broken(CommitError::Fatal(source)),
        }
    }
}

/// Whether trying a read again may help.
pub(super) fn is_transient(error: &rusqlite::Error) -> bool {
    matches!(reach(error), Reach::Group)
}

fn reach(error: &rusqlite::Error) -> Reach {
    let Some(error) = error.sqlite_error() else {
        return Reach::Write;
    };
    match error.code {
        ErrorCode::DiskFull
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OperationInterrupted
        | ErrorCode::OperationAborted
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::SchemaChanged => Reach::Group,
        // A full disk also shows as a shared-memory file that cannot grow; nothing was written.
        ErrorCode::SystemIoFailure if error.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
            Reach::Group
        }
        ErrorCode::SystemIoFailure
        | ErrorCode::InternalMalfunction
        | ErrorCode::DatabaseCorrupt
        | ErrorCode::NotADatabase
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly
        | ErrorCode::NoLargeFileSupport
        | ErrorCode::OutOfMemory => Reach::File,
        _ => Reach::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: i32, expected: fn(&Failure) -> bool) {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let failure = Failure::<CommitError>::from(error);
        assert!(expected(&failure), "{code}: {failure:?}");
    }

    #[test]
    fn a_full_disk_passes_and_a_failed_fsync_does_not() {
        check(ffi::SQLITE_FULL, |failure| {
            matches!(failure, Failure::Group(_))
        });
        check(ffi::SQLITE_BUSY, |failure| {
            matches!(failure, Failure::Group(_))
        });
        check(ffi::SQLITE_IOERR_SHMSIZE, |failure| {
            matches!(failure, Failure::Group(_))
        });
        check(ffi::SQLITE_IOERR_FSYNC, |failure| {
            matches!(failure, Failure::Broken(_))
        });
        check(ffi::SQLITE_IOERR_WRITE, |failure| {
            matches!(failure, Failure::Broken(_))
        });
        check(ffi::SQLITE_CORRUPT, |failure| {
            matches!(failure, Failure::Broken(_))
        });
        check(ffi::SQLITE_CONSTRAINT, |failure| {
            matches!(failure, Failure::Refused(_))
        });
    }
}
