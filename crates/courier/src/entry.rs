use std::hash::{DefaultHasher, Hash, Hasher};

use domain::{DeliveryId, DossierKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An undelivered delivery as its lane keeps it: no payload and no text, because 100,000 of them may
/// wait for one dead destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: DeliveryId,
    pub(crate) place: Place,
    pub(crate) dossier: DossierMark,
    pub(crate) due_at: Millis,
    pub(crate) opened_at: Millis,
    /// Not to be tried before; zero is at once.
    pub(crate) next_at: Millis,
    /// Attempts made.
    pub(crate) tries: u32,
    /// Attempts that count against the retry plan.
    pub(crate) charged: u32,
}

/// Where the delivery stands in the log: its order within the dossier, and its key in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Stands for a dossier's key. Two dossiers with the same mark only wait for one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DossierMark(pub(crate) u64);

/// An instant as Unix milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub(crate) struct Millis(pub(crate) i64);

const _: () = assert!(size_of::<Entry>() <= 96);

// === impl DossierMark ===

impl From<&DossierKey> for DossierMark {
    fn from(key: &DossierKey) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self(hasher.finish())
    }
}

// === impl Millis ===

impl Millis {
    pub(crate) const MAX: Self = Self(i64::MAX);

    /// The instant so much later.
    pub(crate) fn plus(self, span: std::time::Duration) -> Self {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(span))
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        })
    }
}

impl From<Timestamp> for Millis {
    fn from(time: Timestamp) -> Self {
        Self(time.as_millisecond())
    }
}
