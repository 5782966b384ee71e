//! The newest batches of a log in memory: readers that keep up never touch the disk.

mod reader;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::backend::Limit;
use crate::record::Topic;

pub(crate) use reader::{Cold, TailReader};

/// The newest batches of each topic, within a budget of bytes, and who waits for more.
pub(crate) struct Tail {
    kept: Mutex<[Kept; 3]>,
    ends: [watch::Sender<i64>; 3],
    budget: usize,
}

/// One append as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) base: i64,
    pub(crate) count: usize,
    pub(crate) appended_at: Timestamp,
    pub(crate) body: Bytes,
}

/// What lies at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Batches, of which the first one holds the offset.
    Rows(Vec<Row>),
    /// Nothing yet: the offset is the next one to be written.
    Nothing,
    /// Batches that are no longer in memory.
    Cold,
    /// The log does not hold that offset.
    Outside,
}

#[derive(Default)]
struct Kept {
    first: i64,
    end: i64,
    rows: VecDeque<Row>,
    bytes: usize,
}

// === impl Tail ===

impl Tail {
    /// An empty tail of a log that holds these offsets, first and end per topic.
    pub(crate) fn new(budget: usize, bounds: [(i64, i64); 3]) -> Self {
        let kept = bounds.map(|(first, end)| Kept {
            first,
            end,
            ..Kept::default()
        });
        let ends = bounds.map(|(_, end)| watch::Sender::new(end));
        Self {
            kept: Mutex::new(kept),
            ends,
            budget,
        }
    }

    /// Takes in what has become durable, in order, and wakes those who wait for it.
    pub(crate) fn push(&self, rows: impl IntoIterator<Item = (Topic, Row)>) {
        let mut grown = [None; 3];
        let mut kept = self.lock();
        for (topic, row) in rows {
            let topic = topic.index();
            kept[topic].end = row.base + row.count as i64;
            kept[topic].bytes += row.body.len();
            kept[topic].rows.push_back(row);
            grown[topic] = Some(kept[topic].end);
        }
        self.evict(&mut kept);
        drop(kept);
        for (sender, end) in self.ends.iter().zip(grown) {
            if let Some(end) = end {
                sender.send_replace(end);
            }
        }
    }

    /// Appends in place, for a log that lives nowhere else; answers with the base offset.
    pub(crate) fn append(&self, topic: Topic, count: usize, at: Timestamp, body: Bytes) -> i64 {
        let mut kept = self.lock();
        let own = &mut kept[topic.index()];
        let (base, end) = (own.end, own.end + count as i64);
        own.end = end;
        own.bytes += body.len();
        own.rows.push_back(Row {
            base,
            count,
            appended_at: at,
            body,
        });
        drop(kept);
        self.ends[topic.index()].send_replace(end);
        base
    }

    /// Forgets what retention has removed from the log.
    pub(crate) fn set_first(&self, topic: Topic, first: i64) {
        let mut kept = self.lock();
        let kept = &mut kept[topic.index()];
        kept.first = first;
        while kept.rows.front().is_some_and(|row| row.base < first) {
            kept.drop_oldest();
        }
    }

    /// The first offset that the log holds, and the next one to be written.
    pub(crate) fn bounds(&self, topic: Topic) -> (i64, i64) {
        let kept = self.lock();
        let kept = &kept[topic.index()];
        (kept.first, kept.end)
    }

    /// What lies at an offset.
    pub(crate) fn find(&self, topic: Topic, offset: i64, limit: Limit) -> Found {
        let kept = self.lock();
        kept[topic.index()].find(offset, limit)
    }

    /// Tells when a topic has grown.
    pub(crate) fn watch(&self, topic: Topic) -> watch::Receiver<i64> {
        self.ends[topic.index()].subscribe()
    }

    fn evict(&self, kept: &mut [Kept; 3]) {
        while kept.iter().map(|kept| kept.bytes).sum::<usize>() > self.budget {
            if let Some(largest) = kept.iter_mut().max_by_key(|kept| kept.bytes) {
                largest.drop_oldest();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Kept; 3]> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Row ===

impl Row {
    /// The offset after its last record.
    pub(crate) fn end(&self) -> i64 {
        self.base + self.count as i64
    }
}

// === impl Kept ===

impl Kept {
    fn find(&self, offset: i64, limit: Limit) -> Found {
        if offset < self.first || offset > self.end {
            return Found::Outside;
        }
        if offset == self.end {
            return Found::Nothing;
        }
        let behind = self.rows.partition_point(|row| row.base <= offset);
        let Some(start) = behind.checked_sub(1) else {
            return Found::Cold;
        };
        let mut rows = Vec::new();
        let (mut bytes, mut last) = (0, offset);
        for row in self.rows.range(start..) {
            if !rows.is_empty() && (bytes >= limit.bytes || last - offset >= limit.records as i64) {
                break;
            }
            bytes += row.body.len();
            last = row.end();
            rows.push(row.clone());
        }
        Found::Rows(rows)
    }

    fn drop_oldest(&mut self) {
        if let Some(row) = self.rows.pop_front() {
            self.bytes -= row.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limit = Limit {
        records: 100,
        bytes: 1 << 20,
    };

    fn row(base: i64, count: usize, bytes: usize) -> Row {
        let body = Bytes::from(vec![0; bytes]);
        Row {
            base,
            count,
            appended_at: Timestamp::UNIX_EPOCH,
            body,
        }
    }

    fn bases(found: Found) -> Vec<i64> {
        match found {
            Found::Rows(rows) => rows.iter().map(|row| row.base).collect(),
            other => panic!("expected rows, got {other:?}"),
        }
    }

    #[test]
    fn an_offset_inside_a_batch_is_found_with_its_batch() {
        let tail = Tail::new(1000, [(0, 0); 3]);
        tail.push([
            (Topic::Events, row(0, 5, 10)),
            (Topic::Events, row(5, 2, 10)),
        ]);

        assert_eq!(bases(tail.find(Topic::Events, 3, ALL)), [0, 5]);
        assert_eq!(bases(tail.find(Topic::Events, 5, ALL)), [5]);
        assert_eq!(
            bases(tail.find(
                Topic::Events,
                0,
                Limit {
                    records: 5,
                    bytes: 1000
                }
            )),
            [0]
        );
        assert_eq!(
            bases(tail.find(
                Topic::Events,
                0,
                Limit {
                    records: 9,
                    bytes: 1
                }
            )),
            [0]
        );
        assert_eq!(tail.find(Topic::Events, 7, ALL), Found::Nothing);
        assert_eq!(tail.find(Topic::Events, 8, ALL), Found::Outside);
        assert_eq!(tail.find(Topic::Outcomes, 0, ALL), Found::Nothing);
    }

    #[test]
    fn memory_stays_within_the_budget_and_the_largest_topic_pays() {
        let tail = Tail::new(100, [(0, 0); 3]);
        tail.push([(Topic::Outcomes, row(0, 1, 20))]);
        for base in 0..50 {
            tail.push([(Topic::Events, row(base, 1, 30))]);
            let kept: usize = tail.lock().iter().map(|kept| kept.bytes).sum();
            assert!(kept <= 100, "{kept} bytes kept");
        }

        assert_eq!(tail.find(Topic::Events, 0, ALL), Found::Cold);
        assert_eq!(bases(tail.find(Topic::Events, 48, ALL)), [48, 49]);
        assert_eq!(bases(tail.find(Topic::Outcomes, 0, ALL)), [0]);
    }

    #[test]
    fn what_retention_removed_is_outside() {
        let tail = Tail::new(100, [(0, 0); 3]);
        tail.push([(Topic::Events, row(0, 2, 1)), (Topic::Events, row(2, 1, 1))]);

        tail.set_first(Topic::Events, 2);

        assert_eq!(tail.find(Topic::Events, 1, ALL), Found::Outside);
        assert_eq!(bases(tail.find(Topic::Events, 2, ALL)), [2]);
        assert_eq!(tail.bounds(Topic::Events), (2, 3));
    }
}
