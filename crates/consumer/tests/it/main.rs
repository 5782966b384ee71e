//! The one mechanism over a log and a store that fail on purpose.

#![cfg(test)]

mod faults;
mod records;
mod world;
