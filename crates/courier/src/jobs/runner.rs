//! Works jobs off: one redrive order per item, at the job's rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Action, DeliveryId, DossierKey, JobId, Order, RecordId};
use log::{Log, Topic};
use runtime::Clock;
use store::{ReadError, Store};
use tokio::select;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Item, Job, running, waiting};
use crate::Error;
use crate::entry::Millis;
use crate::orders;
use crate::stored::Stored;
use crate::telemetry;

/// Writes the redrive orders of jobs into the log.
pub(crate) struct Runner {
    store: Store,
    log: Log,
    clock: Clock,
    /// Called when a job began or ended.
    changed: Arc<Notify>,
    paces: BTreeMap<JobId, Pace>,
}

/// How far this run is with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    /// Of the item after the last one that was ordered.
    next: u32,
    /// Ordered in this run.
    ordered: u32,
    /// Settled when this run took the job up.
    settled_before: u32,
    /// Counted from here on.
    since: Millis,
    /// Ordered since then.
    given: u64,
}

const PASS: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(5);
const AFTER_FAULT: Duration = Duration::from_secs(1);
const AT_ONCE: u32 = 500;
/// Ordered and not yet settled, at most: the fold is never that far behind, unless it cannot work.
const AHEAD: u32 = 2_000;

// === impl Runner ===

impl Runner {
    pub(crate) fn new(store: Store, log: Log, clock: Clock, changed: Arc<Notify>) -> Self {
        Self {
            store,
            log,
            clock,
            changed,
            paces: BTreeMap::new(),
        }
    }

    /// Works until the stop, through passing faults of log and store.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        loop {
            let pause = match self.pass().await {
                Ok(true) => PASS,
                Ok(false) => IDLE,
                Err(error) if error.is_transient() => {
                    telemetry::job_waits(&error);
                    AFTER_FAULT
                }
                Err(error) => return Err(error.into()),
            };
            select! {
                () = stop.cancelled() => return Ok(()),
                () = self.changed.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Orders what is due of every job; tells whether there is any.
    async fn pass(&mut self) -> Result<bool, Fault> {
        let jobs = running(&self.store).await?;
        self.paces
            .retain(|id, _| jobs.iter().any(|job| job.id == *id));
        for job in &jobs {
            self.work_on(job).await?;
        }
        Ok(!jobs.is_empty())
    }

    async fn work_on(&mut self, job: &Job) -> Result<(), Fault> {
        let now = Millis::from(self.clock.now());
        let mut pace = match self.paces.get(&job.id) {
            Some(pace) => *pace,
            None => Pace::new(job, now),
        };
        let number = pace.due(job, now);
        if number > 0 {
            let items = waiting(&self.store, &job.id, pace.next, number).await?;
            let orders = self.orders(job, &items).await?;
            if !orders.is_empty() {
                self.log.append(Topic::Deliveries, orders).await?;
            }
            pace.ordered(&items);
        }
        self.paces.insert(job.id.clone(), pace);
        Ok(())
    }

    async fn orders(&self, job: &Job, items: &[Item]) -> Result<Vec<log::Record>, ReadError> {
        let ids: Vec<DeliveryId> = items.iter().map(|item| item.delivery).collect();
        let rows = Stored::of_ids(&self.store, &ids).await?;
        let dossiers: BTreeMap<DeliveryId, DossierKey> = rows
            .into_iter()
            .filter_map(|row| Some((row.entry.id, row.dossier.parse().ok()?)))
            .collect();
        let records = items.iter().filter_map(|item| {
            // The order on a delivery that is not there has no dossier to stand behind.
            let dossier = match dossiers.get(&item.delivery) {
                Some(dossier) => dossier.clone(),
                None => item.delivery.to_string().parse().ok()?,
            };
            Some(orders::record(&order(job, item, dossier)))
        });
        Ok(records.collect())
    }
}

/// The same bytes whenever it is made.
fn order(job: &Job, item: &Item, dossier: DossierKey) -> Order {
    Order {
        id: RecordId::of("redrive", &[job.id.as_str(), &item.number.to_string()]),
        at: job.started_at.timestamp(),
        by: job.by.clone(),
        reason: job.reason.clone(),
        action: Action::Redrive {
            delivery: item.delivery,
            dossier,
            item: Some((job.id.clone(), item.number)),
        },
    }
}

// === impl Pace ===

impl Pace {
    fn new(job: &Job, now: Millis) -> Self {
        Self {
            next: 0,
            ordered: 0,
            settled_before: job.settled(),
            since: now,
            given: 0,
        }
    }

    /// How many more may be ordered now. Time in which nothing could be ordered is not made up for by
    /// more than a second's worth.
    fn due(&mut self, job: &Job, now: Millis) -> u32 {
        let passed = now.0.saturating_sub(self.since.0);
        let passed = u64::try_from(passed).unwrap_or(0);
        let rate = u64::from(job.rate);
        // The first one at once.
        let due = (passed.saturating_mul(rate) / 1_000 + 1).saturating_sub(self.given);
        let due = if due > rate {
            self.since = now;
            self.given = 0;
            rate
        } else {
            due
        };
        let settled = job.settled().saturating_sub(self.settled_before);
        let room = AHEAD.saturating_sub(self.ordered.saturating_sub(settled));
        u32::try_from(due)
            .unwrap_or(u32::MAX)
            .min(room)
            .min(AT_ONCE)
    }

    fn ordered(&mut self, items: &[Item]) {
        let number = u32::try_from(items.len()).unwrap_or(u32::MAX);
        self.ordered += number;
        self.given += u64::from(number);
        if let Some(last) = items.last() {
            self.next = last.number + 1;
        }
    }
}

/// What a pass met.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the store cannot read")]
    Store(#[from] ReadError),
    #[error("the log cannot take orders")]
    Log(#[from] log::AppendError),
}

// === impl Fault ===

impl Fault {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Log(error) => error.is_transient(),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => Self::Jobs(Box::new(error)),
            Fault::Log(error) => Self::Jobs(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jobs::{ItemState, JobState};

    fn job(rate: u32, total: u32) -> Job {
        Job {
            id: "j".parse().unwrap(),
            state: JobState::Running,
            rate,
            total,
            gathered: total,
            redriven: 0,
            refused: 0,
            passed_over: 0,
            started_at: Millis(0),
            by: "Người Trực".parse().unwrap(),
            reason: "again".parse().unwrap(),
            filter: String::new(),
        }
    }

    fn items(from: u32, number: u32) -> Vec<Item> {
        let item = |number| Item {
            number,
            delivery: DeliveryId::from([0; 16]),
            state: ItemState::Waiting,
        };
        (from..from + number).map(item).collect()
    }

    proptest! {
        /// D12: however the passes fall, no second sees more than the rate and one.
        #[test]
        fn d12_a_job_never_goes_faster_than_its_rate(
            rate in 1..2_000_u32,
            pauses in prop::collection::vec(1..3_000_i64, 1..60),
        ) {
            let mut job = job(rate, u32::MAX);
            let (mut now, mut pace) = (Millis(0), Pace::new(&job, Millis(0)));
            let mut given: Vec<(i64, u32)> = Vec::new();
            for pause in pauses {
                let due = pace.due(&job, now);
                pace.ordered(&items(pace.next, due));
                job.redriven += due;
                given.push((now.0, due));
                now.0 += pause;
            }
            for (from, _) in &given {
                let within = given.iter().filter(|(at, _)| (*from..from + 1_000).contains(at));
                let sum: u32 = within.map(|(_, number)| number).sum();
                prop_assert!(sum <= 2 * rate + 1, "{sum} within a second of {from}");
            }
            let all: u32 = given.iter().map(|(_, number)| number).sum();
            let seconds = u64::try_from(now.0).unwrap() / 1_000 + 1;
            prop_assert!(u64::from(all) <= seconds * u64::from(rate) + u64::from(rate) + 1);
        }
    }

    #[test]
    fn nothing_more_is_ordered_while_the_fold_stands_still() {
        let mut job = job(10_000, 10_000);
        let mut pace = Pace::new(&job, Millis(0));
        let mut all = 0;
        for pass in 1..100 {
            let due = pace.due(&job, Millis(pass * 1_000));
            pace.ordered(&items(pace.next, due));
            all += due;
        }
        assert_eq!(all, AHEAD);
        job.redriven = 100;
        assert_eq!(pace.due(&job, Millis(200_000)), 100);
    }
}
