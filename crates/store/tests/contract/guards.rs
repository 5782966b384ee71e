//! Guards: what a write relies on stands in its rows from the look to the commit, or nothing happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{CommitError, Fence, Guard, InboxEntry, Op, Row, Store, Value, Write, row};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

use crate::scratch::{
    GROUP, LANES, MEMBERS, Scratch, fence, lane, lanes, on_both, outgoing, postgres_url, step,
    write,
};

on_both!(
    a_write_passes_while_its_guards_hold,
    a_failed_guard_undoes_the_whole_write,
    every_failed_guard_is_named,
    null_and_missing_rows_are_told_apart,
    a_shared_fence_lets_every_instance_write,
    a_malformed_guard_is_refused,
    of_many_writers_only_those_of_the_current_token_pass,
);

fn due(name: &str, order: i64, due: i64) -> Guard {
    Guard {
        table: &LANES,
        key: row![name, order],
        column: "due",
        expected: due.into(),
    }
}

fn insert(rows: Vec<Row>) -> Op {
    Op::Insert {
        table: &LANES,
        rows,
    }
}

fn set_due(name: &str, order: i64, due: i64) -> Op {
    Op::Update {
        table: &LANES,
        columns: &["due"],
        rows: vec![row![name, order, due]],
    }
}

fn guarded(epoch: i64, guards: Vec<Guard>, ops: Vec<Op>) -> Write {
    Write {
        guards,
        ..write(epoch, ops)
    }
}

#[track_caller]
fn failed_of(result: Result<store::Committed, CommitError>) -> Vec<usize> {
    match result {
        Err(CommitError::Guarded { failed }) => failed,
        other => panic!("expected a failed guard, got: {other:?}"),
    }
}

async fn a_write_passes_while_its_guards_hold(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows = vec![lane("land", 1, 10), lane("land", 2, 20), lane("tax", 1, 30)];
    store
        .commit(write(epoch, vec![insert(rows)]))
        .await
        .unwrap();

    let guards = vec![due("tax", 1, 30), due("land", 2, 20), due("tax", 1, 30)];
    let ops = vec![set_due("land", 1, 11), set_due("tax", 1, 31)];
    store.commit(guarded(epoch, guards, ops)).await.unwrap();

    let then = [lane("land", 1, 11), lane("land", 2, 20), lane("tax", 1, 31)];
    assert_eq!(lanes(&store).await, then);
}

async fn a_failed_guard_undoes_the_whole_write(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let first = Write {
        ops: vec![insert(vec![lane("land", 1, 10)])],
        ..Write::new(fence(epoch, vec![step("events", 0, 0, 5)]), 0)
    };
    store.commit(first).await.unwrap();
    let id = [7; 16];
    let late = Write {
        guards: vec![due("land", 1, 9)],
        inbox: vec![InboxEntry {
            id,
            digest: 1,
            seen_at: 1,
        }],
        ops: vec![insert(vec![lane("land", 2, 1)]), set_due("land", 1, 9)],
        outbox: vec![outgoing("never")],
        ..Write::new(fence(epoch, vec![step("events", 0, 5, 9)]), 0)
    };

    let error = store.commit(late).await.unwrap_err();

    assert!(!error.is_transient());
    assert!(matches!(&error, CommitError::Guarded { failed } if *failed == [0]));
    assert_eq!(lanes(&store).await, [lane("land", 1, 10)]);
    assert_eq!(store.outbox(GROUP, 9).await.unwrap(), []);
    assert!(store.seen(GROUP, [id]).await.unwrap().is_empty());
    let offsets = store.offsets(GROUP).await.unwrap();
    assert_eq!(offsets.into_values().collect::<Vec<_>>(), [5]);
}

async fn every_failed_guard_is_named(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let member = |shard: i64| Guard {
        table: &MEMBERS,
        key: row![[1_u8], shard],
        column: "shard",
        expected: shard.into(),
    };
    let members = Op::Insert {
        table: &MEMBERS,
        rows: vec![row![[1_u8], 4]],
    };
    let rows = insert(vec![lane("land", 1, 10), lane("tax", 1, 30)]);
    store
        .commit(write(epoch, vec![rows, members]))
        .await
        .unwrap();

    let guards = vec![
        due("tax", 1, 31),
        member(4),
        due("land", 1, 10),
        due("away", 1, 0),
        member(5),
        due("tax", 1, 30),
    ];
    let refused = guarded(epoch, guards, vec![set_due("land", 1, 0)]);
    assert_eq!(failed_of(store.commit(refused).await), [0, 3, 4]);
    let rest = vec![member(4), due("land", 1, 10), due("tax", 1, 30)];
    let rest = guarded(epoch, rest, vec![set_due("land", 1, 0)]);
    store.commit(rest).await.unwrap();
    assert_eq!(
        lanes(&store).await,
        [lane("land", 1, 0), lane("tax", 1, 30)]
    );
}

async fn null_and_missing_rows_are_told_apart(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let rows = insert(vec![lane("land", 1, 10)]);
    store.commit(write(epoch, vec![rows])).await.unwrap();
    let note = |name: &str, expected: Value| Guard {
        table: &LANES,
        key: row![name, 1],
        column: "note",
        expected,
    };
    let guards = vec![
        note("land", Value::Null),
        note("land", "".into()),
        note("tax", Value::Null),
    ];
    let write = guarded(epoch, guards, vec![]);
    assert_eq!(failed_of(store.commit(write).await), [1, 2]);
}

async fn a_shared_fence_lets_every_instance_write(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let by = |fence, order| Write {
        ops: vec![insert(vec![lane("land", order, 0)])],
        ..Write::new(fence, 0)
    };
    store.commit(by(Fence::shared(GROUP), 1)).await.unwrap();
    store.commit(by(Fence::shared("nobody"), 2)).await.unwrap();
    store.commit(by(fence(epoch, vec![]), 3)).await.unwrap();
    assert_eq!(lanes(&store).await.len(), 3);
    let mut stale = Fence::shared(GROUP);
    stale.moves = vec![step("events", 0, 0, 5)];
    store.commit(by(stale.clone(), 4)).await.unwrap();
    let again = store.commit(by(stale, 5)).await;
    assert!(
        matches!(again, Err(CommitError::Fenced { .. })),
        "{again:?}"
    );
}

async fn a_malformed_guard_is_refused(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let prefix = Guard {
        key: row!["land"],
        ..due("land", 1, 1)
    };
    let column = Guard {
        column: "colour",
        ..due("land", 1, 1)
    };
    for bad in [prefix, column] {
        let result = store.commit(guarded(epoch, vec![bad], vec![])).await;
        assert!(matches!(result, Err(CommitError::Fatal(_))), "{result:?}");
    }
}

/// Each writer notes the token that it believes in beside the one that stands in its own transaction.
async fn of_many_writers_only_those_of_the_current_token_pass(scratch: &Scratch) {
    const WRITERS: i64 = 4;
    const ROUNDS: i64 = 60;
    let (store, epoch) = scratch.start().await;
    let rows = insert(vec![lane("token", 0, 0), lane("token", 1, 0)]);
    store.commit(write(epoch, vec![rows])).await.unwrap();
    let start = Arc::new(Barrier::new(WRITERS as usize + 1));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, start) = (store.clone(), start.clone());
        writers.spawn(async move {
            start.wait().await;
            let mut passed = 0;
            for round in 0..ROUNDS {
                let believed = lanes(&store).await[0].int(4).unwrap();
                let note = Op::Sql {
                    sql: "insert into lanes (lane, \"order\", note, due) \
                          select 'w', $1, cast(due as text), $2 from lanes \
                          where lane = 'token' and \"order\" = 1"
                        .into(),
                    params: vec![(1 + writer + WRITERS * round).into(), believed.into()],
                };
                let guards = vec![due("token", 1, believed), due("token", 0, believed)];
                match store.commit(guarded(epoch, guards, vec![note])).await {
                    Ok(_) => passed += 1,
                    refused => assert!(!failed_of(refused).is_empty()),
                }
            }
            passed
        });
    }
    start.wait().await;
    let mut token = 0;
    while !writers.is_empty() {
        token += 1;
        let ops = vec![set_due("token", 0, token), set_due("token", 1, token)];
        store.commit(write(epoch, ops)).await.unwrap();
        while writers.try_join_next().is_some_and(|passed| passed.is_ok()) {}
    }
    let differing =
        "select lane, note, due from lanes where lane = 'w' and note <> cast(due as text)";
    let kinds = [store::Kind::Text, store::Kind::Text, store::Kind::Int];
    assert_eq!(store.query(differing, vec![], &kinds).await.unwrap(), []);
}

/// A second session on the same schema.
async fn session(scratch: &Scratch) -> Client {
    let store::Config::Postgres(config) = scratch.config() else {
        unreachable!("only called with a server")
    };
    let (client, connection) = tokio_postgres::connect(&config.url, NoTls).await.unwrap();
    tokio_util::task::TaskTracker::new().spawn(connection);
    let setup = format!("set search_path to {}", config.schema);
    client.batch_execute(&setup).await.unwrap();
    client
}

async fn wait_for_blocked(client: &Client) {
    let began = Instant::now();
    let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
                   and pg_backend_pid() = any(pg_blocking_pids(pid))";
    while client
        .query_one(waiting, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        assert!(began.elapsed() < Duration::from_secs(30), "nobody waits");
        tokio::task::yield_now().await;
    }
}

async fn guarded_start() -> Option<(Scratch, Store, i64, Client)> {
    postgres_url()?;
    let scratch = Scratch::postgres()?;
    let (store, epoch) = scratch.start().await;
    let rows = insert(vec![lane("land", 1, 10), lane("tax", 1, 30)]);
    store.commit(write(epoch, vec![rows])).await.unwrap();
    let client = session(&scratch).await;
    Some((scratch, store, epoch, client))
}

/// The guard waits for a change on its way, and sees it.
#[tokio::test]
async fn a_change_that_is_not_yet_committed_fails_the_guard() {
    let Some((scratch, store, epoch, client)) = guarded_start().await else {
        return;
    };
    let open = "begin; update lanes set due = 11 where lane = 'land'";
    client.batch_execute(open).await.unwrap();

    let late = guarded(epoch, vec![due("land", 1, 10)], vec![set_due("tax", 1, 0)]);
    let change = async {
        wait_for_blocked(&client).await;
        client.batch_execute("commit").await.unwrap();
    };
    let (result, ()) = tokio::join!(store.commit(late), change);

    assert_eq!(failed_of(result), [0]);
    assert_eq!(
        lanes(&store).await,
        [lane("land", 1, 11), lane("tax", 1, 30)]
    );
    scratch.remove().await;
}

/// Between the look and the commit nobody can change the row.
#[tokio::test]
async fn a_guarded_row_cannot_change_before_the_commit() {
    let Some((scratch, store, epoch, client)) = guarded_start().await else {
        return;
    };
    // The write gets past its guard and waits here.
    let open = "begin; update lanes set due = 31 where lane = 'tax'";
    client.batch_execute(open).await.unwrap();
    let other = session(&scratch).await;

    let write = guarded(epoch, vec![due("land", 1, 10)], vec![set_due("tax", 1, 0)]);
    let change = async {
        wait_for_blocked(&client).await;
        let take = "set lock_timeout = 50; update lanes set due = 11 where lane = 'land'";
        let refused = other.batch_execute(take).await.unwrap_err();
        client.batch_execute("commit").await.unwrap();
        refused.code().cloned()
    };
    let (result, refused) = tokio::join!(store.commit(write), change);

    result.unwrap();
    let locked = tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE;
    assert_eq!(refused, Some(locked));
    assert_eq!(
        lanes(&store).await,
        [lane("land", 1, 10), lane("tax", 1, 0)]
    );
    scratch.remove().await;
}
