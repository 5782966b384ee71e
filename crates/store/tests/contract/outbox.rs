//! What is still to be published.

use store::{Outgoing, Write};
use tokio::task::JoinSet;

use crate::scratch::{GROUP, Scratch, fence, on_both, outgoing};

on_both!(
    rows_come_back_in_order_until_they_are_published,
    a_write_can_mark_what_was_published,
    an_id_is_never_used_again,
    rows_of_concurrent_writes_are_all_there,
    the_probe_counts_what_waits,
);

fn send(epoch: i64, at: i64, outbox: Vec<Outgoing>) -> Write {
    Write {
        outbox,
        ..Write::new(fence(epoch, vec![]), at)
    }
}

async fn rows_come_back_in_order_until_they_are_published(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let texts = ["z", "a", "m", "b"];
    let first = store
        .commit(send(epoch, 0, texts.map(outgoing).to_vec()))
        .await
        .unwrap();
    let second = store
        .commit(send(epoch, 0, vec![outgoing("k")]))
        .await
        .unwrap();
    let ids = [first.outbox_ids, second.outbox_ids].concat();
    assert!(ids.is_sorted());

    let rows = |picked: &[usize]| -> Vec<_> {
        let texts = ["z", "a", "m", "b", "k"];
        picked
            .iter()
            .map(|&n| (ids[n], outgoing(texts[n])))
            .collect()
    };
    assert_eq!(
        store.outbox(GROUP, 10).await.unwrap(),
        rows(&[0, 1, 2, 3, 4])
    );
    assert_eq!(store.outbox(GROUP, 2).await.unwrap(), rows(&[0, 1]));

    store.published(GROUP, [ids[1], ids[4]]).await.unwrap();
    assert_eq!(store.outbox(GROUP, 10).await.unwrap(), rows(&[0, 2, 3]));
    store.published(GROUP, [ids[1], ids[0]]).await.unwrap(); // once more is harmless
    assert_eq!(store.outbox(GROUP, 10).await.unwrap(), rows(&[2, 3]));
}

async fn a_write_can_mark_what_was_published(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let published = store
        .commit(send(epoch, 0, vec![outgoing("a")]))
        .await
        .unwrap()
        .outbox_ids;
    let next = send(epoch, 0, vec![outgoing("b")]);
    let ids = store
        .commit(Write { published, ..next })
        .await
        .unwrap()
        .outbox_ids;
    assert_eq!(
        store.outbox(GROUP, 10).await.unwrap(),
        [(ids[0], outgoing("b"))]
    );
}

async fn an_id_is_never_used_again(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let first = store
        .commit(send(epoch, 0, vec![outgoing("a")]))
        .await
        .unwrap()
        .outbox_ids;
    store.published(GROUP, first.clone()).await.unwrap();
    drop(store);
    let (store, epoch) = scratch.start().await;
    let second = store
        .commit(send(epoch, 0, vec![outgoing("b")]))
        .await
        .unwrap()
        .outbox_ids;

    store.published(GROUP, first).await.unwrap(); // a late mark

    assert_eq!(
        store.outbox(GROUP, 10).await.unwrap(),
        [(second[0], outgoing("b"))]
    );
}

async fn rows_of_concurrent_writes_are_all_there(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let mut writers = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        let write = send(epoch, 0, vec![outgoing("a"), outgoing("b"), outgoing("c")]);
        writers.spawn(async move { store.commit(write).await.unwrap().outbox_ids });
    }
    let answers = writers.join_all().await;
    let rows = store.outbox(GROUP, 100).await.unwrap();
    assert_eq!(rows.len(), 48);
    for ids in answers {
        let texts = ids
            .iter()
            .map(|id| &rows.iter().find(|row| row.0 == *id).unwrap().1);
        assert!(texts.eq(&["a", "b", "c"].map(outgoing)));
    }
}

async fn the_probe_counts_what_waits(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let empty = store.probe(GROUP).await.unwrap();
    assert_eq!((empty.pending, empty.oldest_pending), (0, None));
    assert!(empty.size_bytes > 0 && empty.free_bytes != Some(0));

    store
        .commit(send(epoch, 2_000, vec![outgoing("a")]))
        .await
        .unwrap();
    store
        .commit(send(epoch, 3_000, vec![outgoing("b"), outgoing("c")]))
        .await
        .unwrap();

    let probe = store.probe(GROUP).await.unwrap();
    assert_eq!((probe.pending, probe.oldest_pending), (3, Some(2_000)));
}
