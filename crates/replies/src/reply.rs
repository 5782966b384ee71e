use crate::GrpcCode;

/// Everything about a reply that a rule may look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: Option<u16>,
    /// The gRPC code.
    pub grpc: Option<GrpcCode>,
    /// Headers or trailers; the case of their names does not matter.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, of which the first [`Reply::READ`] bytes are looked at.
    pub body: &'a [u8],
    /// The id of the delivery that was sent.
    pub delivery: &'a str,
}

// === impl Reply ===

impl<'a> Reply<'a> {
    /// How many bytes of a body are looked at.
    pub const READ: usize = 128 << 10;

    /// The part of the body that is looked at.
    pub(crate) fn head(&self) -> &'a [u8] {
        &self.body[..self.body.len().min(Self::READ)]
    }

    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Whether it repeats the delivery's id: as the value of a header, or anywhere in its body.
    pub(crate) fn names_delivery(&self) -> bool {
        let id = self.delivery.as_bytes();
        let in_headers = || self.headers.iter().any(|(_, value)| value.as_bytes() == id);
        !id.is_empty() && (in_headers() || self.head().windows(id.len()).any(|part| part == id))
    }
}
