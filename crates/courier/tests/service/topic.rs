//! A destination with a topic of its own: no agency answers, the log does.

use domain::OutcomeKind;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use log::{
    AppendError, Backend, Bounds, Cursor, Log, OpenError, Position, ReadError, Reader, Record,
    Topic,
};
use prost::Message;
use proto::v1;

use crate::agency::{Reply, Scripted};
use crate::harness::*;

/// A log whose named topics do as a script says.
pub(crate) struct WithTopics {
    pub(crate) log: Log,
    pub(crate) agency: Scripted,
}

impl Backend for WithTopics {
    fn append(
        &self,
        topic: Topic,
        records: Vec<Record>,
    ) -> BoxFuture<'_, Result<Vec<Position>, AppendError>> {
        self.log.append(topic, records).boxed()
    }

    fn prepare_named(&self, names: Vec<String>) -> BoxFuture<'_, Result<(), OpenError>> {
        assert_eq!(names, ["justice.in"]);
        async { Ok(()) }.boxed()
    }

    fn append_named<'a>(
        &'a self,
        name: &'a str,
        records: Vec<Record>,
    ) -> BoxFuture<'a, Result<Vec<Position>, AppendError>> {
        assert_eq!((name, records.len()), ("justice.in", 1));
        let reason = || "scripted".to_owned();
        async move {
            let record = &records[0];
            let delivery = v1::Delivery::decode(record.value.clone()).unwrap();
            assert_eq!(record.key, delivery.dossier);
            assert_eq!(record.header("id"), Some(delivery.id.as_str()));
            assert_eq!(record.header("type"), Some(proto::DELIVERY_TYPE));
            match self.agency.react(delivery, None) {
                Reply::Taken | Reply::AlreadyTaken => Ok(vec![Position {
                    partition: 3,
                    offset: 17,
                }]),
                Reply::Busy => Err(AppendError::NotWritten { reason: reason() }),
                Reply::NotTaken => Err(AppendError::TooLarge { size: 3_000_000 }),
                Reply::Fails(_) => Err(AppendError::Unknown { reason: reason() }),
                Reply::Silent | Reply::TakenSilently => std::future::pending().await,
            }
        }
        .boxed()
    }

    fn reader(&self, from: Vec<Cursor>) -> BoxFuture<'_, Result<Box<dyn Reader>, ReadError>> {
        self.log.reader(from).boxed()
    }

    fn bounds(&self, topic: Topic) -> BoxFuture<'_, Result<Vec<Bounds>, ReadError>> {
        self.log.bounds(topic).boxed()
    }

    fn committed(&self, group: &str, offsets: &[Cursor]) {
        self.log.committed(group, offsets);
    }

    fn oldest_unread(&self, at: Cursor) -> BoxFuture<'_, Result<Option<Timestamp>, ReadError>> {
        self.log.oldest_unread(at).boxed()
    }
}

#[tokio::test]
async fn the_place_in_the_topic_is_the_answer_and_an_unknown_append_is_one_without() {
    let mut world = World::new().await;
    let agency = Scripted::new(|_, times| match times {
        1 => Reply::Fails(tonic::Code::Unknown),
        _ => Reply::Taken,
    });
    let log = world.log.clone();
    world.log = Log::wrap(WithTopics { log, agency });
    let courier = world
        .courier(vec![destination("justice", "kafka:justice.in")])
        .await;

    let sent = delivery("d-1", "residence", "justice");
    world.append([sent.clone()]).await;

    let outcomes = world.outcomes_with(1, delivered).await;
    let attempts: Vec<_> = outcomes.iter().filter_map(attempt).collect();
    assert_eq!(
        attempts,
        [
            (
                "timeout",
                "topic justice.in: the log did not answer, the append may be written: scripted"
            ),
            ("accepted", "in topic justice.in at 3/17"),
        ]
    );
    courier.stop().await;
}

fn attempt(outcome: &domain::Outcome) -> Option<(&str, &str)> {
    let attempt = match &outcome.kind {
        OutcomeKind::Delivered { attempt, .. } | OutcomeKind::AttemptFailed { attempt, .. } => {
            attempt
        }
        _ => return None,
    };
    Some((attempt.class.as_str(), attempt.detail.as_str()))
}

/// The embedded log has none: said at the start, with what to do.
#[tokio::test]
async fn a_topic_of_its_own_needs_kafka() {
    let world = World::new().await;
    let error = world
        .try_courier(vec![destination("justice", "kafka:justice.in")])
        .await
        .err()
        .unwrap();
    let text = runtime::ErrorChain(&error).to_string();
    assert!(
        text.contains("`kafka:` destinations") && text.contains("log.kind = \"kafka\""),
        "{text}"
    );
}
