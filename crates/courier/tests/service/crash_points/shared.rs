//! The same for couriers that share their store: one dies wherever it waits, in a life in which lanes, and
//! the right to read the topic, come to it and go from it, and another one goes on with all of them.
//!
//! ```text
//! the other   ├───── at work ─────┤             ├─────── at work ────────▶
//! the doomed            ├─ a share ─┼─ all lanes ─┼─ a share ─┤
//! ```
//!
//! It calls the agencies at an address of its own: so its own answers are known from the other's.

mod stage;

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::*;
use stage::{DOOMED, Died, How, LANES, LEASES, SHARE, Stage, refused};

/// Of a whole walk.
const AT_MOST: Duration = Duration::from_secs(600);
/// Of one life, with all the others beside it.
const LIFE: Duration = Duration::from_secs(180);
const BATCHES: usize = 6;
/// Lives beside one another: each mostly waits for the end of a lease.
const AT_ONCE: usize = 8;
/// Lives that end by themselves, to make the list of points.
const WHOLE: usize = 4;
/// What a courier waits for when it shares its store. Marks go with other commits most of the time.
const EXPECTED_BESIDE_ANOTHER: [&str; 16] = [
    "making tables",
    "looking at leases",
    "a lease",
    "taking over",
    "reading offsets",
    "reading the news",
    "asking the store",
    "looking for repeats",
    "reading the outbox",
    "opening the log",
    "reading the log",
    "taking in",
    "a claim",
    ANSWER,
    "a verdict",
    "publishing",
];
/// Lanes come to the doomed courier, then all of them, and go again.
async fn whole_life(stage: &mut Stage) -> Result<(), Died> {
    stage.append().await;
    stage.world.append(refused()).await;
    stage.doomed = Some(stage.unless_dead(stage.start_doomed()).await?);
    stage.unless_dead(stage.held_by(DOOMED, SHARE)).await?;
    stage.append().await;
    let are_dead = |told: &Told| refused().all(|one| told.dead.contains(&one.id));
    stage.unless_dead(stage.told(are_dead)).await?;
    stage.redrive().await;
    stage.unless_dead(stage.settled()).await?;
    stage.append().await;
    stage.end_other().await;
    stage.unless_dead(stage.held_by(DOOMED, LEASES)).await?;
    stage.append().await;
    stage.unless_dead(stage.settled()).await?;
    stage.append().await;
    stage.start_other("second").await;
    stage.unless_dead(stage.held_by("second", SHARE)).await?;
    stage.append().await;
    stage.unless_dead(stage.settled()).await?;
    let doomed = stage.doomed.take().unwrap();
    stage.unless_dead(doomed.end()).await
}

/// One life that dies at a passage of a point, or never, and what the other courier makes of it.
async fn lives(fatal: Option<(Point, usize)>, how: How) -> (Lived, Option<&'static str>) {
    let mut stage = Stage::new(fatal, how).await;
    stage.start_other("first").await;
    let died = whole_life(&mut stage).await.is_err();
    if how != How::StandsStill {
        stage.doomed = None;
    }
    if stage.other.is_none() {
        stage.start_other("second").await;
    }
    while stage.batches < BATCHES {
        stage.append().await;
    }
    stage.settled().await;
    if let Some(doomed) = stage.doomed.take() {
        stage.life.goes_on();
        stage.append().await;
        stage.settled().await;
        doomed.end().await;
    }
    stage.end_other().await;
    let lived = Lived {
        died,
        passed: stage.life.passed(),
        arrivals: stage.agencies.seen.all(),
    };
    let told = Told::by(&stage.world).await;
    (lived, stage.violation(&told))
}

async fn ends_at(how: How, point: Point, mut passage: usize) {
    loop {
        let lived = timeout(LIFE, lives(Some((point, passage)), how)).await;
        let Ok((lived, found)) = lived else {
            panic!("{point}, passage {passage}: something never comes to its end");
        };
        assert_eq!(found, None, "{point}, passage {passage}");
        if lived.died {
            return;
        }
        // How often it passes differs from life to life.
        passage /= 2;
    }
}

/// Ends so many times at each of the points.
async fn ends_everywhere(how: How, times: usize) {
    let mut points = points(whole_lives().await, &EXPECTED_BESIDE_ANOTHER);
    if how == How::StandsStill {
        points.retain(|point, _| ![Before(ANSWER), After(ANSWER)].contains(point));
    }
    let ends = |(point, often): (Point, usize)| {
        passages(often, times).map(move |passage| ends_at(how, point, passage))
    };
    stream::iter(points.into_iter().flat_map(ends))
        .buffer_unordered(AT_ONCE)
        .collect::<()>()
        .await;
}

/// The first, and others up to the last; one alone is halfway.
fn passages(often: usize, times: usize) -> impl Iterator<Item = usize> {
    let last = often - 1;
    (0..times).map(move |time| match times {
        1 => last / 2,
        _ => last * time / (times - 1),
    })
}

/// What several whole lives pass, and at most how often: chance decides who reads the topic in them.
async fn whole_lives() -> BTreeMap<Point, usize> {
    let all = stream::iter((0..WHOLE).map(|_| lives(None, How::Dies))).buffer_unordered(AT_ONCE);
    let all = all.collect::<Vec<_>>().await;
    let mut most = BTreeMap::new();
    for (whole, found) in all {
        assert_eq!((found, whole.died), (None, false));
        for (point, often) in whole.passed {
            let known = most.entry(point).or_default();
            *known = often.max(*known);
        }
    }
    most
}

/// C6: a courier that ends before or after anything that it waits for leaves nothing behind that another
/// one does not bring to its end. On PostgreSQL where there is a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_what_a_courier_leaves_at_any_point_another_one_finishes() {
    let all = timeout(AT_MOST, ends_everywhere(How::Dies, TIMES));
    all.await.unwrap();
}

/// C6, O6: one that stood still there meanwhile changes nothing when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_what_a_courier_does_after_standing_still_at_any_point_changes_nothing() {
    let all = timeout(AT_MOST, ends_everywhere(How::StandsStill, 1));
    all.await.unwrap();
}

/// T8, of this test itself: the other courier resends blindly what was claimed and is not known to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t8_a_blind_resend_by_another_courier_is_caught() {
    for passage in 0..2 * LANES.len() * BATCHES {
        let fatal = (Before("a verdict"), passage);
        let (lived, found) = lives(Some(fatal), How::DiesForgetful).await;
        if found == Some("sent again") {
            return;
        }
        assert!(lived.died, "not caught");
    }
    panic!("not caught at any passage");
}
