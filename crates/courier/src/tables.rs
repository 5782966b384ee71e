//! The courier's tables and the rows in them.
//!
//! A delivery's key is its place in the log, because keys in rising order fill pages one after the
//! other; the id, a digest, would touch a page per row. The successful attempt stands in the
//! delivery's own row, so that a delivery that arrives at once costs one row in all.

use bytes::Bytes;
use domain::{Delivery, DeliveryId, DestinationId};
use store::{Column, Kind, Migration, ReadError, Row, Schema, Step, Store, Table, Value, row};

use crate::entry::{DossierMark, Entry, Millis, Place};
use crate::lane::Kept;
use crate::sidelines::Marks;

/// Every delivery.
pub(crate) static DELIVERIES: Table = Table {
    name: "courier_deliveries",
    columns: &[
        Column::int("part"),
        Column::int("place"),
        Column::blob("id"),
        Column::text("destination"),
        Column::text("dossier"),
        Column::int("due_at"),
        Column::int("opened_at"),
        Column::int("appended_at"),
        Column::int("state"),
        Column::int("tries"),
        Column::int("charged"),
        Column::int("next_at"),
        Column::text("class").nullable(),
        Column::text("detail").nullable(),
        Column::int("started_at").nullable(),
        Column::int("took").nullable(),
        Column::blob("payload").nullable(),
        // The marks of procedure and sender, packed.
        Column::int("marks"),
        // The highest share of the budget whose use was announced, in percent.
        Column::int("escalated"),
        // The event of its agency that tells that it arrived, told while that was not known.
        Column::text("proof").nullable(),
    ],
    key: 2,
};

/// The same, as version 1 made it.
static DELIVERIES_V1: Table = Table {
    name: "courier_deliveries",
    columns: &[
        Column::int("part"),
        Column::int("place"),
        Column::blob("id"),
        Column::text("destination"),
        Column::text("dossier"),
        Column::int("due_at"),
        Column::int("opened_at"),
        Column::int("appended_at"),
        Column::int("state"),
        Column::int("tries"),
        Column::int("charged"),
        Column::int("next_at"),
        Column::text("class").nullable(),
        Column::text("detail").nullable(),
        Column::int("started_at").nullable(),
        Column::int("took").nullable(),
        Column::blob("payload").nullable(),
    ],
    key: 2,
};

/// Failed attempts.
pub(crate) static ATTEMPTS: Table = Table {
    name: "courier_attempts",
    columns: &[
        Column::int("part"),
        Column::int("place"),
        Column::int("number"),
        Column::int("started_at"),
        Column::int("took"),
        Column::text("class"),
        Column::text("detail"),
    ],
    key: 3,
};

/// What operators ordered of each lane.
pub(crate) static CONTROLS: Table = Table {
    name: "courier_controls",
    columns: &[Column::text("destination"), Column::text("body")],
    key: 1,
};

/// How each lane stood when it last changed.
pub(crate) static LANE_STATES: Table = Table {
    name: "courier_lane_states",
    columns: &[Column::text("destination"), Column::text("body")],
    key: 1,
};

/// Dossiers, procedures and senders that stand aside.
pub(crate) static SIDELINES: Table = Table {
    name: "courier_sidelines",
    columns: &[Column::text("subject"), Column::text("body")],
    key: 1,
};

/// Jobs that send many dead letters again.
pub(crate) static JOBS: Table = Table {
    name: "courier_jobs",
    columns: &[
        Column::text("job"),
        Column::int("state"),
        Column::int("rate"),
        Column::int("total"),
        // Items that the log has brought so far.
        Column::int("gathered"),
        Column::int("redriven"),
        Column::int("refused"),
        Column::int("passed_over"),
        Column::int("started_at"),
        Column::text("actor"),
        Column::text("reason"),
        Column::text("filter"),
    ],
    key: 1,
};

/// The frozen sets of jobs.
pub(crate) static JOB_ITEMS: Table = Table {
    name: "courier_job_items",
    columns: &[
        Column::text("job"),
        Column::int("number"),
        Column::blob("delivery"),
        Column::int("state"),
    ],
    key: 2,
};

/// Every order that the log brought, whether it had an effect or not.
pub(crate) static ORDERS: Table = Table {
    name: "courier_orders",
    columns: &[
        Column::blob("id"),
        Column::int("at"),
        Column::text("actor"),
        Column::text("action"),
        Column::text("subject"),
        Column::text("reason"),
        Column::text("result"),
    ],
    key: 1,
};

/// Version 2: states that a person ends or that wait for one, and the orders of operators. The lists of
/// what waits for a person, and a start, do not touch what is delivered or given up.
const VERSION_2: &[Step] = &[
    Step::Each {
        sqlite: "alter table courier_deliveries add column marks integer not null default 0; \
                 alter table courier_deliveries add column escalated integer not null default 0",
        postgres: "alter table courier_deliveries add column marks bigint not null default 0, \
                   add column escalated bigint not null default 0",
    },
    Step::Sql("drop index courier_undelivered"),
    Step::Sql(
        "create index courier_undelivered on courier_deliveries (part, place) \
         where state <> 1 and state <> 4",
    ),
    Step::Sql("create index courier_dead on courier_deliveries (part, place) where state = 2"),
    Step::Sql("create index courier_unknown on courier_deliveries (part, place) where state = 3"),
    Step::Create(&CONTROLS),
    Step::Create(&LANE_STATES),
    Step::Create(&SIDELINES),
    Step::Create(&JOBS),
    Step::CreateClustered(&JOB_ITEMS),
    Step::Create(&ORDERS),
    Step::Sql("create index courier_orders_subject on courier_orders (subject, at)"),
];

pub(crate) static SCHEMA: Schema = Schema {
    role: "courier",
    migrations: &[
        Migration {
            version: 1,
            steps: &[
                Step::CreateClustered(&ATTEMPTS),
                Step::Create(&DELIVERIES_V1),
                Step::Sql(
                    "create index courier_undelivered on courier_deliveries (part, place) \
                     where state <> 1",
                ),
                Step::Sql("create index courier_ids on courier_deliveries (id)"),
            ],
        },
        Migration {
            version: 2,
            steps: VERSION_2,
        },
        Migration {
            version: 3,
            steps: &[Step::Sql(
                "alter table courier_deliveries add column proof text",
            )],
        },
    ],
};

/// What a delivered one sets.
pub(crate) const DELIVERED: &[&str] = &[
    "state",
    "tries",
    "class",
    "detail",
    "started_at",
    "took",
    "payload",
];
/// What storing a payload sets that the log alone had.
pub(crate) const PAYLOAD: &[&str] = &["payload"];
/// What a failed attempt sets.
pub(crate) const FAILED: &[&str] = &[
    "state",
    "tries",
    "charged",
    "next_at",
    "class",
    "detail",
    "started_at",
    "took",
];
/// What a claim sets. What proved an earlier attempt proves nothing of this one.
pub(crate) const CLAIMED: &[&str] = &["state", "proof"];
/// What an alarm sets.
pub(crate) const ALARMED: &[&str] = &["escalated"];
/// What sending a dead letter again sets.
pub(crate) const REDRIVEN: &[&str] = &["state", "charged", "next_at"];

/// What giving a dead letter up sets.
pub(crate) const DISCARDED: &[&str] = &["state"];

/// How a delivery stands in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending = 0,
    Delivered = 1,
    Dead = 2,
    /// Nobody knows whether it arrived; it waits for a settlement.
    Unknown = 3,
    /// A dead letter that a person gave up.
    Discarded = 4,
    /// About to be sent to a destination for which a repeat is not harmless; after a restart nobody
    /// knows whether it was.
    Claimed = 5,
}

/// An undelivered one, as a start finds it.
pub(crate) struct Undelivered {
    pub(crate) entry: Entry,
    pub(crate) destination: String,
    pub(crate) state: State,
    pub(crate) proof: Option<String>,
}

const UNDELIVERED: &str = "select part, place, id, destination, dossier, due_at, opened_at, \
     next_at, tries, charged, state, marks, escalated, proof from courier_deliveries \
     where state <> 1 and state <> 4 and (part > $1 or (part = $1 and place > $2)) \
     order by part, place limit 2000";
const UNDELIVERED_KINDS: &[Kind] = &[
    Kind::Int,
    Kind::Int,
    Kind::Blob,
    Kind::Text,
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
];

/// The row of a new delivery; without its payload while the log has that, see [`crate::payload`].
pub(crate) fn new_row(
    place: Place,
    delivery: &Delivery,
    appended_at: Millis,
    payload: Option<Bytes>,
) -> Row {
    row![
        place.partition,
        place.offset,
        delivery.id.as_bytes(),
        delivery.destination.as_str(),
        delivery.dossier.as_str(),
        Millis::from(delivery.due_at).0,
        Millis::from(delivery.opened_at).0,
        appended_at.0,
        State::Pending as i32,
        0,
        0,
        0,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        payload.map_or(Value::Null, Value::from),
        Marks::of(delivery).packed(),
        0,
        Value::Null,
    ]
}

/// The entry of a new delivery.
pub(crate) fn new_entry(place: Place, delivery: &Delivery) -> Entry {
    Entry {
        id: delivery.id,
        place,
        dossier: DossierMark::from(&delivery.dossier),
        due_at: delivery.due_at.into(),
        opened_at: delivery.opened_at.into(),
        next_at: Millis::default(),
        tries: 0,
        charged: 0,
        doubtful: false,
        announced: 0,
        marks: Marks::of(delivery),
    }
}

/// The next page of undelivered ones behind a place, in the order of the log.
pub(crate) async fn undelivered(
    store: &Store,
    after: Place,
) -> Result<Vec<Undelivered>, ReadError> {
    let params = [Value::from(after.partition), Value::from(after.offset)];
    let rows = store.query(UNDELIVERED, &params, UNDELIVERED_KINDS).await?;
    rows.iter().map(read_undelivered).collect()
}

/// The next page of undelivered ones of a partition behind a place, up to another one.
pub(crate) async fn undelivered_in(
    store: &Store,
    partition: i32,
    after: i64,
    last: i64,
) -> Result<Vec<Undelivered>, ReadError> {
    let sql = "select part, place, id, destination, dossier, due_at, opened_at, \
         next_at, tries, charged, state, marks, escalated, proof from courier_deliveries \
         where state <> 1 and state <> 4 and part = $1 and place > $2 and place <= $3 \
         order by part, place limit 2000";
    let params = [partition.into(), after.into(), last.into()];
    let rows = store.query(sql, params, UNDELIVERED_KINDS).await?;
    rows.iter().map(read_undelivered).collect()
}

/// The next page behind a place of undelivered ones whose payload the log alone has.
pub(crate) async fn unstored(
    store: &Store,
    after: Place,
) -> Result<Vec<(Place, DeliveryId)>, ReadError> {
    let sql = "select part, place, id from courier_deliveries where state <> 1 and state <> 4 \
         and payload is null and (part > $1 or (part = $1 and place > $2)) \
         order by part, place limit 500";
    let params = [Value::from(after.partition), Value::from(after.offset)];
    let kinds = &[Kind::Int, Kind::Int, Kind::Blob];
    let rows = store.query(sql, params, kinds).await?;
    let read = |row: &Row| Ok((place(row)?, DeliveryId::from(row.array(2)?)));
    rows.iter().map(read).collect()
}

/// How the lanes stood when they last changed. What a newer version wrote and this one cannot read is
/// left out: a lane then begins anew.
pub(crate) async fn kept(store: &Store) -> Result<Vec<(DestinationId, Kept)>, ReadError> {
    let sql = "select destination, body from courier_lane_states order by destination";
    let rows = store.query(sql, [], &[Kind::Text, Kind::Text]).await?;
    let mut kept = Vec::new();
    for row in &rows {
        let destination = row.text(0)?.parse().ok();
        kept.extend(destination.zip(serde_json::from_str(row.text(1)?).ok()));
    }
    Ok(kept)
}

fn read_undelivered(row: &Row) -> Result<Undelivered, ReadError> {
    let count = |column| {
        row.int(column)
            .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
    };
    let state = State::from_row(row.int(10)?);
    let entry = Entry {
        place: place(row)?,
        id: DeliveryId::from(row.array(2)?),
        dossier: mark(row.text(4)?),
        due_at: Millis(row.int(5)?),
        opened_at: Millis(row.int(6)?),
        next_at: Millis(row.int(7)?),
        tries: count(8)?,
        charged: count(9)?,
        doubtful: state.is_doubtful(),
        announced: u8::try_from(row.int(12)?).unwrap_or(100),
        marks: Marks::unpacked(row.int(11)?),
    };
    Ok(Undelivered {
        entry,
        destination: row.text(3)?.to_owned(),
        state,
        proof: row.opt_text(13)?.map(str::to_owned),
    })
}

/// A dossier's key came through the same door when the row was written.
pub(crate) fn mark(dossier: &str) -> DossierMark {
    dossier
        .parse()
        .map_or(DossierMark(0), |key| DossierMark::from(&key))
}

/// The place in the first two columns.
pub(crate) fn place(row: &Row) -> Result<Place, ReadError> {
    Ok(Place {
        partition: i32::try_from(row.int(0)?).unwrap_or(i32::MAX),
        offset: row.int(1)?,
    })
}

// === impl State ===

impl State {
    /// Whether nobody knows if it arrived.
    pub(crate) fn is_doubtful(self) -> bool {
        matches!(self, Self::Unknown | Self::Claimed)
    }

    /// Rows hold nothing else than these numbers.
    pub(crate) fn from_row(number: i64) -> Self {
        match number {
            1 => Self::Delivered,
            2 => Self::Dead,
            3 => Self::Unknown,
            4 => Self::Discarded,
            5 => Self::Claimed,
            _ => Self::Pending,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
            Self::Discarded => "discarded",
            Self::Claimed => "claimed",
        }
    }
}
