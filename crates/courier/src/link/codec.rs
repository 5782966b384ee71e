use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Sends an encoded `Delivery` as it is, as the only field of a request, and reads answers `M`.
///
/// The bytes that an agency sees are those that the log holds, whatever version of the messages this
/// binary was built with; and nothing is decoded only to be encoded again.
pub(crate) struct AsStored<M>(PhantomData<M>);

pub(crate) struct Wrap;

pub(crate) struct Read<M>(PhantomData<M>);

/// Field 1, length-delimited: `delivery` of `DeliverRequest` and `DeliverStreamRequest`.
const DELIVERY_FIELD: u8 = 0x0a;

// === impl AsStored ===

impl<M> Default for AsStored<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: Message + Default + 'static> Codec for AsStored<M> {
    type Encode = Bytes;
    type Decode = M;
    type Encoder = Wrap;
    type Decoder = Read<M>;

    fn encoder(&mut self) -> Wrap {
        Wrap
    }

    fn decoder(&mut self) -> Read<M> {
        Read(PhantomData)
    }
}

// === impl Wrap ===

impl Encoder for Wrap {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, delivery: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        wrap(&delivery, buffer);
        Ok(())
    }
}

fn wrap(delivery: &[u8], buffer: &mut impl BufMut) {
    buffer.put_u8(DELIVERY_FIELD);
    prost::encoding::encode_varint(delivery.len() as u64, buffer);
    buffer.put_slice(delivery);
}

// === impl Read ===

impl<M: Message + Default> Decoder for Read<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        let message = M::decode(buffer);
        message
            .map(Some)
            .map_err(|error| Status::internal(format!("unreadable answer: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use proto::v1;

    use super::*;

    #[test]
    fn wrapped_bytes_are_a_request_of_either_kind() {
        let delivery = v1::Delivery {
            id: "x".repeat(300),
            data: Bytes::from_static(b"{}"),
            ..v1::Delivery::default()
        };
        let mut buffer = Vec::new();
        wrap(&delivery.encode_to_vec(), &mut buffer);
        let unary = v1::DeliverRequest::decode(buffer.as_slice()).unwrap();
        let stream = v1::DeliverStreamRequest::decode(buffer.as_slice()).unwrap();
        assert_eq!(unary.delivery, Some(delivery.clone()));
        assert_eq!(stream.delivery, Some(delivery));
    }
}
