//! Random histories: the store must look like a few maps in memory, before and after it is reopened.

use std::collections::{BTreeMap, HashMap};

use proptest::collection::vec;
use proptest::prelude::*;
use store::{CommitError, InboxEntry, Op, Outgoing, Row, Store, Write, row};
use tokio::runtime::Runtime;

use crate::scratch::{GROUP, LANES, Scratch, fence, lanes, step};

/// One thing that happens to the store.
#[derive(Clone, Debug)]
enum Happening {
    Write {
        changes: Vec<Change>,
        seen: Vec<u8>,
        sent: u8,
        stale: bool,
    },
    Publish(usize),
    Reopen,
}

/// One change, on a handful of keys so that they meet.
#[derive(Clone, Debug)]
enum Change {
    Insert(Vec<(u8, u8, i64)>),
    Upsert(Vec<(u8, u8, i64)>),
    Update(Vec<(u8, u8, i64)>),
    Delete(Vec<(u8, u8)>),
    DeleteLane(u8),
}

#[derive(Debug, Default)]
struct Model {
    rows: BTreeMap<(u8, u8), i64>,
    inbox: HashMap<u8, i64>,
    outbox: Vec<(i64, Outgoing)>,
    next: i64,
}

// === impl Model ===

impl Model {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Insert(rows) => {
                for &(lane, order, due) in rows {
                    self.rows.entry((lane, order)).or_insert(due);
                }
            }
            Change::Upsert(rows) => {
                self.rows
                    .extend(rows.iter().map(|&(lane, order, due)| ((lane, order), due)));
            }
            Change::Update(rows) => {
                for &(lane, order, due) in rows {
                    self.rows.entry((lane, order)).and_modify(|old| *old = due);
                }
            }
            Change::Delete(keys) => self.rows.retain(|key, _| !keys.contains(key)),
            Change::DeleteLane(lane) => self.rows.retain(|key, _| key.0 != *lane),
        }
    }

    async fn check(&self, store: &Store) {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|(&(lane, order), &due)| lane_row(lane, order, due))
            .collect();
        assert_eq!(lanes(store).await, rows);
        assert_eq!(store.outbox(GROUP, 1_000).await.unwrap(), self.outbox);
        let offset = store.offsets(GROUP).await.unwrap().into_values().next();
        assert_eq!(offset.unwrap_or(0), self.next);
        let ids: Vec<_> = (0..=u8::MAX).map(|n| [n; 16]).collect();
        let inbox = self
            .inbox
            .iter()
            .map(|(&n, &digest)| ([n; 16], digest))
            .collect();
        assert_eq!(store.seen(GROUP, ids).await.unwrap(), inbox);
    }
}

fn lane_row(lane: u8, order: u8, due: i64) -> Row {
    crate::scratch::lane(&lane.to_string(), order.into(), due)
}

fn op(change: &Change) -> Op {
    let whole = |rows: &[(u8, u8, i64)]| rows.iter().map(|&(l, o, d)| lane_row(l, o, d)).collect();
    let table = &LANES;
    match change {
        Change::Insert(rows) => Op::Insert {
            table,
            rows: whole(rows),
        },
        Change::Upsert(rows) => Op::Upsert {
            table,
            rows: whole(rows),
        },
        Change::Update(rows) => {
            let rows = rows
                .iter()
                .map(|(l, o, due)| row![l.to_string(), i64::from(*o), *due]);
            Op::Update {
                table,
                columns: &["due"],
                rows: rows.collect(),
            }
        }
        Change::Delete(keys) => {
            let keys = keys
                .iter()
                .map(|(l, o)| row![l.to_string(), i64::from(*o)])
                .collect();
            Op::Delete { table, keys }
        }
        Change::DeleteLane(lane) => Op::Delete {
            table,
            keys: vec![row![lane.to_string()]],
        },
    }
}

async fn replay(scratch: &Scratch, history: &[Happening]) {
    let (mut store, mut epoch) = scratch.start().await;
    let mut model = Model::default();
    for happening in history {
        match happening {
            Happening::Write {
                changes,
                seen,
                sent,
                stale,
            } => {
                let result = store
                    .commit(plan(&model, epoch, changes, seen, *sent, *stale))
                    .await;
                if *stale && model.next > 0 {
                    assert!(
                        matches!(result, Err(CommitError::Fenced { .. })),
                        "{result:?}"
                    );
                } else {
                    changes.iter().for_each(|change| model.apply(change));
                    for &id in seen {
                        model.inbox.entry(id).or_insert(model.next);
                    }
                    let ids = result.unwrap().outbox_ids;
                    assert_eq!(ids.len(), usize::from(*sent));
                    let rows = ids.iter().zip(payloads(&model, *sent));
                    model.outbox.extend(
                        rows.map(|(&id, outgoing)| (id, outgoing))
                            .collect::<Vec<_>>(),
                    );
                    model.next += 1;
                }
            }
            Happening::Publish(count) => {
                let count = *count.min(&model.outbox.len());
                let ids: Vec<_> = model.outbox.drain(..count).map(|row| row.0).collect();
                store.published(GROUP, ids).await.unwrap();
            }
            Happening::Reopen => {
                drop(store);
                (store, epoch) = scratch.start().await;
            }
        }
        model.check(&store).await;
    }
}

fn plan(
    model: &Model,
    epoch: i64,
    changes: &[Change],
    seen: &[u8],
    sent: u8,
    stale: bool,
) -> Write {
    let expected = if stale { model.next - 1 } else { model.next };
    let entry = |&n: &u8| InboxEntry {
        id: [n; 16],
        digest: model.next,
        seen_at: 0,
    };
    Write {
        inbox: seen.iter().map(entry).collect(),
        ops: changes.iter().map(op).collect(),
        outbox: payloads(model, sent),
        ..Write::new(
            fence(epoch, vec![step("events", 0, expected, model.next + 1)]),
            0,
        )
    }
}

fn payloads(model: &Model, sent: u8) -> Vec<Outgoing> {
    let payload = |n: u8| format!("{}-{n}", model.next).into_bytes().into();
    (0..sent)
        .map(|n| Outgoing {
            topic: "deliveries".to_owned(),
            payload: payload(n),
        })
        .collect()
}

fn change() -> impl Strategy<Value = Change> {
    let rows = || vec((0..3_u8, 0..4_u8, any::<i64>()), 0..6);
    prop_oneof![
        rows().prop_map(Change::Insert),
        rows().prop_map(Change::Upsert),
        rows().prop_map(Change::Update),
        vec((0..3_u8, 0..4_u8), 0..4).prop_map(Change::Delete),
        (0..3_u8).prop_map(Change::DeleteLane),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let write = (
        vec(change(), 0..4),
        vec(any::<u8>(), 0..4),
        0..4_u8,
        prop::bool::weighted(0.15),
    );
    prop_oneof![
        8 => write.prop_map(|(changes, seen, sent, stale)| {
            Happening::Write { changes, seen, sent, stale }
        }),
        2 => (0..4_usize).prop_map(Happening::Publish),
        1 => Just(Happening::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_behaves_like_a_map(history in vec(happening(), 1..25)) {
        Runtime::new().unwrap().block_on(replay(&Scratch::sqlite(), &history));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn postgres_behaves_like_a_map(history in vec(happening(), 1..25)) {
        if let Some(scratch) = Scratch::postgres() {
            Runtime::new().unwrap().block_on(async {
                replay(&scratch, &history).await;
                scratch.remove().await;
            });
        }
    }
}
