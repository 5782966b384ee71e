use std::{
    collections::BTreeSet,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use log::{AppendError, Log, Position, Record, Topic};
use runtime::{Health, Readiness};
use store::{CommitError, Outgoing, Store, Write};
use tokio::{select, sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{Error, telemetry};

/// Commits writes and publishes what they carry, in order.
///
/// Rows that were published are marked within the next write, which saves a transaction; a crash in
/// between publishes them again, and every inbox drops the repeat.
pub struct Outbox {
    group: &'static str,
    store: Store,
    log: Log,
    health: Health,
    stop: CancellationToken,
    published: Mutex<Vec<i64>>,
}

/// What a commit carried: one outbox row per topic and list.
pub(crate) type Carried = (Vec<i64>, Vec<(Topic, Vec<Record>)>);

/// Hands over what was committed; dropping it ends [`Outbox::publish_all`] once all is published.
pub struct Publisher(mpsc::Sender<Carried>);

/// What was handed over and is not published yet.
pub struct Unpublished(mpsc::Receiver<Carried>);

/// How many commits may wait behind the one that is being published.
const WAITING: usize = 1;

const ROWS_AT_ONCE: u32 = 16;
const ROW_BYTES: usize = 4 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long an append that is on its way may take once the stop was asked for.
const LAST_WORD: Duration = Duration::from_secs(2);

// === impl Outbox ===

impl Outbox {
    /// An outbox of a group.
    pub fn new(group: &'static str, store: Store, log: Log, health: Health) -> Self {
        Self {
            group,
            store,
            log,
            health,
            stop: CancellationToken::new(),
            published: Mutex::default(),
        }
    }

    /// Gives up at the stop what the log refuses then: it stays in the outbox, and the next start
    /// publishes it. Without this, publishing waits for the log for ever.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Marks what was published, then publishes every row that is left unmarked: by an earlier run, or by
    /// a fault. Call before the first commit, and again after a fault.
    pub async fn recover(&self) -> Result<(), Error> {
        self.settle().await?;
        loop {
            let rows = self
                .store
                .outbox(self.group, ROWS_AT_ONCE)
                .await
                .map_err(Error::Read)?;
            if rows.is_empty() {
                return Ok(());
            }
            telemetry::recovered(self.group, rows.len());
            for (row, outgoing) in rows {
                self.append_row(row, outgoing).await?;
                self.published().push(row);
            }
            self.settle().await?;
        }
    }

    /// Publishes those of the first rows that are among `standing`, and answers the others: the oldest
    /// that somebody left, or is about to publish. For a group whose instances share one outbox: what
    /// stands there at two looks, far enough apart, belongs to nobody any more.
    pub async fn sweep(&self, standing: &BTreeSet<i64>) -> Result<BTreeSet<i64>, Error> {
        loop {
            let rows = self.store.outbox(self.group, ROWS_AT_ONCE);
            let rows = rows.await.map_err(Error::Read)?;
            let (left, others): (Vec<_>, Vec<_>) = rows
                .into_iter()
                .partition(|(row, _)| standing.contains(row));
            if left.is_empty() {
                return Ok(others.into_iter().map(|(row, _)| row).collect());
            }
            telemetry::recovered(self.group, left.len());
            let ids: Vec<i64> = left.iter().map(|(row, _)| *row).collect();
            for (row, outgoing) in left {
                self.append_row(row, outgoing).await?;
            }
            let marked = self.store.published(self.group, ids).await;
            marked.map_err(commit_error)?;
        }
    }

    /// Commits a write with outgoing records, without publishing them yet.
    pub async fn commit(
        &self,
        mut write: Write,
        outgoing: &[(Topic, Vec<Record>)],
    ) -> Result<Vec<i64>, CommitError> {
        write.published = mem::take(&mut *self.published());
        write.outbox = outgoing
            .iter()
            .map(|(topic, records)| Outgoing {
                topic: topic.label().to_owned(),
                payload: log::encode_batch(records),
            })
            .collect();
        let marks = write.published.clone();
        match self.store.commit(write).await {
            Ok(committed) => Ok(committed.outbox_ids),
            Err(error) => {
                self.published().extend(marks);
                Err(error)
            }
        }
    }

    /// Publishes what a commit carried; waits as long as the log refuses, for there is no way past it.
    pub async fn publish(
        &self,
        ids: Vec<i64>,
        outgoing: Vec<(Topic, Vec<Record>)>,
    ) -> Result<(), Error> {
        for ((topic, records), id) in outgoing.into_iter().zip(ids) {
            self.append(topic, records).await?;
            self.published().push(id);
        }
        Ok(())
    }

    /// A queue of commits to publish while the next one is worked on.
    pub fn queue() -> (Publisher, Unpublished) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Publisher(sender), Unpublished(receiver))
    }

    /// Publishes what is handed over, in order, until the [`Publisher`] is gone. Run it beside the work
    /// that commits: the log's answer to one batch is awaited while the next one is decided.
    pub async fn publish_all(&self, mut queue: Unpublished) -> Result<(), Error> {
        while let Some((ids, outgoing)) = queue.0.recv().await {
            self.publish(ids, outgoing).await?;
        }
        Ok(())
    }

    /// Marks what was published and not marked yet. Call when nothing more will be written.
    pub async fn settle(&self) -> Result<(), Error> {
        let ids = mem::take(&mut *self.published());
        let marked = self.store.published(self.group, ids.clone()).await;
        marked.map(drop).map_err(|error| {
            self.published().extend(ids);
            commit_error(error)
        })
    }

    fn published(&self) -> MutexGuard<'_, Vec<i64>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn append_row(&self, row: i64, outgoing: Outgoing) -> Result<(), Error> {
        let Outgoing { topic, payload } = outgoing;
        let known = Topic::ALL.into_iter().find(|known| known.label() == topic);
        let topic = known.ok_or(Error::Topic { row, topic })?;
        let records = log::decode_batch(payload).map_err(|source| Error::Outbox { row, source })?;
        self.append(topic, records).await
    }

    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.append_once(topic, records.clone()).await {
                Ok(_) => {
                    if pause > FIRST_PAUSE {
                        self.health.set(self.group, Readiness::Ready);
                    }
                    return Ok(());
                }
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(Error::Append(error)),
            };
            telemetry::retrying(self.group, "publish", &error);
            self.store.publish_failed(self.group, 1);
            self.health
                .set(self.group, Readiness::NotReady(error.to_string()));
            if self.stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return Err(Error::Append(error));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn append_once(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> Result<Vec<Position>, AppendError> {
        let patience = async {
            self.stop.cancelled().await;
            sleep(LAST_WORD).await;
        };
        select! {
            biased;
            answer = self.log.append(topic, records) => answer,
            () = patience => Err(AppendError::Unknown {
                reason: "no answer before the stop".to_owned(),
            }),
        }
    }
}

// === impl Publisher ===

impl Publisher {
    /// Hands over a commit; waits while another one waits already. `false`: publishing has ended, and
    /// its result says why. What was handed over stays in the store's outbox until it is marked.
    pub async fn publish(&self, ids: Vec<i64>, outgoing: Vec<(Topic, Vec<Record>)>) -> bool {
        outgoing.is_empty() || self.0.send((ids, outgoing)).await.is_ok()
    }

    /// Waits until publishing has ended.
    pub async fn ended(&self) {
        self.0.closed().await;
    }
}

pub(crate) fn commit_error(error: CommitError) -> Error {
    match error {
        CommitError::Fenced { .. } => Error::Fenced(error),
        CommitError::Guarded { .. } | CommitError::Transient { .. } | CommitError::Fatal(_) => {
            Error::Commit(error)
        }
    }
}

/// Records by topic, each list in the order given and small enough for one row and one append.
pub fn by_topic(records: Vec<(Topic, Record)>) -> Vec<(Topic, Vec<Record>)> {
    let mut lists: Vec<(Topic, Vec<Record>)> = Vec::new();
    let mut open = [None; Topic::ALL.len()];
    for (topic, record) in records {
        let Some(slot) = Topic::ALL.into_iter().position(|known| known == topic) else {
            continue;
        };
        let size = record.size();
        match open[slot] {
            Some((index, bytes)) if bytes + size <= ROW_BYTES => {
                let list: &mut (Topic, Vec<Record>) = &mut lists[index];
                list.1.push(record);
                open[slot] = Some((index, bytes + size));
            }
            _ => {
                open[slot] = Some((lists.len(), size));
                lists.push((topic, vec![record]));
            }
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, bytes: usize) -> Record {
        Record {
            key: key.to_owned(),
            headers: Vec::new(),
            value: vec![0; bytes].into(),
        }
    }

    #[test]
    fn records_are_grouped_by_topic_in_order_and_rows_stay_small() {
        let third = ROW_BYTES / 3;
        let records = (0..8).map(|number: usize| {
            let topic = Topic::ALL[1 + number % 2];
            (topic, record(&number.to_string(), third))
        });
        let lists = by_topic(records.collect());

        let keys = |topic| -> Vec<Vec<&str>> {
            let of = lists.iter().filter(|(known, _)| *known == topic);
            of.map(|(_, list)| list.iter().map(|record| record.key.as_str()).collect())
                .collect()
        };
        assert_eq!(keys(Topic::Deliveries), [vec!["0", "2"], vec!["4", "6"]]);
        assert_eq!(keys(Topic::Outcomes), [vec!["1", "3"], vec!["5", "7"]]);
        for (_, list) in &lists {
            assert!(list.iter().map(Record::size).sum::<usize>() <= ROW_BYTES);
        }
    }
}
