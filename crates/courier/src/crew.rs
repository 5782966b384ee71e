//! Takes up lanes and leaves them, as their leases come and go.
//!
//! ```text
//! Gained ─▶ begin (tell it what comes) ─▶ read what is undelivered ─▶ engine + link at work
//! Asked  ─▶ leave: the last answers, the last verdicts ─▶ Hands::left
//! Lost   ─▶ nothing more is sent; the next owner sends again
//! ```
//!
//! Answers that are under way to a lane that is lost are heard for a while: the guard of the lease makes
//! them facts. Where a repeat harms, and where the agency pulls, engine and link are dropped where they
//! stand.
//!
//! One lease is the right to read the deliveries topic. Its holder takes the group's epoch over, so that
//! one before it that does not know yet can write nothing more, and tells its own lanes what it reads.
//! All others follow it in the store: see [`follow`].

mod follow;
mod intake;
mod payloads;
mod workplace;

use std::collections::BTreeMap;

use consumer::Start;
use domain::DestinationId;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use runtime::{Health, Readiness};
use store::{CommitError, ReadError};
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::engine::Input;
use crate::fold::GROUP;
use crate::leases::{Change, Hands, INTAKE, Lease, Owners, Token};
use crate::{Error, StartError, telemetry};

use follow::Follow;
pub(crate) use intake::Reading;
use intake::{Ended as IntakeEnded, Intake};
use workplace::Ended;
pub(crate) use workplace::Workplace;

/// The lanes of this process, and whether it reads the deliveries topic.
pub(crate) struct Crew {
    workplace: Workplace,
    follow: Follow,
    reading: Reading,
    health: Health,
    changes: mpsc::UnboundedReceiver<Change>,
    hands: Hands,
    at_work: BTreeMap<DestinationId, AtWork>,
    ended: FuturesUnordered<JoinHandle<Ended>>,
    intake: Option<Intake>,
}

/// How to end a lane.
struct AtWork {
    token: Token,
    /// After the last answers.
    leave: CancellationToken,
    /// At once, but for answers that are under way.
    lost: CancellationToken,
}

/// Why lanes could not be taken up.
#[derive(Debug)]
pub(crate) enum Fault {
    TakeOver(CommitError),
    Read(ReadError),
    Log(log::ReadError),
}

/// The name under which the health shows whether lanes can be read.
const CREW: &str = "courier-lanes";
const FOLLOW_EVERY: Duration = Duration::from_millis(50);
const CHANGES_AT_ONCE: usize = 1_024;

// === impl Crew ===

impl Crew {
    pub(crate) fn new(
        workplace: Workplace,
        reading: Reading,
        changes: mpsc::UnboundedReceiver<Change>,
        hands: Hands,
    ) -> Self {
        Self {
            workplace,
            follow: Follow::of(&reading),
            health: reading.health.clone(),
            reading,
            changes,
            hands,
            at_work: BTreeMap::new(),
            ended: FuturesUnordered::new(),
            intake: None,
        }
    }

    /// Takes up what falls to this process at once.
    pub(crate) async fn begin(
        &mut self,
        start: &Start,
        mut owners: watch::Receiver<Owners>,
        stop: &CancellationToken,
    ) -> Result<(), StartError> {
        let looked = owners.wait_for(Option::is_some);
        if !matches!(stop.run_until_cancelled(looked).await, Some(Ok(_))) {
            return Err(StartError::Stopped);
        }
        let mut changes = Vec::new();
        while let Ok(change) = self.changes.try_recv() {
            changes.push(change);
        }
        self.change(start, changes).await?;
        if self.intake.is_none() {
            self.health.set(GROUP, Readiness::Ready);
        }
        Ok(())
    }

    /// Works until the stop, and then until all lanes have ended.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let start = Start::new(CREW, self.health.clone(), stop.clone());
        let mut changes = Vec::new();
        let mut ticks = interval(FOLLOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                biased;
                () = stop.cancelled() => break,
                received = self.changes.recv_many(&mut changes, CHANGES_AT_ONCE) => {
                    if received == 0 {
                        stop.cancelled().await; // leases have failed, and the process ends
                        break;
                    }
                    let changes = std::mem::take(&mut changes);
                    match self.change(&start, changes).await {
                        Err(fault) if stop.is_cancelled() && fault.is_transient() => break,
                        done => done?,
                    }
                    start.ready();
                }
                Some(ended) = self.ended.next(), if !self.ended.is_empty() => {
                    self.lane_ended(ended.map_err(Error::Lane)?)?;
                }
                ended = intake::ended(&mut self.intake) => self.intake_ended(ended)?,
                _ = ticks.tick(), if self.follows() => self.look().await?,
            }
        }
        self.finish().await
    }

    /// Every lane has been asked to leave by the stop.
    async fn finish(mut self) -> Result<(), Error> {
        if let Some(intake) = self.intake.take() {
            intake.stop().await?;
        }
        while let Some(ended) = self.ended.next().await {
            self.lane_ended(ended.map_err(Error::Lane)?)?;
        }
        Ok(())
    }

    async fn change(&mut self, start: &Start, changes: Vec<Change>) -> Result<(), Fault> {
        let mut gained: BTreeMap<DestinationId, Lease> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Gained(lease) => {
                    gained.insert(lease.destination.clone(), lease);
                }
                Change::Asked(lane) => match gained.remove(&lane) {
                    Some(_) => self.hands.left(lane),
                    None => self.leave(lane).await,
                },
                Change::Lost(lane) => {
                    if gained.remove(&lane).is_none() {
                        self.lose(&lane).await;
                    }
                }
            }
        }
        if gained.is_empty() {
            return Ok(());
        }
        self.gain(start, gained.into_values().collect()).await
    }

    async fn gain(&mut self, start: &Start, leases: Vec<Lease>) -> Result<(), Fault> {
        let is_intake = |lease: &Lease| lease.destination.as_str() == INTAKE;
        let (intake, leases): (Vec<_>, Vec<_>) = leases.into_iter().partition(is_intake);
        let mut epoch = None;
        if !intake.is_empty() {
            let taken = start.take_over(self.follow.store(), GROUP).await;
            let taken = taken.map_err(Fault::TakeOver)?;
            if !self.follow.is_shared() {
                self.reading.payloads(start, taken).store().await?;
            }
            epoch = Some(taken);
            // All that was read under another epoch is in the store.
            self.catch_up(start).await?;
            self.follow.lanes().set_intake(true);
        } else if self.intake.is_none() {
            self.catch_up(start).await?;
        }
        let lanes = leases.iter().map(|lease| &lease.destination);
        let (inputs, told) = self.follow.lanes().begin(lanes);
        let found = self
            .follow
            .undelivered(start, &inputs, &told, epoch.is_some());
        let mut found = found.await?;
        if self.intake.is_none() && epoch.is_none() {
            // Before they begin, they have heard of all that reading may have come across.
            if !self.catch_up(start).await? {
                for lane in inputs.into_keys() {
                    self.follow.lanes().end(&lane);
                    self.hands.left(lane);
                }
                return Ok(());
            }
        }
        let mut inputs = inputs;
        for lease in leases {
            let lane = lease.destination.clone();
            let Some(receiver) = inputs.remove(&lane) else {
                continue;
            };
            let found = found.remove(&lane).unwrap_or_default();
            self.put_to_work(lease, found, receiver);
        }
        if let Some(epoch) = epoch {
            self.intake = Some(self.reading.begin(epoch));
            telemetry::intake_begun(epoch);
        }
        Ok(())
    }

    fn put_to_work(
        &mut self,
        lease: Lease,
        found: Vec<Input>,
        inputs: mpsc::UnboundedReceiver<Input>,
    ) {
        let at_work = AtWork {
            token: lease.token,
            leave: self.workplace.leave_token(),
            lost: CancellationToken::new(),
        };
        let (leave, lost) = (at_work.leave.clone(), at_work.lost.clone());
        let destination = lease.destination.clone();
        let handle = self.workplace.start(lease, found, inputs, leave, lost);
        self.ended.extend(handle);
        self.at_work.insert(destination, at_work);
    }

    /// Tells the lanes here what has come. `false`: something was missed, and all that were at work have
    /// been given back.
    async fn catch_up(&mut self, start: &Start) -> Result<bool, Fault> {
        let mut tries = start.tries();
        loop {
            let looked = self.follow.look().await;
            let looked = tries.settle(looked, ReadError::is_transient).await;
            match looked.map_err(Fault::Read)? {
                Some(Ok(())) => return Ok(true),
                Some(Err(_gap)) => {
                    self.leave_all();
                    return Ok(false);
                }
                None => {}
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        match self.follow.look().await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gap)) => {
                self.leave_all();
                Ok(())
            }
            Err(error) if error.is_transient() => {
                telemetry::follow_again(&error);
                Ok(())
            }
            Err(error) => Err(Error::Read(error)),
        }
    }

    fn follows(&self) -> bool {
        self.intake.is_none() && !self.at_work.is_empty()
    }

    /// Gives every lane back, to be read anew by whoever claims it.
    fn leave_all(&mut self) {
        telemetry::news_missed();
        for (lane, at_work) in std::mem::take(&mut self.at_work) {
            at_work.lost.cancel();
            self.follow.lanes().end(&lane);
            self.hands.left(lane);
        }
    }

    async fn leave(&mut self, lane: DestinationId) {
        if let Some(at_work) = self.at_work.get(&lane) {
            at_work.leave.cancel();
            return;
        }
        if lane.as_str() == INTAKE {
            self.stop_reading().await;
        }
        self.hands.left(lane);
    }

    async fn lose(&mut self, lane: &DestinationId) {
        if let Some(at_work) = self.at_work.remove(lane) {
            at_work.lost.cancel();
            self.follow.lanes().end(lane);
        }
        if lane.as_str() == INTAKE {
            self.stop_reading().await;
        }
    }

    async fn stop_reading(&mut self) {
        if let Some(intake) = self.intake.take() {
            if let Err(error) = intake.stop().await {
                telemetry::intake_broke_off(&error);
            }
            self.stand_by();
        }
    }

    fn stand_by(&self) {
        self.follow.lanes().set_intake(false);
        self.health.set(GROUP, Readiness::Ready);
        telemetry::intake_ended();
    }

    fn lane_ended(&mut self, ended: Ended) -> Result<(), Error> {
        let Ended {
            lane,
            token,
            result,
        } = ended;
        result?;
        if self.at_work.get(&lane).is_some_and(|it| it.token == token) {
            self.at_work.remove(&lane);
            self.follow.lanes().end(&lane);
            self.hands.left(lane);
        }
        Ok(())
    }

    /// One that has been overtaken follows from now on, if others can go on.
    fn intake_ended(&mut self, ended: IntakeEnded) -> Result<(), Error> {
        self.intake = None;
        match ended {
            Err(Error::Consumer(consumer::Error::Fenced(_))) if self.follow.is_shared() => {
                self.stand_by();
                if let Ok(intake) = INTAKE.parse() {
                    self.hands.left(intake);
                }
                Ok(())
            }
            ended => ended,
        }
    }
}

// === impl Fault ===

impl Fault {
    fn is_transient(&self) -> bool {
        match self {
            Self::TakeOver(error) => error.is_transient(),
            Self::Read(error) => error.is_transient(),
            Self::Log(error) => error.is_transient(),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TakeOver(error) => Self::TakeOver(error),
            Fault::Read(error) => Self::Read(error),
            Fault::Log(error) => Self::Log(error),
        }
    }
}

impl From<Fault> for StartError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TakeOver(error) => Self::TakeOver(error),
            Fault::Read(error) => Self::Read(error),
            Fault::Log(error) => Self::Log(error),
        }
    }
}
