//! What goes wrong around the pipeline, and what it says then.

use bytes::Bytes;
use domain::Event;
use lienthong::pipeline::{Pipeline, Role};
use log::{Log, Record, Topic};
use proto::v1::{DossierState, PublishRequest, gateway_client::GatewayClient};
use runtime::{Background, ErrorChain};
use simulator::{Answer, Invariant};
use store::{Config, Store};
use tonic::{Code, Status};

use crate::harness::{AwayLog, Backend, Door, Found, House, PATIENCE, eventually, scenarios};

const BIRTH: &str = "3.000722";
const MARRIAGE: &str = "1.000894";

scenarios![
    an_undecodable_record_is_kept_and_passed,
    a_log_that_goes_away_is_waited_for,
];

fn is_completed(found: &Found) -> bool {
    found.dossier.state() == DossierState::Completed
}

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
        house.until(dossier, "is completed", is_completed).await;
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

/// B3
async fn a_log_that_goes_away_is_waited_for(backend: Backend) {
    let mut house = House::new(backend).await;
    let pipeline = house.open().await;
    let log = AwayLog::over(pipeline.log().clone());
    let store = pipeline.store().unwrap().clone();
    house
        .start_over(pipeline.over(Log::wrap(log.clone()), store))
        .await;
    house.accept("birth-0", BIRTH).await;

    log.set_away(true);
    let event = house.event("birth-1", BIRTH);
    let request = PublishRequest {
        event: Some(event.clone().into()),
    };
    let mut client = GatewayClient::connect(format!("http://{}", house.site.gateway))
        .await
        .unwrap();
    let status = client.publish(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let pending = house.world.desk.send(event).await.unwrap();
    eventually("the roles say that they cannot work", async || {
        let waiting = house.pipeline().health().not_ready();
        (!waiting.is_empty()).then_some(())
    })
    .await;
    log.set_away(false);

    assert!(matches!(pending.await, Ok(Answer::Accepted { .. })));
    for dossier in ["birth-0", "birth-1"] {
        house.until(dossier, "is completed", is_completed).await;
    }
    eventually("every role is ready again", async || {
        let waiting = house.pipeline().health().not_ready();
        waiting.is_empty().then_some(())
    })
    .await;
    house.holds().await;
}

/// S8, S9: the connections to PostgreSQL break, and none can be made for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_is_waited_for() {
    let test = "a_database_that_goes_away_is_waited_for";
    let Some(Backend::Real { brokers, postgres }) = Backend::real(test) else {
        return;
    };
    let mut house = House::new(Backend::Embedded).await;
    let door = Door::before(&postgres, &house.world);
    house.site.move_to(Backend::Real {
        brokers,
        postgres: door.through(&postgres),
    });
    house.start().await;

    for round in 0..3 {
        let dossier = |number| format!("birth-{round}-{number}");
        house.accept(&dossier(0), BIRTH).await;
        door.set_open(false);
        // The gateway needs no database.
        house.accept(&dossier(1), BIRTH).await;
        eventually("the roles say that they cannot work", async || {
            let waiting = house.pipeline().health().not_ready();
            (!waiting.is_empty()).then_some(())
        })
        .await;
        door.set_open(true);
        for number in 0..2 {
            house
                .until(&dossier(number), "is completed", is_completed)
                .await;
        }
    }
    house.holds().await;
}

/// S4: the same for the store: roles wait, intake goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_holds_everything_up_and_nothing_accepted_is_lost() {
    let mut house = House::new(Backend::Embedded).await;
    let log = house.open().await.log().clone();
    let path = house.site.path("data").join("small.db");
    let open = async |max_pages| {
        let mut config = match Config::sqlite(&path) {
            Config::Sqlite(config) => config,
            Config::Postgres(_) => unreachable!("it was made as a file"),
        };
        config.max_pages = max_pages;
        Store::open(Config::Sqlite(config)).await
    };
    let small = open(Some(200)).await.unwrap();
    let pipeline = house.open_over(log.clone(), small).await;
    house.start_over(pipeline).await;

    for number in 0..100 {
        let mut event = house.event(&format!("birth-{number}"), BIRTH);
        event.data = vec![b'x'; 16 << 10].into();
        let answer = house.submit(event).await;
        assert!(matches!(answer, Answer::Accepted { .. }), "{answer:?}");
    }
    let reason = eventually("a role says that the store is full", async || {
        let waiting = house.pipeline().health().not_ready();
        waiting.into_iter().map(|(_, reason)| reason).next()
    })
    .await;
    assert!(reason.contains("store"), "{reason}");
    house.kill();

    let large = eventually("the store is closed", async || open(None).await.ok()).await;
    let pipeline = house.open_over(log, large).await;
    house.start_over(pipeline).await;
    for number in 0..100 {
        let dossier = format!("birth-{number}");
        house.until(&dossier, "is completed", is_completed).await;
    }
    house.holds().await;
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
        let error =
            Pipeline::open_with(settings, plan, &Role::ALL, clock, Background::none()).await;
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
    let store = house.open().await.store().unwrap().clone();
    let path = house.site.path("data").join("small");
    let clock = house.site.clock.clone();
    let open = async |max_bytes| {
        let clock = clock.clone();
        let now = std::sync::Arc::new(move || clock.now());
        let mut config = log::Embedded::new(&path, now);
        config.max_bytes = max_bytes;
        Log::open(log::Config::Embedded(config)).await
    };
    let small = open(600 << 10).await.unwrap();
    let pipeline = house.open_over(small, store.clone()).await;
    house.start_over(pipeline).await;

    let (refusal, event) = fill(&house).await;
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal:?}");
    house.stop().await;

    let large = eventually("the log is closed", async || open(1 << 30).await.ok()).await;
    let pipeline = house.open_over(large, store).await;
    house.start_over(pipeline).await;
    house.submit(event).await;
    house.holds().await;
}

/// Publishes until an event is not accepted; answers that event and how it was refused.
async fn fill(house: &House) -> (Status, Event) {
    let gateway = format!("http://{}", house.site.gateway);
    let mut client = GatewayClient::connect(gateway).await.unwrap();
    for number in 0..400 {
        let mut event = house.event(&format!("marriage-{number}"), MARRIAGE);
        event.data = vec![b'x'; 16 << 10].into();
        house.world.history.sent(&event);
        let request = PublishRequest {
            event: Some(event.clone().into()),
        };
        match client.publish(request).await {
            Ok(answer) => {
                let at = answer.into_inner().accepted.unwrap();
                let answer = Answer::Accepted {
                    partition: at.partition,
                    offset: at.offset,
                };
                let history = &house.world.history;
                history.answered(&event.source, &event.id, &answer);
            }
            Err(status) => return (status, event),
        }
    }
    panic!("the log never filled up");
}
