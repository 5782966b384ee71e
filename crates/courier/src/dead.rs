//! Dead letters by filter, without their payloads.

use std::fmt;

use domain::{AttemptClass, DeliveryId, DestinationId, ProcedureCode};
use store::{Kind, ReadError, Row, Store, Value};

use crate::entry::{Millis, Place};
use crate::groups::group_id;
use crate::sidelines::{Marks, mark32};
use crate::stored::Stored;
use crate::tables::place;

/// Which dead letters are meant; what is left out does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) destination: Option<DestinationId>,
    pub(crate) class: Option<AttemptClass>,
    pub(crate) group: Option<String>,
    pub(crate) procedure: Option<ProcedureCode>,
    pub(crate) from: Option<Millis>,
    /// Outside.
    pub(crate) to: Option<Millis>,
}

/// A dead letter as far as filters and groups look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) place: Place,
    pub(crate) id: DeliveryId,
    pub(crate) destination: String,
    pub(crate) class: String,
    pub(crate) detail: String,
    pub(crate) dead_at: Millis,
    marks: i64,
}

const PAGE: usize = 2_000;
const KINDS: &[Kind] = &[
    Kind::Int,
    Kind::Int,
    Kind::Blob,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Int,
    Kind::Int,
    Kind::Int,
];

/// Those that the filter means, in the order of the log, as far as one more than `most`.
pub(crate) async fn matching(
    store: &Store,
    filter: &Filter,
    most: usize,
) -> Result<Vec<Letter>, ReadError> {
    let mut found = Vec::new();
    each(store, filter, |letters| {
        found.extend(letters);
        found.len() <= most
    })
    .await?;
    found.truncate(most + 1);
    Ok(found)
}

/// Gives those that the filter means, page by page, for as long as they are wanted.
pub(crate) async fn each(
    store: &Store,
    filter: &Filter,
    mut take: impl FnMut(Vec<Letter>) -> bool,
) -> Result<(), ReadError> {
    let mut after = Place {
        partition: -1,
        offset: -1,
    };
    loop {
        let page = page(store, filter.destination.as_ref(), after).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.place;
        let is_last = page.len() < PAGE;
        let mut meant: Vec<Letter> = page.into_iter().filter(|one| filter.means(one)).collect();
        if let Some(procedure) = &filter.procedure {
            keep_procedure(store, procedure, &mut meant).await?;
        }
        if !take(meant) || is_last {
            return Ok(());
        }
    }
}

async fn page(
    store: &Store,
    destination: Option<&DestinationId>,
    after: Place,
) -> Result<Vec<Letter>, ReadError> {
    let sql = format!(
        "select part, place, id, destination, coalesce(class, ''), coalesce(detail, ''), \
         coalesce(started_at, 0), coalesce(took, 0), marks from courier_deliveries \
         where state = 2 and (part > $1 or (part = $1 and place > $2)) \
         and ($3 = '' or destination = $3) order by part, place limit {PAGE}"
    );
    let destination = destination.map_or("", DestinationId::as_str);
    let params: [Value; 3] = [
        after.partition.into(),
        after.offset.into(),
        destination.into(),
    ];
    let rows = store.query(sql, params, KINDS).await?;
    rows.iter().map(Letter::read).collect()
}

/// Marks may be shared, and rows of earlier versions have none: the delivery itself tells.
async fn keep_procedure(
    store: &Store,
    procedure: &ProcedureCode,
    letters: &mut Vec<Letter>,
) -> Result<(), ReadError> {
    const AT_ONCE: usize = 500;
    let mut kept = Vec::new();
    for some in letters.chunks(AT_ONCE) {
        let places: Vec<Place> = some.iter().map(|letter| letter.place).collect();
        for row in Stored::at(store, &places).await? {
            let delivery = row
                .payload
                .and_then(|body| proto::decode_delivery(body).ok());
            if delivery.is_some_and(|it| it.procedure.base() == procedure.base()) {
                kept.extend(some.iter().find(|one| one.id == row.entry.id).cloned());
            }
        }
    }
    *letters = kept;
    Ok(())
}

// === impl Filter ===

impl Filter {
    /// Whether it leaves any dead letter out.
    pub(crate) fn narrows(&self) -> bool {
        *self != Self::default()
    }

    /// Without a look at the procedure itself.
    fn means(&self, letter: &Letter) -> bool {
        let class = self
            .class
            .is_none_or(|class| class.as_str() == letter.class);
        let from = self.from.is_none_or(|from| letter.dead_at >= from);
        let to = self.to.is_none_or(|to| letter.dead_at < to);
        let procedure = self.procedure.as_ref().is_none_or(|procedure| {
            let mark = Marks::unpacked(letter.marks).procedure;
            letter.marks == 0 || mark == mark32(procedure.base())
        });
        let group = || {
            self.group.as_ref().is_none_or(|group| {
                *group == group_id(&letter.destination, &letter.class, &letter.detail)
            })
        };
        class && from && to && procedure && group()
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at: &Millis| at.timestamp().to_string();
        let parts = [
            (
                "destination",
                self.destination.as_ref().map(ToString::to_string),
            ),
            ("class", self.class.map(|class| class.to_string())),
            ("group", self.group.clone()),
            (
                "procedure",
                self.procedure.as_ref().map(|code| code.as_str().to_owned()),
            ),
            ("from", self.from.as_ref().map(time)),
            ("to", self.to.as_ref().map(time)),
        ];
        let mut between = "";
        for (name, value) in parts {
            if let Some(value) = value {
                write!(f, "{between}{name} {value}")?;
                between = ", ";
            }
        }
        Ok(())
    }
}

// === impl Letter ===

impl Letter {
    fn read(row: &Row) -> Result<Self, ReadError> {
        Ok(Self {
            place: place(row)?,
            id: DeliveryId::from(row.array(2)?),
            destination: row.text(3)?.to_owned(),
            class: row.text(4)?.to_owned(),
            detail: row.text(5)?.to_owned(),
            dead_at: Millis(row.int(6)?.saturating_add(row.int(7)?)),
            marks: row.int(8)?,
        })
    }
}
