//! Scenarios over the whole pipeline.

mod architecture;
