//! How records are laid out in bytes: a versioned frame with a checksum per record.
//!
//! ```text
//!  1 byte version │ 4 head checksum │ 4 count │ count × (4 length, 4 checksum) │ bodies
//!  body = key │ headers: count, (name, value)… │ value      texts with a varint length before them
//! ```
//!
//! The head has its own checksum, so that damage in one body spoils only that record. Numbers are
//! little-endian; checksums are CRC-32C (RFC 3720, appendix B.4).

mod checksum;

use std::borrow::Cow;
use std::iter::repeat_n;

use bytes::{BufMut, Bytes, BytesMut};

use crate::record::Record;
use checksum::crc32c;

const VERSION: u8 = 1;
const HEAD: usize = 1 + 4 + 4;
const ENTRY: usize = 4 + 4;

/// Attribute names that are given back without an allocation.
const KNOWN: &[&str] = &[
    "id",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "dataschema",
    "specversion",
    "dossierkey",
    "dossiercode",
    "procedure",
    "unit",
    "unitdate",
    "classification",
    "destination",
    "step",
    "agency",
    "delivery",
    "cause",
    "kind",
    "traceparent",
    "tracestate",
];

/// Bytes that are no batch, or a damaged one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// Written by a version that this one does not know.
    #[error("layout version {0} is not known")]
    Version(u8),
    /// Shorter or longer than its own head says.
    #[error("batch of {0} bytes does not have the length that its head says")]
    Length(usize),
    /// The head does not match its checksum.
    #[error("the batch's head is damaged")]
    Head,
    /// A body does not match its checksum.
    #[error("record {0} of the batch is damaged")]
    Body(usize),
    /// A body is whole but is no record.
    #[error("record {0} of the batch is malformed")]
    Malformed(usize),
}

/// One record of a batch that was read with forbearance.
pub(crate) type Entry = Result<Record, (Bytes, Undecodable)>;

/// Lays records out in bytes; [`decode_batch`] reads them again.
pub fn encode_batch(records: &[Record]) -> Bytes {
    let bodies: usize = records
        .iter()
        .map(|record| record.size() + 16 + 4 * record.headers.len())
        .sum();
    let mut out = BytesMut::with_capacity(HEAD + ENTRY * records.len() + bodies);
    out.put_u8(VERSION);
    out.put_u32_le(0);
    out.put_u32_le(u32::try_from(records.len()).expect("an append holds fewer than 2^32 records"));
    out.put_bytes(0, ENTRY * records.len());
    for (index, record) in records.iter().enumerate() {
        let start = out.len();
        put_record(&mut out, record);
        let body = &out[start..];
        let length = u32::try_from(body.len()).expect("a record is far below 4 GiB");
        let checksum = crc32c(body);
        let entry = HEAD + ENTRY * index;
        out[entry..entry + 4].copy_from_slice(&length.to_le_bytes());
        out[entry + 4..entry + ENTRY].copy_from_slice(&checksum.to_le_bytes());
    }
    let head = head_checksum(&out, records.len());
    out[1..5].copy_from_slice(&head.to_le_bytes());
    out.freeze()
}

/// Reads what [`encode_batch`] wrote; all or nothing. Values share the given bytes.
pub fn decode_batch(bytes: Bytes) -> Result<Vec<Record>, Undecodable> {
    let count = check_head(&bytes)?;
    bodies(bytes, count, 0)
        .map(|entry| entry.map_err(|(_, reason)| reason))
        .collect()
}

/// Reads a batch of `count` records from its record number `skip` on, lazily and one by one, so
/// that a damaged one spoils only itself. When the head is damaged, every record is.
pub(crate) fn decode_each(bytes: Bytes, count: usize, skip: usize) -> impl Iterator<Item = Entry> {
    let head = match check_head(&bytes) {
        Ok(found) if found == count => Ok(()),
        Ok(_) => Err(Undecodable::Head),
        Err(reason) => Err(reason),
    };
    let (whole, broken) = match head {
        Ok(()) => (Some(bodies(bytes, count, skip)), None),
        Err(reason) => (
            None,
            Some(repeat_n(Err((bytes, reason)), count.saturating_sub(skip))),
        ),
    };
    whole
        .into_iter()
        .flatten()
        .chain(broken.into_iter().flatten())
}

/// The number of records, once the head is known to be whole.
fn check_head(bytes: &[u8]) -> Result<usize, Undecodable> {
    let length = Undecodable::Length(bytes.len());
    let version = *bytes.first().ok_or(length.clone())?;
    if version != VERSION {
        return Err(Undecodable::Version(version));
    }
    let stored = u32_at(bytes, 1).ok_or(length.clone())?;
    let count = u32_at(bytes, 5).ok_or(length.clone())? as usize;
    if bytes.len() < HEAD + ENTRY * count {
        return Err(length);
    }
    if head_checksum(bytes, count) != stored {
        return Err(Undecodable::Head);
    }
    let bodies: usize = (0..count).map(|index| body_length(bytes, index)).sum();
    if HEAD + ENTRY * count + bodies == bytes.len() {
        Ok(count)
    } else {
        Err(length)
    }
}

/// The records of a batch whose head is whole.
fn bodies(bytes: Bytes, count: usize, skip: usize) -> impl Iterator<Item = Entry> {
    let skipped: usize = (0..skip.min(count))
        .map(|index| body_length(&bytes, index))
        .sum();
    let mut start = HEAD + ENTRY * count + skipped;
    (skip..count).map(move |index| {
        let body = bytes.slice(start..start + body_length(&bytes, index));
        start += body.len();
        if u32_at(&bytes, HEAD + ENTRY * index + 4) != Some(crc32c(&body)) {
            return Err((body, Undecodable::Body(index)));
        }
        take_record(&body).ok_or((body, Undecodable::Malformed(index)))
    })
}

fn body_length(bytes: &[u8], index: usize) -> usize {
    u32_at(bytes, HEAD + ENTRY * index).unwrap_or_default() as usize
}

fn head_checksum(bytes: &[u8], count: usize) -> u32 {
    crc32c(&bytes[5..HEAD + ENTRY * count]) ^ u32::from(bytes[0])
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

fn put_record(out: &mut BytesMut, record: &Record) {
    put_text(out, &record.key);
    put_varint(out, record.headers.len());
    for (name, value) in &record.headers {
        put_text(out, name);
        put_text(out, value);
    }
    out.put_slice(&record.value);
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_varint(out, text.len());
    out.put_slice(text.as_bytes());
}

fn put_varint(out: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        out.put_u8((number as u8) | 0x80);
        number >>= 7;
    }
    out.put_u8(number as u8);
}

fn take_record(body: &Bytes) -> Option<Record> {
    let mut rest: &[u8] = body;
    let key = take_text(&mut rest)?.to_owned();
    let count = take_varint(&mut rest)?;
    let mut headers = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let name = intern(take_text(&mut rest)?);
        headers.push((name, take_text(&mut rest)?.to_owned()));
    }
    let value = body.slice(body.len() - rest.len()..);
    Some(Record {
        key,
        headers,
        value,
    })
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = take_varint(rest)?;
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

fn take_varint(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

pub(crate) fn intern(name: &str) -> Cow<'static, str> {
    match KNOWN.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let text = "\\PC{0,40}";
        let name = prop_oneof![
            Just("id".to_owned()),
            Just("type".to_owned()),
            "[a-z]{0,200}"
        ];
        let headers = prop::collection::vec((name.prop_map(Cow::Owned), text), 0..6);
        let value = prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        let record = (text, headers, value).prop_map(|(key, headers, value)| Record {
            key,
            headers,
            value,
        });
        prop::collection::vec(record, 0..6)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(records in records()) {
            prop_assert_eq!(decode_batch(encode_batch(&records)), Ok(records));
        }

        #[test]
        fn a_flipped_bit_is_seen_and_spoils_one_record_or_all(
            records in records(),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let whole = encode_batch(&records);
            let mut damaged = whole.to_vec();
            *at.get_mut(&mut damaged) ^= 1 << bit;
            let damaged = Bytes::from(damaged);
            prop_assert!(decode_batch(damaged.clone()).is_err());

            let each: Vec<_> = decode_each(damaged, records.len(), 0).collect();
            prop_assert_eq!(each.len(), records.len());
            let broken = each.iter().filter(|entry| entry.is_err()).count();
            let in_head = at.index(whole.len()) < HEAD + ENTRY * records.len();
            prop_assert_eq!(broken, if in_head { records.len() } else { 1 });
            for (entry, record) in each.iter().zip(&records) {
                if let Ok(read) = entry {
                    prop_assert_eq!(read, record);
                }
            }
        }

        #[test]
        fn reading_may_begin_inside_a_batch(records in records(), skip in 0..7_usize) {
            let each = decode_each(encode_batch(&records), records.len(), skip);
            let read: Vec<_> = each.map(|entry| entry.map_err(|(_, reason)| reason)).collect();
            let expected: Vec<_> = records.into_iter().skip(skip).map(Ok).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn noise_is_refused_without_a_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode_batch(Bytes::from(noise)).is_err());
        }

        #[test]
        fn a_batch_cut_short_is_refused(records in records(), at in any::<prop::sample::Index>()) {
            let whole = encode_batch(&records);
            prop_assert!(decode_batch(whole.slice(..at.index(whole.len()))).is_err());
        }
    }

    #[test]
    fn a_newer_layout_is_refused_by_its_version() {
        assert_eq!(
            decode_batch(Bytes::from_static(&[9])),
            Err(Undecodable::Version(9))
        );
    }
}
