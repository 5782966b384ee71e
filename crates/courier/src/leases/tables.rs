//! The tables of leases and the statements on them, the same for both back ends.
//!
//! Whether a lease is alive is decided by the database's clock alone: machines may differ. A lane's row
//! is never deleted, or its tokens would begin anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use store::{
    Column, CommitError, Fence, Guard, Kind, Migration, Op, ReadError, Row, Schema, Step, Store,
    Table, Value, Write, row,
};

use crate::entry::Millis;
use crate::leases::Token;
use crate::news::NEWS;

/// Who holds which lane, and until when.
pub(crate) static LANES: Table = Table {
    name: "courier_lanes",
    columns: &[
        Column::text("destination"),
        Column::text("owner"),
        Column::int("token"),
        Column::int("expires_at"),
    ],
    key: 1,
};

/// Who was alive, and when.
pub(crate) static INSTANCES: Table = Table {
    name: "courier_instances",
    columns: &[Column::text("id"), Column::int("seen_at")],
    key: 1,
};

/// Verdicts of couriers that did not have the lane any more: facts that changed nothing.
pub(crate) static LATE: Table = Table {
    name: "courier_late_verdicts",
    columns: &[
        Column::int("part"),
        Column::int("place"),
        // Of the lease under which the attempt was made.
        Column::int("token"),
        // As that courier counted.
        Column::int("number"),
        Column::int("started_at"),
        Column::int("took"),
        Column::text("class"),
        Column::text("detail"),
        Column::int("noted_at"),
    ],
    key: 4,
};

/// To be migrated beside the courier's own schema.
pub(crate) static SCHEMA: Schema = Schema {
    role: "courier-leases",
    migrations: &[
        Migration {
            version: 1,
            steps: &[
                Step::CreateClustered(&LANES),
                Step::CreateClustered(&INSTANCES),
                Step::CreateClustered(&NEWS),
                Step::Each {
                    sqlite: "create view courier_clock as select \
                             cast(unixepoch('subsec') * 1000 as integer) as now_ms, 0 as shared",
                    postgres: "create view courier_clock as select \
                               cast(floor(extract(epoch from now()) * 1000) as bigint) as now_ms, \
                               cast(1 as bigint) as shared",
                },
            ],
        },
        Migration {
            version: 2,
            steps: &[
                Step::CreateClustered(&LATE),
                Step::Sql("create index courier_late_noted on courier_late_verdicts (noted_at)"),
            ],
        },
    ],
};

/// Instances write leases beside one another, each its own rows.
const GROUP: &str = "courier-leases";

const VIEW: &str = "select 'clock' as what, '' as name, '' as owner, shared as number, now_ms as at \
     from courier_clock \
     union all select 'lane', destination, owner, token, expires_at from courier_lanes \
     union all select 'instance', id, '', 0, seen_at from courier_instances";
const VIEW_KINDS: &[Kind] = &[Kind::Text, Kind::Text, Kind::Text, Kind::Int, Kind::Int];

/// What follows the list of changes: lane, token (or [`ANY`] to claim it) and span (0 releases it). All
/// rows exist; they are inserted only because that goes row by row, in the order of the list, which is
/// the order in which guards lock them.
const CHANGE: &str = ") as v, courier_clock c where true \
     on conflict (destination) do update set owner = excluded.owner, \
     token = case when excluded.token = -1 then courier_lanes.token + 1 else courier_lanes.token end, \
     expires_at = excluded.expires_at \
     where case when excluded.token = -1 \
     then courier_lanes.expires_at <= (select now_ms from courier_clock) \
     else courier_lanes.owner = $1 and courier_lanes.token = excluded.token \
     and (excluded.expires_at = 0 \
     or courier_lanes.expires_at > (select now_ms from courier_clock)) end";
const ANY: i64 = -1;
const LANES_PER_STATEMENT: usize = 100;
const BEAT: &str = "insert into courier_instances (id, seen_at) \
     select $1, c.now_ms from courier_clock c where true \
     on conflict (id) do update set seen_at = excluded.seen_at";
const FORGET: &str = "delete from courier_instances \
     where seen_at < (select now_ms from courier_clock) - $1";
const LEAVE: &str = "delete from courier_instances where id = $1";

/// What stands in the tables at one moment of the database's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) now: Millis,
    /// Whether other processes can have the store open too.
    pub(crate) is_shared: bool,
    pub(crate) lanes: BTreeMap<String, LaneRow>,
    pub(crate) instances: Vec<(String, Millis)>,
}

/// A lane's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneRow {
    /// Empty when it was released.
    pub(crate) owner: String,
    pub(crate) token: i64,
    pub(crate) expires_at: Millis,
}

/// A change of one lane's row, by the instance that calls itself `me`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Takes it unless its lease is alive; whoever holds it next has another token.
    Claim,
    /// Lengthens a lease that is still alive.
    Renew(Token),
    /// Gives it back at once.
    Release(Token),
}

/// Changes by lane. In the order of the rows' keys, as the guards of a write lock them.
pub(crate) type Acts = BTreeMap<String, Act>;

/// A write under it is refused once somebody else has claimed the lane.
pub(crate) fn guard(destination: &str, token: Token) -> Guard {
    Guard {
        table: &LANES,
        key: row![destination],
        column: "token",
        expected: token.0.into(),
    }
}

/// Shows a sign of life and carries out the changes; an instance that has not been seen for ten lengths
/// is forgotten.
pub(crate) async fn act(
    store: &Store,
    me: &str,
    length: Duration,
    acts: &Acts,
) -> Result<(), CommitError> {
    let mut ops = vec![
        op(BEAT, vec![me.into()]),
        op(FORGET, vec![millis(length * 10).into()]),
    ];
    ops.extend(changes(me, length, acts));
    commit(store, ops).await
}

/// Carries out the last changes of an instance and takes it off the list.
pub(crate) async fn leave(store: &Store, me: &str, acts: &Acts) -> Result<(), CommitError> {
    let mut ops = vec![op(LEAVE, vec![me.into()])];
    ops.extend(changes(me, Duration::ZERO, acts));
    commit(store, ops).await
}

async fn commit(store: &Store, ops: Vec<Op>) -> Result<(), CommitError> {
    let write = Write {
        ops,
        ..Write::new(Fence::shared(GROUP), 0) // the date of outbox rows, of which there are none
    };
    store.commit(write).await.map(drop)
}

fn changes(me: &str, length: Duration, acts: &Acts) -> Vec<Op> {
    let claimed = acts.iter().filter(|(_, act)| **act == Act::Claim);
    let blank: Vec<Row> = claimed
        .map(|(lane, _)| row![lane.as_str(), "", 0, 0])
        .collect();
    let mut ops = Vec::new();
    if !blank.is_empty() {
        ops.push(Op::Insert {
            table: &LANES,
            rows: blank,
        });
    }
    let acts: Vec<_> = acts.iter().collect();
    let changes = acts.chunks(LANES_PER_STATEMENT);
    ops.extend(changes.map(|acts| change(me, length, acts)));
    ops
}

fn change(me: &str, length: Duration, acts: &[(&String, &Act)]) -> Op {
    let mut sql = "insert into courier_lanes (destination, owner, token, expires_at) \
         select v.column1, case when v.column3 = 0 then '' else $1 end, v.column2, \
         case when v.column3 = 0 then 0 else c.now_ms + v.column3 end from (values "
        .to_owned();
    let mut params = vec![Value::from(me)];
    for (index, (lane, act)) in acts.iter().enumerate() {
        let (comma, n) = (if index == 0 { "" } else { ", " }, params.len() + 1);
        let (second, third) = (n + 1, n + 2);
        let _ = write!(
            sql,
            "{comma}(cast(${n} as text), cast(${second} as bigint), cast(${third} as bigint))"
        );
        let (token, span) = match act {
            Act::Claim => (ANY, millis(length)),
            Act::Renew(token) => (token.0, millis(length)),
            Act::Release(token) => (token.0, 0),
        };
        params.extend([Value::from(lane.as_str()), token.into(), span.into()]);
    }
    sql.push_str(CHANGE);
    Op::Sql {
        sql: sql.into(),
        params,
    }
}

fn op(sql: &'static str, params: Vec<Value>) -> Op {
    Op::Sql {
        sql: sql.into(),
        params,
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Whether other processes can have the store open too.
pub(crate) async fn is_shared(store: &Store) -> Result<bool, ReadError> {
    let sql = "select shared from courier_clock";
    let rows = store.query(sql, [], &[Kind::Int]).await?;
    rows.first().map_or(Ok(false), |row| Ok(row.int(0)? != 0))
}

// === impl View ===

impl View {
    pub(crate) async fn read(store: &Store) -> Result<Self, ReadError> {
        let mut view = Self::default();
        for row in store.query(VIEW, [], VIEW_KINDS).await? {
            view.add(&row)?;
        }
        Ok(view)
    }

    /// Those that were seen within one length of a lease.
    pub(crate) fn alive(&self, length: Duration) -> Vec<String> {
        let alive = |(_, seen_at): &&(String, Millis)| seen_at.plus(length) > self.now;
        let alive = self.instances.iter().filter(alive);
        alive.map(|(id, _)| id.clone()).collect()
    }

    /// Who holds which lane now.
    pub(crate) fn owners(&self) -> BTreeMap<String, String> {
        let held = self.lanes.iter().filter(|(_, row)| row.is_held(self.now));
        held.map(|(lane, row)| (lane.clone(), row.owner.clone()))
            .collect()
    }

    fn add(&mut self, row: &Row) -> Result<(), ReadError> {
        let (name, number, at) = (row.text(1)?.to_owned(), row.int(3)?, Millis(row.int(4)?));
        match row.text(0)? {
            "clock" => (self.is_shared, self.now) = (number != 0, at),
            "lane" => {
                let lane = LaneRow {
                    owner: row.text(2)?.to_owned(),
                    token: number,
                    expires_at: at,
                };
                self.lanes.insert(name, lane);
            }
            _ => self.instances.push((name, at)),
        }
        Ok(())
    }
}

// === impl LaneRow ===

impl LaneRow {
    pub(crate) fn is_held(&self, now: Millis) -> bool {
        self.expires_at > now
    }
}
