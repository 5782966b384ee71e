//! What orders did to deliveries and lanes, for couriers that do not fold the log themselves.
//!
//! The one that folds writes a line per change within the fold's own transaction, numbered without a
//! gap: it is alone under its epoch. The others read on behind the last number they saw and look at the
//! rows themselves, so a line says only where to look. Whoever finds that lines are missing, because it
//! was away for longer than they are kept, must read its lanes anew.

use std::collections::BTreeSet;

use store::{Column, Kind, Op, ReadError, Row, Store, Table, Value, row};

use crate::engine::{Arrival, Input};
use crate::entry::Place;
use crate::orders::News;
use crate::stored::Stored;
use crate::tables::{State, place};

/// The lines that are kept.
pub(crate) static NEWS: Table = Table {
    name: "courier_news",
    columns: &[
        Column::int("number"),
        // -1: what operators ordered of lanes, or what stands aside.
        Column::int("part"),
        Column::int("place"),
    ],
    key: 1,
};

/// The lines behind a number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// The number of the last one.
    pub(crate) last: i64,
    /// Deliveries whose rows changed.
    pub(crate) places: BTreeSet<Place>,
    /// Whether what was ordered is to be read again.
    pub(crate) orders: bool,
}

/// Lines are missing between those that were read and those that are kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gap;

const KEPT: i64 = 20_000;
const AT_ONCE: usize = 1_000;
const ORDERS: Place = Place {
    partition: -1,
    offset: -1,
};

/// The number of the last line.
pub(crate) async fn last(store: &Store) -> Result<i64, ReadError> {
    let sql = "select coalesce(max(number), 0) from courier_news";
    let rows = store.query(sql, [], &[Kind::Int]).await?;
    rows.first().map_or(Ok(0), |row| Ok(row.int(0)?))
}

/// What tells the others of the news; `last` is the number of the last line so far. Answers the new one.
pub(crate) fn ops(news: &News, last: i64) -> (Vec<Op>, i64) {
    let ordered = !news.controls.is_empty() || news.sidelines.is_some();
    let rows: Vec<Row> = (news.places.iter().copied())
        .chain(ordered.then_some(ORDERS))
        .zip(last + 1..)
        .map(|(place, number)| row![number, place.partition, place.offset])
        .collect();
    if rows.is_empty() {
        return (Vec::new(), last);
    }
    let now = last + i64::try_from(rows.len()).unwrap_or(0);
    let insert = Op::Insert { table: &NEWS, rows };
    let forget = Op::Sql {
        sql: "delete from courier_news where number <= $1".into(),
        params: vec![Value::from(now - KEPT)],
    };
    (vec![insert, forget], now)
}

/// All lines behind a number.
pub(crate) async fn after(store: &Store, number: i64) -> Result<Result<Lines, Gap>, ReadError> {
    let mut lines = Lines {
        last: number,
        ..Lines::default()
    };
    let sql = format!(
        "select number, part, place from courier_news where number > $1 \
         order by number limit {AT_ONCE}"
    );
    loop {
        let params = [Value::from(lines.last)];
        let kinds = &[Kind::Int, Kind::Int, Kind::Int];
        let rows = store.query(&sql, params, kinds).await?;
        for row in &rows {
            if row.int(0)? != lines.last + 1 {
                return Ok(Err(Gap));
            }
            lines.last += 1;
            let at = place(&row![row.int(1)?, row.int(2)?])?;
            if at == ORDERS {
                lines.orders = true;
            } else {
                lines.places.insert(at);
            }
        }
        if rows.len() < AT_ONCE {
            return Ok(Ok(lines));
        }
    }
}

/// What a lane learns of a row that changed.
pub(crate) fn input(row: Stored) -> Option<Input> {
    let Stored {
        entry,
        state,
        proof,
        ..
    } = row;
    match state {
        // Sent again, or settled as not arrived.
        State::Pending => Some(Input::Settled(vec![(entry, false)])),
        State::Delivered => Some(Input::Settled(vec![(entry, true)])),
        State::Discarded => Some(Input::Discarded(vec![(entry.id, entry.opened_at)])),
        State::Dead => Some(Input::Dead(vec![(entry.id, entry.opened_at)])),
        // Its own lane is at work on it.
        State::Unknown | State::Claimed => Some(Input::Proved(vec![(entry.id, proof?)])),
    }
}

/// What a lane learns of a row that nobody has told it of yet.
pub(crate) fn unheard(one: crate::tables::Undelivered) -> impl Iterator<Item = Input> {
    let id = one.entry.id;
    let is_doubtful = one.state.is_doubtful();
    let proof = one.proof.filter(|_| is_doubtful);
    let input = match one.state {
        State::Dead => Input::Dead(vec![(one.entry.id, one.entry.opened_at)]),
        State::Claimed => Input::Interrupted(one.entry),
        State::Pending | State::Unknown | State::Delivered | State::Discarded => {
            Input::Arrived(vec![Arrival {
                entry: one.entry,
                payload: None,
            }])
        }
    };
    let proof = proof.map(|proof| Input::Proved(vec![(id, proof)]));
    std::iter::once(input).chain(proof)
}
