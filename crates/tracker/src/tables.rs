//! The tracker's tables, and rows out of what it knows.

use bytes::Bytes;
use domain::{AgencyId, DossierKey};
use jiff::Timestamp;
use prost::Message;
use proto::v1::{DossierState, TimelineEntry};
use store::{Column, Migration, Row, Schema, Step, Table, row};

use crate::{
    body::{self, Damaged},
    deadline::LegalClock,
    figures::{All, DestinationTotals, Place, Totals},
    histogram::Histogram,
    state::State,
    tail::{self, Chunk},
};

/// One row per dossier: what lists filter by, and the whole state.
pub(crate) static DOSSIERS: Table = Table {
    name: "tracker_dossiers",
    columns: &[
        Column::text("dossier"),
        Column::text("procedure_base"),
        Column::text("unit"),
        Column::int("state"),
        Column::int("clock"),
        Column::int("risk_at"),
        Column::int("due_at"),
        Column::int("live"),
        Column::blob("body"),
    ],
    key: 1,
};

/// Full chunks of timelines, by the number of their first entry. The newest entries lie in the
/// dossier's body.
pub(crate) static TIMELINE: Table = Table {
    name: "tracker_timeline",
    columns: &[
        Column::text("dossier"),
        Column::int("seq"),
        Column::blob("entries"),
    ],
    key: 2,
};

/// Official codes. Two dossiers may carry the same one by mistake.
pub(crate) static CODES: Table = Table {
    name: "tracker_codes",
    columns: &[Column::text("code"), Column::text("dossier")],
    key: 2,
};

/// Events that came and could not be read: the inbox knows their ids, but they are on no timeline.
pub(crate) static REFUSED: Table = Table {
    name: "tracker_refused",
    columns: &[Column::blob("id")],
    key: 1,
};

/// Sums: `all`, one per destination, one per procedure and agency.
pub(crate) static TOTALS: Table = Table {
    name: "tracker_totals",
    columns: &[
        Column::text("kind"),
        Column::text("name"),
        Column::blob("body"),
    ],
    key: 2,
};

/// The tracker's migrations.
pub(crate) static SCHEMA: Schema = Schema {
    role: "tracker",
    migrations: &[Migration {
        version: 1,
        steps: &[
            Step::Create(&DOSSIERS),
            Step::CreateClustered(&TIMELINE),
            Step::CreateClustered(&CODES),
            Step::CreateClustered(&REFUSED),
            Step::CreateClustered(&TOTALS),
            // Each index costs every new dossier a page; partial ones cost only what they hold.
            // Lists by procedure or unit walk along the keys instead.
            Step::Sql(
                "create index tracker_dossiers_state on tracker_dossiers (state, dossier);
                create index tracker_dossiers_running
                    on tracker_dossiers (dossier) where clock = 1;
                create index tracker_dossiers_paused
                    on tracker_dossiers (dossier) where clock = 2;
                create index tracker_dossiers_missed
                    on tracker_dossiers (dossier) where clock = 4;
                create index tracker_dossiers_ended_live
                    on tracker_dossiers (dossier) where live = 1 and state > 2",
            ),
        ],
    }],
};

/// The columns that change with the legal clock.
pub(crate) const CLOCK: &[&str] = &["clock", "risk_at", "due_at", "live", "body"];
/// The columns that change although no filter does.
pub(crate) const BODY: &[&str] = &["body"];

/// What lists filter by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    procedure: String,
    unit: String,
    state: DossierState,
    clock: LegalClock,
    risk_at: i64,
    due_at: i64,
    live: bool,
}

/// Rows of [`DOSSIERS`] by how much of them changed.
#[derive(Debug, Default)]
pub(crate) struct DossierRows {
    /// Whole rows.
    pub(crate) whole: Vec<Row>,
    /// Key and [`CLOCK`].
    pub(crate) clocks: Vec<Row>,
    /// Key and [`BODY`].
    pub(crate) bodies: Vec<Row>,
}

#[derive(Clone, PartialEq, Message)]
struct AllBody {
    #[prost(uint64, tag = "1")]
    events: u64,
    #[prost(btree_map = "int32, uint64", tag = "2")]
    states: std::collections::BTreeMap<i32, u64>,
    #[prost(uint64, tag = "3")]
    met: u64,
    #[prost(uint64, tag = "4")]
    missed: u64,
}

#[derive(Clone, PartialEq, Message)]
struct DestinationBody {
    #[prost(uint64, tag = "1")]
    pending: u64,
    #[prost(uint64, tag = "2")]
    delivered: u64,
    #[prost(uint64, tag = "3")]
    dead: u64,
    #[prost(uint64, tag = "4")]
    attempts: u64,
    #[prost(bytes = "bytes", tag = "5")]
    latency: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct PlaceBody {
    #[prost(uint64, tag = "1")]
    missed: u64,
}

const ALL: &str = "all";
const DESTINATION: &str = "destination";
const PLACE: &str = "place";

// === impl Header ===

impl Header {
    pub(crate) fn of(state: &State) -> Self {
        let named = state.named.as_ref();
        Self {
            procedure: named
                .map(|n| n.procedure.base().to_owned())
                .unwrap_or_default(),
            unit: named.map(|n| n.unit.to_string()).unwrap_or_default(),
            state: state.standing(),
            clock: state.deadline.clock,
            risk_at: state.deadline.risk_at.map(instant).unwrap_or_default(),
            due_at: state.deadline.due_at.map(instant).unwrap_or_default(),
            live: state.is_live(),
        }
    }

    /// Puts the dossier's row into the operation that touches the fewest columns: SQLite writes an
    /// index entry anew whenever its column is set, even to the same value.
    pub(crate) fn write(
        &self,
        before: Option<&Self>,
        dossier: &DossierKey,
        state: &State,
        rows: &mut DossierRows,
    ) {
        let (key, body) = (dossier.as_str(), body::encode(state));
        let clock = self.clock.code();
        match before {
            Some(before) if before == self => rows.bodies.push(row![key, body]),
            Some(before) if before.is_filed_as(self) => {
                let row = row![key, clock, self.risk_at, self.due_at, self.live, body];
                rows.clocks.push(row);
            }
            _ => rows.whole.push(row![
                key,
                self.procedure.as_str(),
                self.unit.as_str(),
                i32::from(self.state),
                clock,
                self.risk_at,
                self.due_at,
                self.live,
                body,
            ]),
        }
    }

    fn is_filed_as(&self, other: &Self) -> bool {
        (&self.procedure, &self.unit, self.state) == (&other.procedure, &other.unit, other.state)
    }
}

/// An instant as tables keep it: Unix microseconds.
pub(crate) fn instant(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The state in a row of [`DOSSIERS`].
pub(crate) fn state(row: &Row) -> Result<State, store::ReadError> {
    body::decode(row.blob(8)?.clone()).map_err(damaged)
}

/// A kept value that cannot be read back.
pub(crate) fn damaged(error: Damaged) -> store::ReadError {
    store::ReadError::Fatal(std::sync::Arc::new(error))
}

/// The row of a full chunk.
pub(crate) fn chunk_row(dossier: &DossierKey, chunk: Chunk) -> Row {
    let first = i64::try_from(chunk.first).unwrap_or(i64::MAX);
    row![dossier.as_str(), first, chunk.bytes]
}

/// The entries in a row of [`TIMELINE`] with their numbers.
pub(crate) fn entries(row: &Row) -> Result<Vec<(u64, TimelineEntry)>, store::ReadError> {
    let first = u64::try_from(row.int(1)?).unwrap_or(0);
    tail::entries(first, row.blob(2)?).map_err(|error| damaged(error.into()))
}

/// The row of the sums over everything.
pub(crate) fn all_row(all: &All) -> Row {
    let body = AllBody {
        events: all.events,
        states: all.states.clone(),
        met: all.met,
        missed: all.missed,
    };
    row![ALL, "", body.encode_to_vec()]
}

/// The row of one destination's sums.
pub(crate) fn destination_row(name: &str, totals: &DestinationTotals) -> Row {
    let body = DestinationBody {
        pending: totals.pending,
        delivered: totals.delivered,
        dead: totals.dead,
        attempts: totals.attempts,
        latency: totals.latency.encode(),
    };
    row![DESTINATION, name, body.encode_to_vec()]
}

/// The row of one procedure's and agency's missed steps.
pub(crate) fn place_row(place: &Place, missed: u64) -> Row {
    let name = format!("{} {}", place.procedure, place.agency);
    row![PLACE, name, PlaceBody { missed }.encode_to_vec()]
}

/// The sums out of all rows of [`TOTALS`].
pub(crate) fn totals(rows: &[Row]) -> Result<Totals, store::ReadError> {
    let mut totals = Totals::default();
    for row in rows {
        add_row(
            &mut totals,
            row.text(0)?,
            row.text(1)?,
            row.blob(2)?.clone(),
        )
        .map_err(damaged)?;
    }
    Ok(totals)
}

fn add_row(totals: &mut Totals, kind: &str, name: &str, bytes: Bytes) -> Result<(), Damaged> {
    match kind {
        ALL => {
            let AllBody {
                events,
                states,
                met,
                missed,
            } = AllBody::decode(bytes)?;
            totals.all = All {
                events,
                states,
                met,
                missed,
            };
        }
        DESTINATION => {
            let body = DestinationBody::decode(bytes)?;
            let kept = DestinationTotals {
                pending: body.pending,
                delivered: body.delivered,
                dead: body.dead,
                attempts: body.attempts,
                latency: Histogram::decode(body.latency)?,
            };
            totals.destinations.insert(body::parse(name)?, kept);
        }
        PLACE => {
            let (procedure, agency) = name.split_once(' ').unwrap_or_default();
            let place = Place {
                procedure: procedure.to_owned(),
                agency: body::parse::<AgencyId>(agency)?,
            };
            totals
                .missed_steps
                .insert(place, PlaceBody::decode(bytes)?.missed);
        }
        other => return Err(body::unknown(other)),
    }
    Ok(())
}
