//! What can happen to a file.

use std::fs;
use std::time::Duration;

use store::{
    CommitError, Config, Kind, Op, OpenError, Outgoing, ReadError, SqliteConfig, Store, Write, row,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::scratch::{GROUP, LANES, SCHEMA, Scratch, fence, lane, lanes, step, write};

/// S7.
#[tokio::test]
async fn a_second_opener_is_refused_and_the_first_goes_on() {
    let scratch = Scratch::sqlite();
    let (store, epoch) = scratch.start().await;
    let error = Store::open(scratch.config()).await.unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    let line = error.to_string();
    assert!(
        line.contains("already open by another process") && !line.contains('\n'),
        "{line}"
    );

    store.commit(write(epoch, vec![])).await.unwrap();
    drop(store);
    scratch.open().await;
}

#[tokio::test]
async fn a_missing_directory_is_made_and_an_impossible_one_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/store.db");
    Store::open(Config::sqlite(&path)).await.unwrap();

    let error = Store::open(Config::sqlite(path.join("c/store.db")))
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Directory { .. }), "{error:?}");
    assert!(
        error.to_string().contains("store.db/c: create it"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    fs::write(&path, "this is a letter, not a database\n".repeat(200)).unwrap();
    let error = Store::open(Config::sqlite(&path)).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreadable { .. }), "{error:?}");
}

/// S4.
#[tokio::test]
async fn a_full_disk_passes_without_restart() {
    let (store, epoch, _directory) = small(200).await;
    let body = vec![7_u8; 20_000];
    let insert = |order: i64| {
        let rows = vec![row!["land", order, None::<&str>, body.clone(), 0]];
        let moves = vec![step("events", 0, order, order + 1)];
        Write {
            ops: vec![Op::Insert {
                table: &LANES,
                rows,
            }],
            ..Write::new(fence(epoch, moves), 0)
        }
    };
    let mut order = 0;
    let error = loop {
        match store.commit(insert(order)).await {
            Ok(_) => order += 1,
            Err(error) => break error,
        }
        assert!(order < 1_000, "the disk never filled");
    };
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(
        store
            .offsets(GROUP)
            .await
            .unwrap()
            .into_values()
            .collect::<Vec<_>>(),
        [order]
    );
    assert_eq!(lanes(&store).await.len() as i64, order);

    let delete = Op::Sql {
        sql: "delete from lanes".into(),
        params: vec![],
    };
    store.commit(write(epoch, vec![delete])).await.unwrap();
    store.commit(insert(order)).await.unwrap();
    assert_eq!(lanes(&store).await.len(), 1);
}

/// A store of at most so many pages.
async fn small(pages: u32) -> (Store, i64, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let config = Config::Sqlite(SqliteConfig {
        path: directory.path().join("store.db"),
        read_limit: Duration::from_secs(5),
        max_pages: Some(pages),
    });
    let store = Store::open(config).await.unwrap();
    store.migrate(&[&SCHEMA]).await.unwrap();
    let epoch = store.take_over(GROUP).await.unwrap();
    (store, epoch, directory)
}

/// S6.
#[tokio::test]
async fn a_long_read_is_cut_and_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config::Sqlite(SqliteConfig {
        path: directory.path().join("store.db"),
        read_limit: Duration::from_millis(200),
        max_pages: None,
    });
    let store = Store::open(config).await.unwrap();
    store.migrate(&[&SCHEMA]).await.unwrap();
    let epoch = store.take_over(GROUP).await.unwrap();

    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) \
                   select count(*) from n";
    let reads = async {
        let read = || store.query(endless, vec![], &[Kind::Int]);
        tokio::join!(read(), read(), read())
    };
    let work = async {
        store.commit(write(epoch, vec![])).await.unwrap();
        store.get(&LANES, [row!["land", 1]]).await.unwrap()
    };
    let (reads, found) = tokio::join!(reads, work);

    assert_eq!(found, []);
    for result in [reads.0, reads.1, reads.2] {
        let error = result.unwrap_err();
        assert!(
            matches!(error, ReadError::TooLong { limit } if !limit.is_zero()),
            "{error:?}"
        );
    }
    assert_eq!(lanes(&store).await, []);
}

/// Writes that wait together commit together; one that is fenced takes nobody with it.
#[tokio::test]
async fn a_fenced_write_spares_its_neighbours() {
    let scratch = Scratch::sqlite();
    let (store, epoch) = scratch.start().await;
    let mut writers = JoinSet::new();
    for order in 0..200 {
        let store = store.clone();
        let held = if order % 3 == 0 { epoch - 1 } else { epoch };
        let insert = Op::Insert {
            table: &LANES,
            rows: vec![lane("land", order, 0)],
        };
        writers.spawn(async move { (order, store.commit(write(held, vec![insert])).await) });
    }
    for (order, result) in writers.join_all().await {
        let fenced = matches!(result, Err(CommitError::Fenced { .. }));
        assert_eq!(fenced, order % 3 == 0, "{order}: {result:?}");
    }
    let orders: Vec<_> = lanes(&store)
        .await
        .iter()
        .map(|row| row.int(1).unwrap())
        .collect();
    assert_eq!(
        orders,
        (0..200).filter(|order| order % 3 != 0).collect::<Vec<_>>()
    );
}

/// S2: the write-ahead log is cut anywhere; what opens is a whole prefix of the commits.
#[tokio::test]
async fn a_torn_write_ahead_log_leaves_a_whole_prefix() {
    const COMMITS: i64 = 40;
    const CUTS: usize = 60;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = Store::open(Config::sqlite(&path)).await.unwrap();
    store.migrate(&[&SCHEMA]).await.unwrap();
    let epoch = store.take_over(GROUP).await.unwrap();
    for n in 0..COMMITS {
        store.commit(numbered(epoch, n)).await.unwrap();
    }
    let file = fs::read(&path).unwrap();
    let log = fs::read(directory.path().join("store.db-wal")).unwrap();
    drop(store);

    for cut in 0..CUTS {
        let copy = tempfile::tempdir().unwrap();
        let length = log.len() * cut / CUTS + cut * 37 % 4096;
        fs::write(copy.path().join("store.db"), &file).unwrap();
        fs::write(
            copy.path().join("store.db-wal"),
            &log[..length.min(log.len())],
        )
        .unwrap();
        check_prefix(&copy, COMMITS).await;
    }
}

/// Adds row, offset and outbox row number `n`.
fn numbered(epoch: i64, n: i64) -> Write {
    let payload = n.to_string().into_bytes().into();
    Write {
        ops: vec![Op::Insert {
            table: &LANES,
            rows: vec![lane("land", n, n)],
        }],
        outbox: vec![Outgoing {
            topic: "deliveries".to_owned(),
            payload,
        }],
        ..Write::new(fence(epoch, vec![step("events", 0, n, n + 1)]), 0)
    }
}

async fn check_prefix(directory: &TempDir, commits: i64) {
    let store = Store::open(Config::sqlite(directory.path().join("store.db")))
        .await
        .unwrap();
    store.migrate(&[&SCHEMA]).await.unwrap();
    let offsets = store.offsets(GROUP).await.unwrap();
    let offset = offsets.into_values().next().unwrap_or(0);
    assert!(offset <= commits);
    let rows: Vec<_> = lanes(&store)
        .await
        .iter()
        .map(|row| row.int(1).unwrap())
        .collect();
    assert_eq!(rows, (0..offset).collect::<Vec<_>>());
    assert_eq!(
        store.outbox(GROUP, 1_000).await.unwrap().len() as i64,
        offset
    );
    let epoch = store.take_over(GROUP).await.unwrap();
    store.commit(numbered(epoch, offset)).await.unwrap();
}
