use std::{
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

use super::{
    AgencyOptions, ToSend,
    books::{Books, Content, Known},
    case::Case,
    case::Planned,
};
use crate::{
    Arrival, Beyond, Capacity, Early, History, Reaction, Script, ScriptedAnswer, Window,
    chance::chance,
};

/// Takes deliveries in, whatever protocol brought them.
#[derive(Debug)]
pub(crate) struct Reception {
    id: AgencyId,
    script: Script,
    seed: u64,
    clock: Clock,
    history: History,
    books: Mutex<Books>,
    planned: mpsc::UnboundedSender<Planned>,
    to_send: Mutex<Option<ToSend>>,
    owed: AtomicUsize,
    taken: AtomicUsize,
    /// Pushes that are not answered yet.
    in_hand: AtomicUsize,
    failing: AtomicU32,
    away: watch::Sender<bool>,
}

/// What the agency answers, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) reaction: Reaction,
    /// How long the answer takes.
    pub(crate) delay: Duration,
    /// What the caller hears of the reaction.
    pub(crate) said: Said,
}

/// What a caller hears.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// The usual answer for the reaction.
    Usual,
    /// An error although the delivery was taken.
    Lost,
    /// Nothing: the connection is cut.
    Dropped,
    /// Nothing, ever.
    Never,
    /// That the predecessor has not come.
    Early,
    /// That another content came under this id before.
    Conflict,
    /// That a call before is still being worked on.
    Locked,
    /// That too many came at once.
    TooMany,
    /// That the payload is too large.
    TooLarge,
    /// What the script says.
    Scripted(ScriptedAnswer),
}

/// What chance decides about one push.
struct Draw {
    delay: Duration,
    failed: bool,
    busy: bool,
    lost: bool,
    not_taken: bool,
    dropped: bool,
    /// Which scripted answer.
    answer: f64,
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
            books: Mutex::default(),
            planned,
            to_send: Mutex::new(Some(to_send)),
            owed: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            in_hand: AtomicUsize::new(0),
            failing: AtomicU32::new(0),
            away: watch::Sender::new(false),
        }
    }

    /// Takes in one delivery. It has its effect here, before the answer: a caller that gives up waiting
    /// has still delivered.
    pub(crate) fn receive(&self, case: Case, at_once: usize) -> Answer {
        let now = self.clock.now();
        let answer = self.decide(&case, at_once);
        self.history.arrived(Arrival {
            receiver: self.id.clone(),
            delivery: case.delivery,
            dossier: case.dossier.clone(),
            step: case.step.clone(),
            sequence: case.sequence,
            cause: case.cause.clone(),
            opened_at: case.opened_at,
            message: case.message,
            data: case.data,
            at: now,
            reaction: answer.reaction,
            answer: answer.word(),
        });
        if answer.reaction == Reaction::Taken {
            self.taken.fetch_add(1, Ordering::Relaxed);
            for planned in case.plan(&self.script, &self.id, self.seed, now) {
                self.owed.fetch_add(1, Ordering::Relaxed);
                // The office is gone only when the process ends or it never answers.
                let _ = self.planned.send(planned);
            }
        }
        answer
    }

    fn decide(&self, case: &Case, at_once: usize) -> Answer {
        let mut books = lock(&self.books);
        let known = books.entry(case.delivery);
        known.arrivals += 1;
        let known = *known;
        let draw = self.draw(case.delivery, known.arrivals);
        let beyond = self.script.capacity.and_then(|room| room.beyond(at_once));
        let mut delay = draw.delay;
        let (reaction, said) = match beyond {
            Some((Beyond::Busy, _)) => (Reaction::Busy, Said::Usual),
            Some((Beyond::TooMany, _)) => (Reaction::Busy, Said::TooMany),
            Some((Beyond::Drop, _)) => (Reaction::Failed, Said::Dropped),
            Some((Beyond::Slower(by), others)) => {
                delay += by.saturating_mul(others);
                self.react(case, &known, &draw, &books)
            }
            None => self.react(case, &known, &draw, &books),
        };
        let manners = &self.script.manners;
        let again = reaction == Reaction::AlreadyTaken && !manners.idempotent;
        if reaction == Reaction::Taken || again {
            books.take(case, !manners.predecessors.is_empty());
        }
        Answer {
            reaction,
            delay,
            said,
        }
    }

    fn draw(&self, delivery: DeliveryId, arrivals: u32) -> Draw {
        let (delivery, arrival) = (delivery.to_string(), arrivals.to_string());
        let mut rng = chance(self.seed, "push", &[self.id.as_str(), &delivery, &arrival]);
        let script = &self.script;
        let latency = script.latency.sample(&mut rng);
        let delay = latency.mul_f64(script.slowness(self.clock.now()));
        let failed = rng.random_bool(script.error_rate) | self.takes_failure();
        let busy = rng.random_bool(script.busy_rate);
        let lost = rng.random_bool(script.lost_answer_rate);
        let dropped = rng.random_bool(script.dropped_answer_rate);
        let late = rng.random_bool(script.late_rate);
        let later = script.late.sample(&mut rng);
        let answer = rng.random();
        // Refusing for good is a property of the delivery, not of the attempt.
        let mut of_delivery = chance(self.seed, "refuse", &[self.id.as_str(), &delivery]);
        Draw {
            delay: if late { delay + later } else { delay },
            failed,
            busy,
            lost,
            not_taken: of_delivery.random_bool(script.not_taken_rate),
            dropped,
            answer,
        }
    }

    fn react(&self, case: &Case, known: &Known, draw: &Draw, books: &Books) -> (Reaction, Said) {
        let (script, manners) = (&self.script, &self.script.manners);
        if script.hangs(self.clock.now()) {
            return (Reaction::Failed, Said::Never);
        }
        if known.is_locked {
            return (Reaction::Busy, Said::Locked);
        }
        if let Some(content) = known.content.filter(|_| manners.remembers) {
            return match content == Content::of(case) {
                true => (Reaction::AlreadyTaken, Said::Usual),
                false if manners.checks_content => (Reaction::NotTaken, Said::Conflict),
                false => (Reaction::Taken, Said::Usual),
            };
        }
        if manners
            .largest_payload
            .is_some_and(|most| case.bytes > most)
        {
            return (Reaction::NotTaken, Said::TooLarge);
        }
        let before = manners.predecessors.get(&case.step);
        if before.is_some_and(|before| !books.has_step(&case.dossier, before)) {
            match manners.early {
                Early::Take => {}
                Early::Refuse => return (Reaction::NotTaken, Said::Early),
                Early::Fail => return (Reaction::Failed, Said::Usual),
                Early::Hang => return (Reaction::Failed, Said::Never),
            }
        }
        self.react_by_chance(draw)
    }

    fn react_by_chance(&self, draw: &Draw) -> (Reaction, Said) {
        if draw.failed {
            return (Reaction::Failed, Said::Usual);
        }
        if draw.busy {
            return (Reaction::Busy, Said::Usual);
        }
        if draw.not_taken {
            return (Reaction::NotTaken, Said::Usual);
        }
        if let Some(answer) = self.script.scripted(draw.answer) {
            let reaction = if answer.taken {
                Reaction::Taken
            } else {
                Reaction::Failed
            };
            return (reaction, Said::Scripted(answer.clone()));
        }
        let said = if draw.lost {
            Said::Lost
        } else if draw.dropped {
            Said::Dropped
        } else {
            Said::Usual
        };
        (Reaction::Taken, said)
    }

    /// One more push begins; says how many there are now.
    pub(super) fn enter(&self) -> usize {
        self.in_hand.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A push has ended.
    pub(super) fn leave(&self) {
        self.in_hand.fetch_sub(1, Ordering::Relaxed);
    }

    /// The caller cut a push before its answer.
    pub(super) fn cut(&self, delivery: DeliveryId) {
        if self.script.manners.locks_cut {
            lock(&self.books).entry(delivery).is_locked = true;
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
        self.known(delivery).is_some()
    }

    /// What it knows of a delivery that it has.
    pub(super) fn known(&self, delivery: DeliveryId) -> Option<Known> {
        let books = lock(&self.books);
        books
            .of(delivery)
            .filter(|known| known.effects > 0)
            .copied()
    }

    pub(super) fn effects(&self) -> u64 {
        lock(&self.books).effects()
    }

    pub(super) fn script(&self) -> &Script {
        &self.script
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

// === impl Answer ===

impl Answer {
    /// In a word or two, for whoever reads the arrivals.
    fn word(&self) -> &'static str {
        match (&self.said, self.reaction) {
            (Said::Usual, Reaction::Taken) => "taken",
            (Said::Usual, Reaction::AlreadyTaken) => "already taken",
            (Said::Usual, Reaction::Busy) => "busy",
            (Said::Usual, Reaction::NotTaken) => "not taken",
            (Said::Usual, Reaction::Failed) => "failed",
            (Said::Lost, _) => "taken, answered with an error",
            (Said::Dropped, Reaction::Taken) => "taken, connection cut",
            (Said::Dropped, _) => "connection cut",
            (Said::Never, _) => "never answered",
            (Said::Early, _) => "out of order",
            (Said::Conflict, _) => "another content under this id",
            (Said::Locked, _) => "locked",
            (Said::TooMany, _) => "too many at once",
            (Said::TooLarge, _) => "too large",
            (Said::Scripted(_), Reaction::Taken) => "taken, scripted answer",
            (Said::Scripted(_), _) => "scripted answer",
        }
    }
}

// === impl Capacity ===

impl Capacity {
    /// What becomes of a push that is the so-manieth at once, and how many are too many.
    fn beyond(self, at_once: usize) -> Option<(Beyond, u32)> {
        let others = at_once
            .checked_sub(self.at_once)
            .filter(|others| *others > 0)?;
        Some((self.beyond, u32::try_from(others).unwrap_or(u32::MAX)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
