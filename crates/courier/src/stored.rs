//! Rows of deliveries and attempts, read whole.

use bytes::Bytes;
use domain::{AttemptClass, DeliveryId, DestinationId};
use store::{Kind, ReadError, Row, Store, Value, row};

use crate::entry::{Entry, Millis, Place};
use crate::sidelines::Marks;
use crate::tables::{ATTEMPTS, DELIVERIES, State, mark, place};

/// A whole row of [`DELIVERIES`].
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) destination: String,
    pub(crate) dossier: String,
    pub(crate) appended_at: Millis,
    pub(crate) state: State,
    pub(crate) last: Option<Last>,
    pub(crate) payload: Option<Bytes>,
    pub(crate) proof: Option<String>,
}

/// For what a person is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Dead letters.
    Dead,
    /// Unknown outcomes.
    Unknown,
    /// Undelivered ones whose last answer no rule reads.
    Review,
}

/// The last attempt.
pub(crate) struct Last {
    pub(crate) class: String,
    pub(crate) detail: String,
    pub(crate) started_at: Millis,
    pub(crate) took: i64,
}

// === impl Stored ===

impl Stored {
    const KINDS: &[Kind] = &[
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
        Kind::Text,
        Kind::Text,
        Kind::Int,
        Kind::Int,
        Kind::Blob,
        Kind::Int,
        Kind::Int,
        Kind::Text,
    ];

    /// The deliveries of these places; those that are not there are left out.
    pub(crate) async fn at(store: &Store, places: &[Place]) -> Result<Vec<Self>, ReadError> {
        let keys: Vec<Row> = places
            .iter()
            .map(|place| row![place.partition, place.offset])
            .collect();
        let rows = store.get(&DELIVERIES, keys).await?;
        rows.iter().map(Self::read).collect()
    }

    /// The deliveries of these ids.
    pub(crate) async fn of_ids(store: &Store, ids: &[DeliveryId]) -> Result<Vec<Self>, ReadError> {
        const AT_ONCE: usize = 500;
        let mut found = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            let marks: Vec<String> = (1..=ids.len()).map(|n| format!("${n}")).collect();
            let condition = format!("id in ({})", marks.join(", "));
            let params: Vec<Value> = ids.iter().map(|id| Value::from(id.as_bytes())).collect();
            found.extend(Self::query(store, &condition, "part, place", 1_000, &params).await?);
        }
        Ok(found)
    }

    /// Those that wait for a person so, behind a place, oldest first, of one destination or of all.
    pub(crate) async fn waiting(
        store: &Store,
        wait: Wait,
        destination: Option<&DestinationId>,
        after: Place,
        limit: usize,
    ) -> Result<Vec<Self>, ReadError> {
        let condition = format!(
            "{} and (part > $1 or (part = $1 and place > $2)) and ($3 = '' or destination = $3)",
            wait.condition()
        );
        let destination = destination.map_or("", DestinationId::as_str);
        let params = [
            after.partition.into(),
            after.offset.into(),
            destination.into(),
        ];
        Self::query(store, &condition, "part, place", limit, &params).await
    }

    async fn query(
        store: &Store,
        condition: &str,
        order: &str,
        limit: usize,
        params: &[Value],
    ) -> Result<Vec<Self>, ReadError> {
        let columns: Vec<&str> = DELIVERIES
            .columns
            .iter()
            .map(|column| column.name)
            .collect();
        let columns = columns.join(", ");
        let sql = format!(
            "select {columns} from courier_deliveries where {condition} \
             order by {order} limit {limit}"
        );
        let rows = store.query(&sql, params, Self::KINDS).await?;
        rows.iter().map(Self::read).collect()
    }

    fn read(row: &Row) -> Result<Self, ReadError> {
        let count = |column| {
            row.int(column)
                .map(|n| u32::try_from(n).unwrap_or(u32::MAX))
        };
        let last = match (row.opt_text(12)?, row.opt_int(14)?) {
            (Some(class), Some(started_at)) => Some(Last {
                class: class.to_owned(),
                detail: row.opt_text(13)?.unwrap_or_default().to_owned(),
                started_at: Millis(started_at),
                took: row.opt_int(15)?.unwrap_or_default(),
            }),
            _ => None,
        };
        let state = State::from_row(row.int(8)?);
        Ok(Self {
            entry: Entry {
                place: place(row)?,
                id: DeliveryId::from(row.array(2)?),
                dossier: mark(row.text(4)?),
                due_at: Millis(row.int(5)?),
                opened_at: Millis(row.int(6)?),
                next_at: Millis(row.int(11)?),
                tries: count(9)?,
                charged: count(10)?,
                doubtful: state.is_doubtful(),
                announced: u8::try_from(row.int(18)?).unwrap_or(100),
                marks: Marks::unpacked(row.int(17)?),
            },
            destination: row.text(3)?.to_owned(),
            dossier: row.text(4)?.to_owned(),
            appended_at: Millis(row.int(7)?),
            state,
            last,
            payload: row.opt_blob(16)?.cloned(),
            proof: row.opt_text(19)?.map(str::to_owned),
        })
    }
}

// === impl Wait ===

impl Wait {
    /// In words that an index has, too.
    fn condition(self) -> &'static str {
        match self {
            Self::Dead => "state = 2",
            Self::Unknown => "state = 3",
            Self::Review => "state <> 1 and state <> 4 and class = 'unclear'",
        }
    }
}

/// A failed attempt of [`ATTEMPTS`].
pub(crate) struct Failed {
    pub(crate) number: u32,
    pub(crate) last: Last,
}

/// The failed attempts of one delivery, oldest first.
pub(crate) async fn attempts(store: &Store, place: Place) -> Result<Vec<Failed>, ReadError> {
    let rows = store
        .get(&ATTEMPTS, &[row![place.partition, place.offset]])
        .await?;
    let mut attempts: Vec<Failed> = rows
        .iter()
        .map(|row| {
            Ok(Failed {
                number: u32::try_from(row.int(2)?).unwrap_or(u32::MAX),
                last: Last {
                    started_at: Millis(row.int(3)?),
                    took: row.int(4)?,
                    class: row.text(5)?.to_owned(),
                    detail: row.text(6)?.to_owned(),
                },
            })
        })
        .collect::<Result<_, ReadError>>()?;
    attempts.sort_by_key(|attempt| attempt.number);
    Ok(attempts)
}

// === impl Last ===

impl Last {
    /// Whether the attempt succeeded: then it stands in the delivery's own row only.
    pub(crate) fn is_success(&self) -> bool {
        let is_it = |class: &AttemptClass| class.as_str() == self.class;
        AttemptClass::ALL
            .iter()
            .any(|class| is_it(class) && class.is_success())
    }
}
