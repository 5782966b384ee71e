//! Questions to the tables.

use std::collections::BTreeMap;

use domain::{DossierKey, RecordId};
use jiff::Timestamp;
use proto::v1::{DeadlineState, DossierState, TimelineEntry};
use store::{Kind, ReadError, Row, Store, Value, row};

use crate::{
    body,
    deadline::LegalClock,
    state::State,
    tables::{self, CODES, DOSSIERS, REFUSED, TIMELINE},
};

/// Which dossiers to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) state: Option<DossierState>,
    pub(crate) deadline: Option<DeadlineState>,
    pub(crate) procedure: Option<String>,
    pub(crate) unit: Option<String>,
    /// Only those behind this key.
    pub(crate) after: Option<DossierKey>,
}

/// A question in the making.
struct Sql {
    text: String,
    params: Vec<Value>,
}

/// One dossier.
pub(crate) async fn dossier(store: &Store, key: &DossierKey) -> Result<Option<State>, ReadError> {
    let rows = store.get(&DOSSIERS, [row![key.as_str()]]).await?;
    rows.first().map(tables::state).transpose()
}

/// The dossiers that carry a code: one, unless somebody made a mistake.
pub(crate) async fn by_code(store: &Store, code: &str) -> Result<Vec<DossierKey>, ReadError> {
    let rows = store.get(&CODES, [row![code]]).await?;
    rows.iter()
        .map(|row| body::parse(row.text(1)?).map_err(tables::damaged))
        .collect()
}

/// The timeline of a dossier, in the order in which it was read, with the number of each entry.
///
/// `state` must have been read before: entries that go from its tail into the table in between are
/// seen twice then, never missed.
pub(crate) async fn timeline(
    store: &Store,
    key: &DossierKey,
    state: &State,
) -> Result<BTreeMap<u64, TimelineEntry>, ReadError> {
    let tail = state.tail.entries();
    let tail = tail.map_err(|error| tables::damaged(error.into()))?;
    let mut timeline: BTreeMap<_, _> = tail.into_iter().collect();
    for row in store.get(&TIMELINE, [row![key.as_str()]]).await? {
        timeline.extend(tables::entries(&row)?);
    }
    Ok(timeline)
}

/// At most `limit` dossiers that match, in the order of their keys.
pub(crate) async fn list(
    store: &Store,
    filter: &Filter,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(DossierKey, State)>, ReadError> {
    let sql = filter.sql(now, limit);
    let rows = store
        .query(sql.text, sql.params, &[Kind::Text, Kind::Blob])
        .await?;
    let read = |row: &Row| {
        let key = body::parse(row.text(0)?).map_err(tables::damaged)?;
        Ok((
            key,
            body::decode(row.blob(1)?.clone()).map_err(tables::damaged)?,
        ))
    };
    rows.iter().map(read).collect()
}

/// Those of the events that are on no timeline, by their places in the list. It reaches as far back
/// as the inbox keeps ids.
pub(crate) async fn missing(store: &Store, ids: &[RecordId]) -> Result<Vec<usize>, ReadError> {
    let keys: Vec<[u8; 16]> = ids.iter().map(|id| *id.as_bytes()).collect();
    // Past the counting of `Store::seen`: these are no repeats.
    let mut found = store.backend().seen(crate::GROUP, keys.clone()).await?;
    let refused: Vec<Row> = keys.iter().map(|key| row![key]).collect();
    for row in store.get(&REFUSED, refused).await? {
        found.remove(&row.array::<16>(0)?);
    }
    let missing = keys
        .iter()
        .enumerate()
        .filter(|(_, key)| !found.contains_key(*key));
    Ok(missing.map(|(place, _)| place).collect())
}

/// How many records of the tracker's topics could not be read.
pub(crate) async fn unreadable(store: &Store) -> Result<u64, ReadError> {
    let sql = format!(
        "select count(*) from {} where grp = $1",
        consumer::UNREADABLE.name
    );
    let rows = store
        .query(sql, [Value::from(crate::GROUP)], &[Kind::Int])
        .await?;
    let count = rows.first().map(|row| row.int(0)).transpose()?.unwrap_or(0);
    Ok(u64::try_from(count).unwrap_or(0))
}

// === impl Filter ===

impl Filter {
    fn sql(&self, now: Timestamp, limit: u32) -> Sql {
        let mut sql = Sql::new("select dossier, body from tracker_dossiers where dossier > ");
        sql.value(
            self.after
                .as_ref()
                .map(DossierKey::as_str)
                .unwrap_or_default(),
        );
        if let Some(state) = self.state {
            sql.text(" and state = ").value(i32::from(state));
        }
        if let Some(deadline) = self.deadline {
            sql.deadline(deadline, tables::instant(now));
        }
        if let Some(procedure) = &self.procedure {
            sql.text(" and procedure_base = ").value(procedure.as_str());
        }
        if let Some(unit) = &self.unit {
            sql.text(" and unit = ").value(unit.as_str());
        }
        sql.text(" order by dossier limit ").value(limit);
        sql
    }
}

// === impl Sql ===

impl Sql {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            params: Vec::new(),
        }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    fn value(&mut self, value: impl Into<Value>) -> &mut Self {
        self.params.push(value.into());
        self.text.push_str(&format!("${}", self.params.len()));
        self
    }

    /// The same reading as [`crate::deadline::Deadline::standing`].
    fn deadline(&mut self, deadline: DeadlineState, now: i64) -> &mut Self {
        // As a literal, for which alone SQLite takes a partial index.
        let clock = match deadline {
            DeadlineState::Unspecified => return self,
            DeadlineState::OnTrack | DeadlineState::AtRisk | DeadlineState::Overdue => {
                LegalClock::Running
            }
            DeadlineState::Met => LegalClock::Met,
            DeadlineState::Missed => LegalClock::Missed,
            DeadlineState::Paused => LegalClock::Paused,
        };
        self.text(&format!(" and clock = {}", clock.code()));
        match deadline {
            DeadlineState::Overdue => self.text(" and due_at < ").value(now),
            DeadlineState::AtRisk => self
                .text(" and due_at >= ")
                .value(now)
                .text(" and risk_at < ")
                .value(now),
            DeadlineState::OnTrack => self
                .text(" and due_at >= ")
                .value(now)
                .text(" and risk_at >= ")
                .value(now),
            DeadlineState::Unspecified
            | DeadlineState::Met
            | DeadlineState::Missed
            | DeadlineState::Paused => self,
        }
    }
}
