use domain::{EventKind, Status};
use futures_util::StreamExt;
use log::Topic;
use proto::v1::{
    DeadlineState, DeliveryState, DossierState, GetDossierRequest, ListDossiersRequest,
    ReconcileRequest, WatchDossierRequest, get_dossier_request::Name,
};
use tempfile::TempDir;
use tonic::Code;

use super::house::*;
use crate::testing::*;

const CODE: &str = "H56.14-260921-0042";

/// One dossier from its acceptance to its end; the outcomes come first, the events last.
async fn whole_way(house: &House) {
    let mut first = accepted(1);
    first.code = Some(CODE.parse().unwrap());
    let mut last = accepted(1);
    (last.id, last.time) = ("e-9".parse().unwrap(), hour(8));
    last.kind = EventKind::Status(Status::Processed);
    last.step = Some("residence".parse().unwrap());

    house
        .append(
            Topic::Outcomes,
            vec![of_outcome(arrived(1)), of_outcome(completed(1, 8))],
        )
        .await;
    house
        .append(Topic::Deliveries, vec![of_delivery(opened(1, 33))])
        .await;
    house
        .append(Topic::Events, vec![of_event(first), of_event(last)])
        .await;
}

#[tokio::test]
async fn a_dossier_is_shown_with_its_whole_way() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    whole_way(&house).await;
    let summary = house.until(|s| s.events == 2 && s.on_time == 1).await;

    assert_eq!(
        (count(&summary, DossierState::Completed), summary.late),
        (1, 0)
    );
    let destination = &summary.destinations[0];
    assert_eq!(
        (
            destination.delivered,
            destination.pending,
            destination.attempts
        ),
        (1, 0, 1)
    );
    let hour_of_latency = destination.latency_p50.as_ref().unwrap().seconds;
    assert!((hour_of_latency - 3600).abs() <= 60, "{hour_of_latency}");

    let by_key = house.get(Name::Key("d-001".to_owned())).await;
    assert_eq!(by_key, house.get(Name::Code(CODE.to_owned())).await);
    let dossier = by_key.dossier.unwrap();
    assert_eq!(
        (dossier.code.as_str(), dossier.route.as_str()),
        (CODE, "birth@2026-09-01")
    );
    assert_eq!(dossier.deadline(), DeadlineState::Met);
    let step = &dossier.steps[0];
    assert_eq!(
        (step.delivery_state(), step.status),
        (DeliveryState::Delivered, 9)
    );
    assert_eq!(step.deadline(), DeadlineState::Met);
    let what: Vec<_> = by_key
        .timeline
        .iter()
        .map(|entry| entry.what.as_str())
        .collect();
    assert_eq!(
        what,
        [
            "accepted",
            "delivery",
            "delivered",
            "dossier-ended",
            "processed"
        ]
    );
    house.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    let events = (0..25).map(accepted).map(of_event).collect();
    house.append(Topic::Events, events).await;
    house.until(|s| s.events == 25).await;
    let mut seen = Vec::new();
    let mut request = ListDossiersRequest {
        page_size: 10,
        ..Default::default()
    };
    loop {
        let (keys, next) = house.list(request.clone()).await;
        seen.extend(keys);
        if next.is_empty() {
            break;
        }
        request.page_token = next;
    }
    assert_eq!(
        seen,
        (0..25).map(|n| key(n).to_string()).collect::<Vec<_>>()
    );
    house.stop().await;
}

#[tokio::test]
async fn lists_are_filtered_as_dossiers_are_shown() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    let mut events: Vec<_> = (0..25).map(accepted).collect();
    events[7].unit.code = "14758".parse().unwrap();
    events[8].procedure = "2.000635".parse().unwrap();
    house
        .append(Topic::Events, events.into_iter().map(of_event).collect())
        .await;
    // The clock shows hour 26: one is overdue, one at risk, one on track, one ended late.
    let due = [(1, 25), (2, 29), (3, 105), (4, 25)];
    let deliveries = due.map(|(number, due)| of_delivery(opened(number, due)));
    house.append(Topic::Deliveries, deliveries.into()).await;
    house
        .append(Topic::Outcomes, vec![of_outcome(completed(4, 26))])
        .await;
    let summary = house
        .until(|s| {
            let pending = s.destinations.first().map_or(0, |d| d.pending);
            s.events == 25 && pending == 4 && count(s, DossierState::Completed) == 1
        })
        .await;
    assert_eq!((summary.on_time, summary.late), (0, 2));

    let by_deadline = |deadline: DeadlineState| ListDossiersRequest {
        deadline: deadline.into(),
        ..Default::default()
    };
    for (deadline, number) in [
        (DeadlineState::Overdue, 1),
        (DeadlineState::AtRisk, 2),
        (DeadlineState::OnTrack, 3),
        (DeadlineState::Missed, 4),
    ] {
        let (keys, _) = house.list(by_deadline(deadline)).await;
        assert_eq!(keys, [key(number).to_string()], "{deadline:?}");
        let dossier = house.get(Name::Key(keys[0].clone())).await.dossier.unwrap();
        assert_eq!(dossier.deadline(), deadline);
    }
    let by_unit = ListDossiersRequest {
        unit: "14758".to_owned(),
        ..Default::default()
    };
    assert_eq!(house.list(by_unit).await.0, ["d-007"]);
    let by_procedure = ListDossiersRequest {
        procedure: "2.000635".to_owned(),
        ..Default::default()
    };
    assert_eq!(house.list(by_procedure).await.0, ["d-008"]);
    let state = DossierState::Completed.into();
    let by_state = ListDossiersRequest {
        state,
        ..Default::default()
    };
    assert_eq!(house.list(by_state).await.0, ["d-004"]);
    house.stop().await;
}

#[tokio::test]
async fn a_watcher_sees_every_entry_once_and_ends_with_the_tracker() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    house
        .append(Topic::Events, vec![of_event(accepted(1))])
        .await;
    house.until(|s| s.events == 1).await;
    let request = WatchDossierRequest {
        key: "d-001".to_owned(),
    };
    let mut watch = house
        .client
        .watch_dossier(request)
        .await
        .unwrap()
        .into_inner();
    let mut ids = vec![watch.next().await.unwrap().unwrap().entry.unwrap().id];
    for number in 2..60 {
        let mut note = accepted(1);
        (note.id, note.kind) = (format!("e-{number}").parse().unwrap(), EventKind::Noted);
        house.append(Topic::Events, vec![of_event(note)]).await;
        if number % 7 == 0 {
            ids.push(watch.next().await.unwrap().unwrap().entry.unwrap().id);
        }
    }
    while ids.len() < 59 {
        ids.push(watch.next().await.unwrap().unwrap().entry.unwrap().id);
    }
    assert_eq!(
        ids,
        (1..60)
            .map(|number| format!("e-{number}"))
            .collect::<Vec<_>>()
    );
    let timeline = house.get(Name::Key("d-001".to_owned())).await.timeline;
    assert!(timeline.into_iter().map(|entry| entry.id).eq(ids));
    house.stop().await;
    assert!(watch.next().await.is_none_or(|end| end.is_err()));
}

#[tokio::test]
async fn reconciling_names_the_events_that_never_came() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    house
        .append(Topic::Events, (0..5).map(accepted).map(of_event).collect())
        .await;
    house.until(|s| s.events == 5).await;
    let mut ask = async |source: &str| {
        let event_ids = ["e-0", "lost", "e-4"].map(str::to_owned).into();
        let request = ReconcileRequest {
            source: source.to_owned(),
            event_ids,
        };
        house
            .client
            .reconcile(request)
            .await
            .unwrap()
            .into_inner()
            .missing
    };
    assert_eq!(ask("sample-desk").await, ["lost"]);
    assert_eq!(ask("another-desk").await, ["e-0", "lost", "e-4"]);
    house.stop().await;
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused_by_field() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    let key = |key: &str| GetDossierRequest {
        name: Some(Name::Key(key.to_owned())),
    };
    let error = house.client.get_dossier(key("nobody")).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert_eq!(
        error.message(),
        "no dossier with the key `nobody` has reached the tracker"
    );
    let error = house
        .client
        .get_dossier(key("two words"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(
        error.message().starts_with("key: dossier key must be"),
        "{error}"
    );
    let error = house
        .client
        .get_dossier(GetDossierRequest { name: None })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let watch = WatchDossierRequest {
        key: "nobody".to_owned(),
    };
    assert_eq!(
        house.client.watch_dossier(watch).await.unwrap_err().code(),
        Code::NotFound
    );

    let event_ids = vec![String::new(); 10_001];
    let source = "sample-desk".to_owned();
    let error = house
        .client
        .reconcile(ReconcileRequest { source, event_ids })
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "event_ids: must be at most 10000, got 10001"
    );
    house.stop().await;
}

#[tokio::test]
async fn lists_that_make_no_sense_are_refused_by_field() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    let list = |change: fn(&mut ListDossiersRequest)| {
        let mut request = ListDossiersRequest::default();
        change(&mut request);
        request
    };
    for (request, field) in [
        (
            list(|r| r.page_size = 1_001),
            "page_size: must be 1 to 1000, got 1001",
        ),
        (list(|r| r.state = 77), "state: unknown number 77"),
        (list(|r| r.deadline = -1), "deadline: unknown number -1"),
        (
            list(|r| r.unit = "x".to_owned()),
            "unit: unit code must be 5 digits, got `x`",
        ),
        (list(|r| r.procedure = "birth".to_owned()), "procedure: "),
        (list(|r| r.page_token = " ".to_owned()), "page_token: "),
    ] {
        let error = house.client.list_dossiers(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().starts_with(field), "{error}");
    }
    house.stop().await;
}

#[tokio::test]
async fn a_code_on_two_dossiers_is_answered_with_both() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    let coded = |number| {
        let mut event = accepted(number);
        event.code = Some("H56.14-260921-0042".parse().unwrap());
        of_event(event)
    };
    house.append(Topic::Events, vec![coded(1), coded(2)]).await;
    house.until(|s| s.events == 2).await;
    let name = Some(Name::Code("H56.14-260921-0042".to_owned()));
    let error = house
        .client
        .get_dossier(GetDossierRequest { name })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("d-001, d-002"), "{error}");
    let name = Some(Name::Code("H56.14-260921-0043".to_owned()));
    let error = house
        .client
        .get_dossier(GetDossierRequest { name })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    house.stop().await;
}
