//! What a lane asks its destination, and what it tells others of waiting deliveries.

use std::time::Duration;

use domain::{Attempt, AttemptClass, DeliveryId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::payloads::unbudgeted;
use super::{Engine, PAUSE, Query, READ_AHEAD};
use crate::Error;
use crate::answer::Answer;
use crate::entry::{Entry, Millis, Place};
use crate::lane::{Alarm, Ruling, Standing};
use crate::link::Known;
use crate::payload::Payload;
use crate::stored::Stored;
use crate::tables::State;
use crate::telemetry;
use crate::verdicts::{About, Report, Verdict};

impl Engine {
    /// Sends the canary and the questions that are due.
    pub(super) fn ask(&mut self, now: Millis) {
        if self.canary.is_none() && self.lane.take_canary(now) {
            let asker = self.asker.clone();
            self.canary = Some(Box::pin(async move { asker.canary().await }));
        }
        for id in self.lane.take_queries(now) {
            let asker = self.asker.clone();
            let query: Query = Box::pin(async move { (id, asker.query(id).await) });
            self.queries.push(query);
        }
    }

    pub(super) async fn canary_answered(&mut self, answer: &Answer) {
        self.canary = None;
        let now = self.now();
        if let Some(change) = self.lane.canary_answered(answer, now) {
            self.changed(change);
        }
        self.keep().await;
    }

    /// The destination was asked what became of a delivery in doubt.
    pub(super) async fn learned(&mut self, id: DeliveryId, known: Known) {
        let now = self.now();
        let arrived = match known {
            Known::Arrived => true,
            Known::NotArrived => false,
            Known::Nothing(detail) => {
                telemetry::still_unknown(&self.bound.destination.id, id, &detail);
                return self.lane.ask_again(id, now);
            }
        };
        let Some(entry) = self.lane.line().entry(id).copied() else {
            return;
        };
        let Some(about) = self.about(&[entry]).await.pop() else {
            return self.lane.ask_again(id, now);
        };
        self.resolve(vec![Report::Resolved {
            about,
            arrived,
            at: now,
            reason: "the destination was asked".to_owned(),
        }])
        .await;
        self.lane.ask_again(id, now);
    }

    /// Settles what later events prove to have arrived, as soon as it is in doubt.
    pub(super) async fn settle_proved(&mut self) {
        let line = self.lane.line();
        self.proofs.retain(|id, _| {
            let is_doubtful = line.entry(*id).is_some_and(|entry| entry.doubtful);
            is_doubtful || line.standing(*id) == Some(Standing::InFlight)
        });
        let is_told = |entry: &&Entry| !self.interrupted.iter().any(|one| one.id == entry.id);
        let in_doubt = (self.proofs.keys())
            .filter(|id| line.standing(**id) == Some(Standing::Doubtful))
            .filter_map(|id| line.entry(*id));
        let entries: Vec<Entry> = in_doubt.filter(is_told).copied().collect();
        if entries.is_empty() {
            return;
        }
        let at = self.now();
        let mut reports = Vec::with_capacity(entries.len());
        for about in self.about(&entries).await {
            let reason = self.proofs.get(&about.entry.id).cloned();
            reports.extend(reason.map(|reason| Report::Resolved {
                about,
                arrived: true,
                at,
                reason,
            }));
        }
        self.resolve(reports).await;
        // Whoever is still in doubt is so because the store could not be read.
        let line = self.lane.line();
        let is_left = |entry: &Entry| line.standing(entry.id) == Some(Standing::Doubtful);
        if entries.iter().any(is_left) {
            self.quiet_until = Some(Instant::now() + PAUSE);
        }
    }

    /// Makes resolutions durable, and goes on as the rows then say: a person may have settled one at the
    /// same time, and whoever was first is right.
    async fn resolve(&mut self, mut reports: Vec<Report>) {
        let place = |report: &Report| match report {
            Report::Resolved { about, .. } => Some(about.entry.place),
            _ => None,
        };
        let places: Vec<Place> = reports.iter().filter_map(place).collect();
        let (done, written) = oneshot::channel();
        reports.push(Report::Settled { done });
        if !self.report(reports).await || written.await.is_err() {
            return;
        }
        let rows = Stored::at(&self.shared.store, &places).await;
        let now = self.now();
        for row in rows.unwrap_or_default() {
            if matches!(row.state, State::Pending | State::Delivered) {
                let arrived = row.state == State::Delivered;
                self.lane.resolve(row.entry.id, arrived, now);
            }
        }
    }

    pub(super) async fn tell_interrupted(&mut self) {
        let entries = std::mem::take(&mut self.interrupted);
        if entries.is_empty() {
            return;
        }
        let started_at = self.shared.clock.now();
        let about = self.about(&entries).await;
        let is_told = |entry: &Entry| about.iter().any(|about| about.entry.id == entry.id);
        let untold = entries.into_iter().filter(|entry| !is_told(entry));
        self.interrupted = untold.collect();
        if !self.interrupted.is_empty() {
            self.quiet_until = Some(Instant::now() + PAUSE);
        }
        let reports = about.into_iter().map(|about| {
            let number = about.entry.tries;
            Report::Verdict(Verdict {
                about,
                attempt: Attempt {
                    number,
                    started_at,
                    took: Duration::ZERO,
                    class: AttemptClass::Timeout,
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
        let mut reports = Vec::with_capacity(about.len());
        for alarm in alarms {
            let Alarm { percent, at, .. } = alarm;
            let told = about.iter().find(|about| about.entry.id == alarm.entry.id);
            match told.cloned() {
                Some(about) => reports.push(Report::Alarm { about, percent, at }),
                None => {
                    telemetry::alarm_untold(&self.bound.destination.id, alarm.entry.id);
                    self.lane.tell_later(&alarm, now.plus(PAUSE));
                }
            }
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
            let rows = self.rows(places).await.unwrap_or_default();
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
}
