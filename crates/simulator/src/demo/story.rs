use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{Event, EventKind, Status};
use jiff::{SignedDuration, Timestamp};
use proto::{
    timestamp_from_wire,
    v1::{DossierState, GetSummaryResponse, ListLanesRequest, courier_client::CourierClient},
};
use tokio::time;
use tonic::transport::Channel;

use super::{Demo, DemoError, LaneReport, LaneSnapshot, Phase, Progress, Snapshot, watch::Watch};
use crate::{Closed, Desk, Fate, Publisher, QueryError, TrackerQueries};

/// The course of a demo.
pub(super) struct Story<'a> {
    demo: &'a Demo,
    queries: TrackerQueries,
    desk: Desk,
    planned: u64,
    handed_in: AtomicU64,
    phase: Mutex<Phase>,
    /// The tracker's last answer.
    summary: Mutex<GetSummaryResponse>,
    lanes: Option<CourierClient<Channel>>,
    watch: Mutex<Watch>,
}

// === impl Story ===

impl<'a> Story<'a> {
    /// How long after the last filing the agencies have to finish.
    const FURTHER_DAYS: u32 = 6;
    /// How many times faster than the days that are shown.
    const FINISHING: f64 = 8.0;
    /// How long a night or a weekend takes.
    const NIGHT: Duration = Duration::from_secs(3);
    /// Between two looks at the tracker.
    pub(super) const GLANCE: Duration = Duration::from_millis(400);
    /// Between two looks at the lanes, which change fast.
    const BLINK: Duration = Duration::from_millis(50);
    /// After so many looks without a change nothing will change.
    pub(super) const PATIENCE: u32 = 6;
    /// How long a live play waits for the agencies to finish.
    const LIVE_FINISH: Duration = Duration::from_secs(600);

    pub(super) fn new(
        demo: &'a Demo,
        queries: TrackerQueries,
        publisher: Publisher,
        lanes: Option<CourierClient<Channel>>,
    ) -> Self {
        let indices = 0..demo.settings.days;
        let planned = indices.map(|index| demo.plan.count(index) as u64).sum();
        Self {
            desk: Desk::new(publisher, demo.clock.clone()),
            demo,
            queries,
            planned,
            handed_in: AtomicU64::new(0),
            phase: Mutex::new(Phase::Night),
            summary: Mutex::default(),
            lanes,
            watch: Mutex::default(),
        }
    }

    /// Plays all days and waits for what can still end.
    pub(super) async fn tell(&self) -> Result<(), DemoError> {
        let (speed, clock) = (self.demo.settings.speed, &self.demo.clock);
        for (index, date) in (0..).zip(&self.demo.days) {
            let events = self
                .demo
                .plan
                .events(&self.demo.plan.filings(*date, index)?);
            let number = index + 1;
            let of = self.demo.settings.days;
            if self.demo.settings.live {
                self.enter(Phase::Day { number, of });
                self.hand_in(squeezed(&events, clock.now(), speed)).await?;
                continue;
            }
            let Some(first) = events.first().map(|event| event.time) else {
                continue;
            };
            self.pass_night(first).await;
            self.enter(Phase::Day { number, of });
            clock.set_speed(speed);
            let last = events.last().map_or(first, |event| event.time);
            self.hand_in(events).await?;
            self.until_closing(last).await;
        }
        self.enter(Phase::Finishing);
        if self.demo.settings.live {
            let _ = time::timeout(Self::LIVE_FINISH, self.settle(|| true)).await;
        } else {
            self.finish().await;
        }
        Ok(())
    }

    async fn hand_in(&self, events: Vec<Event>) -> Result<(), Closed> {
        let count = |event: &Event| {
            if event.kind == EventKind::Status(Status::Accepted) {
                self.handed_in.fetch_add(1, Ordering::Relaxed);
            }
        };
        self.desk.hand_in(events, count).await
    }

    /// Lets the rest of the office hours pass at the pace of the day.
    async fn until_closing(&self, from: Timestamp) {
        let mut at = from;
        while self.demo.hours.is_open(at) {
            at = at
                .saturating_add(SignedDuration::from_mins(1))
                .unwrap_or(Timestamp::MAX);
        }
        self.demo.clock.sleep_until(at).await;
    }

    /// Lets the time to just before an instant pass fast.
    async fn pass_night(&self, to: Timestamp) {
        let clock = &self.demo.clock;
        let morning = to.saturating_sub(Demo::PRELUDE).unwrap_or(to);
        let gap = morning.duration_since(clock.now());
        if gap.is_positive() {
            self.enter(Phase::Night);
            let pace = gap.as_secs_f64() / Self::NIGHT.as_secs_f64();
            clock.set_speed(pace.max(self.demo.settings.speed * Self::FINISHING));
            clock.sleep_until(morning).await;
            clock.set_speed(self.demo.settings.speed);
        }
    }

    /// Further working days without desks, until everything has ended or the days are over.
    async fn finish(&self) {
        let clock = &self.demo.clock;
        let mut last_day = self.demo.hours.date_of(clock.now());
        let mut further = 0;
        while further <= Self::FURTHER_DAYS {
            clock.set_speed(self.demo.settings.speed * Self::FINISHING);
            if self.settle(|| self.somebody_works(clock.now())).await {
                return;
            }
            let openings = self.demo.offices.iter();
            let Some(next) = openings.filter_map(|o| o.next_open(clock.now()).ok()).min() else {
                return;
            };
            self.pass_night(next).await;
            self.enter(Phase::Finishing);
            clock.sleep_until(next).await;
            let day = self.demo.hours.date_of(clock.now());
            further += u32::from(day != last_day);
            last_day = day;
        }
    }

    fn somebody_works(&self, now: Timestamp) -> bool {
        self.demo.offices.iter().any(|office| office.is_open(now))
    }

    /// Waits while `patient`; true once nothing is left that can end.
    async fn settle(&self, patient: impl Fn() -> bool) -> bool {
        let mut unchanged = 0;
        let mut last = GetSummaryResponse::default();
        while patient() {
            if let Ok(summary) = self.look().await {
                let still = summary == last && !self.is_busy(&summary);
                unchanged = if still { unchanged + 1 } else { 0 };
                last = summary;
            }
            if unchanged >= Self::PATIENCE {
                return true;
            }
            time::sleep(Self::GLANCE).await;
        }
        false
    }

    /// Whether somebody will still do something by himself.
    fn is_busy(&self, summary: &GetSummaryResponse) -> bool {
        let dead = self.demo.settings.dead.as_deref();
        let pending = summary
            .destinations
            .iter()
            .any(|lane| lane.pending > 0 && dead != Some(lane.destination.as_str()));
        pending
            || self.demo.history.count(Fate::Unknown) > 0
            || self.demo.agencies.iter().any(|agency| agency.owed() > 0)
    }

    async fn look(&self) -> Result<GetSummaryResponse, QueryError> {
        let summary = self.queries.summary().await?;
        *lock(&self.summary) = summary.clone();
        Ok(summary)
    }

    /// Shows a snapshot now and then, for ever.
    pub(super) async fn show(&self, progress: &mut dyn Progress) {
        loop {
            progress.show(&self.snapshot().await);
            time::sleep(Self::GLANCE).await;
        }
    }

    /// Looks at the lanes again and again, for ever. What does not answer is looked at later.
    pub(super) async fn watch(&self) {
        let Some(mut lanes) = self.lanes.clone() else {
            return std::future::pending().await;
        };
        loop {
            if let Ok(listed) = lanes.list_lanes(ListLanesRequest {}).await {
                let now = self.demo.clock.now();
                lock(&self.watch).see(listed.into_inner().lanes, now);
            }
            time::sleep(Self::BLINK).await;
        }
    }

    pub(super) fn lane_report(&self, destination: &str) -> Option<LaneReport> {
        lock(&self.watch).report(destination)
    }

    pub(super) async fn snapshot(&self) -> Snapshot {
        let tracker_silent = self.look().await.is_err();
        let summary = lock(&self.summary).clone();
        let count = |state: DossierState| {
            let counts = summary.states.iter();
            let of_state = counts.filter(|count| count.state == i32::from(state));
            of_state.map(|count| count.count).sum::<u64>()
        };
        let (demo, now) = (self.demo, self.demo.clock.now());
        let ended = [
            DossierState::Completed,
            DossierState::Partial,
            DossierState::Refused,
            DossierState::Withdrawn,
        ];
        Snapshot {
            phase: *lock(&self.phase),
            local_time: demo.hours.offset().to_datetime(now),
            planned: self.planned,
            handed_in: self.handed_in.load(Ordering::Relaxed),
            events_accepted: demo.history.count(Fate::Accepted),
            events_unanswered: demo.history.count(Fate::Unknown),
            open: count(DossierState::Open),
            held: count(DossierState::Held),
            completed: ended.into_iter().map(count).sum(),
            on_time: summary.on_time,
            late: summary.late,
            lanes: self.lanes(&summary, now),
            tracker_silent,
        }
    }

    fn lanes(&self, summary: &GetSummaryResponse, now: Timestamp) -> Vec<LaneSnapshot> {
        let watch = lock(&self.watch);
        let lane = |lane: &proto::v1::DestinationSummary| {
            let oldest = timestamp_from_wire("oldest_pending_at", lane.oldest_pending_at).ok();
            let oldest = oldest.filter(|_| lane.pending > 0).unwrap_or(now);
            let id = lane.destination.as_str();
            let seen = watch.latest(id).cloned().unwrap_or_default();
            LaneSnapshot {
                destination: id.to_owned(),
                pending: lane.pending,
                delivered: lane.delivered,
                dead: lane.dead,
                attempts: lane.attempts,
                lag: Duration::try_from(now.duration_since(oldest)).unwrap_or_default(),
                lag_working: self.demo.lateness.working(id, oldest.min(now), now),
                resting: seen.resting,
                limit: seen.limit,
                unknown: seen.unknown,
                catching_up: watch.catches_up(id).then_some(seen.queued),
            }
        };
        summary.destinations.iter().map(lane).collect()
    }

    fn enter(&self, phase: Phase) {
        *lock(&self.phase) = phase;
    }
}

/// The same rhythm from now on, so many times faster; each event happens when it is sent.
fn squeezed(events: &[Event], now: Timestamp, speed: f64) -> Vec<Event> {
    let Some(first) = events.first().map(|event| event.time) else {
        return Vec::new();
    };
    let at = |time: Timestamp| {
        let passed = time.duration_since(first).as_secs_f64() / speed;
        let passed = SignedDuration::try_from_secs_f64(passed).unwrap_or(SignedDuration::ZERO);
        now.saturating_add(passed).unwrap_or(now)
    };
    let moved = |event: &Event| Event {
        time: at(event.time),
        ..event.clone()
    };
    events.iter().map(moved).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
