//! `lienthong up` as a process: what it says when it cannot start, and how it stops.

use std::fs;

use lienthong::pipeline::{Pipeline, Role, StartError};
use runtime::{BackgroundThreads, Clock, Tasks};
use simulator::{Answer, Fate};
use tokio::net::TcpListener;

use crate::harness::{Backend, Child, House, Launch, PATIENCE, eventually, say};

const MARRIAGE: &str = "1.000894";

/// Starts `up`, which must refuse with one line that names all of `words`.
async fn refuses(house: &House, words: &[&str]) {
    let mut child = Child::start(&house.site, &Launch::Up);
    let (code, text) = child.ended().await;
    assert_eq!(code, Some(64), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1, "one line: {text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing: {text}");
    }
}

/// S7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_data_is_refused() {
    let house = House::started(Backend::Embedded).await;
    refuses(&house, &["open in another process"]).await;
    house.accept("marriage-1", MARRIAGE).await;
    house.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken_is_named() {
    let house = House::new(Backend::Embedded).await;
    let _taken = TcpListener::bind(house.site.tracker).await.unwrap();
    refuses(&house, &[&house.site.tracker.to_string()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_that_cannot_be_used_is_named() {
    let house = House::new(Backend::Embedded).await;
    let data = house.site.path("data");
    // Not even root can make a directory in a file.
    fs::remove_dir(&data).unwrap();
    fs::write(&data, "in the way").unwrap();
    refuses(&house, &[data.to_str().unwrap()]).await;
}

/// Skipped for users who may write everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_that_is_read_only_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new(Backend::Embedded).await;
    let data = house.site.path("data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(data.join("probe"), "").is_ok() {
        say("SKIPPED: a_data_directory_that_is_read_only_is_named: this user may write everywhere");
        return;
    }
    refuses(&house, &[data.to_str().unwrap()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_in_a_route_file_is_named_with_its_place() {
    let house = House::new(Backend::Embedded).await;
    let file = house.site.path("routes").join("birth.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replacen("policy: province", "policy: planet", 1),
    )
    .unwrap();
    let line = 1 + text
        .lines()
        .position(|line| line.contains("policy:"))
        .unwrap();

    let mut child = Child::start(&house.site, &Launch::Up);
    let (code, text) = child.ended().await;

    assert_eq!(code, Some(64), "{text}");
    let place = format!("birth.yaml:{line}:");
    assert!(text.contains(&place) && text.contains("planet"), "{text}");
}

/// D10: what the other roles have to do is not felt by whoever publishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d10_other_roles_and_the_store_give_way_to_the_intake() {
    let house = House::new(Backend::Embedded).await;
    let mut child = Child::start(&house.site, &Launch::Up);
    child.ready().await;
    let threads = child.threads();
    let of = |name: &str| -> Vec<i32> {
        let named = threads.iter().filter(|(of, _)| of == name);
        named.map(|(_, nice)| *nice).collect()
    };
    let own = of("log-writer")[0];
    let background = of("background");
    // SQLite's threads bear the name of the one that started them.
    assert!(background.len() > 2, "{threads:?}");
    let lowered = (own + 10).min(19);
    assert!(
        background.iter().all(|nice| *nice == lowered),
        "{threads:?}"
    );
    let others = threads.iter().filter(|(name, _)| name != "background");
    assert!(others.clone().all(|(_, nice)| *nice == own), "{threads:?}");
    child.terminate().await;
    assert_eq!(child.ended().await.0, Some(0));
}

/// D10: of the roles only the gateway does without the background.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d10_the_gateway_needs_nothing_of_the_background() {
    let house = House::new(Backend::Embedded).await;
    let (settings, clock) = (house.site.settings(), Clock::system());
    let ended = BackgroundThreads::start().unwrap().background().clone();
    let tasks = Tasks::default();
    let open = Pipeline::open(settings, &[Role::Gateway], clock, ended);
    let pipeline = open.await.unwrap();
    pipeline.start(&[Role::Gateway], &tasks).await.unwrap();
    let refused = pipeline.start(&[Role::Router], &tasks).await;
    assert!(matches!(refused, Err(StartError::BrokeOff(_))));
    tasks.drain(PATIENCE).await.unwrap();
}

/// C7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_is_clean_and_loses_nothing() {
    let mut house = House::new(Backend::Embedded).await;
    let mut child = Child::start(&house.site, &Launch::Up);
    child.ready().await;
    let mut answers = Vec::new();
    // No more than may wait for their answers at once.
    for number in 0..240 {
        let event = house.event(&format!("marriage-{number}"), MARRIAGE);
        answers.push(house.world.desk.send(event).await.unwrap());
        if number == 160 {
            eventually("half of them are accepted", async || {
                let accepted = house.world.history.count(Fate::Accepted);
                (accepted >= 80).then_some(())
            })
            .await;
            child.terminate().await;
        }
    }

    let (code, text) = child.ended().await;
    assert_eq!(code, Some(0), "{text}");

    // The world goes on asking, and the next start answers.
    house.start().await;
    for answer in answers {
        assert!(matches!(answer.await, Ok(Answer::Accepted { .. })));
    }
    house.holds().await;
}
