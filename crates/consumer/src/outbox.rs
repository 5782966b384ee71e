use std::time::Duration;

use domain::RecordId;
use log::{AppendError, Log, Record, Topic};
use runtime::{Health, Readiness};
use store::{CommitError, Outgoing, Store, Write};
use tokio::time::sleep;

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
    published: Vec<i64>,
}

/// What stands in an outbox row besides the records: nothing, so far.
const ROWS_AT_ONCE: u32 = 64;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

// === impl Outbox ===

impl Outbox {
    /// An outbox of a group.
    pub fn new(group: &'static str, store: Store, log: Log, health: Health) -> Self {
        Self {
            group,
            store,
            log,
            health,
            published: Vec::new(),
        }
    }

    /// Publishes every row that an earlier run left unmarked. Call once before the first commit.
    pub async fn recover(&mut self) -> Result<(), Error> {
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
            let mut ids = Vec::with_capacity(rows.len());
            for (row, outgoing) in rows {
                let records = log::decode_batch(outgoing.payload)
                    .map_err(|source| Error::Outbox { row, source })?;
                if let Some(topic) = topic(&outgoing.topic) {
                    self.append(topic, records).await?;
                }
                ids.push(row);
            }
            self.store
                .published(self.group, ids)
                .await
                .map_err(commit_error)?;
        }
    }

    /// Commits a write with outgoing records, without publishing them yet.
    pub async fn commit(
        &mut self,
        mut write: Write,
        outgoing: &[(Topic, Vec<Record>)],
    ) -> Result<Vec<i64>, CommitError> {
        write.published = std::mem::take(&mut self.published);
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
                self.published = marks;
                Err(error)
            }
        }
    }

    /// Publishes what a commit carried; waits as long as the log refuses, for there is no way past it.
    pub async fn publish(
        &mut self,
        ids: Vec<i64>,
        outgoing: Vec<(Topic, Vec<Record>)>,
    ) -> Result<(), Error> {
        for (topic, records) in outgoing {
            self.append(topic, records).await?;
        }
        self.published.extend(ids);
        Ok(())
    }

    /// Marks what was published and not marked yet. Call when nothing more will be written.
    pub async fn settle(&mut self) -> Result<(), Error> {
        let ids = std::mem::take(&mut self.published);
        self.store
            .published(self.group, ids)
            .await
            .map_err(commit_error)
    }

    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.log.append(topic, records.clone()).await {
                Ok(_) if pause > FIRST_PAUSE => {
                    self.health.set(self.group, Readiness::Ready);
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(error @ (AppendError::Fatal { .. } | AppendError::TooLarge { .. })) => {
                    return Err(Error::Append(error));
                }
                Err(error @ (AppendError::NotWritten { .. } | AppendError::Unknown { .. })) => {
                    telemetry::retrying(self.group, "publish", &error);
                    self.health
                        .set(self.group, Readiness::NotReady(error.to_string()));
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn topic(label: &str) -> Option<Topic> {
    Topic::ALL.into_iter().find(|topic| topic.label() == label)
}

fn commit_error(error: CommitError) -> Error {
    match error {
        CommitError::Fenced { .. } => Error::Fenced(error),
        CommitError::Transient { .. } | CommitError::Fatal(_) => Error::Commit(error),
    }
}

/// Records by topic, each list in the order given.
pub fn by_topic(records: Vec<(Topic, Record)>) -> Vec<(Topic, Vec<Record>)> {
    let mut lists: Vec<(Topic, Vec<Record>)> = Vec::new();
    for (topic, record) in records {
        match lists.iter_mut().find(|(known, _)| *known == topic) {
            Some((_, list)) => list.push(record),
            None => lists.push((topic, vec![record])),
        }
    }
    lists
}

/// The inbox id of a record: of its source and id.
pub(crate) fn inbox_id(record: &Record) -> RecordId {
    let part = |name| record.header(name).unwrap_or_default();
    RecordId::of("event", &[part("source"), part("id")])
}
