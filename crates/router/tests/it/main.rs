//! What the router decides, and that it decides the same whatever the order and the batches.

#![cfg(test)]

mod boundaries;
mod bundle;
mod holds;
mod proofs;
mod properties;
mod replay;
mod start;
mod units;
mod world;
