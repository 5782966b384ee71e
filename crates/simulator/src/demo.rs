mod cast;
mod progress;
mod story;
#[cfg(test)]
mod tests;
mod watch;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use calendar::{Calendar, Calendars, OutOfRange};
use domain::ProvinceCode;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time, date},
};
use proto::v1::courier_client::CourierClient;
use runtime::{Clock, Tasks};
use territory::Territory;
use tokio_util::sync::CancellationToken;

use crate::{
    Agency, AgencyOptions, BindError, Closed, DeskOptions, DeskPlan, History, InvalidAddress, Load,
    Mix, PlanError, Publisher, PublisherOptions, QueryError, Report, TrackerQueries, Window,
    lateness::Lateness, publisher::endpoint, report::Baseline,
};
use cast::Role;
use story::Story;

pub use progress::{LaneSnapshot, Phase, Progress, Snapshot};
pub use watch::{LaneReport, Rest};

/// Plays working days of a province against four simulated agencies: justice, police (slow, and slower
/// from 10:00 to 11:00), social insurance (away from 14:00 to 15:00 without a word) and the province (away
/// from 09:00 to 10:00, as it announced).
#[derive(Debug)]
pub struct Demo {
    settings: DemoSettings,
    plan: DeskPlan,
    days: Vec<Date>,
    hours: Calendar,
    lateness: Lateness,
    /// The calendars in which somebody works.
    offices: Vec<Calendar>,
    clock: Clock,
    history: History,
    agencies: Vec<Agency>,
}

/// What is played.
#[derive(Clone, Debug)]
pub struct DemoSettings {
    /// The province.
    pub province: ProvinceCode,
    /// How many working days.
    pub days: u32,
    /// The first day; if it is none, the next working day is.
    pub first_day: Date,
    /// How many times faster than life office hours pass.
    pub speed: f64,
    /// Where all chances come from.
    pub seed: u64,
    /// Where the agencies listen.
    pub ports: DemoPorts,
    /// How many dossiers a working day brings; None: what the province really has.
    pub load: Option<Load>,
    /// An agency that is away all the time, by its destination's id.
    pub dead: Option<String>,
    /// The pipeline runs by the system's clock: the days are squeezed into real time from now on, instead
    /// of the clock being driven.
    pub live: bool,
}

/// Where the four agencies listen; port 0 chooses a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoPorts {
    /// gRPC, one stream.
    pub justice: SocketAddr,
    /// gRPC, calls.
    pub police: SocketAddr,
    /// HTTP.
    pub social_insurance: SocketAddr,
    /// gRPC, one stream.
    pub province: SocketAddr,
}

/// Where the pipeline answers, each as `host:port`.
#[derive(Clone, Copy, Debug)]
pub struct DemoTargets<'a> {
    /// Events go there.
    pub gateway: &'a str,
    /// Timelines are asked for there.
    pub tracker: &'a str,
    /// Lanes are looked at there, if anywhere.
    pub courier: Option<&'a str>,
}

/// A demo cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The built-in calendars lack one that the demo needs.
    #[error("there is no calendar `{0}`")]
    NoCalendar(&'static str),
    /// The days to play lie outside the calendars.
    #[error("the days to play lie outside the calendars")]
    Days(#[source] OutOfRange),
    /// The desks have no plan.
    #[error("the desks cannot be planned")]
    Plan(#[from] PlanError),
    /// An agency's port cannot be had.
    #[error("a simulated agency cannot listen")]
    Bind(#[from] BindError),
    /// An address is none.
    #[error("the pipeline cannot be reached")]
    Address(#[from] InvalidAddress),
    /// The publisher stopped.
    #[error("the desks cannot publish")]
    Publish(#[from] Closed),
    /// The tracker does not answer.
    #[error("the report cannot be made")]
    Query(#[from] QueryError),
}

// === impl Demo ===

impl Demo {
    const DESK_CALENDAR: &'static str = "national-office";
    const THANH_HOA_CALENDAR: &'static str = "thanh-hoa-commune";
    /// Between the start of the clock and the first opening.
    const PRELUDE: SignedDuration = SignedDuration::from_mins(10);

    /// When the desks open on the first day, less a few minutes: the time a scaled clock starts with.
    pub fn starts_at(
        settings: &DemoSettings,
        calendars: &Calendars,
    ) -> Result<Timestamp, DemoError> {
        let hours = desk_hours(settings, calendars)?;
        let opening = opening(&hours, settings.first_day).map_err(DemoError::Days)?;
        Ok(opening.saturating_sub(Self::PRELUDE).unwrap_or(opening))
    }

    /// Plans the days and opens the agencies. Their events wait until [`Demo::run`].
    pub async fn start(
        settings: DemoSettings,
        territory: &Territory,
        calendars: &Arc<Calendars>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Self, DemoError> {
        let hours = desk_hours(&settings, calendars)?;
        let days = working_days(&hours, settings.first_day, settings.days)?;
        let options = DeskOptions {
            province: settings.province,
            load: settings
                .load
                .unwrap_or_else(|| Load::of(territory, &settings.province)),
            mix: Mix::default(),
            hours: hours.clone(),
            after_cut_off: 0.12,
            online: 0.4,
            old_codes: 0.01,
            payload: 0,
            seed: settings.seed,
        };
        let plan = DeskPlan::new(territory, options)?;
        let (history, mut agencies) = (History::default(), Vec::new());
        let (mut offices, mut calendar_ids) = (vec![hours.clone()], BTreeMap::new());
        for role in cast::ROLES {
            let office = get(calendars, role.calendar)?;
            let options = agency_options(&settings, role, &office, &days);
            let agency =
                Agency::start(options, clock.clone(), history.clone(), None, tasks).await?;
            agency.set_away(settings.dead.as_deref() == Some(role.id));
            agencies.push(agency);
            offices.push(office);
            calendar_ids.insert(role.id.to_owned(), role.calendar.to_owned());
        }
        Ok(Self {
            lateness: Lateness::new(Arc::clone(calendars), calendar_ids),
            settings,
            plan,
            days,
            hours,
            offices,
            clock,
            history,
            agencies,
        })
    }

    /// The agencies, each under the id of its destination in `deploy/destinations/demo.yaml`, with the
    /// address it has.
    pub fn agencies(&self) -> &[Agency] {
        &self.agencies
    }

    /// When agencies will be away and say so beforehand, by their destinations' ids.
    pub fn announced(&self) -> impl Iterator<Item = (&'static str, Window)> {
        cast::ROLES
            .iter()
            .zip(&self.offices[1..])
            .flat_map(|(role, office)| {
                let windows = (role.announced)(office, &self.days);
                windows.into_iter().map(|window| (role.id, window))
            })
    }

    /// What the desks sent and the agencies saw.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Plays the days against the pipeline at these addresses, waits until everything
    /// that can end has ended, and reports. A stop ends the play early, with the report as things stand.
    pub async fn run(
        &self,
        targets: DemoTargets<'_>,
        tasks: &Tasks,
        stop: &CancellationToken,
        progress: &mut dyn Progress,
    ) -> Result<Report, DemoError> {
        let gateway = targets.gateway;
        let queries = TrackerQueries::connect(targets.tracker)?;
        let options = PublisherOptions {
            history: Some(self.history.clone()),
            ..PublisherOptions::default()
        };
        let publisher = Publisher::connect(gateway, options.clone(), tasks)?;
        let baseline = Baseline::new(queries.summary().await?, &self.history.record());
        for agency in &self.agencies {
            let publisher = Publisher::connect(gateway, options.clone(), tasks)?;
            agency.answer_through(publisher, tasks);
        }
        let lanes = targets.courier.map(endpoint).transpose()?;
        let lanes = lanes.map(|endpoint| CourierClient::new(endpoint.connect_lazy()));
        let story = Story::new(self, queries.clone(), publisher, lanes);
        tokio::select! {
            told = story.tell() => told?,
            () = story.show(progress) => {}
            () = story.watch() => {}
            () = stop.cancelled() => {}
        }
        // Whoever stops early wants to see what is there, not what comes next.
        self.clock.set_speed(1.0);
        progress.show(&story.snapshot().await);
        let mut report = self.report(&queries, &baseline).await?;
        for destination in &mut report.destinations {
            destination.lane = story.lane_report(&destination.id);
        }
        Ok(report)
    }

    /// What is on its way between two roles is not lost: asks again until nothing is missing, or nothing
    /// changes any more.
    async fn report(
        &self,
        queries: &TrackerQueries,
        baseline: &Baseline,
    ) -> Result<Report, DemoError> {
        let mut unchanged = 0;
        let mut last = None;
        loop {
            let record = self.history.record();
            let report = Report::gather(queries, &record, baseline, &self.lateness).await?;
            if report.is_accounted() || unchanged >= Story::PATIENCE {
                return Ok(report);
            }
            unchanged = if last == Some(report.unaccounted) {
                unchanged + 1
            } else {
                0
            };
            last = Some(report.unaccounted);
            tokio::time::sleep(Story::GLANCE).await;
        }
    }
}

fn agency_options(
    settings: &DemoSettings,
    role: &Role,
    office: &Calendar,
    days: &[Date],
) -> AgencyOptions {
    let script = (role.script)(office, days);
    AgencyOptions {
        id: role.id.parse().expect("a literal id is well formed"),
        listen: (role.listen)(&settings.ports),
        protocol: role.protocol,
        script: if settings.live {
            script.squeezed(settings.speed)
        } else {
            script
        },
        seed: settings.seed,
    }
}

fn get(calendars: &Calendars, id: &'static str) -> Result<Calendar, DemoError> {
    calendars.get(id).cloned().ok_or(DemoError::NoCalendar(id))
}

/// A province's desks keep the national office hours; Thanh Hóa's are known.
fn desk_hours(settings: &DemoSettings, calendars: &Calendars) -> Result<Calendar, DemoError> {
    let id = if settings.province.as_str() == "38" {
        Demo::THANH_HOA_CALENDAR
    } else {
        Demo::DESK_CALENDAR
    };
    get(calendars, id)
}

/// When a calendar opens on a day, or on the next working day.
fn opening(hours: &Calendar, day: Date) -> Result<Timestamp, OutOfRange> {
    hours.next_open(at(hours, day, Time::midnight()))
}

fn at(hours: &Calendar, day: Date, time: Time) -> Timestamp {
    let local = day.to_datetime(time);
    hours.offset().to_timestamp(local).unwrap_or(Timestamp::MAX)
}

fn working_days(hours: &Calendar, first: Date, count: u32) -> Result<Vec<Date>, DemoError> {
    let mut days = Vec::new();
    let mut next = first;
    for _ in 0..count {
        let day = hours.date_of(opening(hours, next).map_err(DemoError::Days)?);
        days.push(day);
        next = day.tomorrow().unwrap_or(Date::MAX);
    }
    Ok(days)
}

// === impl DemoSettings ===

impl DemoSettings {
    /// A Monday on which the route of the birth bundle with four steps is in force.
    pub const FIRST_DAY: Date = date(2026, 9, 21);

    /// One day of a province at the pace of about two minutes a day.
    pub fn of(province: ProvinceCode) -> Self {
        Self {
            province,
            days: 1,
            first_day: Self::FIRST_DAY,
            speed: 300.0,
            seed: 1,
            ports: DemoPorts::default(),
            load: None,
            dead: None,
            live: false,
        }
    }
}

// === impl DemoPorts ===

impl Default for DemoPorts {
    fn default() -> Self {
        let port = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            justice: port(7101),
            police: port(7102),
            social_insurance: port(7103),
            province: port(7104),
        }
    }
}
