//! How far every group is behind, worked out apart from the groups: a dead consumer stays visible.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use log::{Bounds, Cursor, Log, Topic};
use runtime::Clock;
use store::{Offsets, Store};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// One group's lag in one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The group.
    pub group: &'static str,
    /// The topic.
    pub topic: Topic,
    /// Records that were not read, by partition.
    pub records: Vec<(i32, u64)>,
    /// When the log took the oldest of them; `None` when the group has caught up.
    pub oldest: Option<Timestamp>,
}

/// The lag cannot be worked out now.
#[derive(Debug, thiserror::Error)]
pub enum LagError {
    /// The offsets cannot be read.
    #[error("cannot read the offsets of the groups")]
    Store(#[from] store::ReadError),
    /// The log does not tell.
    #[error("cannot read how far the log reaches")]
    Log(#[from] log::ReadError),
}

/// The groups and the topics that they read.
const GROUPS: [(&str, &[Topic]); 3] = [
    ("router", &[Topic::Events]),
    ("courier", &[Topic::Deliveries]),
    ("tracker", &Topic::ALL),
];

const EVERY: Duration = Duration::from_secs(1);

/// The lag of every group, from the store's offsets: they may trail, so it is never understated.
///
/// # Errors
/// The first thing that does not answer.
pub(crate) async fn lag(log: &Log, store: &Store) -> Result<Vec<Lag>, LagError> {
    let mut all = Vec::new();
    for (group, topics) in GROUPS {
        let offsets = store.offsets(group).await?;
        for topic in topics {
            let bounds = log.bounds(*topic).await?;
            all.push(behind(log, group, *topic, &bounds, &offsets).await?);
        }
    }
    Ok(all)
}

async fn behind(
    log: &Log,
    group: &'static str,
    topic: Topic,
    bounds: &[Bounds],
    offsets: &Offsets,
) -> Result<Lag, LagError> {
    let mut lag = Lag {
        group,
        topic,
        records: Vec::new(),
        oldest: None,
    };
    for Bounds {
        partition,
        first,
        end,
    } in bounds.iter().copied()
    {
        let key = (topic.label().to_owned(), partition);
        let offset = offsets.get(&key).copied().unwrap_or(first);
        let records = u64::try_from(end - offset).unwrap_or(0);
        lag.records.push((partition, records));
        if records > 0 {
            // What retention has removed unread still counts; its age is that of the oldest left.
            let at = Cursor {
                topic,
                partition,
                offset: offset.max(first),
            };
            let appended_at = log.oldest_unread(at).await?;
            lag.oldest = [lag.oldest, appended_at].into_iter().flatten().min();
        }
    }
    Ok(lag)
}

/// Shows the lag every second until the stop.
pub(crate) async fn show(log: Log, store: Store, clock: Clock, stop: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = true;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match lag(&log, &store).await {
            Ok(all) => {
                known = true;
                let now = clock.now();
                for Lag {
                    group,
                    topic,
                    records,
                    oldest,
                } in all
                {
                    let age: Option<SignedDuration> = oldest.map(|at| now.duration_since(at));
                    telemetry::lag(group, topic, &records, age);
                }
            }
            Err(error) => {
                if std::mem::take(&mut known) {
                    telemetry::lag_unknown(&error);
                }
            }
        }
    }
}
