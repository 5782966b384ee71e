//! What goes wrong around the pipeline, and what it says then.

use bytes::Bytes;
use lienthong::pipeline::{Pipeline, Role};
use log::{Log, Record, Topic};
use proto::v1::{DossierState, PublishRequest, gateway_client::GatewayClient};
use runtime::ErrorChain;
use simulator::Invariant;
use tonic::Code;

use crate::harness::{Backend, House, PATIENCE, eventually, scenarios};

const MARRIAGE: &str = "1.000894";

scenarios![an_undecodable_record_is_kept_and_passed];

/// B9
async fn an_undecodable_record_is_kept_and_passed(backend: Backend) {
    let house = House::started(backend).await;
    let garbage = Record {
        key: "marriage-1".to_owned(),
        headers: vec![("id".into(), "?".to_owned())],
        value: Bytes::from_static(b"\xff\x00 no event"),
    };
    house.accept("marriage-0", MARRIAGE).await;
    house
        .pipeline()
        .log()
        .append(Topic::Events, vec![garbage])
        .await
        .unwrap();
    house.accept("marriage-1", MARRIAGE).await;

    for dossier in ["marriage-0", "marriage-1"] {
        house
            .until(dossier, "is completed", |found| {
                found.dossier.state() == DossierState::Completed
            })
            .await;
    }
    // The totals tell of the record that nobody sent, and of nothing else.
    let violations = house.violations(PATIENCE).await;
    assert!(
        violations
            .iter()
            .all(|v| v.invariant == Invariant::Totals && v.detail.starts_with("unreadable")),
        "{violations:?}"
    );
    assert!(!violations.is_empty());
}

/// Files cannot be away; `processes` has the directory that cannot be used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_store_that_are_away_at_start_are_named() {
    let Some(backend) = Backend::real("log_and_store_that_are_away_at_start_are_named") else {
        return;
    };
    let house = House::new(backend.clone()).await;
    let Backend::Real { brokers, postgres } = backend else {
        unreachable!("it is real");
    };
    let opened = async |brokers: &str, postgres: &str| {
        let mut settings = house.site.settings();
        settings.log.kafka.brokers = brokers.to_owned();
        settings.store.postgres.url = postgres.to_owned();
        let clock = house.site.clock.clone();
        let plan = house.site.plan();
        let error = Pipeline::open_with(settings, plan, &Role::ALL, clock).await;
        ErrorChain(&error.err().expect("it cannot be opened")).to_string()
    };

    let no_log = opened("127.0.0.1:9", &postgres).await;
    assert!(
        no_log.contains("event log") && no_log.contains("127.0.0.1:9"),
        "{no_log}"
    );
    let no_store = opened(&brokers, "postgres://nobody@127.0.0.1:9/nothing").await;
    assert!(no_store.contains("store"), "{no_store}");
    assert!(!no_store.contains('\n'), "{no_store}");
}

/// S4: a log that is full takes nothing, says so, and goes on once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_refuses_and_nothing_accepted_is_lost() {
    let mut house = House::new(Backend::Embedded).await;
    let pipeline = house.open().await;
    let store = pipeline.store().unwrap().clone();
    drop(pipeline);
    let mut small = match house.site.settings().log_config(&house.site.clock) {
        log::Config::Embedded(embedded) => embedded,
        log::Config::Kafka(_) => unreachable!("the site is embedded"),
    };
    small.path = house.site.path("data").join("small");
    small.max_bytes = 600 << 10;
    let over_small = async |max_bytes| {
        let mut small = small.clone();
        small.max_bytes = max_bytes;
        Log::open(log::Config::Embedded(small)).await.unwrap()
    };
    let first = house
        .open_over(over_small(small.max_bytes).await, store.clone())
        .await;
    house.start_over(first).await;

    let mut client = GatewayClient::connect(format!("http://{}", house.site.gateway))
        .await
        .unwrap();
    let mut refusal = None;
    for number in 0..400 {
        let mut event = house.event(&format!("marriage-{number}"), MARRIAGE);
        event.data = vec![b'x'; 16 << 10].into();
        house.world.history.sent(&event);
        let (source, id) = (event.source.clone(), event.id.clone());
        let again = event.clone();
        let request = PublishRequest {
            event: Some(event.into()),
        };
        match client.publish(request).await {
            Ok(answer) => {
                let at = answer.into_inner().accepted.unwrap();
                let answer = simulator::Answer::Accepted {
                    partition: at.partition,
                    offset: at.offset,
                };
                house.world.history.answered(&source, &id, &answer);
            }
            Err(status) => {
                refusal = Some((status, again));
                break;
            }
        }
    }
    let (refusal, again) = refusal.expect("the log is full at last");
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal:?}");
    // The router waits for room to publish what it decided; the outbox keeps it.
    house.kill();
    drop(client);

    let second = eventually("the log is closed", async || {
        let mut large = small.clone();
        large.max_bytes = 1 << 30;
        Log::open(log::Config::Embedded(large)).await.ok()
    })
    .await;
    let second = house.open_over(second, store).await;
    house.start_over(second).await;
    house.submit(again).await;
    house.holds().await;
}
