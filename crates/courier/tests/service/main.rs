//! The courier as a whole: a real store and log in a scratch directory, scripted agencies on the
//! loopback interface.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod agency;
mod arriving;
mod away;
mod dead_letters;
mod faults;
mod flaky;
mod harness;
mod http_inbox;
mod pull;
mod pull_agency;
mod pull_http;
mod start;
mod topic;
mod ways;
