//! What is wrong in a file is told with its place, what is there and what was expected.

use crate::good::{DESTINATIONS, ROUTE, read, with};

#[track_caller]
fn check_route(part: &str, replacement: &str, expected: &str) {
    let problems = read(&with(ROUTE, part, replacement), DESTINATIONS).unwrap_err();
    assert_eq!(problems, expected);
}

#[test]
fn x() {
    check_route("after: [civil-status]", "after: [civil-statuz]", "");
}
