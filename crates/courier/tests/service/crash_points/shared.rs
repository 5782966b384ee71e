//! The same for couriers that share their store: one dies wherever it waits, in a life in which lanes, and
//! the right to read the topic, come to it and go from it, and another one goes on with all of them.
//!
//! ```text
//! the other   ├───── at work ─────┤             ├─────── at work ────────▶
//! the doomed            ├─ a share ─┼─ all lanes ─┼─ a share ─┤
//! ```
//!
//! It calls the agencies at an address of its own: so its own answers are known from the other's.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use proto::v1::{self, courier_server::Courier as _};
use store::{Fence, Kind, Op, Write};
use tokio::select;
use tokio::time::sleep;

use super::*;
use crate::process::{Process, brisk};

/// One store and one log, the agencies, and the courier that lives on.
struct Stage {
    world: World,
    life: Life,
    how: How,
    agencies: Agencies,
    doomed: Option<Process>,
    other: Option<Process>,
    batches: usize,
}

/// How the doomed courier ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Dies,
    /// A planted bug: its claims are not kept.
    DiesForgetful,
    /// Its store and its log are away for so long that the other one has taken everything over.
    StandsStill,
}

/// All destinations, behind two doors.
struct Agencies {
    seen: Seen,
    /// From the order on; until then they refuse some.
    take_all: Arc<AtomicBool>,
    doomed: SocketAddr,
    other: SocketAddr,
}

/// The doomed courier came to its fatal point.
struct Died;

/// The lanes, and whether a repeat harms none.
const LANES: [(&str, bool); 2] = [("plain", true), (CAREFUL, false)];
const CAREFUL: &str = "careful";
/// The right to read the topic is one more.
const LEASES: i64 = LANES.len() as i64 + 1;
const SHARE: i64 = LEASES / 2;
const LEASE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const BATCHES: usize = 6;
/// Lives beside one another: each mostly waits for the end of a lease.
const AT_ONCE: usize = 8;
/// Lives that end by themselves, to make the list of points.
const WHOLE: usize = 4;
/// A step that the agencies refuse at first.
const REFUSED: &str = "refused";
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
const DOOMED: &str = "doomed";

// === impl Agencies ===

impl Agencies {
    async fn start(tasks: &Tasks, life: &Life) -> Self {
        let (seen, take_all) = (Seen::new(), Arc::<AtomicBool>::default());
        let script = |life: Option<Life>| {
            let (seen, take_all) = (seen.clone(), take_all.clone());
            move |delivery: &v1::Delivery, _| {
                seen.add(Arrival::of(delivery));
                let reply = if delivery.step == REFUSED && !take_all.load(Ordering::SeqCst) {
                    Reply::NotTaken
                } else {
                    Reply::Taken
                };
                match &life {
                    Some(life) if life.ends_at(Before(ANSWER)) => return Reply::TakenSilently,
                    Some(life) => drop(life.ends_at(After(ANSWER))),
                    None => {}
                }
                reply
            }
        };
        let (doomed, _) = agency::start(None, tasks, script(Some(life.clone()))).await;
        let (other, _) = agency::start(None, tasks, script(None)).await;
        Self {
            seen,
            take_all,
            doomed,
            other,
        }
    }
}

fn lanes(address: SocketAddr) -> Vec<Destination> {
    let lane = |(id, idempotent)| Destination {
        terms: Terms {
            idempotent,
            ..Terms::default()
        },
        ..grpc(id, address)
    };
    LANES.map(lane).into()
}

/// A dossier of a batch on each lane.
fn batch(number: usize) -> impl Iterator<Item = [Delivery; 2]> {
    LANES.into_iter().map(move |(lane, _)| {
        let dossier = format!("{lane}-{number}");
        ["a", "b"].map(|step| delivery(&dossier, step, lane))
    })
}

fn refused() -> impl Iterator<Item = Delivery> {
    let plain = LANES.into_iter().filter(|(_, idempotent)| *idempotent);
    plain.map(|(lane, _)| delivery(&format!("refused-{lane}"), REFUSED, lane))
}

/// Deliveries where a repeat harms none.
fn plain_ones(batches: usize) -> usize {
    let plain = refused().count();
    plain * 2 * batches + plain
}

// === impl Stage ===

impl Stage {
    async fn new(fatal: Option<(Point, usize)>, how: How) -> Self {
        let world = shared_world().await;
        let life = Life::new(fatal);
        let agencies = Agencies::start(&world.tasks, &life).await;
        Self {
            world,
            life,
            how,
            agencies,
            doomed: None,
            other: None,
            batches: 0,
        }
    }

    /// Of one courier: connections of its own to a server, a file that this process has open.
    fn open(&self) -> BoxFuture<'static, Store> {
        if self.world.is_shared() {
            let config = self.world.store_config();
            Box::pin(async move { Store::open(config).await.unwrap() })
        } else {
            Box::pin(ready(self.world.store.clone()))
        }
    }

    async fn start_doomed(&self) -> Process {
        let (open, life) = (self.open(), self.life.clone());
        let forgets_claims = self.how == How::DiesForgetful;
        let log = Log::wrap(Mortal {
            inner: self.world.log.clone(),
            life: life.clone(),
            forgets_claims,
        });
        let open = async move {
            Store::wrap(Mortal {
                inner: open.await.backend(),
                life,
                forgets_claims,
            })
        };
        let config = brisk(DOOMED, LEASE, lanes(self.agencies.doomed));
        Process::start_with(config, log, self.world.clock.clone(), open).await
    }

    async fn start_other(&mut self, name: &str) {
        let config = brisk(name, LEASE, lanes(self.agencies.other));
        let (log, clock) = (self.world.log.clone(), self.world.clock.clone());
        let process = Process::start_with(config, log, clock, self.open()).await;
        self.other = Some(process);
    }

    async fn end_other(&mut self) {
        if let Some(other) = self.other.take() {
            other.end().await;
        }
    }

    async fn append(&mut self) {
        self.world.append(batch(self.batches).flatten()).await;
        self.batches += 1;
    }

    /// An operator has what was refused sent again, wherever its lane is.
    async fn redrive(&self) {
        self.agencies.take_all.store(true, Ordering::SeqCst);
        let request = v1::RedriveRequest {
            deliveries: refused().map(|one| one.id.to_string()).collect(),
            by: OPERATOR.to_owned(),
            reason: "they take it now".to_owned(),
        };
        let api = self.other.as_ref().unwrap().handle.api();
        let answer = api.redrive(tonic::Request::new(request)).await.unwrap();
        assert_eq!(answer.into_inner().redriven as usize, refused().count());
    }

    /// Waits for something that comes unless the doomed courier dies before.
    async fn unless_dead<T>(&self, what: impl Future<Output = T>) -> Result<T, Died> {
        select! {
            biased;
            () = self.life.ended() => Err(Died),
            done = what => Ok(done),
        }
    }

    async fn told(&self, has_come: impl Fn(&Told) -> bool) -> Told {
        loop {
            let told = Told::by(&self.world).await;
            if has_come(&told) {
                return told;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whatever was appended has come to an end; what was refused, if it was sent again.
    async fn settled(&self) -> Told {
        let takes_all = self.agencies.take_all.load(Ordering::SeqCst);
        self.told(|told| {
            let mut batches = (0..self.batches).flat_map(batch);
            batches.all(|dossier| told.has_settled(&dossier))
                && refused().all(|one| !takes_all || told.arrived.contains_key(&one.id))
        })
        .await
    }

    async fn held_by(&self, name: &str, least: i64) {
        let sql = "select count(*) from courier_lanes l, courier_clock c \
                   where l.owner like $1 and l.expires_at > c.now_ms";
        loop {
            let owner = format!("{name}-%");
            let rows = self.world.store.query(sql, [owner.into()], &[Kind::Int]);
            if rows.await.unwrap()[0].int(0).unwrap() >= least {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Lanes come to the doomed courier, then all of them, and go again.
    async fn whole_life(&mut self) -> Result<(), Died> {
        self.append().await;
        self.world.append(refused()).await;
        self.doomed = Some(self.unless_dead(self.start_doomed()).await?);
        self.unless_dead(self.held_by(DOOMED, SHARE)).await?;
        self.append().await;
        let are_dead = |told: &Told| refused().all(|one| told.dead.contains(&one.id));
        self.unless_dead(self.told(are_dead)).await?;
        self.redrive().await;
        self.unless_dead(self.settled()).await?;
        self.append().await;
        self.end_other().await;
        self.unless_dead(self.held_by(DOOMED, LEASES)).await?;
        self.append().await;
        self.unless_dead(self.settled()).await?;
        self.append().await;
        self.start_other("second").await;
        self.unless_dead(self.held_by("second", SHARE)).await?;
        self.append().await;
        self.unless_dead(self.settled()).await?;
        let doomed = self.doomed.take().unwrap();
        self.unless_dead(doomed.end()).await
    }

    /// What the agencies and the outcomes must not tell, if they do.
    fn violation(&self, told: &Told) -> Option<&'static str> {
        let arrivals = self.agencies.seen.all().into_iter();
        let (careful, plain): (Vec<_>, Vec<_>) =
            arrivals.partition(|arrival| arrival.dossier.starts_with(CAREFUL));
        let twice = told.arrived.values().any(|ids| ids.len() > 1);
        let both = told
            .doubtful
            .iter()
            .any(|delivery| told.arrived.contains_key(delivery));
        violation(&plain, true, plain_ones(self.batches))
            .or(violation(&careful, false, 0))
            .or(twice.then_some("told twice"))
            .or(both.then_some("in doubt and delivered"))
    }
}

/// A store on a server, or a file that is made to look as if other processes could have it open.
async fn shared_world() -> World {
    let world = World::new().await;
    if world.is_shared() {
        return world;
    }
    // A courier makes the tables.
    world.courier(Vec::new()).await.stop().await;
    let ops = [
        "drop view courier_clock",
        "create view courier_clock as \
         select cast(unixepoch('subsec') * 1000 as integer) as now_ms, 1 as shared",
    ];
    let ops = ops.map(|sql| Op::Sql {
        sql: sql.into(),
        params: Vec::new(),
    });
    let write = Write {
        ops: ops.into(),
        ..Write::new(Fence::shared("test"), 0)
    };
    world.store.commit(write).await.unwrap();
    world
}

/// One life that dies at a passage of a point, or never, and what the other courier makes of it.
async fn lives(fatal: Option<(Point, usize)>, how: How) -> (Lived, Option<&'static str>) {
    let mut stage = Stage::new(fatal, how).await;
    stage.start_other("first").await;
    let died = stage.whole_life().await.is_err();
    if how != How::StandsStill {
        stage.doomed = None;
    }
    if stage.other.is_none() {
        stage.start_other("second").await;
    }
    while stage.batches < BATCHES {
        stage.append().await;
    }
    let mut told = stage.settled().await;
    if let Some(doomed) = stage.doomed.take() {
        stage.life.goes_on();
        stage.append().await;
        told = stage.settled().await;
        doomed.end().await;
    }
    stage.end_other().await;
    let lived = Lived {
        died,
        passed: stage.life.passed(),
        arrivals: stage.agencies.seen.all(),
    };
    (lived, stage.violation(&told))
}

async fn ends_at(how: How, point: Point, mut passage: usize) {
    loop {
        let lived = tokio::time::timeout(PATIENCE, lives(Some((point, passage)), how)).await;
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
async fn whole_lives() -> Lived {
    let all = stream::iter((0..WHOLE).map(|_| lives(None, How::Dies))).buffer_unordered(AT_ONCE);
    let mut all = all.collect::<Vec<_>>().await;
    let (mut most, _) = all.swap_remove(0);
    for (whole, found) in all {
        assert_eq!((found, whole.died), (None, false));
        for (point, often) in whole.passed {
            let known = most.passed.entry(point).or_default();
            *known = often.max(*known);
        }
    }
    most
}

/// C6: a courier that ends before or after anything that it waits for leaves nothing behind that another
/// one does not bring to its end. On PostgreSQL where there is a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_what_a_courier_leaves_at_any_point_another_one_finishes() {
    let all = tokio::time::timeout(Duration::from_secs(300), ends_everywhere(How::Dies, TIMES));
    all.await.unwrap();
}

/// C6, O6: one that stood still there meanwhile changes nothing when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o6_what_a_courier_does_after_standing_still_at_any_point_changes_nothing() {
    let all = tokio::time::timeout(
        Duration::from_secs(300),
        ends_everywhere(How::StandsStill, 1),
    );
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
