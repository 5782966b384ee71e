//! Where the couriers of one life meet: store, log and agencies.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use proto::v1::{self, courier_server::Courier as _};
use store::{Fence, Kind, Op, Write};
use tokio::select;
use tokio::time::sleep;

use super::super::*;
use crate::process::{Process, brisk};

/// One store and one log, the agencies, and the courier that lives on.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) life: Life,
    how: How,
    pub(super) agencies: Agencies,
    pub(super) doomed: Option<Process>,
    pub(super) other: Option<Process>,
    pub(super) batches: usize,
}

/// How the doomed courier ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Dies,
    /// A planted bug: its claims are not kept.
    DiesForgetful,
    /// Its store and its log are away for so long that the other one has taken everything over.
    StandsStill,
}

/// All destinations, behind two doors.
pub(super) struct Agencies {
    pub(super) seen: Seen,
    /// From the order on; until then they refuse some.
    take_all: Arc<AtomicBool>,
    doomed: SocketAddr,
    other: SocketAddr,
}

/// The doomed courier came to its fatal point.
pub(super) struct Died;

/// The lanes, and whether a repeat harms none.
pub(super) const LANES: [(&str, bool); 2] = [("plain", true), (CAREFUL, false)];
const CAREFUL: &str = "careful";
/// The right to read the topic is one more.
pub(super) const LEASES: i64 = LANES.len() as i64 + 1;
pub(super) const SHARE: i64 = LEASES / 2;
const LEASE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A step that the agencies refuse at first.
const REFUSED: &str = "refused";
pub(super) const DOOMED: &str = "doomed";

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

pub(super) fn refused() -> impl Iterator<Item = Delivery> {
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
    pub(super) async fn new(fatal: Option<(Point, usize)>, how: How) -> Self {
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

    pub(super) async fn start_doomed(&self) -> Process {
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

    pub(super) async fn start_other(&mut self, name: &str) {
        let config = brisk(name, LEASE, lanes(self.agencies.other));
        let (log, clock) = (self.world.log.clone(), self.world.clock.clone());
        let process = Process::start_with(config, log, clock, self.open()).await;
        self.other = Some(process);
    }

    pub(super) async fn end_other(&mut self) {
        if let Some(other) = self.other.take() {
            other.end().await;
        }
    }

    pub(super) async fn append(&mut self) {
        self.world.append(batch(self.batches).flatten()).await;
        self.batches += 1;
    }

    /// An operator has what was refused sent again, wherever its lane is.
    pub(super) async fn redrive(&self) {
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
    pub(super) async fn unless_dead<T>(&self, what: impl Future<Output = T>) -> Result<T, Died> {
        select! {
            biased;
            () = self.life.ended() => Err(Died),
            done = what => Ok(done),
        }
    }

    pub(super) async fn told(&self, has_come: impl Fn(&Told) -> bool) -> Told {
        loop {
            let told = Told::by(&self.world).await;
            if has_come(&told) {
                return told;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whatever was appended has come to an end; what was refused, if it was sent again.
    pub(super) async fn settled(&self) -> Told {
        let takes_all = self.agencies.take_all.load(Ordering::SeqCst);
        self.told(|told| {
            let mut batches = (0..self.batches).flat_map(batch);
            batches.all(|dossier| told.has_settled(&dossier))
                && refused().all(|one| !takes_all || told.arrived.contains_key(&one.id))
        })
        .await
    }

    pub(super) async fn held_by(&self, name: &str, least: i64) {
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

    /// What the agencies and the outcomes must not tell, if they do.
    pub(super) fn violation(&self, told: &Told) -> Option<&'static str> {
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
