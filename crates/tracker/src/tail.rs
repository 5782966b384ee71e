//! The newest entries of a timeline, which lie in the dossier's own row.
//!
//! A row for each entry would touch two more pages per record; the dossier's row is written anyway.
//! Once the entries have filled some space they go into a row of their own, all together.

use bytes::Bytes;
use prost::Message;
use proto::v1::TimelineEntry;

/// Entries that are not in the timeline table yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The number of the first of them.
    pub(crate) first: u64,
    /// The number of the next entry.
    pub(crate) next: u64,
    /// Encoded, one behind the other: lists of protobuf messages may be joined so.
    pub(crate) bytes: Vec<u8>,
}

/// Entries on their way into the timeline table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The number of the first.
    pub(crate) first: u64,
    pub(crate) bytes: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Entries {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<TimelineEntry>,
}

/// The key of field 1 of [`Entries`], whose values are preceded by their length.
const ENTRY: u8 = 1 << 3 | 2;
/// Beyond so many bytes the entries go into the table.
const FULL: usize = 1_024;

// === impl Tail ===

impl Tail {
    /// Adds entries; answers a full chunk, which leaves the tail empty.
    pub(crate) fn push(&mut self, entries: &[TimelineEntry]) -> Option<Chunk> {
        for entry in entries {
            self.bytes.push(ENTRY);
            entry
                .encode_length_delimited(&mut self.bytes)
                .expect("a vector grows as needed");
        }
        self.next += entries.len() as u64;
        (self.bytes.len() > FULL).then(|| {
            let first = std::mem::replace(&mut self.first, self.next);
            Chunk {
                first,
                bytes: std::mem::take(&mut self.bytes).into(),
            }
        })
    }

    /// The entries with their numbers.
    pub(crate) fn entries(&self) -> Result<Vec<(u64, TimelineEntry)>, prost::DecodeError> {
        entries(self.first, &self.bytes)
    }
}

/// The entries in bytes, with their numbers.
pub(crate) fn entries(
    first: u64,
    bytes: &[u8],
) -> Result<Vec<(u64, TimelineEntry)>, prost::DecodeError> {
    Ok((first..).zip(Entries::decode(bytes)?.entries).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_numbers_on_their_way_into_the_table() {
        let entry = |number: u64| TimelineEntry {
            id: format!("e-{number}"),
            ..Default::default()
        };
        let mut tail = Tail::default();
        let mut chunks = Vec::new();
        for first in (0..1_000).step_by(5) {
            let batch: Vec<_> = (first..first + 5).map(entry).collect();
            chunks.extend(tail.push(&batch));
            assert!(tail.bytes.len() <= FULL);
        }
        assert!(chunks.len() > 2 && tail.next == 1_000);
        let tabled = chunks
            .iter()
            .map(|chunk| entries(chunk.first, &chunk.bytes).unwrap());
        let all: Vec<_> = tabled.chain([tail.entries().unwrap()]).flatten().collect();
        let expected: Vec<_> = (0..1_000).map(|number| (number, entry(number))).collect();
        assert_eq!(all, expected);
    }
}
