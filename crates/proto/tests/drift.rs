//! The committed code is what `proto/` generates.

#[path = "../codegen/codegen.rs"]
mod codegen;

use std::{fs, path::Path};

#[test]
fn generated_code_is_up_to_date() {
    let fresh = tempfile::tempdir().unwrap();
    codegen::generate(fresh.path()).unwrap();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    for file in codegen::FILES {
        let (new, old) = (
            fs::read(fresh.path().join(file)),
            fs::read(committed.join(file)),
        );
        assert!(
            new.unwrap() == old.unwrap(),
            "{file} differs: run `cargo run -p proto --example generate`"
        );
    }
}
