//! The route language from outside: files in, answers or problems out.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of `#[test]` functions"
)]

mod deployed;
mod destination_problems;
mod destinations;
mod good;
mod properties;
mod route_problems;
mod step_problems;
mod terms;
mod terms_problems;
mod versions;
mod warnings;
