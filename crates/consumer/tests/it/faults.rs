//! The table of reliability.md §2, and a store and a log that fail.

use consumer::{Error, Outbox};
use log::Topic;
use runtime::Health;
use store::{Fence, Write};
use tokio_util::sync::CancellationToken;

use crate::world::{
    Fault::{self, *},
    GROUP,
    Refusal::{self, *},
    World, passed, records,
};

/// S8, S12, O1, B4: whatever fails, nothing is lost, and nothing counts twice.
async fn survives(faults: &[Fault], refusals: &[Refusal]) -> World {
    let world = World::new().await;
    world.append(records(10)).await;
    world.order(faults, refusals);
    world.run().await.unwrap();
    let case = format!("{faults:?} {refusals:?}");
    assert_eq!(
        (world.count("a").await, world.count("b").await),
        (5, 5),
        "{case}"
    );
    assert_eq!(world.distinct().await, passed(10), "{case}");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_for_a_while_loses_and_doubles_nothing() {
    for faults in [
        vec![Commit],
        vec![Read, Commit, Read],
        vec![Commit, Commit, Answer],
    ] {
        survives(&faults, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_commit_is_rolled_back_and_published_once() {
    let world = survives(&[Commit, Read], &[]).await;
    let told = world.told.lock().unwrap();
    assert_eq!((told.committed, told.rolled_back), (4, 2));
}

/// "In commit, answer lost": the offset row tells, and the fold hears that it landed.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_recognised_by_the_offset_row() {
    let world = survives(&[Answer], &[]).await;
    assert_eq!(
        world.passed_on().await.len(),
        10,
        "published from the outbox, once"
    );
    let told = world.told.lock().unwrap();
    assert_eq!((told.committed, told.rolled_back), (4, 0));
}

/// B11 and O7: consumption stops while the log refuses, and goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_refuses_holds_up_and_loses_nothing() {
    let world = survives(&[], &[NotWritten, NotWritten, Unknown]).await;
    assert_eq!(world.health.not_ready(), []);
    // The append with the lost answer was made again.
    assert_eq!(world.passed_on().await.len(), 13);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_refuses_three_batches_are_consumed_and_the_stop_is_not_held_up() {
    let world = World::new().await;
    world.append(records(30)).await;
    world.order(&[], &[NotWritten; 1_000]);
    let stop = CancellationToken::new();
    let (ran, ()) = tokio::join!(world.start(&stop), async {
        world.consumed_up_to(9).await;
        let refused = world.refusals.lock().unwrap().len();
        while world.refusals.lock().unwrap().len() + 2 > refused {
            tokio::task::yield_now().await;
        }
        assert_ne!(world.health.not_ready(), []);
        stop.cancel();
    });
    ran.unwrap();
    // One batch is being published, one waits, one was committed and cannot be handed over.
    let offsets = world.store.offsets(GROUP).await.unwrap();
    assert_eq!(offsets.values().copied().collect::<Vec<_>>(), [9]);
    assert_eq!(world.store.outbox(GROUP, 10).await.unwrap().len(), 3);
    assert!(world.passed_on().await.is_empty());

    world.refusals.lock().unwrap().clear();
    world.run().await.unwrap();
    assert_eq!(world.distinct().await, passed(30));
}

/// Rule 10: the process ends, and the next start publishes what was committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_log_ends_the_run_and_the_next_one_publishes_the_same() {
    let world = World::new().await;
    world.append(records(10)).await;
    world.order(&[], &[Fatal]);
    let error = world.run().await.unwrap_err();
    assert!(matches!(error, Error::Append(_)), "{error:?}");
    world.run().await.unwrap();
    assert_eq!(world.distinct().await, passed(10));
    assert_eq!((world.count("a").await, world.count("b").await), (5, 5));
}

/// O4: the older instance has changed nothing when it finds out.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_group_was_taken_over_is_fenced() {
    let world = World::new().await;
    let stop = CancellationToken::new();
    let (ran, ()) = tokio::join!(world.start(&stop), async {
        while !world.health.not_ready().is_empty() || world.health.status()[GROUP].is_null() {
            tokio::task::yield_now().await;
        }
        world.store.take_over(GROUP).await.unwrap();
        world.append(records(10)).await;
    });
    assert!(matches!(ran, Err(Error::Fenced(_))), "{ran:?}");
    assert_eq!(world.count("a").await, 0);
    assert!(world.passed_on().await.is_empty());
    world.run().await.unwrap();
    assert_eq!(world.count("a").await, 5);
}

/// "After commit, before publish", and O1: "after publish, before mark".
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_publishing_publishes_the_same_bytes() {
    for publish_before_the_crash in [false, true] {
        let world = World::new().await;
        let epoch = world.store.take_over(GROUP).await.unwrap();
        let (store, log) = (world.store.clone(), world.log.clone());
        let outbox = Outbox::new(GROUP, store, log, Health::default());
        let fence = Fence {
            group: GROUP,
            epoch,
            moves: Vec::new(),
        };
        let outgoing = vec![(Topic::Deliveries, records(4))];
        let ids = outbox
            .commit(Write::new(fence, 0), &outgoing)
            .await
            .unwrap();
        if publish_before_the_crash {
            outbox.publish(ids, outgoing).await.unwrap();
        }
        drop(outbox);

        world.append(records(0)).await;
        let (store, log) = (world.store.clone(), world.log.clone());
        let next = Outbox::new(GROUP, store, log, Health::default());
        next.recover().await.unwrap();

        let expected = if publish_before_the_crash { 8 } else { 4 };
        let passed_on = world.passed_on().await;
        assert_eq!(passed_on.len(), expected);
        assert!(passed_on.chunks(4).all(|part| part == records(4)));
        assert_eq!(world.store.outbox(GROUP, 10).await.unwrap(), []);
    }
}
