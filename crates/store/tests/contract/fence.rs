//! Offsets and epochs: who lost a partition or a group changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use store::{CommitError, FenceBreach, InboxEntry, Op, Write};
use tokio::task::JoinSet;

use crate::scratch::{GROUP, LANES, Scratch, fence, lane, lanes, on_both, outgoing, step, write};

on_both!(
    the_first_commit_adds_the_offset_and_the_next_moves_it,
    a_stale_offset_changes_nothing,
    one_stale_offset_of_several_stops_all,
    an_older_epoch_is_fenced,
    a_group_without_owner_is_fenced,
    groups_do_not_see_each_other,
    of_many_writers_of_one_offset_one_wins,
    every_take_over_gets_its_own_epoch,
    nothing_of_an_old_owner_appears_after_a_take_over,
    a_malformed_write_is_refused_whole,
);

async fn the_first_commit_adds_the_offset_and_the_next_moves_it(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    assert_eq!(store.offsets(GROUP).await.unwrap(), BTreeMap::new());

    let moves = vec![
        step("events", 0, 0, 10),
        step("events", 1, 7, 8),
        step("control", 0, 0, 1),
    ];
    store
        .commit(Write::new(fence(epoch, moves), 0))
        .await
        .unwrap();
    let moves = vec![step("events", 0, 10, 12)];
    store
        .commit(Write::new(fence(epoch, moves), 0))
        .await
        .unwrap();

    let offset = |topic: &str, partition, next| ((topic.to_owned(), partition), next);
    let expected = [
        offset("control", 0, 1),
        offset("events", 0, 12),
        offset("events", 1, 8),
    ];
    assert_eq!(store.offsets(GROUP).await.unwrap(), expected.into());
}

async fn a_stale_offset_changes_nothing(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    store
        .commit(Write::new(fence(epoch, vec![step("events", 0, 0, 10)]), 0))
        .await
        .unwrap();

    let id = [7; 16];
    let stale = Write {
        inbox: vec![InboxEntry {
            id,
            digest: 1,
            seen_at: 1,
        }],
        ops: vec![Op::Insert {
            table: &LANES,
            rows: vec![lane("land", 1, 1)],
        }],
        outbox: vec![outgoing("never")],
        ..Write::new(fence(epoch, vec![step("events", 0, 0, 11)]), 0)
    };
    let error = store.commit(stale).await.unwrap_err();

    let breach = breach_of(error);
    let topic = "events".to_owned();
    let offset = FenceBreach::Offset {
        topic,
        partition: 0,
        expected: 0,
        found: Some(10),
    };
    assert_eq!(breach, offset);
    assert_eq!(
        store
            .offsets(GROUP)
            .await
            .unwrap()
            .into_values()
            .collect::<Vec<_>>(),
        [10]
    );
    assert_eq!(lanes(&store).await, []);
    assert_eq!(store.outbox(GROUP, 10).await.unwrap(), []);
    assert!(store.seen(GROUP, [id]).await.unwrap().is_empty());
}

async fn one_stale_offset_of_several_stops_all(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let moves = vec![step("events", 0, 0, 10), step("events", 1, 0, 20)];
    store
        .commit(Write::new(fence(epoch, moves), 0))
        .await
        .unwrap();

    let moves = vec![
        step("events", 0, 10, 11),
        step("events", 1, 19, 21),
        step("events", 2, 0, 5), // would be its first
    ];
    let error = store
        .commit(Write::new(fence(epoch, moves), 0))
        .await
        .unwrap_err();

    let topic = "events".to_owned();
    let offset = FenceBreach::Offset {
        topic,
        partition: 1,
        expected: 19,
        found: Some(20),
    };
    assert_eq!(breach_of(error), offset);
    assert_eq!(
        store
            .offsets(GROUP)
            .await
            .unwrap()
            .into_values()
            .collect::<Vec<_>>(),
        [10, 20]
    );
}

async fn an_older_epoch_is_fenced(scratch: &Scratch) {
    let (store, old) = scratch.start().await;
    let new = store.take_over(GROUP).await.unwrap();
    assert!(new > old);
    let insert = || {
        vec![Op::Insert {
            table: &LANES,
            rows: vec![lane("land", 1, 1)],
        }]
    };

    let error = store.commit(write(old, insert())).await.unwrap_err();

    assert!(!error.is_transient());
    assert_eq!(
        breach_of(error),
        FenceBreach::Epoch {
            held: old,
            found: Some(new)
        }
    );
    assert_eq!(lanes(&store).await, []);
    store.commit(write(new, insert())).await.unwrap();
    assert_eq!(lanes(&store).await, [lane("land", 1, 1)]);
}

async fn a_group_without_owner_is_fenced(scratch: &Scratch) {
    let store = scratch.open().await;
    let error = store.commit(write(1, vec![])).await.unwrap_err();
    assert_eq!(
        breach_of(error),
        FenceBreach::Epoch {
            held: 1,
            found: None
        }
    );
}

async fn groups_do_not_see_each_other(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let other = "tracker";
    for _ in 0..3 {
        store.take_over(other).await.unwrap();
    }
    let full = Write {
        inbox: vec![InboxEntry {
            id: [1; 16],
            digest: 1,
            seen_at: 1,
        }],
        outbox: vec![outgoing("mine")],
        ..Write::new(fence(epoch, vec![step("events", 0, 0, 10)]), 0)
    };
    store.commit(full).await.unwrap();
    let ids: Vec<_> = store
        .outbox(GROUP, 9)
        .await
        .unwrap()
        .iter()
        .map(|row| row.0)
        .collect();

    assert_eq!(store.offsets(other).await.unwrap(), BTreeMap::new());
    assert_eq!(store.outbox(other, 10).await.unwrap(), []);
    assert!(store.seen(other, [[1; 16]]).await.unwrap().is_empty());
    store.published(other, ids).await.unwrap();
    assert_eq!(store.prune_inbox(other, i64::MAX, 10).await.unwrap(), 0);
    assert_eq!(store.outbox(GROUP, 10).await.unwrap().len(), 1);
    assert_eq!(store.seen(GROUP, [[1; 16]]).await.unwrap().len(), 1);
}

async fn of_many_writers_of_one_offset_one_wins(scratch: &Scratch) {
    const WRITERS: i64 = 8;
    const ROUNDS: i64 = 10;
    let (store, epoch) = scratch.start().await;
    for round in 0..ROUNDS {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            let rows = vec![lane("land", round, writer)];
            writers.spawn(async move {
                let moves = vec![step("events", 0, round, round + 1)];
                let ops = vec![Op::Insert {
                    table: &LANES,
                    rows,
                }];
                store
                    .commit(Write {
                        ops,
                        ..Write::new(fence(epoch, moves), 0)
                    })
                    .await
            });
        }
        let results = writers.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}");
        for error in lost {
            breach_of(error.unwrap_err());
        }
    }
    assert_eq!(lanes(&store).await.len() as i64, ROUNDS);
}

async fn every_take_over_gets_its_own_epoch(scratch: &Scratch) {
    let (store, first) = scratch.start().await;
    let mut starters = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        starters.spawn(async move { store.take_over(GROUP).await.unwrap() });
    }
    let epochs: BTreeSet<_> = starters.join_all().await.into_iter().collect();
    assert_eq!(epochs, (first + 1..=first + 8).collect());
}

/// O4: the old owner is in the middle of its writes; once the new one has its epoch, no row is added.
async fn nothing_of_an_old_owner_appears_after_a_take_over(scratch: &Scratch) {
    let (store, first) = scratch.start().await;
    for epoch in first..first + 15 {
        let mut old = JoinSet::new();
        for writer in 0..3 {
            let store = store.clone();
            old.spawn(async move {
                for n in 0.. {
                    let rows = (0..50).map(|row| lane("land", row + 100 * (writer + 3 * n), epoch));
                    let insert = Op::Upsert {
                        table: &LANES,
                        rows: rows.collect(),
                    };
                    if let Err(error) = store.commit(write(epoch, vec![insert])).await {
                        return breach_of(error);
                    }
                }
                unreachable!("the old owner was never fenced")
            });
        }
        while lanes(&store).await.is_empty() {
            assert!(old.try_join_next().is_none(), "a writer ended too early");
        }
        let new = store.take_over(GROUP).await.unwrap();
        let then = lanes(&store).await;
        for breach in old.join_all().await {
            assert_eq!(
                breach,
                FenceBreach::Epoch {
                    held: epoch,
                    found: Some(new)
                }
            );
        }
        assert_eq!(lanes(&store).await, then);
        let clear = Op::Sql {
            sql: "delete from lanes".into(),
            params: vec![],
        };
        store.commit(write(new, vec![clear])).await.unwrap();
    }
}

async fn a_malformed_write_is_refused_whole(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let good = Op::Insert {
        table: &LANES,
        rows: vec![lane("land", 1, 1)],
    };
    let bad = Op::Insert {
        table: &LANES,
        rows: vec![store::row!["land", 2]],
    };
    let wrong = Op::Sql {
        sql: "delete from no_such_table".into(),
        params: vec![],
    };
    for bad in [bad, wrong] {
        let error = store
            .commit(write(epoch, vec![good.clone(), bad]))
            .await
            .unwrap_err();
        assert!(matches!(error, CommitError::Fatal(_)), "{error}");
        assert_eq!(lanes(&store).await, []);
    }
    store.commit(write(epoch, vec![good])).await.unwrap();
    assert_eq!(lanes(&store).await.len(), 1);
}

#[track_caller]
fn breach_of(error: CommitError) -> FenceBreach {
    match error {
        CommitError::Fenced {
            group: GROUP,
            breach,
        } => breach,
        other => panic!("expected a fence, got: {other:?}"),
    }
}
