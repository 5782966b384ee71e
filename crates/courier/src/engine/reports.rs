//! What a lane tells the writer of verdicts.

use std::time::Duration;

use domain::Attempt;
use tokio::sync::oneshot;

use super::{Engine, READ_AHEAD, unbudgeted};
use crate::Error;
use crate::entry::{Entry, Millis, Place};
use crate::lane::{Alarm, Ruling};
use crate::link::Job;
use crate::payload::Payload;
use crate::stored::Stored;
use crate::telemetry;
use crate::verdicts::{About, Batch, Report, Verdict};

impl Engine {
    /// Waits until all verdicts are written: who has the lane next reads them.
    pub(super) async fn settle_reports(&mut self) {
        let (done, settled) = oneshot::channel();
        self.report(vec![Report::Settled { done }]).await;
        let _ = settled.await;
    }

    /// `false`: there is no writer any more, for the process is about to end.
    pub(super) async fn report(&mut self, reports: Vec<Report>) -> bool {
        let lease = self.lease.clone();
        let batch = Batch::new(lease, reports, &self.backlog);
        self.shared.verdicts.send(batch).await.is_ok()
    }

    /// Makes durable that these are about to be sent to a destination for which a repeat is not
    /// harmless. `false`: the lane or the process is about to end, and they are not sent.
    pub(super) async fn claim(&mut self, jobs: &[Job]) -> bool {
        let place = |job: &Job| self.lane.line().entry(job.id).map(|entry| entry.place);
        let places: Vec<Place> = jobs.iter().filter_map(place).collect();
        let (done, claimed) = oneshot::channel();
        let claim = vec![Report::Claimed { places, done }];
        self.report(claim).await && claimed.await.is_ok()
    }

    pub(super) async fn tell_interrupted(&mut self) {
        let entries = std::mem::take(&mut self.interrupted);
        if entries.is_empty() {
            return;
        }
        let started_at = self.shared.clock.now();
        let about = self.about(&entries).await.into_iter();
        let reports = about.map(|about| {
            let number = about.entry.tries;
            Report::Verdict(Verdict {
                about,
                attempt: Attempt {
                    number,
                    started_at,
                    took: Duration::ZERO,
                    class: domain::AttemptClass::Timeout,
                    detail: "the pipeline ended during the attempt".to_owned(),
                },
                ruling: Ruling::Unknown,
            })
        });
        self.report(reports.collect()).await;
    }

    pub(super) async fn tell_alarms(&mut self, now: Millis) -> Result<(), Error> {
        let alarms = self.lane.take_alarms(now);
        if alarms.is_empty() {
            return Ok(());
        }
        let entries: Vec<Entry> = alarms.iter().map(|alarm| alarm.entry).collect();
        let about = self.about(&entries).await;
        let alarm_of = |about: &About| {
            let mut of = alarms.iter();
            of.find(|alarm| alarm.entry.id == about.entry.id).copied()
        };
        let reports: Vec<Report> = about
            .into_iter()
            .filter_map(|about| {
                alarm_of(&about).map(|Alarm { percent, at, .. }| (about, percent, at))
            })
            .map(|(about, percent, at)| Report::Alarm { about, percent, at })
            .collect();
        if reports.len() < alarms.len() {
            telemetry::alarms_unwritten(&self.bound.destination.id, alarms.len() - reports.len());
        }
        self.report(reports).await;
        Ok(())
    }

    /// Whose they are, from memory or from the store; those that cannot be read are left out.
    pub(super) async fn about(&mut self, entries: &[Entry]) -> Vec<About> {
        let mut about = Vec::with_capacity(entries.len());
        let mut missing = Vec::new();
        for entry in entries {
            match self.payloads.get(&entry.id) {
                Some(payload) => about.push(self.about_one(*entry, payload)),
                None => missing.push(entry.place),
            }
        }
        for places in missing.chunks(READ_AHEAD) {
            let rows = Stored::at(&self.shared.store, places)
                .await
                .unwrap_or_default();
            for row in rows {
                let entry = entries.iter().find(|entry| entry.id == row.entry.id);
                if let Some((entry, payload)) = entry.zip(unbudgeted(row)) {
                    about.push(self.about_one(*entry, &payload));
                }
            }
        }
        about
    }

    pub(super) fn about_one(&self, entry: Entry, payload: &Payload) -> About {
        About {
            entry,
            dossier: payload.dossier.clone(),
            step: payload.step.clone(),
            destination: self.bound.destination.id.clone(),
        }
    }

    /// Makes durable what the next process should know of the lane, when it has changed enough.
    pub(super) async fn keep(&mut self, _now: Millis) {
        let kept = self.lane.kept();
        if kept.is_near(&self.kept) {
            return;
        }
        self.kept = kept.clone();
        let destination = self.bound.destination.id.clone();
        let report = vec![Report::Kept { destination, kept }];
        self.report(report).await;
    }
}
