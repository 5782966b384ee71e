//! Verdicts that come once another courier has claimed the lane.

use consumer::{Outbox, Start};
use domain::{Attempt, AttemptClass, DeliveryId};
use jiff::Timestamp;
use log::{Limit, Log, Topic};
use runtime::{Clock, Health};
use store::row;
use tokio::sync::oneshot;

use super::*;
use crate::entry::{DossierMark, Entry, Millis, Place};
use crate::lane::Ruling;
use crate::sidelines::Marks;
use crate::tables::{DELIVERIES, State};
use crate::verdicts::{self, About, Backlog, Batch, Ground, Report, Sender, Verdict, Verdicts};

/// One courier's writer of verdicts at work.
struct Scribe {
    sender: Sender,
    stop: CancellationToken,
    running: JoinHandle<Result<(), crate::Error>>,
}

const PLACE: Place = Place {
    partition: 0,
    offset: 7,
};
const LATE: &str = "select count(*) from courier_late_verdicts";

// === impl Scribe ===

impl Scribe {
    fn start(store: &Store, log: &Log) -> Self {
        let health = Health::default();
        let outbox = Outbox::new(verdicts::GROUP, store.clone(), log.clone(), health.clone());
        let ground = Ground::Shared { patience: LENGTH };
        let (verdicts, sender, _flow) = Verdicts::new(outbox, ground, Clock::system());
        let (stop, own) = (CancellationToken::new(), sender.clone());
        let until = stop.clone();
        let running = Tasks::default().spawn_brief(async move {
            let start = Start::new(verdicts::GROUP, health, until.clone());
            verdicts.run(own, &start, &until).await
        });
        Self {
            sender,
            stop,
            running,
        }
    }

    /// Waits until the verdicts are durable.
    async fn write(&self, lease: &Lease, verdicts: Vec<Report>) {
        let (done, settled) = oneshot::channel();
        let settle = vec![Report::Settled { done }];
        for reports in [verdicts, settle] {
            let batch = Batch::new(Arc::new(lease.clone()), reports, &Arc::<Backlog>::default());
            self.sender.send(batch).await.unwrap();
        }
        settled.await.unwrap();
    }

    async fn end(self) {
        drop(self.sender);
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

fn accepted(number: u32, ruling: Ruling) -> Report {
    Report::Verdict(Verdict {
        about: About {
            entry: Entry {
                id: DeliveryId::from([7; 16]),
                place: PLACE,
                dossier: DossierMark(1),
                due_at: Millis(0),
                opened_at: Millis(0),
                next_at: Millis(0),
                tries: number,
                charged: number,
                doubtful: false,
                announced: 0,
                marks: Marks::default(),
            },
            dossier: "d-1".parse().unwrap(),
            step: "work".parse().unwrap(),
            destination: lane(1),
        },
        attempt: Attempt {
            number,
            started_at: Timestamp::UNIX_EPOCH,
            took: Duration::from_millis(5),
            class: AttemptClass::Accepted,
            detail: "taken".to_owned(),
        },
        ruling,
    })
}

/// A lease of the lane as the tables have it now.
async fn lease(store: &Store) -> Lease {
    let view = View::read(store).await.unwrap();
    let (_, until) = watch::channel(Instant::now() + LENGTH);
    Lease {
        destination: lane(1),
        token: Token(view.lanes[lane(1).as_str()].token),
        until: Some(until),
    }
}

async fn state(store: &Store) -> (i64, i64) {
    let key = [row![PLACE.partition, PLACE.offset]];
    let rows = store.get(&DELIVERIES, &key).await.unwrap();
    (rows[0].int(8).unwrap(), rows[0].int(9).unwrap())
}

async fn told(log: &Log) -> usize {
    let mut reader = log.reader_from_start(Topic::Outcomes).await.unwrap();
    let limit = Limit {
        records: 100,
        bytes: 1 << 20,
    };
    let read = reader.next(limit, Duration::from_millis(1)).await.unwrap();
    read.len()
}

/// Several couriers' tables, with one delivery.
async fn with_a_delivery(world: &World) -> Vec<Store> {
    let stores = world.with_clock(2).await;
    stores[0].migrate(&[&crate::tables::SCHEMA]).await.unwrap();
    let row = row![
        PLACE.partition,
        PLACE.offset,
        DeliveryId::from([7; 16]).as_bytes(),
        lane(1).as_str(),
        "d-1",
        0,
        0,
        0,
        State::Pending as i32,
        0,
        0,
        0,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        0,
        0,
        Value::Null,
    ];
    let insert = Op::Insert {
        table: &DELIVERIES,
        rows: vec![row],
    };
    commit(&stores[0], vec![], vec![insert]).await.unwrap();
    stores
}

pub(super) async fn o6_a_late_verdict_is_kept_as_a_fact_and_not_applied(world: &World) {
    let stores = with_a_delivery(world).await;
    let (one, two) = (&stores[0], &stores[1]);
    let log = Log::memory(Arc::new(|| Timestamp::UNIX_EPOCH));
    tables::act(one, "one", LENGTH, &claims([1])).await.unwrap();
    let first = lease(one).await;
    tick(one, LENGTH).await;
    tables::act(two, "two", LENGTH, &claims([1])).await.unwrap();
    let second = lease(one).await;
    let long_ago = "insert into courier_late_verdicts values (0, 1, 1, 1, 0, 0, 'timeout', '', 0)";
    execute(one, long_ago, vec![]).await;

    // A writer that does not know whether it wrote writes again.
    for _ in 0..2 {
        let scribe = Scribe::start(one, &log);
        let verdicts = vec![accepted(1, Ruling::Delivered), accepted(2, Ruling::Dead)];
        scribe.write(&first, verdicts).await;
        scribe.end().await;
        assert_eq!(state(one).await, (State::Pending as i64, 0));
        assert_eq!(told(&log).await, 0);
        assert_eq!(count(one, LATE).await, 2, "one each, and none of long ago");
    }
    let late = verdicts::late(two, PLACE).await.unwrap();
    let numbers: Vec<_> = late.iter().map(|one| one.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(
        (late[0].last.class.as_str(), late[0].last.took),
        ("accepted", 5)
    );

    let scribe = Scribe::start(two, &log);
    scribe
        .write(&second, vec![accepted(1, Ruling::Delivered)])
        .await;
    scribe.end().await;
    assert_eq!(state(one).await, (State::Delivered as i64, 1));
    assert_eq!((told(&log).await, count(one, LATE).await), (1, 2));
}
