use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use simulator::Fate;
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use crate::harness::{House, PATIENCE, accepted, within};

/// Desks that accept dossiers until told to stop, at a rate and never far ahead of the agencies.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    desks: JoinHandle<()>,
}

/// Procedures in turn, with the number of their steps: births fork, deaths join, marriages are short.
const MIX: [(&str, usize); 3] = [("3.000722", 4), ("1.000894", 1), ("3.000722", 4)];
/// Steps that may be under way at once.
const AHEAD: usize = 1_000;

// === impl Load ===

impl Load {
    pub(crate) fn start(house: &House, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (desk, clock) = (house.world.desk.clone(), house.site.clock.clone());
        let agencies: Vec<_> = house.world.agencies().cloned().collect();
        let desks = house.world.tasks().spawn_brief(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut promised = 0;
            for number in 0.. {
                ticks.tick().await;
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let taken: usize = agencies.iter().map(simulator::Agency::taken).sum();
                if promised > taken + AHEAD {
                    continue;
                }
                let (procedure, steps) = MIX[number % MIX.len()];
                promised += steps;
                let event = accepted(&format!("dossier-{number}"), procedure, clock.now());
                if desk.send(event).await.is_err() {
                    return;
                }
            }
        });
        Self { stop, desks }
    }

    /// Goes on until so many events were accepted, then stops. Fails once none is any more.
    pub(crate) async fn until(self, house: &House, events: usize) {
        let so_far = || house.world.history.count(Fate::Accepted);
        let mut before = so_far();
        while before < events {
            before = within(PATIENCE, "another event is accepted", async || {
                Some(so_far()).filter(|now| *now > before)
            })
            .await;
        }
        self.stop.store(true, Ordering::Relaxed);
        self.desks.await.unwrap();
    }
}
