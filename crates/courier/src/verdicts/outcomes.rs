//! What of the reports of lanes others should hear: records of the outcomes topic.

use bytes::Bytes;
use domain::{Outcome, OutcomeKind, RecordId};
use jiff::Timestamp;
use log::Record;

use super::{About, Report, Verdict};
use crate::lane::Ruling;

/// The record that tells of a report, if it is of interest outside.
pub(super) fn of(report: &Report) -> Option<Record> {
    match report {
        Report::Verdict(verdict) => Some(of_verdict(verdict)),
        Report::Resolved {
            about,
            arrived,
            at,
            reason,
        } => {
            let kind = OutcomeKind::Settled {
                delivery: about.entry.id,
                step: about.step.clone(),
                destination: about.destination.clone(),
                arrived: *arrived,
                reason: reason.clone(),
            };
            let tries = about.entry.tries.to_string();
            Some(record(about, "settled", &tries, at.timestamp(), kind))
        }
        Report::Alarm { about, percent, at } => {
            let kind = OutcomeKind::BudgetUsed {
                delivery: about.entry.id,
                step: about.step.clone(),
                destination: about.destination.clone(),
                percent: (*percent).into(),
            };
            let level = percent.to_string();
            Some(record(about, "budget-used", &level, at.timestamp(), kind))
        }
        Report::Payload { .. }
        | Report::Claimed { .. }
        | Report::Kept { .. }
        | Report::Settled { .. } => None,
    }
}

fn of_verdict(verdict: &Verdict) -> Record {
    let Verdict {
        about,
        attempt,
        ruling,
    } = verdict;
    let delivery = about.entry.id;
    let (step, destination) = (about.step.clone(), about.destination.clone());
    let number = attempt.number.to_string();
    let attempt = attempt.clone();
    let (word, kind) = match ruling {
        Ruling::Delivered => (
            "delivered",
            OutcomeKind::Delivered {
                delivery,
                step,
                destination,
                attempt,
            },
        ),
        Ruling::Again { at } => (
            "attempt-failed",
            OutcomeKind::AttemptFailed {
                delivery,
                step,
                destination,
                attempt,
                next_at: at.timestamp(),
            },
        ),
        Ruling::Unknown => (
            "outcome-unknown",
            OutcomeKind::Unknown {
                delivery,
                step,
                destination,
                attempt,
            },
        ),
        Ruling::Dead => (
            "dead-lettered",
            OutcomeKind::DeadLettered {
                delivery,
                step,
                destination,
                attempt,
            },
        ),
    };
    record(about, word, &number, verdict.ended_at(), kind)
}

fn record(about: &About, word: &str, which: &str, at: Timestamp, kind: OutcomeKind) -> Record {
    outcome_record(Outcome {
        id: RecordId::of("outcome", &[&about.entry.id.to_string(), word, which]),
        dossier: about.dossier.clone(),
        at,
        kind,
    })
}

/// The record of an outcome.
pub(crate) fn outcome_record(outcome: Outcome) -> Record {
    let dossier = outcome.dossier.clone();
    let (attributes, data): (_, Bytes) = proto::encode_outcome(outcome);
    consumer::record(&dossier, attributes, data)
}
