//! Many dead letters by filter.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Outcome, OutcomeKind, RecordId};
use proto::v1::{self, courier_server::Courier as _};
use store::Kind;
use tonic::{Code, Request};

use crate::agency::{self, Reply, Seen};
use crate::harness::*;

fn at(destination: &str) -> v1::DeadFilter {
    v1::DeadFilter {
        destination: destination.to_owned(),
        ..v1::DeadFilter::default()
    }
}

async fn preview(courier: &Courier, filter: v1::DeadFilter) -> v1::PreviewRedriveResponse {
    let request = Request::new(v1::PreviewRedriveRequest {
        filter: Some(filter),
    });
    let found = courier.api().preview_redrive(request).await;
    found.unwrap().into_inner()
}

async fn start(
    courier: &Courier,
    (job, filter): (&str, v1::DeadFilter),
    (count, rate_per_second): (u64, u32),
) -> Result<v1::StartJobResponse, tonic::Status> {
    let request = Request::new(v1::StartJobRequest {
        filter: Some(filter),
        count,
        rate_per_second,
        job: job.to_owned(),
        by: OPERATOR.to_owned(),
        reason: "form corrected".to_owned(),
    });
    Ok(courier.api().start_job(request).await?.into_inner())
}

async fn cancel(courier: &Courier, job: &str) {
    let request = Request::new(v1::CancelJobRequest {
        job: job.to_owned(),
        by: OPERATOR.to_owned(),
        reason: "enough".to_owned(),
    });
    courier.api().cancel_job(request).await.unwrap();
}

async fn job(courier: &Courier, id: &str) -> Option<v1::Job> {
    let request = Request::new(v1::ListJobsRequest {});
    let jobs = courier.api().list_jobs(request).await.unwrap().into_inner();
    jobs.jobs.into_iter().find(|job| job.job == id)
}

async fn job_that(courier: &Courier, id: &str, is_it: impl Fn(&v1::Job) -> bool) -> v1::Job {
    eventually(|| async { job(courier, id).await.filter(|job| is_it(job)) }).await
}

/// How often each delivery was sent on its way again. An outcome may be published twice under its id,
/// here by both couriers.
fn redriven(outcomes: &[Outcome]) -> BTreeMap<String, usize> {
    let mut redriven = BTreeMap::<String, BTreeSet<RecordId>>::new();
    for outcome in outcomes {
        if let OutcomeKind::Redriven { delivery, .. } = &outcome.kind {
            let ids = redriven.entry(delivery.to_string()).or_default();
            ids.insert(outcome.id);
        }
    }
    let counts = redriven.into_iter().map(|(id, ids)| (id, ids.len()));
    counts.collect()
}

async fn audited(world: &World, result: &str) -> usize {
    let sql = "select count(*) from courier_orders where action like 'redrive %' \
               and actor = $1 and reason = 'form corrected' and result = $2";
    let params = [OPERATOR.into(), result.into()];
    let rows = world.store.query(sql, params, &[Kind::Int]).await.unwrap();
    usize::try_from(rows[0].int(0).unwrap()).unwrap()
}

/// D12: 10,000 by filter; the courier is killed midway and the next one goes on; then the job is
/// cancelled, and another takes the rest. Each is sent again once, under its own id, and audited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d12_ten_thousand_by_filter_killed_midway_and_cancelled() {
    const ALL: usize = 10_000;
    let world = World::new().await;
    let refuses_once = |_: &_, times| match times {
        1 => Reply::NotTaken,
        _ => Reply::Taken,
    };
    let (address, seen) = agency::start(None, &world.tasks, refuses_once).await;
    let killed = world.courier(vec![grpc("justice", address)]).await;
    let deliveries = (0..ALL).map(|n| delivery(&format!("d-{n}"), "a", "justice"));
    world.append(deliveries).await;
    seen.at_least(ALL).await;
    eventually(|| async { (dead_now(&world).await == ALL).then_some(()) }).await;

    let shown = preview(&killed, at("justice")).await;
    assert_eq!(
        (shown.count, shown.refused, shown.sample.len()),
        (10_000, 0, 10)
    );
    let other = start(&killed, ("first", at("justice")), (9_999, 0)).await;
    assert_eq!(other.unwrap_err().code(), Code::FailedPrecondition);
    start(&killed, ("first", at("justice")), (10_000, 1_000))
        .await
        .unwrap();
    // The same start once more, as after a lost answer.
    start(&killed, ("first", at("justice")), (10_000, 1_000))
        .await
        .ok();
    job_that(&killed, "first", |job| job.redriven > 500).await;

    // The next courier takes over while the first is at work, which ends that one wherever it stands.
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let before = job(&courier, "first").await.unwrap();
    assert!(before.redriven < 9_000, "it is midway: {before:?}");
    job_that(&courier, "first", |job| {
        job.redriven > before.redriven + 500
    })
    .await;
    cancel(&courier, "first").await;
    let ended = job_that(&courier, "first", |job| job.state == "cancelled").await;
    assert!(ended.redriven < 10_000, "{ended:?}");
    // What was on its way when the job ended still has to be passed over.
    let left = eventually(|| async {
        let left = preview(&courier, at("justice")).await.count;
        (left + ended.redriven == 10_000).then_some(left)
    })
    .await;
    assert_eq!(
        redriven(&world.outcomes().await).len() as u64,
        ended.redriven
    );

    start(&courier, ("second", at("justice")), (left, 10_000))
        .await
        .unwrap();
    let done = job_that(&courier, "second", |job| job.state == "done").await;
    assert_eq!(
        (done.redriven, done.passed_over, done.refused),
        (left, 0, 0)
    );
    each_went_again_once(&world, &seen, ALL).await;
    courier.stop().await;
    let _ = killed.tasks.drain(PATIENCE).await;
}

async fn each_went_again_once(world: &World, seen: &Seen, all: usize) {
    let outcomes = world.outcomes_with(all, delivered).await;
    let redriven = redriven(&outcomes);
    assert_eq!(redriven.len(), all);
    assert!(redriven.values().all(|times| *times == 1));
    let sent: BTreeSet<_> = seen.all().into_iter().map(|one| one.id).collect();
    assert_eq!(sent, redriven.into_keys().collect());
    assert_eq!(audited(world, "done").await, all);
}

async fn dead_now(world: &World) -> usize {
    let sql = "select count(*) from courier_deliveries where state = 2";
    let rows = world.store.query(sql, [], &[Kind::Int]).await.unwrap();
    usize::try_from(rows[0].int(0).unwrap()).unwrap()
}

/// D12: of one dossier the older goes first again, and a job refuses nothing silently.
#[tokio::test]
async fn d12_a_job_keeps_the_order_of_a_dossier() {
    let world = World::new().await;
    let refuses_once = |_: &_, times| match times {
        1 => Reply::NotTaken,
        _ => Reply::Taken,
    };
    let (address, seen) = agency::start(None, &world.tasks, refuses_once).await;
    let courier = world.courier(vec![grpc("justice", address)]).await;
    let steps = ["a", "b", "c", "e", "f"];
    world
        .append(steps.map(|step| delivery("d-1", step, "justice")))
        .await;
    world.outcomes_with(steps.len(), dead).await;
    start(&courier, ("again", at("justice")), (5, 10_000))
        .await
        .unwrap();
    world.outcomes_with(steps.len(), delivered).await;
    let again: Vec<_> = seen.all()[5..].iter().map(|one| one.step.clone()).collect();
    assert_eq!(again, steps);
    courier.stop().await;
}

#[tokio::test]
async fn dead_letters_group_by_cause_and_a_group_is_a_filter() {
    let world = World::new().await;
    let by_step = |delivery: &v1::Delivery, _| match delivery.step.as_str() {
        "a" => Reply::NotTaken,
        _ => Reply::Fails(tonic::Code::InvalidArgument),
    };
    let (address, _) = agency::start(None, &world.tasks, by_step).await;
    let unary = destination("justice", &format!("grpc+unary://{address}"));
    let courier = world.courier(vec![unary]).await;
    let deliveries = (0..6).map(|n| {
        let step = if n < 4 { "a" } else { "b" };
        delivery(&format!("d-{n}"), step, "justice")
    });
    world.append(deliveries).await;
    world.outcomes_with(6, dead).await;

    let request = Request::new(v1::ListDeadGroupsRequest { filter: None });
    let groups = courier.api().list_dead_groups(request).await.unwrap();
    let groups = groups.into_inner().groups;
    let counts: Vec<_> = groups.iter().map(|group| group.count).collect();
    assert_eq!(counts, [4, 2], "{groups:?}");
    assert_eq!(groups[0].text, "not taken: E1 scripted refusal");

    let of_group = v1::DeadFilter {
        group: groups[1].group.clone(),
        procedure: "3.000722".to_owned(),
        ..v1::DeadFilter::default()
    };
    assert_eq!(preview(&courier, of_group.clone()).await.count, 2);
    let of_another = v1::DeadFilter {
        procedure: "1.000001".to_owned(),
        ..of_group
    };
    assert_eq!(preview(&courier, of_another).await.count, 0);
    let before = v1::DeadFilter {
        dead_to: groups[0].first_at,
        ..at("justice")
    };
    assert_eq!(preview(&courier, before).await.count, 0);
    let unbounded = Request::new(v1::PreviewRedriveRequest { filter: None });
    let status = courier.api().preview_redrive(unbounded).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    courier.stop().await;
}
