//! Verdicts of a courier whose lane had gone to another one before they were written.
//!
//! They are facts: kept beside the delivery, without the guard that they cannot pass, and nothing else
//! changes for them. The next owner asks, sends and rules by itself. A fact's key is the delivery, the
//! lease under which the attempt was made and its number, so writing it twice keeps one; a move of a lane
//! leaves at most as many as were in flight, and old ones go when new ones come.

use domain::Attempt;
use store::{Op, ReadError, Row, Store, row};

use super::rows::millis;
use super::{Batch, Leases, Report, Verdict};
use crate::entry::{Millis, Place};
use crate::leases::Token;
use crate::leases::tables::LATE;
use crate::stored::{Failed, Last};
use crate::telemetry;

/// Batches whose lease is over.
#[derive(Default)]
pub(super) struct Late(Vec<Batch>);

/// Ninety days.
const KEPT_MILLIS: i64 = 90 * 24 * 60 * 60 * 1_000;

/// The late verdicts on one delivery, in the order of the attempts.
pub(crate) async fn late(store: &Store, place: Place) -> Result<Vec<Failed>, ReadError> {
    let key = [row![place.partition, place.offset]];
    let rows = store.get(&LATE, &key).await?;
    let read = |row: &Row| {
        Ok(Failed {
            number: u32::try_from(row.int(3)?).unwrap_or(u32::MAX),
            last: Last {
                started_at: Millis(row.int(4)?),
                took: row.int(5)?,
                class: row.text(6)?.to_owned(),
                detail: row.text(7)?.to_owned(),
            },
        })
    };
    let mut late: Vec<Failed> = rows.iter().map(read).collect::<Result<_, ReadError>>()?;
    late.sort_by_key(|one| one.last.started_at);
    Ok(late)
}

// === impl Late ===

impl Late {
    /// Takes what was refused out of the batches.
    pub(super) fn take_out(&mut self, batches: &mut Vec<Batch>, refused: &Leases) {
        let refused = batches.extract_if(.., |batch| refused.contains(&batch.key()));
        self.0.extend(refused);
    }

    /// Notes the verdicts among them, and forgets old ones.
    pub(super) fn ops(&self, now: i64) -> Vec<Op> {
        let rows: Vec<Row> = self
            .verdicts()
            .map(|(token, verdict)| fact(token, verdict, now))
            .collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let forget = Op::Sql {
            sql: "delete from courier_late_verdicts where noted_at < $1".into(),
            params: vec![(now - KEPT_MILLIS).into()],
        };
        vec![Op::Insert { table: &LATE, rows }, forget]
    }

    /// They are durable. A claim among them gets no answer, and so its lane does not send.
    pub(super) fn written(self) {
        for (_, verdict) in self.verdicts() {
            telemetry::late(verdict);
        }
        for report in self.0.into_iter().flat_map(|batch| batch.reports) {
            if let Report::Settled { done } = report {
                let _ = done.send(());
            }
        }
    }

    fn verdicts(&self) -> impl Iterator<Item = (Token, &Verdict)> {
        self.0.iter().flat_map(|batch| {
            let verdicts = batch.reports.iter().filter_map(|report| match report {
                Report::Verdict(verdict) => Some(verdict),
                Report::Payload { .. }
                | Report::Claimed { .. }
                | Report::Resolved { .. }
                | Report::Alarm { .. }
                | Report::Kept { .. }
                | Report::Settled { .. } => None,
            });
            verdicts.map(|verdict| (batch.lease.token, verdict))
        })
    }
}

fn fact(token: Token, verdict: &Verdict, now: i64) -> Row {
    let Place { partition, offset } = verdict.about.entry.place;
    let Attempt {
        number,
        started_at,
        took,
        class,
        detail,
    } = &verdict.attempt;
    row![
        partition,
        offset,
        token.0,
        *number,
        started_at.as_millisecond(),
        millis(*took),
        class.as_str(),
        detail.as_str(),
        now,
    ]
}
