use drafts::Shape;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::destination_file::DestinationsFile;
use crate::route_file::RouteFile;

/// A file of another shape is told this.
pub(crate) const SHAPE: Shape = Shape {
    expected: "YAML of the published schema",
    plainer: &[
        (
            "invalid u32",
            "no whole number stands here",
            "a whole number",
        ),
        (
            "invalid boolean",
            "no truth value stands here",
            "`true` or `false`",
        ),
        (
            "mapping values are not allowed",
            "mapping values are not allowed in this context",
            "YAML of the published schema; a value that ends with `:` stands in quotes",
        ),
    ],
};

/// The JSON Schemas of a route file and of a destination file, for editors. They are committed under
/// `deploy/schemas`; `cargo run -p routes --example schemas` writes them anew.
pub fn json_schema() -> (Value, Value) {
    let schema = |title: &str, schema: schemars::Schema| {
        let mut schema = schema.to_value();
        schema["title"] = title.into();
        schema
    };
    let generator = || SchemaSettings::draft07().into_generator();
    (
        schema(
            "Lienthong route",
            generator().into_root_schema_for::<RouteFile>(),
        ),
        schema(
            "Lienthong destinations",
            generator().into_root_schema_for::<DestinationsFile>(),
        ),
    )
}
