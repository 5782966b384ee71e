//! What only Kafka can be asked: strangers' records, its groups, brokers that are away.

use std::time::Duration;

use eventlog::{Config, Cursor, Kafka, Log, OpenError, Read, ReadError, Topic};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::subject::{ALL, PATIENCE, Subject, brokers, kafka_config, record, whole};

/// Opening waits for a bounded time and says which broker is missing and what to do.
#[tokio::test]
async fn a_broker_that_is_away_at_the_start_is_named() {
    let mut config = Kafka::new("127.0.0.1:1", "test");
    config.open_timeout = Duration::from_millis(300);

    let error = Log::open(Config::Kafka(config))
        .await
        .expect_err("nobody is there");

    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

/// Any CloudEvents producer may write, in any order of headers; what it adds is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_other_producers_are_read() {
    let Some(subject) = Subject::kafka("records_of_other_producers_are_read").await else {
        return;
    };
    let header = |key, value| Header {
        key,
        value: Some(value),
    };
    let headers = OwnedHeaders::new()
        .insert(header("X-Request", "7"))
        .insert(header("content-type", "application/json"))
        .insert(header("ce_type", "vn.example.received"))
        .insert(header("ce_specversion", "1.0"))
        .insert(header("ce_id", "1"));
    send(&subject, Some(b"A"), b"{}", headers).await;
    send(&subject, None, b"", OwnedHeaders::new()).await;

    let found = subject.everything(Topic::Events).await;

    let whole = found
        .iter()
        .find(|stored| stored.record.key == "A")
        .expect("the first record");
    assert_eq!(whole.record.header("id"), Some("1"));
    assert_eq!(whole.record.header("type"), Some("vn.example.received"));
    assert_eq!(
        whole.record.header("datacontenttype"),
        Some("application/json")
    );
    assert_eq!(whole.record.header("kafka:X-Request"), Some("7"));
    assert_eq!(&whole.record.value[..], b"{}");
    assert!(found.iter().any(|stored| stored.record.key.is_empty()));
}

/// B9: a record that is no text is an outcome, and reading goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_is_an_outcome_and_no_stop() {
    let test = "a_record_that_cannot_be_read_is_an_outcome_and_no_stop";
    let Some(subject) = Subject::kafka(test).await else {
        return;
    };
    let ours = subject.append(Topic::Events, record("A", 0)).await;
    let bad = OwnedHeaders::new().insert(Header {
        key: "ce_id",
        value: Some(&[0xff_u8][..]),
    });
    send(&subject, Some(b"A"), b"raw", bad).await;
    send(&subject, Some(&[0xff]), b"raw", OwnedHeaders::new()).await;
    subject.append(Topic::Events, record("A", 1)).await;

    let mut reader = subject
        .log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    let mut found = Vec::new();
    while found.len() < 4 {
        found.extend(reader.next(ALL, PATIENCE).await.expect("readable"));
    }

    let broken = found.iter().filter(|read| match read {
        Read::Broken { raw, .. } => &raw[..] == b"raw",
        Read::Ok(_) => false,
    });
    assert_eq!(broken.count(), 2);
    let own: Vec<_> = found
        .into_iter()
        .filter(|read| matches!(read, Read::Ok(_)))
        .collect();
    assert_eq!(own.len(), 2);
    assert_eq!(whole(own[0].clone()).position, ours);
}

/// B8: a reader whose records retention has removed stops and does not jump.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_behind_retention_is_told() {
    let Some(subject) = Subject::kafka("a_reader_behind_retention_is_told").await else {
        return;
    };
    let records = (0..10).map(|n| record("A", n)).collect();
    let positions = subject
        .log
        .append(Topic::Events, records)
        .await
        .expect("appended");
    let partition = positions[0].partition;
    let start = Cursor {
        topic: Topic::Events,
        partition,
        offset: 0,
    };
    let (brokers, topic) = names(&subject);
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .expect("a client");
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&topic, partition, Offset::Offset(6))
        .expect("an offset");

    let mut early = subject.log.reader(vec![start]).await.expect("a reader");
    admin
        .delete_records(&before, &AdminOptions::new())
        .await
        .expect("removed");

    let gone = ReadError::Gone {
        topic: Topic::Events,
        partition,
        offset: 0,
        first: 6,
        end: 10,
    };
    assert_eq!(
        subject.log.reader(vec![start]).await.err(),
        Some(gone.clone())
    );
    assert_eq!(subject.log.oldest_unread(start).await, Err(gone.clone()));
    // The early reader was given the records before they were removed, or is told so.
    match early.next(ALL, PATIENCE).await {
        Ok(found) => assert_eq!(found.first().map(|read| read.position().offset), Some(0)),
        Err(error) => assert_eq!(error, gone),
    }
}

/// Lag tools find a role's offsets in Kafka's group; the newest wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_offsets_are_seen_by_lag_tools() {
    let test = "committed_offsets_are_seen_by_lag_tools";
    let Some(subject) = Subject::kafka(test).await else {
        return;
    };
    let (brokers, topic) = names(&subject);
    let group = format!("{topic}-router");
    let at = |offset| Cursor {
        topic: Topic::Events,
        partition: 1,
        offset,
    };
    subject.append(Topic::Events, record("A", 0)).await;

    subject.log.committed(&group, &[at(3)]);
    subject.log.committed(&group, &[at(5)]);

    let look = tokio::task::spawn_blocking(move || {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("group.id", group);
        let consumer: BaseConsumer = config.create().expect("a client");
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 1);
        loop {
            let found = consumer
                .committed_offsets(list.clone(), PATIENCE)
                .expect("an answer");
            if found.elements()[0].offset() == Offset::Offset(5) {
                return;
            }
        }
    });
    tokio::time::timeout(PATIENCE, look)
        .await
        .expect("in time")
        .expect("found");
}

fn names(subject: &Subject) -> (String, String) {
    match subject.config() {
        Config::Kafka(config) => (config.brokers.clone(), Topic::Events.name(&config.prefix)),
        Config::Embedded(_) => panic!("Kafka"),
    }
}

/// Writes to the events as another program would.
async fn send(subject: &Subject, key: Option<&[u8]>, value: &[u8], headers: OwnedHeaders) {
    let (brokers, topic) = names(subject);
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .expect("a producer");
    let mut record = FutureRecord::<[u8], [u8]>::to(&topic)
        .payload(value)
        .headers(headers);
    record.key = key;
    producer.send(record, PATIENCE).await.expect("sent");
}

/// What the brokers refuse is named, with their reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_cannot_be_made_are_named() {
    let Some(brokers) = brokers("topics_that_cannot_be_made_are_named") else {
        return;
    };
    let mut config = kafka_config(brokers);
    config.replication = 99;

    let error = Log::open(Config::Kafka(config))
        .await
        .expect_err("so many brokers are not there");

    assert!(matches!(error, OpenError::Topic { .. }), "{error}");
    assert!(error.to_string().contains(".events"), "{error}");
}

/// A topic of somebody else's: made when missing, written like the pipeline's own, and not one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_topic_is_made_and_takes_whole_records() {
    let Some(subject) = Subject::kafka("a_named_topic_is_made_and_takes_whole_records").await
    else {
        return;
    };
    let Config::Kafka(config) = subject.config() else {
        panic!("a log on Kafka");
    };
    let name = format!("{}.agency-1", config.prefix);
    for _ in 0..2 {
        let prepared = subject.log.prepare_named(vec![name.clone()]).await;
        prepared.expect("missing or there already");
    }

    let records = (0..3).map(|n| record("A", n)).collect();
    let positions = subject.log.append_named(&name, records).await;

    let offsets: Vec<_> = positions
        .expect("appended")
        .iter()
        .map(|at| at.offset)
        .collect();
    assert_eq!(offsets, [0, 1, 2]);
    let own = vec![Topic::Events.name(&config.prefix)];
    let refused = subject.log.prepare_named(own).await;
    assert!(
        matches!(refused, Err(OpenError::OwnTopic { .. })),
        "{refused:?}"
    );
}
