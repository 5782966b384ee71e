//! Reply rules as their users meet them: through files.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of `#[test]` functions"
)]

mod deployed;
mod hostile;
mod problems;
mod reading;
mod rules;
