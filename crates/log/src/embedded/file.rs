//! The SQLite file: its tables and what its errors mean.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row as SqlRow, ffi};

use crate::backend::Limit;
use crate::error::AppendError;
use crate::record::Topic;
use crate::tail::Row;

const LAYOUT: i32 = 1;

/// "LtLg": marks the file as ours.
const APPLICATION: i32 = 0x4c74_4c67;

/// One row is one append: `count` records from `base_offset` on. The offset is the row id, so rows
/// lie in the order of the log.
const TABLES: &str = "
create table events (
    base_offset integer primary key, count integer not null, appended_at integer not null,
    body blob not null
) strict;
create table deliveries (
    base_offset integer primary key, count integer not null, appended_at integer not null,
    body blob not null
) strict;
create table outcomes (
    base_offset integer primary key, count integer not null, appended_at integer not null,
    body blob not null
) strict;
pragma application_id = 0x4c744c67;
pragma user_version = 1;
";

/// Opens the file for the writer; makes it when it is missing.
pub(super) fn open(path: &Path, max_bytes: u64) -> Result<Connection, String> {
    let say = |error: rusqlite::Error| error.to_string();
    let file = Connection::open(path).map_err(say)?;
    file.busy_timeout(Duration::from_secs(5)).map_err(say)?;
    let layout: i32 = pragma(&file, "user_version").map_err(say)?;
    let application: i32 = pragma(&file, "application_id").map_err(say)?;
    match (application, layout) {
        (0, 0) | (APPLICATION, LAYOUT) => {}
        (APPLICATION, newer) => return Err(format!("its layout {newer} is not known: upgrade")),
        _ => return Err("it is another program's file".into()),
    }
    file.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0;
         pragma journal_size_limit = 67108864; pragma cache_size = -2048;",
    )
    .map_err(say)?;
    let page_size: u32 = pragma(&file, "page_size").map_err(say)?;
    let pages = (max_bytes / u64::from(page_size)).clamp(32, u64::from(u32::MAX) - 1);
    file.pragma_update(None, "max_page_count", pages as i64)
        .map_err(say)?;
    if layout == 0 {
        file.execute_batch(&format!("begin immediate; {TABLES} commit;"))
            .map_err(say)?;
    }
    Ok(file)
}

/// Opens the file for reading only.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags)?;
    file.busy_timeout(Duration::from_secs(5))?;
    file.pragma_update(None, "cache_size", -2048)?;
    Ok(file)
}

/// The first offset and the next one to be written, per topic.
pub(super) fn bounds(file: &Connection) -> rusqlite::Result<[(i64, i64); 3]> {
    let mut bounds = [(0, 0); 3];
    for topic in Topic::ALL {
        let sql = format!(
            "select coalesce((select min(base_offset) from {topic}), 0),
                    coalesce((select base_offset + count from {topic}
                              order by base_offset desc limit 1), 0)"
        );
        bounds[topic.index()] = file.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    }
    Ok(bounds)
}

/// Writes one append.
pub(super) fn insert(file: &Connection, topic: Topic, row: &Row) -> rusqlite::Result<()> {
    let sql = match topic {
        Topic::Events => "insert into events values (?1, ?2, ?3, ?4)",
        Topic::Deliveries => "insert into deliveries values (?1, ?2, ?3, ?4)",
        Topic::Outcomes => "insert into outcomes values (?1, ?2, ?3, ?4)",
    };
    let at = row.appended_at.as_microsecond();
    file.prepare_cached(sql)?
        .execute((row.base, row.count as i64, at, &row.body[..]))?;
    Ok(())
}

/// The base offset and time of the oldest appends.
pub(super) fn oldest(
    file: &Connection,
    topic: Topic,
    rows: usize,
) -> rusqlite::Result<Vec<(i64, Timestamp)>> {
    let sql = format!("select base_offset, appended_at from {topic} order by base_offset limit ?1");
    let mut select = file.prepare_cached(&sql)?;
    let rows = select.query_map([rows as i64], |row| Ok((row.get(0)?, time(row, 1)?)))?;
    rows.collect()
}

/// Removes the appends before an offset.
pub(super) fn remove(file: &Connection, topic: Topic, before: i64) -> rusqlite::Result<usize> {
    file.execute(
        &format!("delete from {topic} where base_offset < ?1"),
        [before],
    )
}

/// The appends from the one that holds the offset on.
pub(super) fn rows(
    file: &Connection,
    topic: Topic,
    offset: i64,
    limit: Limit,
) -> rusqlite::Result<Vec<Row>> {
    let sql = format!(
        "select base_offset, count, appended_at, body from {topic}
         where base_offset >=
             coalesce((select max(base_offset) from {topic} where base_offset <= ?1), 0)
         order by base_offset"
    );
    let mut select = file.prepare_cached(&sql)?;
    let mut found = select.query([offset])?;
    let (mut rows, mut bytes, mut last) = (Vec::new(), 0, offset);
    while let Some(row) = found.next()? {
        let row = whole(row)?;
        bytes += row.body.len();
        last = row.end().max(last);
        rows.push(row);
        if bytes >= limit.bytes || last - offset >= limit.records as i64 {
            break;
        }
    }
    Ok(rows)
}

/// Copies what the write-ahead file holds into the main file.
pub(super) fn checkpoint(file: &Connection) -> rusqlite::Result<()> {
    file.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
}

/// What an error of a write means: only a full disk and a busy file leave the log as it was.
pub(super) fn classify(error: &rusqlite::Error) -> AppendError {
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => AppendError::NotWritten {
            reason: format!("no room: {reason}"),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            AppendError::NotWritten { reason }
        }
        _ => AppendError::Fatal { reason },
    }
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code & 0xff == ffi::SQLITE_FULL)
}

fn whole(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let body: Vec<u8> = row.get(3)?;
    Ok(Row {
        base: row.get(0)?,
        count: row.get::<_, u32>(1)? as usize,
        appended_at: time(row, 2)?,
        body: body.into(),
    })
}

fn time(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let value: i64 = row.get(column)?;
    Timestamp::from_microsecond(value)
        .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn pragma<T: rusqlite::types::FromSql>(file: &Connection, name: &str) -> rusqlite::Result<T> {
    file.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(extended_code: i32, expected: &str) {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(extended_code), None);
        assert_eq!(classify(&error).label(), expected);
    }

    /// Rule 10 of reliability.md: a failed write or fsync ends the process.
    #[test]
    fn only_a_full_disk_and_a_busy_file_are_harmless() {
        check(ffi::SQLITE_FULL, "not_written");
        check(ffi::SQLITE_BUSY, "not_written");
        check(ffi::SQLITE_IOERR_FSYNC, "fatal");
        check(ffi::SQLITE_IOERR_WRITE, "fatal");
        check(ffi::SQLITE_CORRUPT, "fatal");
        check(ffi::SQLITE_READONLY, "fatal");
    }
}
