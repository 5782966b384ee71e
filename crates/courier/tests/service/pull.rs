//! D15: leases over gRPC.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use proto::v1::{self, LeaseStanding as Standing, work_request, work_response};
use tonic::Code;

use crate::agency::{Reply, Scripted, verdict};
use crate::harness::*;
use crate::pull_agency::*;

const ID: &str = "justice";

fn pulled() -> domain::Destination {
    destination(ID, "pull:")
}

fn some(number: usize) -> Vec<domain::Delivery> {
    let dossiers = 0..number;
    dossiers
        .map(|n| delivery(&format!("d-{n}"), "residence", ID))
        .collect()
}

fn id(lease: &v1::Lease) -> String {
    lease.delivery.as_ref().unwrap().id.clone()
}

fn release(token: &str) -> v1::ReleaseRequest {
    v1::ReleaseRequest {
        destination: ID.to_owned(),
        tokens: vec![token.to_owned()],
    }
}

async fn classes(courier: &Courier, id: &str) -> Vec<String> {
    let shown = courier.delivery(id).await.unwrap();
    shown
        .attempts
        .into_iter()
        .map(|attempt| attempt.class)
        .collect()
}

#[tokio::test]
async fn d15_a_delivery_that_was_taken_and_never_confirmed_comes_again() {
    let world = World::new().await;
    let short = domain::Destination {
        timeout: Duration::from_millis(300),
        ..pulled()
    };
    let courier = world.courier(vec![short]).await;
    let mut client = client(serve(&courier).await).await;
    world.append(some(1)).await;

    let first = take(&mut client, ID, 1).await.remove(0);
    let long = Some(Duration::from_secs(3));
    let again = take_for(&mut client, ID, 1, long).await.remove(0);

    assert_ne!(first.token, again.token);
    assert_eq!(first.delivery, again.delivery, "the same id and content");
    let late = confirm(&mut client, ID, &[&first.token], &Reply::NotTaken).await;
    assert_eq!(late, [Standing::Expired], "a late verdict is a fact");
    let done = confirm(&mut client, ID, &[&again.token], &Reply::Taken).await;
    assert_eq!(done, [Standing::Held], "the later lease stands");
    world.outcomes_with(1, delivered).await;
    assert_eq!(
        classes(&courier, &id(&again)).await,
        ["timeout", "accepted"]
    );
    courier.stop().await;
}

#[tokio::test]
async fn d15_a_second_confirm_is_a_fact_and_changes_nothing() {
    let world = World::new().await;
    let courier = world.courier(vec![pulled()]).await;
    let mut client = client(serve(&courier).await).await;
    world.append(some(1)).await;

    let lease = take(&mut client, ID, 1).await.remove(0);
    let tokens = [lease.token.as_str(), lease.token.as_str(), "justice.0.99"];
    let standings = confirm(&mut client, ID, &tokens, &Reply::Taken).await;
    let third = confirm(&mut client, ID, &tokens[..1], &Reply::NotTaken).await;

    assert_eq!(
        standings,
        [Standing::Held, Standing::Confirmed, Standing::Unknown]
    );
    assert_eq!(third, [Standing::Confirmed]);
    world.outcomes_with(1, delivered).await;
    assert_eq!(classes(&courier, &id(&lease)).await, ["accepted"]);
    courier.stop().await;
}

/// I3, I4: pullers of every kind beside one another, some of which forget what they took.
#[tokio::test]
async fn d15_two_pullers_never_hold_the_same_delivery_and_keep_the_order_of_dossiers() {
    let world = World::new().await;
    let short = domain::Destination {
        timeout: Duration::from_secs(1),
        ..pulled()
    };
    let courier = world.courier(vec![short]).await;
    let address = serve(&courier).await;
    let came = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let times = came.clone();
    let agency = Scripted::new(move |delivery, count| {
        let earlier = times.lock().unwrap().insert(delivery.id.clone(), count);
        assert_eq!(earlier.unwrap_or(0) + 1, count);
        let forgets = delivery.dossier.ends_with('7') && count == 1;
        if forgets { Reply::Silent } else { Reply::Taken }
    });
    pull_by_calls(address, ID, agency.clone(), &courier.tasks);
    pull_by_calls(address, ID, agency.clone(), &courier.tasks);
    pull_by_stream(address, ID, agency.clone(), &courier.tasks);
    pull_by_http(address, ID, agency.clone(), &courier.tasks);

    let steps = ["first", "second", "third"];
    let all = steps
        .iter()
        .flat_map(|step| (0..30).map(|n| delivery(&format!("d-{n}"), step, ID)));
    world.append(all.collect::<Vec<_>>()).await;

    let outcomes = world.outcomes_with(90, delivered).await;
    let ended: BTreeSet<_> = outcomes.iter().map(|outcome| outcome.id).collect();
    assert_eq!(ended.len(), outcomes.len());
    let forgotten = outcomes.len() - 90;
    assert!(forgotten >= 9, "{forgotten}");
    let arrivals = agency.seen().all();
    assert_eq!(arrivals.len(), 90 + forgotten, "one puller per attempt");
    for n in 0..30 {
        let dossier = format!("d-{n}");
        let own = arrivals.iter().filter(|arrival| arrival.dossier == dossier);
        let mut came: Vec<_> = own.map(|arrival| arrival.step.as_str()).collect();
        came.dedup();
        assert_eq!(came, steps, "{dossier}");
    }
    courier.stop().await;
}

#[tokio::test]
async fn what_is_released_is_offered_again_at_once_and_costs_no_attempt() {
    let world = World::new().await;
    let courier = world.courier(vec![pulled()]).await;
    let mut client = client(serve(&courier).await).await;
    world.append(some(1)).await;

    let first = take(&mut client, ID, 1).await.remove(0);
    let released = client
        .release(release(&first.token))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(released.answers[0].standing(), Standing::Held);
    let again = take(&mut client, ID, 1).await.remove(0);
    confirm(&mut client, ID, &[&again.token], &Reply::Taken).await;

    assert_eq!(id(&first), id(&again));
    world.outcomes_with(1, delivered).await;
    assert_eq!(classes(&courier, &id(&again)).await, ["accepted"]);
    let twice = client
        .release(release(&first.token))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(twice.answers[0].standing(), Standing::Released);
    courier.stop().await;
}

#[tokio::test]
async fn an_extended_lease_outlives_its_first_end() {
    let world = World::new().await;
    let short = domain::Destination {
        timeout: Duration::from_secs(1),
        ..pulled()
    };
    let courier = world
        .courier(vec![short, destination("police", "pull:")])
        .await;
    let mut client = client(serve(&courier).await).await;
    world.append(some(2)).await;

    let leases = take(&mut client, ID, 2).await;
    let mut leases = leases.into_iter();
    let kept = leases.next().unwrap();
    let lost = match leases.next() {
        Some(lost) => lost,
        None => take(&mut client, ID, 1).await.remove(0),
    };
    let request = v1::ExtendRequest {
        destination: ID.to_owned(),
        tokens: vec![kept.token.clone()],
        by: Some(proto::duration_to_wire(Duration::from_secs(3600))),
    };
    let extended = client
        .extend(request)
        .await
        .unwrap()
        .into_inner()
        .answers
        .remove(0);
    let until = proto::timestamp_from_wire("until", extended.until).unwrap();
    let before = proto::timestamp_from_wire("until", kept.until).unwrap();
    let longer = until.duration_since(before).as_millis();
    assert_eq!(longer, 9_000, "ten time-outs in all");

    let long = Some(Duration::from_secs(10));
    let again = take_for(&mut client, ID, 1, long).await.remove(0);
    assert_eq!(id(&again), id(&lost), "the other one has run out");
    let tokens = [kept.token.as_str(), again.token.as_str()];
    let standings = confirm(&mut client, ID, &tokens, &Reply::Taken).await;
    assert_eq!(standings, [Standing::Held, Standing::Held]);
    world.outcomes_with(2, delivered).await;
    courier.stop().await;
}

#[tokio::test]
async fn a_stream_sends_no_more_than_its_credit() {
    let world = World::new().await;
    let courier = world.courier(vec![pulled()]).await;
    let mut client = client(serve(&courier).await).await;
    world.append(some(5)).await;

    let (says, mut hears) = open(&mut client, ID, 2).await;
    let first = soon(next_lease(&mut hears)).await.unwrap();
    let second = soon(next_lease(&mut hears)).await.unwrap();
    let extend = v1::WorkExtend {
        token: first.token.clone(),
        by: None,
    };
    say(&says, work_request::Request::Extend(extend));
    let next = soon(hears.next()).await.unwrap().unwrap().response.unwrap();
    assert!(
        matches!(next, work_response::Response::Answer(_)),
        "{next:?}"
    );
    assert!(hears.next().now_or_never().is_none(), "no third lease");
    let rest = take(&mut client, ID, 9).await;
    assert_eq!(rest.len(), 3, "others take the rest");
    let all = [first, second].into_iter().chain(rest);
    let tokens: Vec<_> = all.map(|lease| lease.token).collect();
    let tokens: Vec<_> = tokens.iter().map(String::as_str).collect();
    confirm(&mut client, ID, &tokens, &Reply::Taken).await;
    world.outcomes_with(5, delivered).await;
    drop(says);
    courier.stop().await;
}

#[tokio::test]
async fn goodbye_gives_everything_back_and_a_cut_gives_nothing_back() {
    let world = World::new().await;
    let courier = world.courier(vec![pulled()]).await;
    let address = serve(&courier).await;
    let mut client = client(address).await;
    world.append(some(4)).await;

    let (cut_says, mut cut_hears) = open(&mut client, ID, 1).await;
    let cut = soon(next_lease(&mut cut_hears)).await.unwrap();
    let (says, mut hears) = open(&mut client, ID, 3).await;
    let mut left = BTreeSet::new();
    for _ in 0..3 {
        left.insert(id(&soon(next_lease(&mut hears)).await.unwrap()));
    }
    drop((cut_says, cut_hears));
    say(&says, work_request::Request::Goodbye(v1::WorkGoodbye {}));
    assert!(
        soon(hears.next()).await.is_none(),
        "the courier ends the stream"
    );

    let leases = take(&mut client, ID, 9).await;
    assert_eq!(leases.iter().map(id).collect::<BTreeSet<_>>(), left);
    let mut tokens: Vec<_> = leases.iter().map(|lease| lease.token.as_str()).collect();
    tokens.push(&cut.token);
    let standings = confirm(&mut client, ID, &tokens, &Reply::Taken).await;
    assert_eq!(
        standings,
        [Standing::Held; 4],
        "what was cut off is still held"
    );
    world.outcomes_with(4, delivered).await;
    for delivery in some(4) {
        assert_eq!(
            classes(&courier, &delivery.id.to_string()).await,
            ["accepted"]
        );
    }
    courier.stop().await;
}

#[tokio::test]
async fn a_call_that_makes_no_sense_says_why() {
    let world = World::new().await;
    let courier = world
        .courier(vec![pulled(), destination("police", "grpc://127.0.0.1:1")])
        .await;
    let mut client = client(serve(&courier).await).await;
    let mut check = async |request, code, part: &str| {
        let status = client.take(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(part), "{status}");
    };
    let ask = |destination: &str| v1::TakeRequest {
        destination: destination.to_owned(),
        ..v1::TakeRequest::default()
    };
    let span = |seconds| Some(proto::duration_to_wire(Duration::from_secs(seconds)));
    check(ask("police"), Code::NotFound, "`police`").await;
    check(ask(""), Code::NotFound, "pull:").await;
    let max = 1001;
    check(
        v1::TakeRequest { max, ..ask(ID) },
        Code::InvalidArgument,
        "`max`",
    )
    .await;
    let wait = span(61);
    check(
        v1::TakeRequest { wait, ..ask(ID) },
        Code::InvalidArgument,
        "`wait`",
    )
    .await;
    let lease = span(0);
    check(
        v1::TakeRequest { lease, ..ask(ID) },
        Code::InvalidArgument,
        "`lease`",
    )
    .await;

    let (_says, mut hears) = open(&mut client, "police", 1).await;
    let status = soon(hears.next()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    courier.stop().await;
}

/// C7: what is held may still be confirmed after the stop was asked for.
#[tokio::test]
async fn a_stop_waits_for_the_verdict_on_what_is_held() {
    let world = World::new().await;
    let courier = world.courier(vec![pulled()]).await;
    let mut client = client(serve(&courier).await).await;
    world.append(some(3)).await;
    let (says, mut hears) = open(&mut client, ID, 1).await;
    let lease = soon(next_lease(&mut hears)).await.unwrap();

    let answered = async {
        courier.tasks.stopping().await;
        let confirmation = v1::Confirmation {
            token: lease.token.clone(),
            verdict: verdict(&Reply::Taken),
        };
        say(&says, work_request::Request::Confirm(confirmation));
        let response = hears.next().await.unwrap().unwrap().response.unwrap();
        let work_response::Response::Answer(answer) = response else {
            panic!("{response:?}");
        };
        assert_eq!(answer.standing(), Standing::Held);
        assert!(hears.next().await.is_none());
    };
    let tasks = courier.tasks.clone();
    let (stopped, ()) = soon(async { tokio::join!(tasks.drain(PATIENCE), answered) }).await;
    assert_eq!(stopped, Ok(()));
    assert_eq!(world.outcomes_with(1, delivered).await.len(), 1);
}

/// C7: nobody who waits delays the stop.
#[tokio::test]
async fn a_stop_ends_waits_and_streams() {
    let world = World::new().await;
    let courier = world.courier(vec![pulled()]).await;
    let address = serve(&courier).await;
    let mut waiting = client(address).await;
    let mut streaming = client(address).await;
    let (_says, mut hears) = open(&mut streaming, ID, 5).await;
    let request = v1::TakeRequest {
        destination: ID.to_owned(),
        wait: Some(proto::duration_to_wire(PATIENCE)),
        ..v1::TakeRequest::default()
    };
    let ended = async {
        let (taken, heard) = tokio::join!(waiting.take(request), hears.next());
        assert!(taken.unwrap().into_inner().leases.is_empty());
        assert!(heard.is_none());
    };
    let stop = async {
        tokio::task::yield_now().await;
        courier.stop().await;
    };
    soon(async { tokio::join!(ended, stop) }).await;
}
