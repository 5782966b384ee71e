//! The log on Apache Kafka. The only user of rdkafka.
//!
//! Readers are given their partitions and offsets by hand and belong to no group: the stores hold
//! the truth about offsets, so nothing is rebalanced, and a killed reader blocks nobody until its
//! session has timed out.

mod client;
mod convert;
mod groups;
mod meta;
mod producer;
mod reader;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::backend::{Backend, Reader};
use crate::config::Kafka;
use crate::error::{AppendError, OpenError, ReadError};
use crate::record::{Bounds, Cursor, Position, Record, Topic};

use client::Client;
use groups::Groups;
use meta::Meta;
use producer::Producer;
use reader::KafkaReader;

/// The log on Kafka.
pub(crate) struct KafkaLog {
    config: Kafka,
    client: Client,
    producer: Producer,
    meta: Arc<Meta>,
    groups: Groups,
}

// === impl KafkaLog ===

impl KafkaLog {
    /// Connects, makes missing topics, and learns their partitions.
    pub(crate) async fn open(config: Kafka) -> Result<Self, OpenError> {
        let setting = |error: rdkafka::error::KafkaError| OpenError::Setting {
            reason: error.to_string(),
        };
        let client = Client::new(&config);
        let meta = Arc::new(Meta::new(&client).map_err(setting)?);
        topics::prepare(&client, &meta, &config).await?;
        let producer = Producer::new(&client, config.ack_timeout).map_err(setting)?;
        let groups = Groups::start(client.clone()).map_err(|error| OpenError::Setting {
            reason: error.to_string(),
        })?;
        Ok(Self {
            config,
            client,
            producer,
            meta,
            groups,
        })
    }

    /// Deletes the topics.
    pub(crate) async fn discard(config: Kafka) -> Result<(), OpenError> {
        topics::discard(&Client::new(&config), &config).await
    }

    /// Runs what blocks on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Meta) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        meta::blocking(Arc::clone(&self.meta), ask).await
    }
}

impl Backend for KafkaLog {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        self.producer.append(topic, records).boxed()
    }

    fn prepare_named(&self, names: Vec<String>) -> BoxFuture<'_, Result<(), OpenError>> {
        topics::prepare_named(&self.client, &self.meta, &self.config, names).boxed()
    }

    fn append_named<'a>(
        &'a self,
        name: &'a str,
        records: Vec<Record>,
    ) -> BoxFuture<'a, Result<Vec<Position>, AppendError>> {
        self.producer.append_named(name, records).boxed()
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        self.patient_reader(from, Duration::ZERO)
    }

    fn patient_reader(
        &self,
        from: Vec<Cursor>,
        patience: Duration,
    ) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        async move {
            let cursors = from.clone();
            self.blocking(move |meta| cursors.iter().try_for_each(|at| meta.check(*at)))
                .await?;
            let reader = KafkaReader::new(&self.client, Arc::clone(&self.meta), &from, patience)?;
            Ok(Box::new(reader) as Box<dyn Reader>)
        }
        .boxed()
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>> {
        self.blocking(move |meta| meta.bounds(topic)).boxed()
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.groups.note(group, offsets);
    }

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        self.blocking(move |meta| meta.appended_at(at)).boxed()
    }
}
