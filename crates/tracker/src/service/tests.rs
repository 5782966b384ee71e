mod house;
mod queries;
mod start;
mod unsure;

use domain::{EventKind, Status};
use log::Topic;
use proto::v1::{DossierState, ReconcileRequest, get_dossier_request::Name};
use tempfile::TempDir;

use self::{
    house::*,
    unsure::{Fault, Unsure},
};
use super::*;

#[tokio::test]
async fn repeats_count_once_conflicts_are_facts_and_poison_is_counted() {
    let dir = TempDir::new().unwrap();
    let mut house = House::open(dir.path()).await;
    let mut other = accepted(1);
    other.kind = EventKind::Status(Status::Withdrawn);
    let mut poison = of_event(accepted(2));
    poison.headers.retain(|(name, _)| name != "procedure");
    let records = vec![
        of_event(accepted(1)),
        of_event(accepted(1)),
        of_event(other),
        poison,
    ];
    house.append(Topic::Events, records).await;
    house
        .append(Topic::Events, vec![of_event(accepted(3))])
        .await;
    let summary = house.until(|s| s.events == 2).await;
    assert_eq!(
        (summary.unreadable, count(&summary, DossierState::Open)),
        (1, 2)
    );
    let dossier = house.get(Name::Key("d-001".to_owned())).await;
    let what: Vec<_> = dossier
        .timeline
        .iter()
        .map(|entry| entry.what.as_str())
        .collect();
    assert_eq!(what, ["accepted", "conflict"]);
    let event_ids = vec!["e-2".to_owned()];
    let request = ReconcileRequest {
        source: "sample-desk".to_owned(),
        event_ids,
    };
    assert_eq!(
        house
            .client
            .reconcile(request)
            .await
            .unwrap()
            .into_inner()
            .missing,
        ["e-2"]
    );
    house.stop().await;
}

#[tokio::test]
async fn the_figures_are_the_same_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path()).await;
    house
        .append(Topic::Events, (0..50).map(accepted).map(of_event).collect())
        .await;
    let deliveries = (0..50)
        .map(|n| of_delivery(opened(n, 20 + 4 * n as i64)))
        .collect();
    house.append(Topic::Deliveries, deliveries).await;
    let outcomes = (0..30)
        .map(arrived)
        .chain((0..10).map(|n| completed(n, 26)));
    house
        .append(Topic::Outcomes, outcomes.map(of_outcome).collect())
        .await;
    let is_whole = |s: &GetSummaryResponse| {
        let delivered = s.destinations.first().map_or(0, |d| d.delivered);
        s.events == 50
            && delivered == 30
            && count(s, DossierState::Completed) == 10
            && s.destinations[0].pending == 20
            && s.destinations[0].oldest_pending_at.is_some()
    };
    let before = house.until(is_whole).await;
    let live = |house: &House| {
        house.handle.api.shared.read(|totals, live| {
            let steps: Vec<_> = live
                .steps()
                .map(|(place, open)| (place.clone(), open.clone()))
                .collect();
            (totals.clone(), steps)
        })
    };
    let (totals, steps) = live(&house);
    house.stop().await;

    let house = House::open(dir.path()).await;
    let (totals_after, steps_after) = live(&house);
    assert_eq!((totals_after, steps_after), (totals, steps));
    assert_eq!(house.handle.summary().await.unwrap(), before);
    house
        .append(
            Topic::Outcomes,
            (30..40).map(arrived).map(of_outcome).collect(),
        )
        .await;
    let after = house.until(|s| s.destinations[0].delivered == 40).await;
    assert_eq!(after.destinations[0].pending, 10);
    house.stop().await;
}

/// S8: a commit whose answer was lost is recognised by its offsets, and counted once.
#[tokio::test]
async fn lost_answers_of_commits_change_no_figure() {
    let dir = TempDir::new().unwrap();
    let unsure = |store| Unsure::over(store, Fault::Commits).0;
    let house = House::with(dir.path(), unsure).await;
    for number in 0..12 {
        house
            .append(Topic::Events, vec![of_event(accepted(number))])
            .await;
        house
            .append(Topic::Deliveries, vec![of_delivery(opened(number, 105))])
            .await;
        house
            .append(Topic::Outcomes, vec![of_outcome(arrived(number))])
            .await;
        let number = number as u64 + 1;
        let summary = house
            .until(|s| {
                let delivered = s.destinations.first().map_or(0, |d| d.delivered);
                s.events >= number && delivered >= number && s.destinations[0].pending == 0
            })
            .await;
        assert_eq!(
            (summary.events, summary.destinations[0].attempts),
            (number, number)
        );
        assert_eq!(count(&summary, DossierState::Open), number);
    }
    let shown = house.handle.summary().await.unwrap();
    house.stop().await;

    let house = House::open(dir.path()).await;
    assert_eq!(house.handle.summary().await.unwrap(), shown);
    house.stop().await;
}

#[tokio::test]
async fn the_lag_of_every_group_is_told_even_of_one_that_never_ran() {
    let dir = TempDir::new().unwrap();
    let house = House::open(dir.path()).await;
    house
        .append(Topic::Events, (0..5).map(accepted).map(of_event).collect())
        .await;
    house.until(|s| s.events == 5).await;
    let lag = house.handle.lag().await.unwrap();
    let behind: Vec<_> = lag
        .iter()
        .map(|lag| {
            let records: u64 = lag.records.iter().map(|(_, records)| records).sum();
            (lag.group, lag.topic, records, lag.oldest.is_some())
        })
        .collect();
    let expected = [
        ("router", Topic::Events, 5, true),
        ("courier", Topic::Deliveries, 0, false),
        ("tracker", Topic::Events, 0, false),
        ("tracker", Topic::Deliveries, 0, false),
        ("tracker", Topic::Outcomes, 0, false),
    ];
    assert_eq!(behind, expected);
    house.stop().await;
}

#[tokio::test]
async fn plaintext_off_loopback_and_a_taken_port_are_refused() {
    let error = listen(&config_of("0.0.0.0:0")).await.unwrap_err();
    assert!(matches!(error, Error::Plaintext(_)), "{error}");
    let taken = listen(&config_of("127.0.0.1:0")).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = listen(&config_of(&address)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is another process using the port"),
        "{error}"
    );
}
