//! Messages as bytes, so that a parcel may hold what our own types do not know.

use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::sample::Parcel;

/// Sends bytes as they are and reads answers `M`.
pub(super) struct AsBytes<M>(PhantomData<M>);

pub(super) struct Put;

/// Field 1, length-delimited: `delivery` of both requests.
const DELIVERY_FIELD: u8 = 0x0a;

/// Field 1000, a number: what no version of `Delivery` has yet.
pub(super) const UNKNOWN_FIELD: &[u8] = &[0xc0, 0x3e, 0x2a];

/// A request that no version of the messages can be.
pub(super) const GARBAGE: &[u8] = &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];

/// A request that carries the parcel.
pub(super) fn request(parcel: &Parcel) -> Bytes {
    let mut delivery = parcel.delivery.encode_to_vec();
    delivery.extend_from_slice(parcel.unknown);
    let mut request = Vec::with_capacity(delivery.len() + 8);
    request.put_u8(DELIVERY_FIELD);
    prost::encoding::encode_varint(delivery.len() as u64, &mut request);
    request.extend_from_slice(&delivery);
    request.into()
}

// === impl AsBytes ===

impl<M> Default for AsBytes<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: Message + Default + 'static> Codec for AsBytes<M> {
    type Encode = Bytes;
    type Decode = M;
    type Encoder = Put;
    type Decoder = Self;

    fn encoder(&mut self) -> Put {
        Put
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<M: Message + Default> Decoder for AsBytes<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        let message = M::decode(buffer);
        message
            .map(Some)
            .map_err(|error| Status::unknown(format!("unreadable answer: {error}")))
    }
}

// === impl Put ===

impl Encoder for Put {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, bytes: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto::v1;

    use super::*;

    #[test]
    fn the_unknown_field_is_skipped_by_a_reader_and_garbage_is_not() {
        let parcel = Parcel {
            delivery: v1::Delivery {
                id: "a".to_owned(),
                ..v1::Delivery::default()
            },
            headers: Vec::new(),
            unknown: UNKNOWN_FIELD,
        };
        let bytes = request(&parcel);
        let read = v1::DeliverRequest::decode(bytes.as_ref()).unwrap();
        assert_eq!(read.delivery, Some(parcel.delivery));
        assert_eq!(read.encoded_len() + UNKNOWN_FIELD.len(), bytes.len());
        assert!(v1::DeliverRequest::decode(GARBAGE).is_err());
    }
}
