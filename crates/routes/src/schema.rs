use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::destination_file::DestinationsFile;
use crate::route_file::RouteFile;

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
