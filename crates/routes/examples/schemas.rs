//! Writes the JSON Schemas of route and destination files to `deploy/schemas`.

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/schemas");
    fs::create_dir_all(&schemas)?;
    let (route, destinations) = routes::json_schema();
    for (name, schema) in [("route.json", route), ("destinations.json", destinations)] {
        let text = serde_json::to_string_pretty(&schema)? + "\n";
        fs::write(schemas.join(name), text)?;
    }
    Ok(())
}
