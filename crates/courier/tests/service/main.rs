//! The courier as a whole: a real store and log in a scratch directory, scripted agencies on the
//! loopback interface.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod agency;
mod arriving;
mod away;
mod couriers;
mod crash_points;
mod dead_letters;
mod doubt;
mod faults;
mod flaky;
mod guarded;
mod hanging;
mod harness;
mod hostile;
mod http_inbox;
mod jobs;
mod neighbours;
mod orders;
mod outcomes_topic;
mod payloads;
mod process;
mod proofs;
mod pull;
mod pull_agency;
mod pull_http;
mod reading;
mod soap;
mod start;
mod statuses;
mod tls;
mod topic;
mod trial;
mod ways;
