//! What the guard lets through and what it stops: addresses, spellings, names, certificates.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod corpus;
mod dialling;
mod names;
mod tls;
