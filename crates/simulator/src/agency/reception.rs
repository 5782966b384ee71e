use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{AgencyId, DeliveryId};
use rand::RngExt;
use runtime::Clock;
use tokio::sync::{mpsc, watch};

use super::{AgencyOptions, ToSend, case::Case, case::Planned};
use crate::{Arrival, History, Reaction, Script, Window, chance::chance};

/// Takes deliveries in, whatever protocol brought them.
#[derive(Debug)]
pub(crate) struct Reception {
    id: AgencyId,
    script: Script,
    seed: u64,
    clock: Clock,
    history: History,
    known: Mutex<HashMap<DeliveryId, Known>>,
    planned: mpsc::UnboundedSender<Planned>,
    to_send: Mutex<Option<ToSend>>,
    owed: AtomicUsize,
    taken: AtomicUsize,
    failing: AtomicU32,
    away: watch::Sender<bool>,
}

/// What the agency answers, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) reaction: Reaction,
    /// How long the answer takes.
    pub(crate) delay: Duration,
    /// Whether it never comes.
    pub(crate) lost: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    arrivals: u32,
    taken: bool,
}

// === impl Reception ===

impl Reception {
    pub(crate) fn new(
        options: AgencyOptions,
        clock: Clock,
        history: History,
        planned: mpsc::UnboundedSender<Planned>,
        to_send: ToSend,
    ) -> Self {
        Self {
            id: options.id,
            script: options.script,
            seed: options.seed,
            clock,
            history,
            known: Mutex::default(),
            planned,
            to_send: Mutex::new(Some(to_send)),
            owed: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            failing: AtomicU32::new(0),
            away: watch::Sender::new(false),
        }
    }

    /// Takes in one delivery. It has its effect here, before the answer: a caller that gives up waiting
    /// has still delivered.
    pub(crate) fn receive(&self, case: Case) -> Answer {
        let now = self.clock.now();
        let answer = self.decide(&case);
        self.history.arrived(Arrival {
            receiver: self.id.clone(),
            delivery: case.delivery,
            dossier: case.dossier.clone(),
            step: case.step.clone(),
            cause: case.cause.clone(),
            opened_at: case.opened_at,
            message: case.message,
            data: case.data,
            at: now,
            reaction: answer.reaction,
        });
        if answer.reaction == Reaction::Taken {
            self.taken.fetch_add(1, Ordering::Relaxed);
            for planned in case.plan(&self.script, &self.id, self.seed, now) {
                self.owed.fetch_add(1, Ordering::Relaxed);
                // The office is gone only when the process ends.
                let _ = self.planned.send(planned);
            }
        }
        answer
    }

    fn decide(&self, case: &Case) -> Answer {
        let mut known = lock(&self.known);
        let known = known.entry(case.delivery).or_default();
        known.arrivals += 1;
        let (delivery, arrival) = (case.delivery.to_string(), known.arrivals.to_string());
        let mut rng = chance(self.seed, "push", &[self.id.as_str(), &delivery, &arrival]);
        let script = &self.script;
        let latency = script.latency.sample(&mut rng);
        let delay = latency.mul_f64(script.slowness(self.clock.now()));
        let failed = rng.random_bool(script.error_rate) | self.takes_failure();
        let busy = rng.random_bool(script.busy_rate);
        let lost = rng.random_bool(script.lost_answer_rate);
        // Refusing for good is a property of the delivery, not of the attempt.
        let mut of_delivery = chance(self.seed, "refuse", &[self.id.as_str(), &delivery]);
        let not_taken = of_delivery.random_bool(script.not_taken_rate);
        let reaction = if known.taken {
            Reaction::AlreadyTaken
        } else if failed {
            Reaction::Failed
        } else if busy {
            Reaction::Busy
        } else if not_taken {
            Reaction::NotTaken
        } else {
            known.taken = true;
            Reaction::Taken
        };
        Answer {
            reaction,
            delay,
            lost: lost && reaction == Reaction::Taken,
        }
    }

    fn takes_failure(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.failing
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// An owed event was handed to the publisher.
    pub(super) fn paid(&self) {
        self.owed.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn take_to_send(&self) -> Option<ToSend> {
        lock(&self.to_send).take()
    }

    pub(super) fn id(&self) -> &AgencyId {
        &self.id
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn has(&self, delivery: DeliveryId) -> bool {
        lock(&self.known)
            .get(&delivery)
            .is_some_and(|known| known.taken)
    }

    pub(super) fn owed(&self) -> usize {
        self.owed.load(Ordering::Relaxed)
    }

    pub(super) fn set_away(&self, away: bool) {
        self.away.send_replace(away);
    }

    pub(super) fn fail_next(&self, pushes: u32) {
        self.failing.store(pushes, Ordering::Relaxed);
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.script.retry_after
    }

    pub(super) fn is_at_home(&self) -> bool {
        let now = self.clock.now();
        let outage = self.outage().is_some_and(|window| window.contains(now));
        !outage && !*self.away.borrow()
    }

    /// Waits until the agency is there.
    pub(super) async fn at_home(&self) {
        let mut away = self.away.subscribe();
        while !self.is_at_home() {
            // The sender lives as long as `self`.
            let _ = away.wait_for(|away| !away).await;
            if let Some(window) = self.outage().filter(|w| w.contains(self.clock.now())) {
                self.clock.sleep_until(window.to).await;
            }
        }
    }

    /// Waits until the agency goes away.
    pub(super) async fn leaving(&self) {
        let mut away = self.away.subscribe();
        let sent_away = async {
            let _ = away.wait_for(|away| *away).await;
        };
        let outage = async {
            match self.outage() {
                Some(window) => self.clock.sleep_until(window.from).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sent_away => {}
            () = outage => {}
        }
    }

    fn outage(&self) -> Option<Window> {
        self.script.next_outage(self.clock.now())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
