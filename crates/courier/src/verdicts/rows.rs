//! The rows that reports of lanes change.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::Attempt;
use store::{Op, Row, Value, row};

use super::{About, Report, Verdict};
use crate::entry::Place;
use crate::lane::{Kept, Ruling};
use crate::tables::{
    ALARMED, ATTEMPTS, CLAIMED, DELIVERED, DELIVERIES, FAILED, LANE_STATES, PAYLOAD, State,
};

/// How the row of a delivery changes.
enum Change<'a> {
    Ruled(&'a Verdict),
    Claimed,
}

/// One change of state per delivery, the last one: a failed try and the success after it may wait for
/// the same transaction. Every failed attempt is kept.
pub(super) fn ops<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Vec<Op> {
    let (mut last, mut resolved) = (BTreeMap::new(), BTreeMap::new());
    let (mut attempts, mut alarms) = (Vec::new(), BTreeMap::new());
    let (mut kept, mut payloads) = (BTreeMap::new(), BTreeMap::new());
    for report in reports {
        match report {
            Report::Verdict(verdict) => {
                last.insert(verdict.about.entry.place, Change::Ruled(verdict));
                if verdict.ruling != Ruling::Delivered {
                    attempts.push(attempt_row(verdict));
                }
            }
            Report::Payload { place, body } => {
                payloads.insert(*place, body);
            }
            Report::Claimed { places, .. } => {
                last.extend(places.iter().map(|place| (*place, Change::Claimed)));
            }
            Report::Resolved { about, arrived, .. } => {
                resolved.insert(about.entry.place, *arrived);
            }
            Report::Alarm { about, percent, .. } => {
                alarms.insert(about.entry.place, *percent);
            }
            Report::Kept {
                destination,
                kept: state,
            } => {
                kept.insert(destination.as_str(), state);
            }
            Report::Settled { .. } => {}
        }
    }
    let mut ops = Vec::new();
    let payloads = payloads.into_iter().map(payload_row).collect();
    push_update(&mut ops, PAYLOAD, payloads);
    // Behind the payloads: a delivered one needs none any more.
    push_changes(&mut ops, last);
    // A lane goes on with a delivery only after it knows what became of the resolution.
    ops.extend(resolved.into_iter().map(resolution));
    let alarm =
        |(place, percent): (Place, u8)| row![place.partition, place.offset, i64::from(percent)];
    push_update(&mut ops, ALARMED, alarms.into_iter().map(alarm).collect());
    if !attempts.is_empty() {
        ops.push(Op::Insert {
            table: &ATTEMPTS,
            rows: attempts,
        });
    }
    if !kept.is_empty() {
        ops.push(Op::Upsert {
            table: &LANE_STATES,
            rows: kept.into_iter().map(kept_row).collect(),
        });
    }
    ops
}

fn push_changes(ops: &mut Vec<Op>, last: BTreeMap<Place, Change<'_>>) {
    let (mut delivered, mut failed, mut claimed) = (Vec::new(), Vec::new(), Vec::new());
    for (place, change) in last {
        match change {
            Change::Ruled(verdict) if verdict.ruling == Ruling::Delivered => {
                delivered.push(delivered_row(verdict));
            }
            Change::Ruled(verdict) => failed.push(failed_row(verdict)),
            Change::Claimed => {
                let state = State::Claimed as i32;
                claimed.push(row![place.partition, place.offset, state, Value::Null]);
            }
        }
    }
    push_update(ops, DELIVERED, delivered);
    push_update(ops, FAILED, failed);
    push_update(ops, CLAIMED, claimed);
}

fn payload_row((place, body): (Place, &Bytes)) -> Row {
    row![place.partition, place.offset, body.clone()]
}

/// Whoever settles an unknown outcome first is right: a person, or the lane here.
fn resolution((place, arrived): (Place, bool)) -> Op {
    let sql = if arrived {
        "update courier_deliveries set state = 1, payload = null \
         where part = $1 and place = $2 and state = 3"
    } else {
        "update courier_deliveries set state = 0, next_at = 0 \
         where part = $1 and place = $2 and state = 3"
    };
    Op::Sql {
        sql: sql.into(),
        params: vec![place.partition.into(), place.offset.into()],
    }
}

fn push_update(ops: &mut Vec<Op>, columns: &'static [&'static str], rows: Vec<Row>) {
    if !rows.is_empty() {
        ops.push(Op::Update {
            table: &DELIVERIES,
            columns,
            rows,
        });
    }
}

fn delivered_row(verdict: &Verdict) -> Row {
    let Verdict {
        about: About { entry, .. },
        attempt,
        ..
    } = verdict;
    row![
        entry.place.partition,
        entry.place.offset,
        State::Delivered as i32,
        entry.tries,
        attempt.class.as_str(),
        attempt.detail.as_str(),
        attempt.started_at.as_millisecond(),
        millis(attempt.took),
        Value::Null,
    ]
}

fn failed_row(verdict: &Verdict) -> Row {
    let Verdict {
        about: About { entry, .. },
        attempt,
        ruling,
    } = verdict;
    let state = match ruling {
        Ruling::Dead => State::Dead,
        Ruling::Unknown => State::Unknown,
        Ruling::Again { .. } | Ruling::Delivered => State::Pending,
    };
    row![
        entry.place.partition,
        entry.place.offset,
        state as i32,
        entry.tries,
        entry.charged,
        entry.next_at.0,
        attempt.class.as_str(),
        attempt.detail.as_str(),
        attempt.started_at.as_millisecond(),
        millis(attempt.took),
    ]
}

fn attempt_row(verdict: &Verdict) -> Row {
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
        *number,
        started_at.as_millisecond(),
        millis(*took),
        class.as_str(),
        detail.as_str(),
    ]
}

fn kept_row((destination, kept): (&str, &Kept)) -> Row {
    row![destination, kept.to_json()]
}

pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use domain::{AttemptClass, DeliveryId};
    use jiff::Timestamp;

    use super::*;
    use crate::entry::{DossierMark, Entry, Millis};

    fn verdict(offset: i64, tries: u32, ruling: Ruling) -> Report {
        let class = match ruling {
            Ruling::Delivered => AttemptClass::Accepted,
            Ruling::Again { .. } | Ruling::Unknown | Ruling::Dead => AttemptClass::Retryable,
        };
        Report::Verdict(Verdict {
            about: About {
                entry: Entry {
                    id: DeliveryId::from([u8::try_from(offset).unwrap(); 16]),
                    place: Place {
                        partition: 0,
                        offset,
                    },
                    dossier: DossierMark(1),
                    due_at: Millis(0),
                    opened_at: Millis(0),
                    next_at: Millis(0),
                    tries,
                    charged: tries,
                    doubtful: false,
                    announced: 0,
                    marks: crate::sidelines::Marks::default(),
                },
                dossier: "d-1".parse().unwrap(),
                step: "work".parse().unwrap(),
                destination: "desk".parse().unwrap(),
            },
            attempt: Attempt {
                number: tries,
                started_at: Timestamp::UNIX_EPOCH,
                took: Duration::ZERO,
                class,
                detail: String::new(),
            },
            ruling,
        })
    }

    fn updated(ops: &[Op], columns: &[&str]) -> Vec<i64> {
        let rows = ops.iter().filter_map(|op| match op {
            Op::Update {
                columns: own, rows, ..
            } if *own == columns => Some(rows),
            _ => None,
        });
        rows.flatten().map(|row| row.int(1).unwrap()).collect()
    }

    #[test]
    fn of_several_verdicts_on_one_delivery_in_one_write_the_last_one_stays() {
        let again = Ruling::Again { at: Millis(1) };
        let verdicts = [
            verdict(1, 1, again),
            verdict(2, 1, again),
            verdict(1, 2, Ruling::Delivered),
            verdict(2, 2, again),
        ];
        let ops = ops(&verdicts);
        assert_eq!(updated(&ops, DELIVERED), [1]);
        assert_eq!(updated(&ops, FAILED), [2]);
        let attempts = ops.iter().filter_map(|op| match op {
            Op::Insert { rows, .. } => Some(rows.len()),
            _ => None,
        });
        assert_eq!(attempts.sum::<usize>(), 3);
    }
}
