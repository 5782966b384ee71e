//! Kafka's failures, made on purpose with librdkafka's own mock brokers. No broker is needed.
//!
//! The mock brokers inject errors; they are no proof that nothing is lost, for they keep little.

use std::time::Duration;

use eventlog::{AppendError, Config, Kafka, Log, Topic};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::subject::{ALL, PATIENCE, number, read, record, whole};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// One mock broker with our topics, and the log on it. A new producer needs a second or two before its
/// first answer on a busy machine, so `ack_timeout` must leave room for that.
async fn mocked(ack_timeout: Duration) -> (Cluster, Log) {
    let cluster = MockCluster::new(1).expect("a mock broker");
    for topic in Topic::ALL {
        cluster
            .create_topic(&topic.name("mock"), 1, 1)
            .expect("a topic");
    }
    let mut config = Kafka::new(cluster.bootstrap_servers(), "mock");
    config.ack_timeout = ack_timeout;
    let log = Log::open(Config::Kafka(config))
        .await
        .expect("the log opens");
    (cluster, log)
}

/// B5: the append in hand is unknown, the next one is taken by another producer.
#[tokio::test]
async fn a_producer_that_failed_for_good_is_replaced() {
    let (cluster, log) = mocked(Duration::from_secs(30)).await;
    log.append(Topic::Events, vec![record("A", 0)])
        .await
        .expect("appended");

    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    cluster.request_errors(RDKafkaApiKey::Produce, &[fatal]);
    let error = log
        .append(Topic::Events, vec![record("A", 1)])
        .await
        .expect_err("fails");

    assert!(matches!(error, AppendError::Unknown { .. }), "{error}");
    assert!(error.is_transient());
    log.append(Topic::Events, vec![record("A", 2)])
        .await
        .expect("another producer");
}

/// B3: while brokers are away, appends answer in bounded time, readers wait; both go on by
/// themselves afterwards, and nothing is skipped.
#[tokio::test]
async fn brokers_may_go_away_and_come_back() {
    let (cluster, log) = mocked(Duration::from_secs(5)).await;
    let mut reader = log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    log.append(Topic::Events, vec![record("A", 0)])
        .await
        .expect("appended");
    assert_eq!(number(&read(&mut *reader, 1).await[0].record), 0);

    cluster.broker_down(1).expect("down");
    let error = log
        .append(Topic::Events, vec![record("A", 1)])
        .await
        .expect_err("nobody is there");
    assert!(matches!(error, AppendError::Unknown { .. }), "{error}");
    assert_eq!(
        reader.next(ALL, Duration::from_millis(100)).await,
        Ok(Vec::new())
    );

    cluster.broker_up(1).expect("up");
    let again = async {
        while let Err(error) = log.append(Topic::Events, vec![record("A", 2)]).await {
            assert!(error.is_transient(), "{error}");
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("appends are taken again");

    let mut numbers = Vec::new();
    while !numbers.contains(&2) {
        let found = reader.next(ALL, PATIENCE).await.expect("readable");
        assert!(!found.is_empty(), "only {numbers:?} came");
        numbers.extend(found.into_iter().map(|read| number(&whole(read).record)));
    }
}
