//! The gateway as a caller meets it: a real server, a real client, and a log that may misbehave.

#![cfg(test)]

mod faults;
mod publish;
mod server;
mod stop;
mod stream;
