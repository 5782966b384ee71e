//! Two and three couriers on one store, whose clock the tests hold.

mod late;
mod planted;
mod world;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use runtime::Tasks;
use store::{Committed, Kind, Op, Value, Write};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{advance, timeout};

use super::*;
use late::o6_a_late_verdict_is_kept_as_a_fact_and_not_applied;
use world::World;

/// One lease, and one step of the tests' clock: long enough that nothing ends by itself.
const LENGTH: Duration = Duration::from_secs(60);
const KINDS: [Kind; 1] = [Kind::Int];

/// Runs each test on both back ends.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::World::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(world) = super::World::postgres() {
                    super::$name(&world).await;
                    world.remove().await;
                }
            })*
        }
    };
}

on_both!(
    o5_of_two_couriers_one_token_is_valid,
    o5_of_three_couriers_one_token_is_valid,
    o5_a_killed_couriers_lanes_move_and_a_new_one_gets_its_share,
    o6_a_late_verdict_is_refused_and_the_next_owners_passes,
    o6_a_lease_that_ended_unseen_is_claimed_anew,
    o6_a_late_verdict_is_kept_as_a_fact_and_not_applied,
);

async fn execute(store: &Store, sql: &str, params: Vec<Value>) {
    let op = Op::Sql {
        sql: sql.to_owned().into(),
        params,
    };
    commit(store, vec![], vec![op]).await.unwrap();
}

async fn commit(store: &Store, guards: Vec<Guard>, ops: Vec<Op>) -> Result<Committed, CommitError> {
    let fence = store::Fence::shared("test-verdicts");
    let write = Write {
        guards,
        ops,
        ..Write::new(fence, 0)
    };
    store.commit(write).await
}

async fn tick(store: &Store, span: Duration) {
    let span = i64::try_from(span.as_millis()).unwrap();
    let sql = "update test_clock set now_ms = now_ms + $1";
    execute(store, sql, vec![span.into()]).await;
}

/// Writes down who says what, beside what stands in the table in the same transaction.
fn verdicts(lanes: &[(String, Token)], writer: &str) -> Op {
    let mut params = vec![Value::from(writer)];
    let mut values = Vec::new();
    for (lane, token) in lanes {
        let n = params.len() + 1;
        values.push(format!("(cast(${n} as text), cast(${} as bigint))", n + 1));
        params.extend([Value::from(lane.as_str()), token.0.into()]);
    }
    let sql = format!(
        "insert into test_verdicts (destination, token, writer, true_token, true_owner) \
         select v.column1, v.column2, $1, l.token, l.owner \
         from (values {}) as v join courier_lanes l on l.destination = v.column1",
        values.join(", ")
    );
    Op::Sql {
        sql: sql.into(),
        params,
    }
}

fn verdict(lane: &str, token: Token, writer: &str) -> Op {
    verdicts(&[(lane.to_owned(), token)], writer)
}

async fn count(store: &Store, sql: &str) -> i64 {
    store.query(sql, [], &KINDS).await.unwrap()[0]
        .int(0)
        .unwrap()
}

async fn wrong_verdicts(store: &Store) -> i64 {
    let sql =
        "select count(*) from test_verdicts where token <> true_token or writer <> true_owner";
    count(store, sql).await
}

fn lane(n: usize) -> DestinationId {
    format!("lane-{n:03}").parse().unwrap()
}

fn claims(lanes: impl IntoIterator<Item = usize>) -> Acts {
    lanes
        .into_iter()
        .map(|n| (lane(n).to_string(), Act::Claim))
        .collect()
}

/// What one claimant saw.
#[derive(Default)]
struct Claimant {
    id: String,
    /// The last token of each lane that it held, valid or not.
    believed: BTreeMap<String, Token>,
    claimed: BTreeSet<(String, Token)>,
    written: usize,
    refused: usize,
}

const LANES: usize = 100;
const CLAIMS: i64 = 10_000;

impl Claimant {
    async fn work(mut self, store: Store, number: usize) -> Self {
        let total = "select cast(coalesce(sum(token), 0) as bigint) from courier_lanes";
        for turn in 0.. {
            if count(&store, total).await >= CLAIMS {
                break;
            }
            // Leaves out a third, another one each time, so that lanes are spread over claimants.
            let wanted = (0..LANES).filter(|n| !(n + turn + number).is_multiple_of(3));
            tick(&store, LENGTH).await;
            tables::act(&store, &self.id, LENGTH, &claims(wanted))
                .await
                .unwrap();
            let view = View::read(&store).await.unwrap();
            for (lane, row) in view.lanes {
                if row.owner == self.id && row.expires_at > view.now {
                    self.believed.insert(lane.clone(), Token(row.token));
                    self.claimed.insert((lane, Token(row.token)));
                }
            }
            self.rule(&store).await;
        }
        self
    }

    /// Writes a verdict for each lane it believes in, and leaves out what is refused.
    async fn rule(&mut self, store: &Store) {
        while !self.believed.is_empty() {
            let believed: Vec<_> = self.believed.clone().into_iter().collect();
            let guards = believed
                .iter()
                .map(|(lane, token)| tables::guard(lane, *token));
            let ops = vec![verdicts(&believed, &self.id)];
            match commit(store, guards.collect(), ops).await {
                Ok(_) => {
                    self.written += believed.len();
                    return;
                }
                Err(CommitError::Guarded { failed }) => {
                    assert!(!failed.is_empty());
                    self.refused += failed.len();
                    for place in failed {
                        self.believed.remove(&believed[place].0);
                    }
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

async fn race(world: &World, claimants: usize) {
    let stores = world.with_clock(claimants).await;
    let mut racing = JoinSet::new();
    for (number, store) in stores.iter().cloned().enumerate() {
        let claimant = Claimant {
            id: format!("courier-{number}"),
            ..Claimant::default()
        };
        racing.spawn(claimant.work(store, number));
    }
    let raced = racing.join_all().await;

    let mut owners = HashMap::new();
    for claimant in &raced {
        for claim in &claimant.claimed {
            let before = owners.insert(claim.clone(), claimant.id.clone());
            assert_eq!(before, None, "{claim:?} and {}", claimant.id);
        }
    }
    let written: usize = raced.iter().map(|one| one.written).sum();
    let refused: usize = raced.iter().map(|one| one.refused).sum();
    assert!(refused > 0 && written > 0, "{written} {refused}");
    let rows = count(&stores[0], "select count(*) from test_verdicts").await;
    assert_eq!(rows as usize, written);
    assert_eq!(wrong_verdicts(&stores[0]).await, 0);
}

async fn o5_of_two_couriers_one_token_is_valid(world: &World) {
    race(world, 2).await;
}

async fn o5_of_three_couriers_one_token_is_valid(world: &World) {
    race(world, 3).await;
}

async fn o6_a_late_verdict_is_refused_and_the_next_owners_passes(world: &World) {
    let stores = world.with_clock(2).await;
    let (one, two) = (&stores[0], &stores[1]);
    let token = async |n| Token(View::read(one).await.unwrap().lanes[lane(n).as_str()].token);
    let guard = |n, token| tables::guard(lane(n).as_str(), token);
    let ruling = |n, token, who| verdict(lane(n).as_str(), token, who);

    tables::act(one, "one", LENGTH, &claims([1, 2]))
        .await
        .unwrap();
    let (first, kept) = (token(1).await, token(2).await);
    // The attempt begins; the lease of lane 1 runs out, that of lane 2 is renewed.
    tick(one, LENGTH - Duration::from_millis(1)).await;
    tables::act(two, "two", LENGTH, &claims([1, 2]))
        .await
        .unwrap();
    assert_eq!(token(1).await, first, "claimed while the lease was alive");
    let renew = Acts::from([(lane(2).to_string(), Act::Renew(kept))]);
    tables::act(one, "one", LENGTH, &renew).await.unwrap();
    tick(one, Duration::from_millis(1)).await;
    tables::act(two, "two", LENGTH, &claims([1, 2]))
        .await
        .unwrap();
    let second = token(1).await;
    assert!(second > first);
    assert_eq!(token(2).await, kept);

    let guards = vec![guard(2, kept), guard(1, first)];
    let ops = vec![ruling(2, kept, "one"), ruling(1, first, "one")];
    let late = commit(one, guards, ops).await;
    assert!(
        matches!(&late, Err(CommitError::Guarded { failed }) if *failed == [1]),
        "{late:?}"
    );
    assert_eq!(count(one, "select count(*) from test_verdicts").await, 0);
    let rest = commit(one, vec![guard(2, kept)], vec![ruling(2, kept, "one")]);
    rest.await.unwrap();
    let next = commit(two, vec![guard(1, second)], vec![ruling(1, second, "two")]);
    next.await.unwrap();
    assert_eq!(count(one, "select count(*) from test_verdicts").await, 2);
    assert_eq!(wrong_verdicts(one).await, 0);
}

/// A courier at work, and what it was told.
struct Courier {
    stop: CancellationToken,
    running: JoinHandle<Result<(), LeaseError>>,
    changes: mpsc::UnboundedReceiver<Change>,
    hands: Hands,
    leases: BTreeMap<DestinationId, Lease>,
}

impl Courier {
    fn start(store: &Store, id: &str, length: Duration, lanes: usize) -> Self {
        let (leases, changes, hands) = Leases::new(Member {
            store: store.clone(),
            id: id.to_owned(),
            length,
            destinations: (0..lanes).map(lane).collect(),
        });
        let stop = CancellationToken::new();
        Self {
            running: Tasks::default().spawn_brief(leases.run(stop.clone())),
            stop,
            changes,
            hands,
            leases: BTreeMap::new(),
        }
    }

    async fn next(&mut self) -> Change {
        let change = timeout(Duration::from_secs(60), self.changes.recv()).await;
        let change = change
            .expect("a change within a minute")
            .expect("still at work");
        match &change {
            Change::Gained(lease) => {
                let before = self.leases.insert(lease.destination.clone(), lease.clone());
                assert!(before.is_none(), "gained twice: {lease:?}");
            }
            Change::Asked(lane) => assert!(self.leases.contains_key(lane)),
            Change::Lost(lane) => {
                let lease = self.leases.remove(lane).expect("lost what it had");
                assert!(!lease.is_valid(Instant::now()));
            }
        }
        change
    }

    /// Leaves what it is asked for.
    async fn step(&mut self) {
        if let Change::Asked(lane) = self.next().await {
            self.hands.left(lane);
        }
    }

    async fn until(&mut self, lanes: usize) {
        while self.leases.len() != lanes {
            self.step().await;
        }
    }
}

async fn o5_a_killed_couriers_lanes_move_and_a_new_one_gets_its_share(world: &World) {
    let stores = world.with_clock(3).await;
    execute(&stores[0], "drop view courier_clock", vec![]).await;
    let real = match world.schema {
        Some(_) => "floor(extract(epoch from now()) * 1000)",
        None => "unixepoch('subsec') * 1000",
    };
    let clock = format!(
        "create view courier_clock as select cast({real} as bigint) as now_ms, shared from test_clock"
    );
    execute(&stores[0], &clock, vec![]).await;
    let length = Duration::from_millis(1500);
    let mut one = Courier::start(&stores[0], "one", length, 9);
    one.until(9).await;
    let mut two = Courier::start(&stores[1], "two", length, 9);
    tokio::join!(one.until(5), two.until(4));
    let mut three = Courier::start(&stores[2], "three", length, 9);
    let shares = |couriers: [&Courier; 3]| {
        let lanes: BTreeSet<_> = couriers.iter().flat_map(|one| one.leases.keys()).collect();
        (lanes.len(), couriers.map(|one| one.leases.len()))
    };
    while shares([&one, &two, &three]) != (9, [3; 3]) {
        select! {
            () = one.step() => {}
            () = two.step() => {}
            () = three.step() => {}
        }
    }

    // One stops as it should, one is killed: the last has all.
    one.stop.cancel();
    one.until(0).await;
    one.running.await.unwrap().unwrap();
    two.running.abort();
    three.until(9).await;
}

async fn o6_a_lease_that_ended_unseen_is_claimed_anew(world: &World) {
    let stores = world.with_clock(1).await;
    let mut one = Courier::start(&stores[0], "one", Duration::from_secs(2), 1);
    one.until(1).await;
    let before = one.leases[&lane(0)].clone();
    tick(&stores[0], LENGTH).await;
    assert!(matches!(one.next().await, Change::Lost(_)));
    one.until(1).await;
    let after = &one.leases[&lane(0)];
    assert!(after.token > before.token);
    assert!(after.is_valid(Instant::now()));
    let ruling = |lease: &Lease| vec![verdict(lease.destination.as_str(), lease.token, "one")];
    let late = commit(
        &stores[0],
        before.guard().into_iter().collect(),
        ruling(&before),
    )
    .await;
    assert!(matches!(late, Err(CommitError::Guarded { .. })), "{late:?}");
    commit(
        &stores[0],
        after.guard().into_iter().collect(),
        ruling(after),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn alone_on_a_store_every_lane_is_its_own_and_needs_no_guard() {
    let world = World::sqlite();
    let store = world.stores(1).await.remove(0);
    let mut one = Courier::start(&store, "one", LENGTH, 3);
    one.until(3).await;
    for lease in one.leases.values() {
        assert_eq!((lease.token, lease.guard()), (Token(1), None));
        assert!(lease.is_valid(Instant::now() + LENGTH * 1000));
    }
    assert_eq!(View::read(&store).await.unwrap().lanes, BTreeMap::new());
    one.stop.cancel();
    one.running.await.unwrap().unwrap();
}

/// The tables as the holder sees them, and time that only moves when told.
#[tokio::test]
async fn o6_a_holder_that_cannot_renew_stops_before_others_may_claim() {
    let world = World::sqlite();
    let store = world.stores(1).await.remove(0);
    tokio::time::pause();
    let (mut leases, mut changes, _hands) = Leases::new(Member {
        store,
        id: "one".to_owned(),
        length: LENGTH,
        destinations: Arc::new([lane(0)]),
    });
    let began = Instant::now();
    let row = tables::LaneRow {
        owner: "one".to_owned(),
        token: 7,
        expires_at: crate::entry::Millis(60_000),
    };
    let view = View {
        is_shared: true,
        lanes: BTreeMap::from([(lane(0).to_string(), row)]),
        ..View::default()
    };
    let round = Round {
        began,
        view,
        surplus: vec![],
    };
    advance(Duration::from_secs(5)).await; // the answer was slow
    leases.take_over(&round);
    let Some(Change::Gained(lease)) = changes.recv().await else {
        panic!("not gained");
    };
    assert_eq!(leases.first_end(), Some(began + LENGTH - LENGTH / 10));
    assert!(lease.is_valid(Instant::now()));

    advance(LENGTH - LENGTH / 10 - Duration::from_secs(5)).await;
    assert!(!lease.is_valid(Instant::now()));
    leases.expire();
    assert!(matches!(changes.recv().await, Some(Change::Lost(_))));
    // The tables still name it; it does not come back under that token.
    leases.take_over(&round);
    assert!(changes.try_recv().is_err());
    assert_eq!(leases.given_up, BTreeMap::from([(lane(0), Token(7))]));
}
