//! The tracker's part of the step that router, courier and tracker share.

use std::{collections::BTreeMap, sync::Arc};

use consumer::{Decision, Fresh, Unreadable};
use domain::{DossierCode, DossierKey};
use log::Topic;
use proto::v1::TimelineEntry;
use store::{Kind, Op, Row, Store, Value, row};

use crate::{
    arrival::{Arrival, News},
    body,
    cache::Cache,
    deadline::Clocks,
    entry,
    figures::{Live, Share, Totals, Touched},
    shared::{Added, Shared},
    state::State,
    tables::{self, CODES, DOSSIERS, DossierRows, Header, REFUSED, TIMELINE, TOTALS},
    telemetry,
};

/// Folds the three topics into timelines.
pub(crate) struct Fold {
    clocks: Clocks,
    shared: Arc<Shared>,
    cache: Cache<DossierKey, State>,
    /// The totals as they will be once the last decision has landed; `None` means: read them again.
    ahead: Option<Totals>,
    pending: Option<Pending>,
}

/// A decision that has not landed yet.
struct Pending {
    work: Vec<(DossierKey, Work, Share)>,
    events: u64,
}

/// One dossier while a batch is folded.
struct Work {
    /// Its row's columns and its share before the batch; `None` for a new dossier.
    header: Option<Header>,
    before: Share,
    state: State,
    first_seq: u64,
    entries: Vec<TimelineEntry>,
}

/// Rows that a batch writes.
#[derive(Default)]
struct Rows {
    dossiers: DossierRows,
    timeline: Vec<Row>,
    codes: Vec<Row>,
    refused: Vec<Row>,
    totals: Vec<Row>,
}

/// The tracker's consumer group.
pub const GROUP: &str = "tracker";

/// Dossiers in a generation of the cache: of about a kilobyte each. Those of the last seconds are
/// enough, a miss only costs a read.
const CACHED: usize = 4_096;
const PAGE: i64 = 1_000;

// === impl Fold ===

impl Fold {
    pub(crate) fn new(clocks: Clocks, shared: Arc<Shared>) -> Self {
        Self {
            clocks,
            shared,
            cache: Cache::new(CACHED),
            ahead: None,
            pending: None,
        }
    }

    /// Reads the figures out of the tables, as they were at the last commit.
    pub(crate) async fn load(&mut self, store: &Store) -> Result<(), store::ReadError> {
        self.cache.clear();
        let kinds = [row!["all"], row!["destination"], row!["place"]];
        let totals = tables::totals(&store.get(&TOTALS, kinds).await?)?;
        let live = live(store).await?;
        self.ahead = Some(totals.clone());
        self.shared.replace(totals, live);
        Ok(())
    }

    /// Takes the states of these dossiers out of the cache, or reads them.
    async fn work_of(
        &mut self,
        dossiers: impl Iterator<Item = &DossierKey>,
        store: &Store,
    ) -> Result<BTreeMap<DossierKey, Work>, store::ReadError> {
        let mut work = BTreeMap::new();
        let mut missing = Vec::new();
        for dossier in dossiers {
            if work.contains_key(dossier) {
                continue;
            }
            let known = self.cache.take(dossier);
            if known.is_none() {
                missing.push(row![dossier.as_str()]);
            }
            work.insert(
                dossier.clone(),
                known.map(Work::known).unwrap_or_else(Work::new),
            );
        }
        for row in store.get(&DOSSIERS, missing).await? {
            let dossier: DossierKey = body::parse(row.text(0)?).map_err(tables::damaged)?;
            work.insert(dossier, Work::known(tables::state(&row)?));
        }
        Ok(work)
    }

    /// The rows of everything that the batch changed.
    fn rows(&mut self, work: &mut [(DossierKey, Work, Share)], events: u64, rows: &mut Rows) {
        let ahead = self.ahead.get_or_insert_default();
        let mut touched = Touched::default();
        for (dossier, work, after) in work {
            ahead.change(&work.before, after);
            touched.note(&work.before, after);
            let chunk = work.state.tail.push(&work.entries);
            let chunk = chunk.map(|chunk| tables::chunk_row(dossier, chunk));
            rows.timeline.extend(chunk);
            let header = Header::of(&work.state);
            header.write(
                work.header.as_ref(),
                dossier,
                &work.state,
                &mut rows.dossiers,
            );
        }
        ahead.all.events += events;
        rows.totals.push(tables::all_row(&ahead.all));
        for name in &touched.destinations {
            if let Some(totals) = ahead.destinations.get(name) {
                rows.totals
                    .push(tables::destination_row(name.as_str(), totals));
            }
        }
        for place in &touched.places {
            if let Some(missed) = ahead.missed_steps.get(place) {
                rows.totals.push(tables::place_row(place, *missed));
            }
        }
    }
}

impl consumer::Fold for Fold {
    fn group(&self) -> &'static str {
        GROUP
    }

    fn topics(&self) -> &'static [Topic] {
        &Topic::ALL
    }

    async fn decide(
        &mut self,
        batch: &[Fresh],
        store: &Store,
    ) -> Result<Decision, store::ReadError> {
        if self.ahead.is_none() {
            self.load(store).await?;
        }
        let mut decision = Decision::default();
        let mut rows = Rows::default();
        let mut arrivals = Vec::with_capacity(batch.len());
        for fresh in batch {
            match Arrival::read(fresh) {
                Ok(Some(arrival)) => arrivals.push(arrival),
                Ok(None) => telemetry::not_of_a_dossier(),
                Err(reason) => {
                    if fresh.stored.topic == Topic::Events && !fresh.conflict {
                        rows.refused.push(row![fresh.id.as_bytes()]);
                    }
                    let unreadable = Unreadable::of(&fresh.stored, reason);
                    decision.unreadable.push(unreadable);
                }
            }
        }
        let dossiers = arrivals.iter().map(|arrival| &arrival.dossier);
        let mut work = self.work_of(dossiers, store).await?;
        let mut events = 0;
        for arrival in arrivals {
            events += u64::from(matches!(arrival.news, News::Event(_)));
            if let Some(work) = work.get_mut(&arrival.dossier) {
                rows.codes.extend(work.take(arrival));
            }
        }
        let mut work: Vec<_> = work
            .into_iter()
            .map(|(key, work)| work.settled(key, &self.clocks))
            .collect();
        self.rows(&mut work, events, &mut rows);
        self.pending = Some(Pending { work, events });
        decision.ops = rows.ops();
        Ok(decision)
    }

    fn committed(&mut self) {
        let Some(Pending { work, events }) = self.pending.take() else {
            return;
        };
        self.shared.change(|totals, live| {
            totals.all.events += events;
            for (_, work, after) in &work {
                totals.change(&work.before, after);
                live.change(&work.before, after);
            }
        });
        for (dossier, work, after) in work {
            for (place, took) in after.ended_since(&work.before) {
                telemetry::step_ended(&self.shared.labels, &place.procedure, took);
            }
            self.shared.added(|| Added {
                dossier: dossier.clone(),
                first_seq: work.first_seq,
                entries: work.entries,
            });
            self.cache.put(dossier, work.state);
        }
    }

    /// The totals ahead and the states in the cache hold what did not happen: they are read again.
    fn rolled_back(&mut self) {
        self.pending = None;
        self.ahead = None;
        self.cache.clear();
    }
}

/// The dossiers that are not at rest: open, held, or ended with a delivery on its way. One scan
/// each, because each has its index.
async fn live(store: &Store) -> Result<Live, store::ReadError> {
    let mut live = Live::default();
    for which in ["state = 1", "state = 2", "live = 1 and state > 2"] {
        let sql = format!(
            "select dossier, body from tracker_dossiers \
             where {which} and dossier > $1 order by dossier limit $2"
        );
        let mut last = Some(String::new());
        while let Some(after) = last {
            let params = [Value::from(after), Value::from(PAGE)];
            let rows = store
                .query(sql.as_str(), params, &[Kind::Text, Kind::Blob])
                .await?;
            for row in &rows {
                let state = body::decode(row.blob(1)?.clone()).map_err(tables::damaged)?;
                live.change(&Share::default(), &Share::of(&state));
            }
            let page_is_full = rows.len() as i64 == PAGE;
            let end = rows.last().filter(|_| page_is_full);
            last = end.map(|row| row.text(0).map(str::to_owned)).transpose()?;
        }
    }
    Ok(live)
}

// === impl Work ===

impl Work {
    fn new() -> Self {
        Self {
            header: None,
            before: Share::default(),
            state: State::default(),
            first_seq: 0,
            entries: Vec::new(),
        }
    }

    fn known(state: State) -> Self {
        Self {
            header: Some(Header::of(&state)),
            before: Share::of(&state),
            first_seq: state.tail.next,
            entries: Vec::new(),
            state,
        }
    }

    /// Takes one record in; answers the row of a code that the dossier did not have.
    fn take(&mut self, arrival: Arrival) -> Option<Row> {
        self.entries.push(entry::of(&arrival));
        let code = match &arrival.news {
            News::Event(event) => event.code.as_ref(),
            News::Delivery(delivery) => delivery.code.as_ref(),
            News::Outcome(_) | News::Ordered(_) | News::Conflict { .. } => None,
        };
        let known = self.state.code.as_ref().map(|(_, code)| code);
        let code = code
            .filter(|code| Some(*code) != known)
            .map(DossierCode::to_string);
        let row = code.map(|code| row![code, arrival.dossier.as_str()]);
        self.state.take(arrival.news);
        row
    }

    fn settled(mut self, dossier: DossierKey, clocks: &Clocks) -> (DossierKey, Self, Share) {
        self.state.settle(clocks);
        let after = Share::of(&self.state);
        (dossier, self, after)
    }
}

// === impl Rows ===

impl Rows {
    fn ops(self) -> Vec<Op> {
        let Self {
            dossiers,
            timeline,
            codes,
            refused,
            totals,
        } = self;
        let DossierRows {
            whole,
            clocks,
            bodies,
        } = dossiers;
        let ops = [
            Op::Upsert {
                table: &DOSSIERS,
                rows: whole,
            },
            Op::Update {
                table: &DOSSIERS,
                columns: tables::CLOCK,
                rows: clocks,
            },
            Op::Update {
                table: &DOSSIERS,
                columns: tables::BODY,
                rows: bodies,
            },
            Op::Insert {
                table: &TIMELINE,
                rows: timeline,
            },
            Op::Insert {
                table: &CODES,
                rows: codes,
            },
            Op::Insert {
                table: &REFUSED,
                rows: refused,
            },
            Op::Upsert {
                table: &TOTALS,
                rows: totals,
            },
        ];
        let has_rows = |op: &Op| match op {
            Op::Insert { rows, .. } | Op::Upsert { rows, .. } | Op::Update { rows, .. } => {
                !rows.is_empty()
            }
            Op::Delete { .. } | Op::Sql { .. } => true,
        };
        ops.into_iter().filter(has_rows).collect()
    }
}
