//! Scenarios over the whole pipeline.
