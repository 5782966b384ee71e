//! Generates the committed code of this crate from `proto/`. No protoc: protox compiles.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// The generated files, in the order in which they are compared.
pub(crate) const FILES: [&str; 2] = ["lienthong.v1.rs", "descriptors.bin"];

/// Writes the generated files into `out`.
pub(crate) fn generate(out: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut sources: Vec<_> = fs::read_dir(root.join("lienthong/v1"))
        .context("proto/lienthong/v1 is missing")?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    sources.sort();
    let descriptors = protox::compile(&sources, [&root])?;
    let mut config = tonic_prost_build::Config::new();
    config.bytes(["."]);
    tonic_prost_build::configure()
        .out_dir(out)
        .compile_fds_with_config(descriptors.clone(), config)?;
    let bytes = prost::Message::encode_to_vec(&descriptors);
    fs::write(out.join(FILES[1]), bytes)?;
    Ok(())
}
