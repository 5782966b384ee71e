use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use crate::Position;

/// A value and where it stands in its file; to a schema it is the value.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it begins.
    pub position: Position,
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

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

pub(crate) fn position(location: Location) -> Position {
    Position {
        line: location.line(),
        column: location.column(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_the_place_where_it_begins() {
        let text = "- ế: [a]\n- ế:\n  - b\n  - c\n";
        let list: Vec<At<std::collections::BTreeMap<String, Vec<At<String>>>>> =
            serde_saphyr::from_str(text).unwrap();
        let mut places = Vec::new();
        for map in &list {
            places.push(map.position.to_string());
            let values = map.value.values().flatten();
            places.extend(values.map(|at| format!("{} {}", at.value, at.position)));
        }
        assert_eq!(places, ["1:3", "a 1:7", "2:3", "b 3:5", "c 4:5"]);
    }

    #[test]
    fn to_a_schema_it_is_the_value() {
        let (with, without) = (
            schemars::schema_for!(Vec<At<u32>>),
            schemars::schema_for!(Vec<u32>),
        );
        assert_eq!(with, without);
    }
}
