use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::Run;
use super::scenario::{DESKS, Job, SERVICE, is_away};
use crate::entry::Millis;

/// A published retry schedule: fixed waits, whatever the deadline.
#[derive(Debug)]
pub(super) struct Ladder {
    pub(super) system: &'static str,
    waits: Vec<Duration>,
    /// No attempt is made later than this after the opening.
    lifetime: Duration,
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

// === impl Ladder ===

impl Ladder {
    /// As their documentation or source said on the dates of the peer survey; random spread, where they
    /// have any, is left out. A system that is not here has no schedule of its own, or none was published.
    pub(super) fn published() -> Vec<Self> {
        let of = |system, waits: Vec<Duration>| Self {
            system,
            waits,
            lifetime: Duration::MAX,
        };
        let growing = (0..104).map(|n| (20 * SECOND * 3_u32.pow(n.min(5))).min(HOUR));
        vec![
            // Ten more tries, 45 seconds apart.
            of("OpenCPS", vec![45 * SECOND; 10]),
            // The sample configuration: four in twelve minutes.
            of("Domibus sample", vec![3 * MINUTE; 4]),
            // Default of a custom bus: five attempts within 300 seconds.
            of("EventBridge", vec![75 * SECOND; 4]),
            of(
                "Svix",
                vec![
                    5 * SECOND,
                    5 * MINUTE,
                    30 * MINUTE,
                    2 * HOUR,
                    5 * HOUR,
                    10 * HOUR,
                    10 * HOUR,
                ],
            ),
            of(
                "ReportStream",
                vec![10 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR],
            ),
            // From 20 seconds threefold up to an hour, 105 tries, and a message lives for 24 hours.
            Self {
                lifetime: 24 * HOUR,
                ..of("eFormidling", growing.collect())
            },
        ]
    }

    /// Attempts go out when they are due, and in that order where desks are short.
    pub(super) fn run(&self, jobs: &[Job]) -> Run {
        let mut run = Run {
            ends: vec![None; jobs.len()],
            attempts_away: 0,
        };
        let mut desks: BinaryHeap<Reverse<Millis>> = vec![Reverse(Millis::default()); DESKS].into();
        let first = jobs.iter().enumerate();
        let mut due: BinaryHeap<_> = first
            .map(|(number, job)| Reverse((job.opened_at, number, 0)))
            .collect();
        while let Some(Reverse((due_at, number, tries))) = due.pop() {
            let Some(Reverse(free)) = desks.pop() else {
                break;
            };
            let now = free.max(due_at);
            if is_away(now) {
                desks.push(Reverse(free));
                run.attempts_away += 1;
                let next = self.waits.get(tries).map(|wait| now.plus(*wait));
                let end = jobs[number].opened_at.plus(self.lifetime);
                due.extend(
                    next.filter(|next| *next <= end)
                        .map(|next| Reverse((next, number, tries + 1))),
                );
                continue;
            }
            let end = now.plus(SERVICE);
            run.ends[number] = Some(end);
            desks.push(Reverse(end));
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums that the survey of peers gives for these schedules.
    #[test]
    fn horizons_of_the_ladders_are_the_published_ones() {
        let sums: Vec<(&str, u64)> = Ladder::published()
            .iter()
            .map(|ladder| {
                let sum: Duration = ladder.waits.iter().sum();
                (ladder.system, sum.min(ladder.lifetime).as_secs() / 60)
            })
            .collect();
        let expected = [
            ("OpenCPS", 7),
            ("Domibus sample", 12),
            ("EventBridge", 5),
            ("Svix", 27 * 60 + 35),
            ("ReportStream", 41 * 60 + 10),
            ("eFormidling", 24 * 60),
        ];
        assert_eq!(sums, expected);
    }
}
