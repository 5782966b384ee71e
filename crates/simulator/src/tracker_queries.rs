use std::collections::{BTreeMap, BTreeSet};

use domain::{AgencyId, DossierKey, EventId};
use futures_util::{StreamExt, TryStreamExt, stream};
use proto::v1::{
    DeadlineState, Dossier, DossierState, GetDossierRequest, GetSummaryRequest, GetSummaryResponse,
    ListDossiersRequest, ReconcileRequest, get_dossier_request::Name,
    tracker_client::TrackerClient,
};
use tonic::{Code, Status, transport::Channel};

use crate::{InvalidAddress, Record, TrackerView, publisher::endpoint};

/// Asks a tracker what it claims. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TrackerQueries(TrackerClient<Channel>);

/// The tracker could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It did not answer, or with an error.
    #[error("the tracker does not answer {query}")]
    Call {
        /// What was asked.
        query: &'static str,
        /// What came back.
        #[source]
        source: Status,
    },
    /// An answer makes no sense.
    #[error("the tracker's answer makes no sense: {0}")]
    Answer(String),
}

// === impl TrackerQueries ===

impl TrackerQueries {
    /// The most ids that one reconciliation may name.
    const IDS: usize = 10_000;
    const PAGE: u32 = 1_000;
    const AT_ONCE: usize = 32;
    const LARGEST_ANSWER: usize = 64 << 20;

    /// Queries of the tracker at `host:port`; the connection is made with the first one.
    pub fn connect(address: &str) -> Result<Self, InvalidAddress> {
        let client = TrackerClient::new(endpoint(address)?.connect_lazy());
        Ok(Self(client.max_decoding_message_size(Self::LARGEST_ANSWER)))
    }

    /// The counts over everything.
    pub async fn summary(&self) -> Result<GetSummaryResponse, QueryError> {
        let answer = self.0.clone().get_summary(GetSummaryRequest {}).await;
        Ok(answer.map_err(failed("for its summary"))?.into_inner())
    }

    /// Which of these events are on no timeline.
    pub async fn missing<'a>(
        &self,
        events: impl Iterator<Item = &'a (AgencyId, EventId)>,
    ) -> Result<BTreeSet<(AgencyId, EventId)>, QueryError> {
        let mut by_source: BTreeMap<&AgencyId, Vec<String>> = BTreeMap::new();
        for (source, id) in events {
            by_source.entry(source).or_default().push(id.to_string());
        }
        let mut missing = BTreeSet::new();
        for (source, ids) in by_source {
            for event_ids in ids.chunks(Self::IDS) {
                let request = ReconcileRequest {
                    source: source.to_string(),
                    event_ids: event_ids.to_vec(),
                };
                let answer = self.0.clone().reconcile(request).await;
                let answer = answer.map_err(failed("to reconcile"))?.into_inner();
                for id in answer.missing {
                    let id = id
                        .parse()
                        .map_err(|_| QueryError::Answer(format!("event id `{id}`")))?;
                    missing.insert((source.clone(), id));
                }
            }
        }
        Ok(missing)
    }

    /// All dossiers in a state and with a deadline state; unspecified ones match any. Steps are left out.
    pub async fn list(
        &self,
        state: DossierState,
        deadline: DeadlineState,
    ) -> Result<Vec<Dossier>, QueryError> {
        let mut request = ListDossiersRequest {
            state: state.into(),
            deadline: deadline.into(),
            page_size: Self::PAGE,
            ..ListDossiersRequest::default()
        };
        let mut dossiers = Vec::new();
        loop {
            let answer = self.0.clone().list_dossiers(request.clone()).await;
            let page = answer.map_err(failed("for its dossiers"))?.into_inner();
            dossiers.extend(page.dossiers);
            if page.next_page_token.is_empty() {
                return Ok(dossiers);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// One dossier with its steps, if the tracker knows it.
    pub async fn dossier(&self, key: String) -> Result<Option<Dossier>, QueryError> {
        let request = GetDossierRequest {
            name: Some(Name::Key(key)),
        };
        match self.0.clone().get_dossier(request).await {
            Ok(answer) => Ok(answer.into_inner().dossier),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(failed("for a dossier")(status)),
        }
    }

    /// These dossiers with their steps; unknown ones are left out.
    pub async fn dossiers(
        &self,
        keys: impl IntoIterator<Item = String>,
    ) -> Result<Vec<Dossier>, QueryError> {
        stream::iter(keys)
            .map(|key| self.dossier(key))
            .buffer_unordered(Self::AT_ONCE)
            .try_filter_map(async |dossier| Ok(dossier))
            .try_collect()
            .await
    }

    /// Everything that [`check`](crate::check) needs, asked dossier by dossier.
    pub async fn view(&self, record: &Record) -> Result<TrackerView, QueryError> {
        let missing = self.missing(record.sent.keys()).await?;
        let any = (DossierState::Unspecified, DeadlineState::Unspecified);
        let listed = self.list(any.0, any.1).await?;
        let dossiers = self
            .dossiers(listed.into_iter().map(|dossier| dossier.key))
            .await?;
        let keyed = dossiers.into_iter().map(|dossier| {
            let key: DossierKey = dossier
                .key
                .parse()
                .map_err(|_| QueryError::Answer(format!("dossier key `{}`", dossier.key)))?;
            Ok((key, dossier))
        });
        Ok(TrackerView {
            missing,
            dossiers: keyed.collect::<Result<_, QueryError>>()?,
            summary: self.summary().await?,
        })
    }
}

fn failed(query: &'static str) -> impl Fn(Status) -> QueryError {
    move |source| QueryError::Call { query, source }
}
