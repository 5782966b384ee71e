//! Prints what loading the registry costs: `cargo run --release -p territory --example load_cost`.
#![expect(clippy::print_stdout, reason = "an example that reports to its reader")]

use std::time::Instant;

use territory::{DataError, Territory};

fn main() -> Result<(), DataError> {
    let start = Instant::now();
    let territory = Territory::embedded()?;
    let took = start.elapsed();
    println!(
        "{:.2} ms, {} bytes on the heap",
        took.as_secs_f64() * 1e3,
        territory.heap_bytes()
    );
    Ok(())
}
