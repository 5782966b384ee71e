use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use crate::problem::Position;

/// A value and where it stands in its file.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) position: Position,
}

// === impl At ===

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            position: position(spanned.referenced),
        })
    }
}

pub(crate) fn position(location: Location) -> Position {
    Position {
        line: location.line(),
        column: location.column(),
    }
}
