use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::{AttemptClass, DeliveryId, RecordId};

use super::scenario::{Job, SERVICE, is_away};
use super::{Away, Run};
use crate::answer::Answer;
use crate::entry::{DossierMark, Entry, Millis, Place};
use crate::lane::{Lane, Setup};
use crate::sidelines::Marks;

/// The real lane with a clock that is only counted.
struct Simulated {
    lane: Lane,
    numbers: HashMap<DeliveryId, usize>,
    /// At work over there: when each ends.
    busy: BTreeSet<(Millis, usize, DeliveryId)>,
    answer: Answer,
    run: Run,
}

/// A failing destination says so at once.
const FAILED_AFTER: Duration = Duration::from_millis(5);
const TICK: Duration = Duration::from_millis(1);

/// What the lane makes of the load.
pub(super) fn run(jobs: &[Job], setup: &Setup, away: Away) -> Run {
    let mut simulated = Simulated::new(jobs, setup, away);
    let mut coming = jobs.iter().enumerate().peekable();
    let mut now = Millis::default();
    loop {
        let opened = coming.peek().map(|(_, job)| job.opened_at);
        let ended = simulated.busy.first().map(|(end, ..)| *end);
        let wake = simulated.lane.next_wake(now);
        let wake = wake.map(|wake| wake.max(now.plus(TICK)));
        let Some(next) = opened.into_iter().chain(ended).chain(wake).min() else {
            return simulated.run;
        };
        now = now.max(next);
        simulated.end(now);
        while let Some((number, job)) = coming.next_if(|(_, job)| job.opened_at <= now) {
            simulated.open(number, job, now);
        }
        simulated.lane.take_alarms(now);
        simulated.send(now);
    }
}

// === impl Simulated ===

impl Simulated {
    fn new(jobs: &[Job], setup: &Setup, away: Away) -> Self {
        let answer = match away {
            Away::Refuses => Answer::new(AttemptClass::Unreachable, "connection refused"),
            Away::Fails => Answer::of_http(500, None, false),
        };
        Self {
            lane: Lane::new(setup.clone()),
            numbers: HashMap::new(),
            busy: BTreeSet::new(),
            answer,
            run: Run {
                ends: vec![None; jobs.len()],
                attempts_away: 0,
            },
        }
    }

    fn open(&mut self, number: usize, job: &Job, now: Millis) {
        let id = DeliveryId::from(*RecordId::of("horizons", &[&number.to_string()]).as_bytes());
        let unique = i64::try_from(number).unwrap_or(i64::MAX);
        self.numbers.insert(id, number);
        let entry = Entry {
            id,
            place: Place {
                partition: 0,
                offset: unique,
            },
            dossier: DossierMark(unique.unsigned_abs()),
            due_at: job.due_at,
            opened_at: job.opened_at,
            next_at: Millis::default(),
            tries: 0,
            charged: 0,
            doubtful: false,
            announced: 0,
            marks: Marks::default(),
        };
        self.lane.add(entry, now);
    }

    fn send(&mut self, now: Millis) {
        loop {
            let taken = self.lane.take_at_most(usize::MAX, now);
            if taken.is_empty() {
                return;
            }
            for id in taken {
                if is_away(now) {
                    self.run.attempts_away += 1;
                    self.lane.answered(id, &self.answer, FAILED_AFTER, now);
                } else {
                    self.busy.insert((now.plus(SERVICE), self.numbers[&id], id));
                }
            }
        }
    }

    fn end(&mut self, now: Millis) {
        let taken = Answer::new(AttemptClass::Accepted, "taken");
        while let Some((end, number, id)) = self.busy.first().copied().filter(|b| b.0 <= now) {
            self.busy.pop_first();
            self.lane.answered(id, &taken, SERVICE, now);
            self.run.ends[number] = Some(end);
        }
    }
}
