use std::collections::{BTreeMap, HashMap};

use log::{Read, Record, Topic};
use sha2::{Digest, Sha256};
use store::{InboxEntry, Move, Offsets};

use crate::{Fresh, Unreadable, outbox::inbox_id};

/// A batch as it was read: what is new in it, what cannot be read, and how far it moves the offsets.
pub(crate) struct Batch {
    pub(crate) fresh: Vec<Fresh>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) inbox: Vec<InboxEntry>,
    pub(crate) moves: Vec<Move>,
}

/// A record with its inbox id and the digest of its body.
pub(crate) struct Known {
    pub(crate) read: Read,
    pub(crate) id: [u8; 16],
    digest: i64,
}

/// Works out ids and digests.
pub(crate) fn identify(reads: Vec<Read>) -> Vec<Known> {
    let known = reads.into_iter().map(|read| {
        let (id, digest) = match &read {
            Read::Ok(stored) => (*inbox_id(stored).as_bytes(), digest(&stored.record)),
            Read::Broken { .. } => ([0; 16], 0),
        };
        Known { read, id, digest }
    });
    known.collect()
}

/// Drops repeats, marks conflicts, and works out the moves.
pub(crate) fn sift(
    records: Vec<Known>,
    mut seen: HashMap<[u8; 16], i64>,
    offsets: &Offsets,
    now: i64,
) -> Batch {
    let mut batch = Batch {
        fresh: Vec::new(),
        unreadable: Vec::new(),
        inbox: Vec::new(),
        moves: Vec::new(),
    };
    let mut next: BTreeMap<(Topic, i32), i64> = BTreeMap::new();
    for Known { read, id, digest } in records {
        let position = read.position();
        next.insert((read.topic(), position.partition), position.offset + 1);
        match read {
            Read::Broken {
                topic,
                position,
                appended_at,
                raw,
                reason,
            } => {
                batch.unreadable.push(Unreadable {
                    topic,
                    position,
                    appended_at,
                    reason,
                    raw,
                });
            }
            Read::Ok(stored) => match seen.get(&id) {
                Some(before) if *before == digest => {}
                before => {
                    let conflict = before.is_some();
                    if !conflict {
                        seen.insert(id, digest);
                        batch.inbox.push(InboxEntry {
                            id,
                            digest,
                            seen_at: now,
                        });
                    }
                    batch.fresh.push(Fresh {
                        stored,
                        id: id.into(),
                        conflict,
                    });
                }
            },
        }
    }
    batch.moves = moves(next, offsets);
    batch
}

/// From where this instance read to behind what it has read.
fn moves(next: BTreeMap<(Topic, i32), i64>, offsets: &Offsets) -> Vec<Move> {
    let moves = next.into_iter().map(|((topic, partition), next)| {
        let topic = topic.label().to_owned();
        let expected = offsets.get(&(topic.clone(), partition));
        Move {
            expected: expected.copied().unwrap_or(0),
            topic,
            partition,
            next,
        }
    });
    moves.collect()
}

/// The first eight bytes of the SHA-256 of what the record says. The trace context may differ, and
/// so may the order of the headers.
fn digest(record: &Record) -> i64 {
    let mut hash = Sha256::new();
    let headers = record.headers.iter();
    let mut headers: Vec<_> = headers.filter(|(name, _)| name != "traceparent").collect();
    headers.sort();
    for (name, value) in headers {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(value.as_bytes());
        hash.update([0]);
    }
    hash.update(&record.value);
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use log::{Position, Stored};

    use super::*;

    fn read(offset: i64, id: &str, value: &'static str) -> Read {
        let headers = vec![
            ("source".into(), "desk".to_owned()),
            ("id".into(), id.to_owned()),
        ];
        Read::Ok(Stored {
            topic: Topic::Events,
            position: Position {
                partition: 0,
                offset,
            },
            appended_at: Timestamp::UNIX_EPOCH,
            record: Record {
                key: "d".to_owned(),
                headers,
                value: value.into(),
            },
        })
    }

    fn sifted(reads: Vec<Read>, seen: HashMap<[u8; 16], i64>) -> Batch {
        sift(identify(reads), seen, &Offsets::new(), 0)
    }

    #[test]
    fn a_repeat_is_dropped_and_another_body_is_a_conflict() {
        let batch = sifted(
            vec![read(0, "a", "x"), read(1, "a", "x"), read(2, "a", "y")],
            HashMap::new(),
        );
        let conflicts: Vec<bool> = batch.fresh.iter().map(|fresh| fresh.conflict).collect();
        assert_eq!((conflicts, batch.inbox.len()), (vec![false, true], 1));
        let seen = batch
            .inbox
            .iter()
            .map(|entry| (entry.id, entry.digest))
            .collect();
        let again = sifted(vec![read(3, "a", "x"), read(4, "b", "x")], seen);
        assert_eq!((again.fresh.len(), again.inbox.len()), (1, 1));
    }

    #[test]
    fn the_trace_and_the_order_of_headers_may_differ_in_a_repeat() {
        let Read::Ok(first) = read(0, "a", "x") else {
            unreachable!("it is whole");
        };
        let mut second = first.clone();
        second.record.headers.reverse();
        let trace = ("traceparent".into(), "00-1-2-01".to_owned());
        second.record.headers.push(trace);
        let batch = sifted(vec![Read::Ok(first), Read::Ok(second)], HashMap::new());
        assert_eq!(batch.fresh.len(), 1);
    }

    #[test]
    fn records_without_an_id_are_no_repeats_of_one_another() {
        let batch = sifted(vec![read(0, "", "x"), read(1, "", "x")], HashMap::new());
        let conflicts: Vec<bool> = batch.fresh.iter().map(|fresh| fresh.conflict).collect();
        assert_eq!(conflicts, [false, false]);
    }

    #[test]
    fn offsets_move_past_everything_that_was_read() {
        let broken = Read::Broken {
            topic: Topic::Events,
            position: Position {
                partition: 0,
                offset: 7,
            },
            appended_at: Timestamp::UNIX_EPOCH,
            raw: "?".into(),
            reason: "no batch".to_owned(),
        };
        let batch = sifted(vec![read(6, "a", "x"), broken], HashMap::new());
        assert_eq!(batch.unreadable.len(), 1);
        assert_eq!((batch.moves.len(), batch.moves[0].next), (1, 8));
    }
}
