//! Which of several couriers works which lane.
//!
//! A lane is leased for a while, with a token that rises each time the lane is claimed. Whoever writes
//! a verdict does it under [`Lease::guard`]: once another courier has claimed the lane, the write is
//! refused. So a claim must be committed *before* the undelivered deliveries are read: then every
//! verdict of the courier before is either among them or refused.
//!
//! ```text
//! claim ─▶ Gained ─▶ work ─▶ Asked ─▶ the last answers ─▶ Hands::left ─▶ Lost, released at once
//!                      └──▶ not renewed in time ─────────────────────▶ Lost, before others may claim
//! ```
//!
//! The database's clock decides whether a lease is alive. Its holder counts from before it asked, by its
//! own monotonic clock, and stops a tenth of the length earlier. A process that was stopped meanwhile
//! finds [`Lease::is_valid`] false when it goes on; what it sends before it looks is sent twice, and its
//! verdict is refused.
//!
//! On a store of one process there is nothing to share: all lanes at once, and no guard.
//!
//! Reading the deliveries topic is leased beside the lanes, as [`INTAKE`].

mod plan;
pub(crate) mod tables;
pub(crate) mod telemetry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use domain::DestinationId;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use store::{CommitError, Guard, ReadError, Store};
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use plan::{Move, plan};
use tables::{Act, Acts, View};

/// Claims, renews and gives up the lanes of one courier.
pub(crate) struct Leases {
    member: Member,
    held: BTreeMap<DestinationId, Held>,
    /// Told lost, and perhaps not yet released: never gained again under the same token.
    given_up: BTreeMap<DestinationId, Token>,
    changes: mpsc::UnboundedSender<Change>,
    left: mpsc::UnboundedReceiver<DestinationId>,
    owners: watch::Sender<Owners>,
    next_round: Option<Instant>,
}

/// The lane that is none: the right to read the deliveries topic.
pub(crate) const INTAKE: &str = "courier--intake";

/// Who holds which lane, as the last round saw it; `None` before the first. Empty on a store of one process.
pub(crate) type Owners = Option<BTreeMap<String, String>>;

/// Who takes part, and in what.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) store: Store,
    /// Another one for each start, never empty.
    pub(crate) id: String,
    /// How long a lease lasts without being renewed.
    pub(crate) length: Duration,
    pub(crate) destinations: Arc<[DestinationId]>,
}

/// What happens to a lane. Each `Gained` is ended by one `Lost`.
#[derive(Debug)]
pub(crate) enum Change {
    /// The lane is this courier's; what is undelivered is to be read now.
    Gained(Lease),
    /// Another courier waits: begin nothing more, settle what is in flight, then [`Hands::left`]. After
    /// one length of a lease the lane is lost all the same.
    Asked(DestinationId),
    /// The lane is no longer this courier's.
    Lost(DestinationId),
}

/// Says which lanes have been left. When the last clone is gone, all have.
#[derive(Clone, Debug)]
pub(crate) struct Hands(mpsc::UnboundedSender<DestinationId>);

/// The right to work a lane, while it lasts.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) destination: DestinationId,
    pub(crate) token: Token,
    /// `None`: for good, on a store of one process.
    until: Option<watch::Receiver<Instant>>,
}

/// Rises each time the lane is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Token(pub(crate) i64);

/// Leases cannot be kept any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaseError {
    /// The tables cannot be read.
    #[error("leases cannot be read")]
    Read(#[from] ReadError),
    /// The tables cannot be written.
    #[error("leases cannot be written")]
    Write(#[from] CommitError),
}

struct Held {
    token: Token,
    until: watch::Sender<Instant>,
    asked_at: Option<Instant>,
}

/// What one round found and did.
struct Round {
    /// From before the tables were read.
    began: Instant,
    view: View,
    surplus: Vec<DestinationId>,
}

type Running = Option<BoxFuture<'static, Result<Round, LeaseError>>>;

// === impl Leases ===

impl Leases {
    const ROUNDS_PER_LEASE: u32 = 3;
    /// Part of a lease's length by which its holder stops earlier, and after which it tries again.
    const MARGIN: u32 = 10;

    pub(crate) fn new(member: Member) -> (Self, mpsc::UnboundedReceiver<Change>, Hands) {
        let (changes, changed) = mpsc::unbounded_channel();
        let (hands, left) = mpsc::unbounded_channel();
        let leases = Self {
            member,
            held: BTreeMap::new(),
            given_up: BTreeMap::new(),
            changes,
            left,
            owners: watch::Sender::new(None),
            next_round: Some(Instant::now()),
        };
        (leases, changed, Hands(hands))
    }

    /// Changes after each round, and after what the round changed was told.
    pub(crate) fn owners(&self) -> watch::Receiver<Owners> {
        self.owners.subscribe()
    }

    /// Works until the stop; then waits until all lanes have been left, at most until their leases end,
    /// and gives them back.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), LeaseError> {
        let mut running: Running = None;
        loop {
            select! {
                biased;
                () = stop.cancelled() => break,
                () = until(self.first_end()) => self.expire(),
                Some(lane) = self.left.recv() => self.leave(&lane),
                done = ended(&mut running) => {
                    running = None;
                    self.settle(done)?;
                }
                () = until(self.next_round), if running.is_none() => running = Some(self.round()),
            }
        }
        drop(running); // what it may still claim ends with its lease
        self.finish().await
    }

    fn round(&self) -> BoxFuture<'static, Result<Round, LeaseError>> {
        round(self.member.clone(), self.given_up.clone()).boxed()
    }

    fn settle(&mut self, done: Result<Round, LeaseError>) -> Result<(), LeaseError> {
        let length = self.member.length;
        let pause = match done {
            Ok(round) if round.view.is_shared => {
                self.take_over(&round);
                self.owners.send_replace(Some(round.view.owners()));
                if self.given_up.is_empty() {
                    length / Self::ROUNDS_PER_LEASE
                } else {
                    Duration::ZERO // left during the round: to be released now
                }
            }
            Ok(_) => {
                self.have_all();
                self.owners.send_replace(Some(BTreeMap::new()));
                self.next_round = None;
                return Ok(());
            }
            Err(error) if error.is_transient() => {
                telemetry::failed(&error);
                length / Self::MARGIN
            }
            Err(error) => return Err(error),
        };
        self.next_round = Some(Instant::now() + pause);
        Ok(())
    }

    fn have_all(&mut self) {
        for destination in self.member.destinations.iter() {
            self.tell(Change::Gained(Lease::for_good(destination.clone())));
        }
    }

    /// Takes over what the tables say, lane by lane.
    fn take_over(&mut self, round: &Round) {
        let margin = self.member.length / Self::MARGIN;
        for lane in self.member.destinations.clone().iter() {
            let row = round.view.lanes.get(lane.as_str());
            let own = row.filter(|row| row.owner == self.member.id);
            if own.map(|row| Token(row.token)) != self.given_up.get(lane).copied() {
                self.given_up.remove(lane);
            }
            let own = own.filter(|row| row.is_held(round.view.now));
            let own = own.filter(|_| !self.given_up.contains_key(lane));
            let lasts = own.map(|row| {
                let left = row.expires_at.0.abs_diff(round.view.now.0);
                let left = Duration::from_millis(left).min(self.member.length);
                (Token(row.token), round.began + left.saturating_sub(margin))
            });
            self.now_holds(lane, lasts);
        }
        for lane in &round.surplus {
            self.ask(lane);
        }
        self.expire();
    }

    fn now_holds(&mut self, lane: &DestinationId, lasts: Option<(Token, Instant)>) {
        if let Some(held) = self.held.get(lane) {
            match lasts {
                Some((token, until)) if token == held.token => {
                    held.until.send_replace(until);
                    return;
                }
                _ => self.lose(lane),
            }
        }
        if let Some((token, until)) = lasts {
            let (sender, receiver) = watch::channel(until);
            let held = Held {
                token,
                until: sender,
                asked_at: None,
            };
            self.held.insert(lane.clone(), held);
            telemetry::gained(lane, token, self.held.len());
            self.tell(Change::Gained(Lease {
                destination: lane.clone(),
                token,
                until: Some(receiver),
            }));
        }
    }

    fn ask(&mut self, lane: &DestinationId) {
        let Some(held) = self.held.get_mut(lane) else {
            return;
        };
        if held.asked_at.is_some() {
            return;
        }
        held.asked_at = Some(Instant::now());
        telemetry::asked(lane);
        self.tell(Change::Asked(lane.clone()));
    }

    fn leave(&mut self, lane: &DestinationId) {
        if self.end(lane) {
            telemetry::left(lane, self.held.len());
            if self.next_round.is_some() {
                self.next_round = Some(Instant::now());
            }
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        let patience = self.member.length;
        let ended = |(lane, held): (&DestinationId, &Held)| {
            let is_overdue = held.asked_at.is_some_and(|at| at + patience <= now);
            (is_overdue || *held.until.borrow() <= now).then(|| lane.clone())
        };
        let ended: Vec<_> = self.held.iter().filter_map(ended).collect();
        ended.iter().for_each(|lane| self.lose(lane));
    }

    fn lose(&mut self, lane: &DestinationId) {
        if self.end(lane) {
            telemetry::lost(lane, self.held.len());
        }
    }

    fn end(&mut self, lane: &DestinationId) -> bool {
        let Some(held) = self.held.remove(lane) else {
            return false;
        };
        held.until.send_replace(Instant::now());
        self.given_up.insert(lane.clone(), held.token);
        self.tell(Change::Lost(lane.clone()));
        true
    }

    fn first_end(&self) -> Option<Instant> {
        self.held.values().map(|held| *held.until.borrow()).min()
    }

    fn tell(&self, change: Change) {
        // Without a listener the process is about to end.
        let _ = self.changes.send(change);
    }

    async fn finish(mut self) -> Result<(), LeaseError> {
        if self.next_round.is_none() {
            return Ok(());
        }
        self.next_round = None;
        let lanes: Vec<_> = self.held.keys().cloned().collect();
        lanes.iter().for_each(|lane| self.ask(lane));
        while !self.held.is_empty() {
            let end = self.first_end();
            select! {
                left = self.left.recv() => match left {
                    Some(lane) => self.leave(&lane),
                    None => lanes.iter().for_each(|lane| self.leave(lane)),
                },
                () = until(end) => self.expire(),
            }
        }
        let Member { store, id, .. } = &self.member;
        let result = tables::leave(store, id, &releases(&self.given_up)).await;
        match result.map_err(LeaseError::from) {
            Err(error) if error.is_transient() => {
                telemetry::failed(&error); // the leases end by themselves
                Ok(())
            }
            ended => ended,
        }
    }
}

/// Looks, decides, acts, and looks again at what came of it.
async fn round(
    member: Member,
    given_up: BTreeMap<DestinationId, Token>,
) -> Result<Round, LeaseError> {
    let began = Instant::now();
    let Member {
        store,
        id,
        length,
        destinations,
    } = &member;
    let view = View::read(store).await?;
    if !view.is_shared {
        let surplus = Vec::new();
        return Ok(Round {
            began,
            view,
            surplus,
        });
    }
    let moves = plan(
        view.now,
        id,
        &view.alive(*length),
        &view.lanes,
        destinations,
    );
    let (mut acts, mut surplus) = (Acts::new(), Vec::new());
    for one in moves {
        match one {
            Move::Claim(lane) => drop(acts.insert(lane.to_string(), Act::Claim)),
            Move::Renew(lane) => {
                let row = view.lanes.get(lane.as_str());
                acts.extend(row.map(|row| (lane.to_string(), Act::Renew(Token(row.token)))));
            }
            Move::GiveUp(lane) => surplus.push(lane),
        }
    }
    for (lane, release) in releases(&given_up) {
        // A new claim ends the old token too.
        acts.entry(lane)
            .and_modify(|act| {
                if *act != Act::Claim {
                    *act = release;
                }
            })
            .or_insert(release);
    }
    tables::act(store, id, *length, &acts).await?;
    let began = Instant::now();
    let view = View::read(store).await?;
    Ok(Round {
        began,
        view,
        surplus,
    })
}

fn releases(given_up: &BTreeMap<DestinationId, Token>) -> Acts {
    let release =
        |(lane, token): (&DestinationId, &Token)| (lane.to_string(), Act::Release(*token));
    given_up.iter().map(release).collect()
}

async fn ended(running: &mut Running) -> Result<Round, LeaseError> {
    match running {
        Some(round) => round.await,
        None => pending().await,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

// === impl Hands ===

impl Hands {
    /// Nothing of the lane is in flight any more, and all its verdicts are written.
    pub(crate) fn left(&self, destination: DestinationId) {
        // Without a listener there is nothing left to release.
        let _ = self.0.send(destination);
    }
}

// === impl Lease ===

impl Lease {
    /// On a store of one process.
    pub(crate) fn for_good(destination: DestinationId) -> Self {
        Self {
            destination,
            token: Token(1),
            until: None,
        }
    }

    /// Whether an attempt may begin now.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        let ends = self.until.as_ref().map(|until| *until.borrow());
        ends.is_none_or(|ends| now < ends)
    }

    /// Whether another courier may have the lane next.
    pub(crate) fn is_shared(&self) -> bool {
        self.until.is_some()
    }

    /// What every write on the lane's deliveries stands under; `None` on a store of one process.
    pub(crate) fn guard(&self) -> Option<Guard> {
        self.until.as_ref()?;
        Some(tables::guard(self.destination.as_str(), self.token))
    }
}

// === impl LeaseError ===

impl LeaseError {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Read(error) => error.is_transient(),
            Self::Write(error) => error.is_transient(),
        }
    }
}
