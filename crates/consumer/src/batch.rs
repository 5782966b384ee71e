use std::collections::{BTreeMap, HashMap};

use domain::RecordId;
use jiff::Timestamp;
use log::{Position, Read, Record, Stored, Topic};
use sha2::{Digest, Sha256};
use store::{InboxEntry, Move, Offsets};

use crate::{Fresh, Unreadable};

/// Of a time in Unix milliseconds, in an inbox key: until the year 10889.
const TIME_BYTES: usize = 6;

/// A batch as it was read: what is new in it, what cannot be read, and how far it moves the offsets.
pub(crate) struct Batch {
    pub(crate) fresh: Vec<Fresh>,
    pub(crate) unreadable: Vec<Unreadable>,
    pub(crate) inbox: Vec<InboxEntry>,
    pub(crate) moves: Vec<Move>,
}

/// A record with its id, its key in the inbox and the digest of its body.
pub(crate) struct Known {
    read: Read,
    id: RecordId,
    pub(crate) key: [u8; 16],
    digest: i64,
}

/// Works out ids, keys and digests.
pub(crate) fn identify(reads: Vec<Read>) -> Vec<Known> {
    let known = reads.into_iter().map(|read| {
        let (id, key, digest) = match &read {
            Read::Ok(stored) => {
                let id = record_id(stored);
                (id, inbox_key(stored, id), digest(&stored.record))
            }
            Read::Broken { .. } => (RecordId::from([0; 16]), [0; 16], 0),
        };
        Known {
            read,
            id,
            key,
            digest,
        }
    });
    known.collect()
}

/// The id of a record: of its source and id; of its place where it lacks one of them, for then nothing
/// can be said to be its repeat.
fn record_id(stored: &Stored) -> RecordId {
    let part = |name| stored.record.header(name).filter(|text| !text.is_empty());
    if let (Some(source), Some(id)) = (part("source"), part("id")) {
        return RecordId::of("event", &[source, id]);
    }
    let Position { partition, offset } = stored.position;
    let (partition, offset) = (partition.to_string(), offset.to_string());
    RecordId::of("place", &[stored.topic.label(), &partition, &offset])
}

/// Where the inbox keeps the id. Ids are hashes, so each new one would touch a page of its own; an
/// outcome, whose repeat bears the same time because it is the same committed row, is kept by its time,
/// beside those of the same moment. The time of an agency's event is the agency's word, and an order
/// that is sent again is stamped anew: both are kept by their id alone.
fn inbox_key(stored: &Stored, id: RecordId) -> [u8; 16] {
    let mut key = *id.as_bytes();
    let time = stored.record.header("time");
    let time = time.filter(|_| stored.topic == Topic::Outcomes);
    if let Some(at) = time.and_then(|text| text.parse::<Timestamp>().ok()) {
        key[..TIME_BYTES].copy_from_slice(&at.as_millisecond().to_be_bytes()[8 - TIME_BYTES..]);
    }
    key
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
    for known in records {
        let Known {
            read,
            id,
            key,
            digest,
        } = known;
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
            Read::Ok(stored) => match seen.get(&key) {
                Some(before) if *before == digest => {}
                before => {
                    let conflict = before.is_some();
                    if !conflict {
                        seen.insert(key, digest);
                        batch.inbox.push(InboxEntry {
                            id: key,
                            digest,
                            seen_at: now,
                        });
                    }
                    batch.fresh.push(Fresh {
                        stored,
                        id,
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
    fn outcomes_are_kept_by_their_time_and_everything_else_by_its_id() {
        let key_at = |topic, id: &str, time: &str| {
            let Read::Ok(mut stored) = read(0, id, "x") else {
                unreachable!("it is whole");
            };
            stored.topic = topic;
            stored.record.headers.push(("time".into(), time.to_owned()));
            identify(vec![Read::Ok(stored)])[0].key
        };
        let (noon, later) = ("2026-01-05T12:00:00Z", "2026-01-05T12:00:00.001Z");
        let mut of_noon: Vec<_> = (0..64)
            .map(|number| key_at(Topic::Outcomes, &number.to_string(), noon))
            .collect();
        of_noon.sort_unstable();
        of_noon.dedup();
        assert_eq!(of_noon.len(), 64);
        assert!(*of_noon.last().unwrap() < key_at(Topic::Outcomes, "0", later));
        for topic in [Topic::Events, Topic::Deliveries] {
            assert_eq!(key_at(topic, "a", noon), key_at(topic, "a", later));
        }
        assert_eq!(
            key_at(Topic::Outcomes, "a", "noon"),
            key_at(Topic::Events, "a", noon)
        );
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
