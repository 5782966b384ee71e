//! What was seen before.

use std::collections::HashMap;

use store::{InboxEntry, Write};

use crate::scratch::{GROUP, Scratch, fence, on_both};

on_both!(
    seen_ids_are_recognised_with_their_first_digest,
    pruning_is_by_age_and_bounded
);

fn entries(count: u8) -> Vec<InboxEntry> {
    (0..count)
        .map(|n| InboxEntry {
            id: [n; 16],
            digest: i64::from(n) - 3,
            seen_at: n.into(),
        })
        .collect()
}

async fn seen_ids_are_recognised_with_their_first_digest(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let inbox = entries(5);
    store
        .commit(Write {
            inbox,
            ..Write::new(fence(epoch, vec![]), 0)
        })
        .await
        .unwrap();
    let inbox = vec![InboxEntry {
        id: [1; 16],
        digest: 99,
        seen_at: 99,
    }];
    store
        .commit(Write {
            inbox,
            ..Write::new(fence(epoch, vec![]), 0)
        })
        .await
        .unwrap();

    let seen = store
        .seen(GROUP, [[1; 16], [4; 16], [200; 16]])
        .await
        .unwrap();
    assert_eq!(seen, HashMap::from([([1; 16], -2), ([4; 16], 1)]));
}

async fn pruning_is_by_age_and_bounded(scratch: &Scratch) {
    let (store, epoch) = scratch.start().await;
    let inbox = entries(10);
    store
        .commit(Write {
            inbox,
            ..Write::new(fence(epoch, vec![]), 0)
        })
        .await
        .unwrap();

    assert_eq!(store.prune_inbox(GROUP, 7, 4).await.unwrap(), 4);
    assert_eq!(store.prune_inbox(GROUP, 7, 4).await.unwrap(), 3);
    assert_eq!(store.prune_inbox(GROUP, 7, 4).await.unwrap(), 0);
    let ids: Vec<_> = (0..10).map(|n| [n; 16]).collect();
    let mut left: Vec<_> = store.seen(GROUP, ids).await.unwrap().into_keys().collect();
    left.sort_unstable();
    assert_eq!(left, [[7; 16], [8; 16], [9; 16]]);
}
