//! What only the embedded log can be asked: its file, its directory, its retention.

use std::time::Duration;

use eventlog::{
    AppendError, Config, Cursor, Limit, Log, OpenError, Read, ReadError, Record, Topic,
};
use rusqlite::Connection;

use crate::subject::{ALL, PATIENCE, Subject, number, record, whole};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// S7: a second owner of the file is refused in one line, and the first is not disturbed.
#[tokio::test]
async fn a_second_owner_is_refused() {
    let subject = Subject::embedded().await;

    let second = Log::open(subject.config()).await.expect_err("refused");

    assert!(matches!(second, OpenError::InUse { .. }), "{second}");
    assert!(!second.to_string().contains('\n'));
    subject.append(Topic::Events, record("A", 0)).await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_named() {
    let subject = Subject::embedded().await;
    let Config::Embedded(mut config) = subject.config() else {
        panic!("embedded")
    };
    config.path = subject.file().join("below-a-file");

    let error = Log::open(Config::Embedded(config.clone()))
        .await
        .expect_err("refused");

    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&config.path.display().to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_log_is_refused() {
    let subject = Subject::embedded().await;
    let (file, config) = (subject.file(), subject.config());
    let _closed = subject.closed();
    std::fs::remove_file(file.with_extension("db-wal")).ok();
    std::fs::write(&file, vec![b'x'; 8192]).expect("written");

    let error = Log::open(config).await.expect_err("refused");

    assert!(matches!(error, OpenError::File { .. }), "{error}");
}

/// S13: a file of a newer version is refused in one line.
#[tokio::test]
async fn a_newer_file_is_refused() {
    let subject = Subject::embedded().await;
    let (file, config) = (subject.file(), subject.config());
    let _closed = subject.closed();
    let other = Connection::open(&file).expect("opened");
    other
        .pragma_update(None, "user_version", 99)
        .expect("changed");
    drop(other);

    let error = Log::open(config).await.expect_err("refused");

    assert!(error.to_string().contains("layout 99"), "{error}");
}

/// B9: exactly the damaged record is broken, and reading goes on behind it.
#[tokio::test]
async fn a_damaged_record_is_an_outcome_and_no_stop() {
    let subject = Subject::embedded().await;
    let records = (0..3).map(|n| record("A", n)).collect();
    subject
        .log
        .append(Topic::Events, records)
        .await
        .expect("appended");
    subject.append(Topic::Events, record("A", 3)).await;
    let (file, config) = (subject.file(), subject.config());
    let closed = subject.closed();
    damage(&file, |body| *body.last_mut().expect("a body") ^= 1);

    let subject = closed.open(config).await;
    let mut reader = subject
        .log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    let found = reader.next(ALL, PATIENCE).await.expect("readable");

    let offsets: Vec<_> = found.iter().map(|read| read.position().offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
    let Read::Broken { raw, reason, .. } = &found[2] else {
        panic!("{:?} is whole", found[2])
    };
    assert!(!raw.is_empty() && reason.contains("damaged"), "{reason}");
    for index in [0, 1, 3] {
        assert_eq!(number(&whole(found[index].clone()).record), index);
    }
}

#[tokio::test]
async fn a_damaged_batch_breaks_its_records_and_no_others() {
    let subject = Subject::embedded().await;
    let records = (0..3).map(|n| record("A", n)).collect();
    subject
        .log
        .append(Topic::Events, records)
        .await
        .expect("appended");
    subject.append(Topic::Events, record("A", 3)).await;
    let (file, config) = (subject.file(), subject.config());
    let closed = subject.closed();
    damage(&file, |body| body[0] = 77);

    let subject = closed.open(config).await;
    let mut reader = subject
        .log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    let found = reader.next(ALL, PATIENCE).await.expect("readable");

    let broken = found
        .iter()
        .filter(|read| matches!(read, Read::Broken { .. }))
        .count();
    assert_eq!((found.len(), broken), (4, 3));
    assert_eq!(number(&whole(found[3].clone()).record), 3);
}

/// B8: a reader whose records retention has removed stops and does not jump.
#[tokio::test]
async fn retention_removes_the_old_and_a_late_reader_is_told() {
    let subject = Subject::embedded_with(|config| config.retention = 2 * DAY).await;
    for n in 0..4 {
        subject.append(Topic::Events, record("A", n)).await;
        subject.time.advance(DAY);
    }
    let start = Cursor {
        topic: Topic::Events,
        partition: 0,
        offset: 0,
    };
    let mut late = subject.log.reader(vec![start]).await.expect("a reader");

    await_first(&subject, 2).await;

    let gone = ReadError::Gone {
        topic: Topic::Events,
        partition: 0,
        offset: 0,
        first: 2,
        end: 4,
    };
    assert_eq!(late.next(ALL, PATIENCE).await, Err(gone.clone()));
    assert_eq!(
        subject.log.reader(vec![start]).await.err(),
        Some(gone.clone())
    );
    assert_eq!(subject.log.oldest_unread(start).await, Err(gone));
    assert_eq!(subject.everything(Topic::Events).await.len(), 2);
}

#[tokio::test]
async fn the_newest_record_outlives_retention_and_keeps_the_offsets() {
    let subject = Subject::embedded_with(|config| config.retention = DAY).await;
    for n in 0..3 {
        subject.append(Topic::Events, record("A", n)).await;
    }
    subject.time.advance(30 * DAY);
    await_first(&subject, 2).await;

    let subject = subject.reopened().await;

    let next = subject.append(Topic::Events, record("A", 3)).await;
    assert_eq!(next.offset, 3);
}

/// S4: no room is a refusal before accepting; it ends without a restart.
#[tokio::test]
async fn a_full_log_refuses_and_takes_up_again() {
    let settings = |config: &mut eventlog::Embedded| {
        config.max_bytes = 1 << 20;
        config.retention = DAY;
    };
    let subject = Subject::embedded_with(settings).await;
    let large = || Record {
        value: vec![1; 100_000].into(),
        ..record("A", 0)
    };
    let mut taken = 0;
    let error = loop {
        match subject.log.append(Topic::Events, vec![large()]).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 20, "a log of 1 MiB took {taken} records of 100 kB");
    };
    assert!(matches!(error, AppendError::NotWritten { .. }), "{error}");
    assert!(error.is_transient());
    assert_eq!(subject.everything(Topic::Events).await.len(), taken);

    subject.time.advance(2 * DAY);

    let position = subject.append(Topic::Events, large()).await;
    assert_eq!(position.offset, taken as i64);
}

/// Readers that are further behind than memory reaches read from the file.
#[tokio::test]
async fn a_reader_far_behind_reads_from_the_file() {
    let subject = Subject::embedded().await;
    for n in 0..40 {
        let mut large = record("A", n);
        large.headers.push(("filler".into(), "x".repeat(1 << 20)));
        subject.append(Topic::Events, large).await;
    }

    let mut reader = subject
        .log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    let limit = Limit {
        records: 7,
        bytes: 3 << 20,
    };
    let mut numbers = Vec::new();
    while numbers.len() < 40 {
        let found = reader.next(limit, PATIENCE).await.expect("readable");
        assert!((1..=7).contains(&found.len()));
        numbers.extend(found.into_iter().map(|read| number(&whole(read).record)));
    }

    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
}

/// Changes the first body of the events, as a failing disk would.
fn damage(file: &std::path::Path, change: impl FnOnce(&mut Vec<u8>)) {
    let file = Connection::open(file).expect("opened");
    let select = "select body from events where base_offset = 0";
    let mut body: Vec<u8> = file.query_row(select, [], |row| row.get(0)).expect("a row");
    change(&mut body);
    file.execute("update events set body = ?1 where base_offset = 0", [body])
        .expect("changed");
}

/// Waits until retention has removed what lies before an offset. It runs beside the appends, so
/// the log is looked at until it has.
async fn await_first(subject: &Subject, first: i64) {
    let look = async {
        while subject.log.bounds(Topic::Events).await.expect("bounds")[0].first < first {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look)
        .await
        .expect("retention removes the old");
}
