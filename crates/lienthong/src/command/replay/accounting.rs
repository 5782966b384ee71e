//! Asking the tracker what arrived.

use std::time::Duration;

use domain::{AgencyId, DossierKey};
use futures_util::{StreamExt, TryStreamExt, stream};
use proto::v1::{
    GetDossierRequest, ReconcileRequest, TimelineEntry, get_dossier_request::Name,
    tracker_client::TrackerClient,
};
use tokio::time::{self, Instant};
use tonic::{Code, transport::Channel};

use super::{
    recording::Recording,
    trace::{Position, Trace},
};
use crate::{
    exit::{Failure, from_status},
    output,
};

/// The tracker, asked as the agency that sent the events.
#[derive(Clone, Debug)]
pub(super) struct Accounting {
    client: TrackerClient<Channel>,
    source: AgencyId,
}

// === impl Accounting ===

impl Accounting {
    /// How many ids one question may name; the tracker takes twice as many.
    const CHUNK: usize = 5_000;
    /// How many timelines are asked for at once.
    const AT_ONCE: usize = 16;
    const EVERY: Duration = Duration::from_millis(500);
    /// How long nothing more may arrive before the rest counts as lost.
    const PATIENCE: Duration = Duration::from_secs(60);

    pub(super) fn new(channel: Channel, source: AgencyId) -> Self {
        Self {
            client: TrackerClient::new(channel),
            source,
        }
    }

    /// The events that reach no timeline: asked again as long as more of them arrive.
    pub(super) async fn missing(&self, ids: Vec<String>) -> Result<Vec<String>, Failure> {
        let mut missing = ids;
        let mut moved = Instant::now();
        let mut told = moved;
        loop {
            let before = missing.len();
            missing = self.reconcile(missing).await?;
            if missing.is_empty() {
                return Ok(missing);
            }
            if missing.len() < before {
                moved = Instant::now();
            }
            if moved.elapsed() >= Self::PATIENCE {
                let patience = Self::PATIENCE.as_secs();
                output::note(format_args!("nothing more arrived for {patience} s"));
                return Ok(missing);
            }
            if told.elapsed() >= Duration::from_secs(5) {
                told = Instant::now();
                output::note(format_args!(
                    "{} events are still on their way",
                    missing.len()
                ));
            }
            time::sleep(Self::EVERY).await;
        }
    }

    async fn reconcile(&self, ids: Vec<String>) -> Result<Vec<String>, Failure> {
        let mut missing = Vec::new();
        for chunk in ids.chunks(Self::CHUNK) {
            let source = self.source.to_string();
            let request = ReconcileRequest {
                source,
                event_ids: chunk.to_vec(),
            };
            match self.client.clone().reconcile(request).await {
                Ok(answer) => missing.extend(answer.into_inner().missing),
                // It may come back: not known is not there yet.
                Err(status) if status.code() == Code::Unavailable => {
                    missing.extend_from_slice(chunk)
                }
                Err(status) => return Err(from_status("tracker", &status)),
            }
        }
        Ok(missing)
    }

    /// What the timeline of each case proves, in the order of the cases. `positions` are those of
    /// the entries.
    pub(super) async fn traces(
        &self,
        recording: &Recording,
        positions: &[Option<Position>],
    ) -> Result<Vec<Trace>, Failure> {
        let asked = recording.by_case().into_iter().zip(&recording.cases).map(
            |(places, case)| async move {
                let timeline = self.timeline(case.key.clone()).await?;
                let sent: Vec<_> = places
                    .iter()
                    .map(|place| &recording.entries[*place])
                    .collect();
                let positions: Vec<_> = places.iter().map(|place| positions[*place]).collect();
                Ok(Trace::of(&sent, &positions, &timeline))
            },
        );
        stream::iter(asked)
            .buffered(Self::AT_ONCE)
            .try_collect()
            .await
    }

    /// Empty for a dossier that the tracker does not know.
    async fn timeline(&self, key: DossierKey) -> Result<Vec<TimelineEntry>, Failure> {
        let name = Some(Name::Key(key.into()));
        match self
            .client
            .clone()
            .get_dossier(GetDossierRequest { name })
            .await
        {
            Ok(answer) => Ok(answer.into_inner().timeline),
            Err(status) if status.code() == Code::NotFound => Ok(Vec::new()),
            Err(status) => Err(from_status("tracker", &status)),
        }
    }
}
