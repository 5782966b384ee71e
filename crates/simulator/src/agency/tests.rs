use std::time::Duration;

use calendar::Calendars;
use domain::{Delivery, EventKind, Status};
use jiff::Timestamp;
use proptest::prelude::*;
use proto::v1::{
    self, DeliverRequest, DeliverStreamRequest, inbox_client::InboxClient, verdict::Verdict as Kind,
};
use tonic::{Code, transport::Channel};

use super::{case::Case, *};
use crate::{
    Digest, Reaction, Spread, Window,
    publisher::endpoint,
    test_support::{delivery, event, monday},
};

struct Stage {
    agency: Agency,
    history: History,
    clock: Clock,
    _tasks: Tasks,
}

async fn stage(script: Script, protocol: Protocol) -> Stage {
    let (tasks, history) = (Tasks::default(), History::default());
    let clock = Clock::scaled(monday(), 1.0);
    let options = AgencyOptions {
        id: "justice".parse().unwrap(),
        listen: "127.0.0.1:0".parse().unwrap(),
        protocol,
        script,
        seed: 1,
    };
    let agency = Agency::start(options, clock.clone(), history.clone(), None, &tasks)
        .await
        .unwrap();
    Stage {
        agency,
        history,
        clock,
        _tasks: tasks,
    }
}

impl Stage {
    fn client(&self) -> InboxClient<Channel> {
        let address = self.agency.address().to_string();
        InboxClient::new(endpoint(&address).unwrap().connect_lazy())
    }

    async fn push(&self, delivery: &Delivery) -> Result<Kind, Code> {
        let delivery = Some(v1::Delivery::from(delivery.clone()));
        let answer = self.client().deliver(DeliverRequest { delivery }).await;
        let answer = answer.map_err(|status| status.code())?;
        Ok(answer.into_inner().verdict.unwrap().verdict.unwrap())
    }

    async fn connects(&self) -> bool {
        let connection = tokio::net::TcpStream::connect(self.agency.address()).await;
        connection.is_ok()
    }

    fn reactions(&self) -> Vec<Reaction> {
        let record = self.history.record();
        record
            .arrivals
            .iter()
            .map(|arrival| arrival.reaction)
            .collect()
    }
}

#[tokio::test]
async fn a_repeat_has_no_second_effect_and_is_noted() {
    let stage = stage(Script::default(), Protocol::Grpc).await;
    let first = delivery(&event("e-1"), "civil-status");

    assert!(matches!(stage.push(&first).await, Ok(Kind::Taken(_))));
    let owed = stage.agency.owed();
    assert!(matches!(
        stage.push(&first).await,
        Ok(Kind::AlreadyTaken(_))
    ));

    assert_eq!((stage.agency.taken(), stage.agency.owed()), (1, owed));
    assert!(stage.agency.has(first.id));
    assert_eq!(stage.reactions(), [Reaction::Taken, Reaction::AlreadyTaken]);
    let record = stage.history.record();
    assert_eq!(record.arrivals[0].message, record.arrivals[1].message);
    assert_eq!(record.arrivals[0].data, Digest::of(b"{}"));
}

#[tokio::test]
async fn a_stream_gets_one_verdict_per_delivery() {
    let stage = stage(Script::default(), Protocol::Grpc).await;
    let deliveries: Vec<_> = (0..20)
        .map(|n| delivery(&event(&format!("e-{n}")), "civil-status"))
        .collect();
    let requests: Vec<_> = deliveries
        .iter()
        .map(|delivery| DeliverStreamRequest {
            delivery: Some(delivery.clone().into()),
        })
        .collect();

    let mut verdicts = stage
        .client()
        .deliver_stream(tokio_stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    let mut answered = Vec::new();
    while let Some(verdict) = verdicts.message().await.unwrap() {
        answered.push(verdict.delivery_id);
    }

    let mut expected: Vec<_> = deliveries.iter().map(|d| d.id.to_string()).collect();
    expected.sort();
    answered.sort();
    assert_eq!(answered, expected);
}

#[tokio::test]
async fn failures_and_lost_answers_are_told_apart() {
    let lossy = Script {
        lost_answer_rate: 1.0,
        ..Script::default()
    };
    let stage = stage(lossy, Protocol::Grpc).await;
    let first = delivery(&event("e-1"), "civil-status");
    stage.agency.fail_next(1);

    assert_eq!(stage.push(&first).await, Err(Code::Internal));
    assert_eq!(stage.push(&first).await, Err(Code::Unavailable));
    assert!(matches!(
        stage.push(&first).await,
        Ok(Kind::AlreadyTaken(_))
    ));

    let expected = [Reaction::Failed, Reaction::Taken, Reaction::AlreadyTaken];
    assert_eq!(stage.reactions(), expected);
}

/// One POST as an HTTP agency gets it; its status line and headers.
async fn post(agency: &Agency, delivery: &Delivery) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let body = std::str::from_utf8(&delivery.data).unwrap();
    let request = format!(
        "POST /deliveries HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {}\r\nce-id: {}\r\nce-subject: {}\r\nce-time: {}\r\nce-procedure: {}\r\n\
         ce-unit: {}\r\nce-step: {}\r\nce-cause: {}/{}\r\n\r\n{body}",
        body.len(),
        delivery.id,
        delivery.dossier,
        delivery.opened_at,
        delivery.procedure,
        delivery.unit.code,
        delivery.step,
        delivery.cause.0,
        delivery.cause.1,
    );
    let mut connection = tokio::net::TcpStream::connect(agency.address())
        .await
        .unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn an_http_agency_answers_with_status_codes() {
    let stage = stage(Script::default(), Protocol::Http).await;
    let first = delivery(&event("e-1"), "health-card");
    stage.agency.fail_next(1);

    for status in ["500", "202", "200"] {
        let answer = post(&stage.agency, &first).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }

    let record = stage.history.record();
    assert_eq!(record.arrivals[1].cause, Some(first.cause));
    assert_eq!(record.arrivals[1].data, Digest::of(b"{}"));
    assert_eq!(stage.agency.taken(), 1);
}

#[tokio::test]
async fn a_busy_http_agency_says_when_to_come_back() {
    let busy = Script {
        busy_rate: 1.0,
        retry_after: Some(Duration::from_secs(90)),
        ..Script::default()
    };
    let stage = stage(busy, Protocol::Http).await;

    let answer = post(&stage.agency, &delivery(&event("e-1"), "health-card")).await;

    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 90\r\n"), "{answer}");
    assert_eq!(stage.agency.taken(), 0);
}

#[tokio::test]
async fn an_agency_that_is_away_refuses_connections_and_comes_back_on_the_same_port() {
    let stage = stage(Script::default(), Protocol::Grpc).await;
    let first = delivery(&event("e-1"), "civil-status");
    let mut stream = stage
        .client()
        .deliver_stream(tokio_stream::pending())
        .await
        .unwrap()
        .into_inner();

    stage.agency.set_away(true);
    assert_eq!(
        stream.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    while stage.connects().await {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.push(&first).await, Err(Code::Unavailable));

    stage.agency.set_away(false);
    while stage.push(&first).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.agency.taken(), 1);
}

#[tokio::test]
async fn an_announced_outage_begins_and_ends_by_the_clock() {
    let minutes = |n: i64| monday() + jiff::SignedDuration::from_mins(n);
    let window = Window {
        from: minutes(10),
        to: minutes(10_000),
    };
    let script = Script {
        outages: vec![window],
        ..Script::default()
    };
    let stage = stage(script, Protocol::Grpc).await;
    let first = delivery(&event("e-1"), "civil-status");
    assert!(matches!(stage.push(&first).await, Ok(Kind::Taken(_))));

    stage.clock.set_speed(1_000.0);
    while stage.connects().await {
        tokio::task::yield_now().await;
    }
    assert!(window.contains(stage.clock.now()));

    stage.clock.set_speed(1_000_000.0);
    while stage.push(&first).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(stage.clock.now() >= window.to);
}

fn plan(script: &Script, id: &str, taken_at: Timestamp) -> Vec<(Timestamp, Status)> {
    let case = Case::new(delivery(&event(id), "residence"), Digest::of(b""));
    let planned = case.plan(script, &"police".parse().unwrap(), 1, taken_at);
    planned
        .into_iter()
        .map(|planned| match planned.event.kind {
            EventKind::Status(status) => (planned.send_at, status),
            other => panic!("agencies answer by statuses, not {other:?}"),
        })
        .collect()
}

#[test]
fn a_plain_case_is_in_process_and_then_processed() {
    let script = Script {
        work: Spread::Fixed(Duration::from_secs(3600)),
        ..Script::default()
    };
    let statuses = plan(&script, "e-1", monday());
    let minutes = |n: i64| monday() + jiff::SignedDuration::from_mins(n);
    assert_eq!(
        statuses,
        [
            (minutes(15), Status::InProcess),
            (minutes(60), Status::Processed)
        ]
    );
}

#[test]
fn a_scripted_case_may_need_a_supplement_come_out_of_order_and_be_handed_over() {
    let script = Script {
        supplement_rate: 1.0,
        handover_rate: 1.0,
        out_of_order_rate: 1.0,
        duplicate_reply_rate: 1.0,
        ..Script::default()
    };
    let statuses: Vec<_> = plan(&script, "e-1", monday())
        .into_iter()
        .map(|(_, s)| s)
        .collect();
    let place = |status| statuses.iter().position(|s| *s == status).unwrap();
    assert_eq!(statuses.len(), 10, "five events, each twice: {statuses:?}");
    assert!(place(Status::SupplementRequested) < place(Status::Processed));
    assert!(place(Status::Processed) < place(Status::HandedOver));
    let refusing = Script {
        refusal_rate: 1.0,
        ..Script::default()
    };
    assert_eq!(plan(&refusing, "e-1", monday())[1].1, Status::Stopped);
}

proptest! {
    #[test]
    fn results_come_in_office_hours_and_events_have_ids_of_their_own(
        number in 0u32..10_000,
        minutes in 0i64..20_000,
    ) {
        let calendars = Calendars::built_in().unwrap();
        let office = calendars.get("ward-police").unwrap();
        let script = Script {
            office: Some(office.clone()),
            work: Spread::LogNormal {
                p50: Duration::from_secs(7_200),
                p99: Duration::from_secs(40_000),
            },
            supplement_rate: 0.3,
            handover_rate: 0.5,
            ..Script::default()
        };
        let taken_at = monday() + jiff::SignedDuration::from_mins(minutes);
        let case = Case::new(delivery(&event(&format!("e-{number}")), "residence"), Digest::of(b""));
        let police = "police".parse().unwrap();
        let planned = case.plan(&script, &police, 1, taken_at);
        prop_assert_eq!(&planned, &case.plan(&script, &police, 1, taken_at));
        let mut ids: Vec<_> = planned.iter().map(|p| p.event.id.clone()).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), planned.len());
        for planned in &planned {
            let just_before = planned.event.time - jiff::SignedDuration::from_secs(1);
            prop_assert!(office.is_open(planned.event.time) || office.is_open(just_before));
            prop_assert!(planned.event.time >= taken_at);
        }
    }
}
