//! Repeats, conflicts, and records that cannot be read.

use store::Kind;

use crate::world::{World, passed, record, records};

#[tokio::test(flavor = "multi_thread")]
async fn every_record_counts_once_and_is_passed_on_in_order() {
    let world = World::new().await;
    world.append(records(10)).await;
    world.run().await.unwrap();
    assert_eq!((world.count("a").await, world.count("b").await), (5, 5));
    assert_eq!(world.distinct().await, passed(10));
    assert_eq!(world.passed_on().await.len(), 10, "no raw repeats");
    let outbox = world.store.outbox(crate::world::GROUP, 10).await.unwrap();
    assert_eq!(outbox, [], "all of it is marked at the end");
}

/// B10: in one batch, in the next, and after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn repeats_are_dropped() {
    let world = World::new().await;
    let two = records(2);
    world
        .append([two.clone(), two.clone(), two.clone()].concat())
        .await;
    world.run().await.unwrap();
    world.append(two).await;
    world.run().await.unwrap();
    assert_eq!((world.count("a").await, world.count("b").await), (1, 1));
    assert_eq!(world.passed_on().await.len(), 2);
}

/// G3.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_another_body_is_told_and_not_counted() {
    let world = World::new().await;
    world.append(records(2)).await;
    world
        .append(vec![record("0", "a", "other"), record("2", "a", "x")])
        .await;
    world.run().await.unwrap();
    assert_eq!(world.told.lock().unwrap().conflicts, 1);
    assert_eq!(world.count("a").await, 2);
    assert_eq!(world.distinct().await, passed(3));
}

/// B9: kept with its bytes and its reason, and the partition goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_and_passed() {
    let world = World::new().await;
    let poison = record("poison", "a", "?\u{0}");
    world
        .append(vec![records(1).remove(0), poison.clone()])
        .await;
    world.append(vec![record("1", "b", "x")]).await;
    world.run().await.unwrap();
    assert_eq!((world.count("a").await, world.count("b").await), (1, 1));
    let sql = "select record_offset, reason, raw from unreadable_records";
    let kinds = [Kind::Int, Kind::Text, Kind::Blob];
    let rows = world.store.query(sql, vec![], &kinds).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].int(0), Ok(1));
    assert_eq!(rows[0].text(1), Ok("begins with a question mark"));
    let raw = rows[0].blob(2).unwrap().clone();
    assert_eq!(log::decode_batch(raw), Ok(vec![poison]));
}
