//! Marks that stand for the procedure and the sender of a delivery.

use domain::Delivery;

/// Stands for the procedure and the sender of a delivery. Rows hold it, so it never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) procedure: u32,
    /// The source of the event that caused the delivery.
    pub(crate) sender: u32,
}

/// The 32-bit FNV-1a hash of a text: the same on every machine and for good.
pub(crate) fn mark32(text: &str) -> u32 {
    const BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(PRIME);
    text.bytes().fold(BASIS, step)
}

// === impl Marks ===

impl Marks {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self {
            procedure: mark32(delivery.procedure.as_str()),
            sender: mark32(delivery.cause.0.as_str()),
        }
    }

    /// Both in the one number of the row.
    pub(crate) fn packed(self) -> i64 {
        i64::from(self.procedure) << 32 | i64::from(self.sender)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "each half of the number is one mark"
    )]
    pub(crate) fn unpacked(packed: i64) -> Self {
        Self {
            procedure: (packed as u64 >> 32) as u32,
            sender: packed as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_the_published_hash_and_go_round() {
        // Test vectors of the hash's authors.
        assert_eq!(mark32(""), 0x811c_9dc5);
        assert_eq!(mark32("a"), 0xe40c_292c);
        assert_eq!(mark32("foobar"), 0xbf9c_f968);
        let marks = Marks {
            procedure: u32::MAX,
            sender: 0xe40c_292c,
        };
        assert_eq!(Marks::unpacked(marks.packed()), marks);
    }
}
