//! Jobs that send many dead letters again: a frozen set, worked off at a rate.
//!
//! ```text
//! job-start, job-items ─▶ fold ─▶ rows ─▶ runner ─▶ one redrive order per item ─▶ fold: each 0 or 1 times
//! ```
//!
//! The set comes from the log. The runner only writes orders into the log, each under an id derived from
//! job and item; what it wrote twice the inbox drops. The fold settles an item in the transaction that
//! sends its dead letter on its way.

mod runner;

use domain::{DeliveryId, JobId, Note};
use store::{Kind, ReadError, Row, Store, row};

use crate::entry::Millis;
use crate::tables::{JOB_ITEMS, JOBS};

pub(crate) use runner::Runner;

/// A row of [`JOBS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) state: JobState,
    /// Items a second.
    pub(crate) rate: u32,
    pub(crate) total: u32,
    /// Items that the log has brought.
    pub(crate) gathered: u32,
    pub(crate) redriven: u32,
    pub(crate) refused: u32,
    /// Items that were no dead letters any more.
    pub(crate) passed_over: u32,
    pub(crate) started_at: Millis,
    pub(crate) by: Note,
    pub(crate) reason: Note,
    pub(crate) filter: String,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    /// Not all items have come out of the log.
    Gathering = 0,
    Running = 1,
    Done = 2,
    Cancelled = 3,
}

/// A row of [`JOB_ITEMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) number: u32,
    pub(crate) delivery: DeliveryId,
    pub(crate) state: ItemState,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemState {
    Waiting = 0,
    Redriven = 1,
    Refused = 2,
    PassedOver = 3,
}

const COLUMNS: &str = "job, state, rate, total, gathered, redriven, refused, passed_over, \
     started_at, actor, reason, filter";
const KINDS: &[Kind] = &[
    Kind::Text,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Int,
    Kind::Text,
    Kind::Text,
    Kind::Text,
];

/// The newest jobs.
pub(crate) async fn newest(store: &Store, most: usize) -> Result<Vec<Job>, ReadError> {
    let sql =
        format!("select {COLUMNS} from courier_jobs order by started_at desc, job limit {most}");
    query(store, sql).await
}

/// The jobs at work, the oldest first.
pub(crate) async fn running(store: &Store) -> Result<Vec<Job>, ReadError> {
    let sql =
        format!("select {COLUMNS} from courier_jobs where state = 1 order by started_at, job");
    query(store, sql).await
}

async fn query(store: &Store, sql: String) -> Result<Vec<Job>, ReadError> {
    let rows = store.query(sql, [], KINDS).await?;
    Ok(rows
        .iter()
        .map(Job::read)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// These jobs; those that are not there are left out.
pub(crate) async fn of_ids<'a>(
    store: &Store,
    ids: impl Iterator<Item = &'a JobId>,
) -> Result<Vec<Job>, ReadError> {
    let keys: Vec<Row> = ids.map(|id| row![id.as_str()]).collect();
    let rows = store.get(&JOBS, keys).await?;
    Ok(rows
        .iter()
        .map(Job::read)
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// These items; those that are not there are left out.
pub(crate) async fn items<'a>(
    store: &Store,
    keys: impl Iterator<Item = &'a (JobId, u32)>,
) -> Result<Vec<(JobId, Item)>, ReadError> {
    let keys: Vec<Row> = keys
        .map(|(job, number)| row![job.as_str(), *number])
        .collect();
    let rows = store.get(&JOB_ITEMS, keys).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        // Rows are written from valid ids only.
        if let Ok(job) = row.text(0)?.parse() {
            items.push((job, Item::read(&row)?));
        }
    }
    Ok(items)
}

/// The next items of a job that wait, from this number on.
pub(crate) async fn waiting(
    store: &Store,
    job: &JobId,
    from: u32,
    most: u32,
) -> Result<Vec<Item>, ReadError> {
    let sql = format!(
        "select job, number, delivery, state from courier_job_items \
         where job = $1 and number >= $2 and state = 0 order by number limit {most}"
    );
    let kinds = &[Kind::Text, Kind::Int, Kind::Blob, Kind::Int];
    let params = [job.as_str().into(), from.into()];
    let rows = store.query(sql, params, kinds).await?;
    rows.iter().map(Item::read).collect()
}

// === impl Job ===

impl Job {
    /// The job of a row; rows are written from valid ids and notes only.
    fn read(row: &Row) -> Result<Option<Self>, ReadError> {
        let count = |column| {
            row.int(column)
                .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
        };
        let (Ok(id), Ok(by), Ok(reason)) = (
            row.text(0)?.parse(),
            row.text(9)?.parse(),
            row.text(10)?.parse(),
        ) else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            state: JobState::from_row(row.int(1)?),
            rate: count(2)?,
            total: count(3)?,
            gathered: count(4)?,
            redriven: count(5)?,
            refused: count(6)?,
            passed_over: count(7)?,
            started_at: Millis(row.int(8)?),
            by,
            reason,
            filter: row.text(11)?.to_owned(),
        }))
    }

    pub(crate) fn row(&self) -> Row {
        row![
            self.id.as_str(),
            self.state as i32,
            self.rate,
            self.total,
            self.gathered,
            self.redriven,
            self.refused,
            self.passed_over,
            self.started_at.0,
            self.by.as_str(),
            self.reason.as_str(),
            self.filter.as_str(),
        ]
    }

    /// Whether it may still be cancelled.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, JobState::Gathering | JobState::Running)
    }

    /// So many more items have come out of the log.
    pub(crate) fn gather(&mut self, number: u32) {
        self.gathered = self.gathered.saturating_add(number);
        if self.gathered >= self.total && self.state == JobState::Gathering {
            self.state = JobState::Running;
        }
    }

    /// One item was settled; after the last one the job is done.
    pub(crate) fn settle(&mut self, item: ItemState) {
        match item {
            ItemState::Waiting => return,
            ItemState::Redriven => self.redriven += 1,
            ItemState::Refused => self.refused += 1,
            ItemState::PassedOver => self.passed_over += 1,
        }
        if self.settled() >= self.total && self.state == JobState::Running {
            self.state = JobState::Done;
        }
    }

    pub(crate) fn settled(&self) -> u32 {
        self.redriven + self.refused + self.passed_over
    }
}

// === impl JobState ===

impl JobState {
    fn from_row(number: i64) -> Self {
        match number {
            1 => Self::Running,
            2 => Self::Done,
            3 => Self::Cancelled,
            _ => Self::Gathering,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gathering => "gathering",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

// === impl Item ===

impl Item {
    fn read(row: &Row) -> Result<Self, ReadError> {
        Ok(Self {
            number: u32::try_from(row.int(1)?).unwrap_or(u32::MAX),
            delivery: DeliveryId::from(row.array(2)?),
            state: match row.int(3)? {
                0 => ItemState::Waiting,
                1 => ItemState::Redriven,
                2 => ItemState::Refused,
                _ => ItemState::PassedOver,
            },
        })
    }

    pub(crate) fn row(&self, job: &JobId) -> Row {
        row![
            job.as_str(),
            self.number,
            self.delivery.as_bytes(),
            self.state as i32
        ]
    }
}
