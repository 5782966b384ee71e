use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Run;
use super::scenario::{BACK, DESKS, Job, SERVICE, is_away};
use crate::entry::Millis;

/// A queue that knows when the destination is back and leaves no desk idle; the smallest key goes first.
pub(super) fn run(jobs: &[Job], key: impl Fn(&Job) -> Millis) -> Run {
    let mut ends = vec![None; jobs.len()];
    let mut desks: BinaryHeap<Reverse<Millis>> = vec![Reverse(Millis::default()); DESKS].into();
    let mut waiting = BinaryHeap::new();
    let mut coming = jobs.iter().enumerate().peekable();
    let mut now = Millis::default();
    while let Some(Reverse(free)) = desks.pop() {
        let next = coming.peek().map(|(_, job)| job.opened_at);
        now = now.max(free);
        if let Some(opened_at) = next.filter(|_| waiting.is_empty()) {
            now = now.max(opened_at);
        }
        if is_away(now) {
            now = BACK;
        }
        while let Some((number, job)) = coming.next_if(|(_, job)| job.opened_at <= now) {
            waiting.push(Reverse((key(job), number)));
        }
        let Some(Reverse((_, number))) = waiting.pop() else {
            break;
        };
        let end = now.plus(SERVICE);
        ends[number] = Some(end);
        desks.push(Reverse(end));
    }
    Run {
        ends,
        attempts_away: 0,
    }
}
