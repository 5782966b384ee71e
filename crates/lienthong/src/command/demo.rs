//! `lienthong demo`: a province's working days in minutes, every role in this process.

mod display;
mod result;

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use calendar::Calendars;
use domain::{Outage, OutageTime};
use router::Plan;
use runtime::{Background, Clock, Tasks};
use simulator::{Demo, DemoPorts, DemoSettings, DemoTargets};
use territory::Territory;

use crate::{
    cli::{DemoArgs, Output},
    command::up::any_signal,
    exit::Failure,
    output,
    pipeline::{Pipeline, Role},
    plan,
    settings::Settings,
};

pub(crate) use display::display;
pub(crate) use result::finish;

/// Runs the command.
///
/// # Errors
/// The province is unknown, the roles cannot start, or something is not accounted for.
pub async fn run(args: DemoArgs, mut settings: Settings, format: Output) -> Result<(), Failure> {
    let data = DataDir::choose(&args)?;
    settings.data.dir.clone_from(&data.path);
    listen_anywhere(&mut settings);
    let plan = plan::load(&settings.routes).map_err(|error| Failure::Usage(error.into()))?;
    let play = play(&args, &plan.territory, anywhere())?;
    let played = play_day(play, settings, plan, format).await;
    data.leave();
    finish(&played?, format)
}

async fn play_day(
    play: DemoSettings,
    settings: Settings,
    mut plan: Plan,
    format: Output,
) -> Result<simulator::Report, Failure> {
    let grace = settings.grace();
    let start = Demo::starts_at(&play, &plan.calendars).map_err(anyhow::Error::from)?;
    let clock = Clock::scaled(start, play.speed);
    let (tasks, outside) = (Tasks::default(), Tasks::default());
    let demo = Demo::start(
        play,
        &plan.territory,
        &plan.calendars,
        clock.clone(),
        &outside,
    )
    .await
    .map_err(anyhow::Error::from)?;
    plan.routes = Arc::new(move_destinations(&demo, &plan)?);
    let pipeline = Pipeline::open_with(settings, plan, &Role::ALL, clock, Background::none())
        .await
        .map_err(|error| Failure::Usage(error.into()))?;
    let addresses = pipeline
        .start(&Role::ALL, &tasks)
        .await
        .map_err(anyhow::Error::from)?;
    let text = |address: Option<std::net::SocketAddr>| {
        address
            .map(|address| address.to_string())
            .unwrap_or_default()
    };
    let (gateway, tracker) = (text(addresses.gateway), text(addresses.tracker));
    let courier = text(addresses.courier);
    let targets = DemoTargets {
        gateway: &gateway,
        tracker: &tracker,
        courier: Some(&courier),
    };
    let stop = outside.stop_token();
    let asked = stop.child_token();
    let mut progress = display(format);
    let (run, signalled) = (asked.clone(), asked.clone());
    outside.spawn_brief(async move {
        tokio::select! {
            _ = any_signal() => signalled.cancel(),
            () = stop.cancelled() => {}
        }
    });
    let failed = tasks.stop_token();
    let report = tokio::select! {
        report = demo.run(targets, &outside, &run, progress.as_mut()) => report,
        () = failed.cancelled() => {
            let error = tasks.drain(grace).await.err();
            return Err(Failure::Other(anyhow::anyhow!("a role stopped on its own: {error:?}")));
        }
    };
    progress.close();
    let _ = outside.drain(grace).await;
    let stopped = tasks.drain(grace).await;
    let report = report.map_err(anyhow::Error::from)?;
    stopped.map_err(anyhow::Error::from)?;
    Ok(report)
}

/// What is played, as the arguments say.
///
/// # Errors
/// The province is unknown or the speed makes no sense.
pub(crate) fn play(
    args: &DemoArgs,
    territory: &Territory,
    ports: DemoPorts,
) -> Result<DemoSettings, Failure> {
    let usage = |text: String| Failure::Usage(anyhow::anyhow!(text));
    let province = territory.province(&args.province).ok_or_else(|| {
        let known: Vec<String> = territory
            .provinces()
            .map(|p| format!("{} {}", p.code, p.name))
            .collect();
        usage(format!(
            "no province `{}`; there are: {}",
            args.province,
            known.join(", ")
        ))
    })?;
    if !(args.speed >= 1.0 && args.speed <= 100_000.0) {
        return Err(usage(format!(
            "--speed must be 1 to 100000, got {}",
            args.speed
        )));
    }
    Ok(DemoSettings {
        days: args.days,
        speed: args.speed,
        seed: args.seed,
        ports,
        dead: args.dead.clone(),
        ..DemoSettings::of(province.code)
    })
}

/// The plan's destinations, moved to where the simulated agencies listen, with the outages that they
/// announce.
fn move_destinations(demo: &Demo, plan: &Plan) -> Result<routes::RouteSet, Failure> {
    let mut routes = plan.routes.as_ref().clone();
    for agency in demo.agencies() {
        let known = plan
            .routes
            .destinations()
            .find(|d| d.id.as_str() == agency.id().as_str());
        let destination = known.with_context(|| {
            format!("the demo's destination `{}` is not configured", agency.id())
        })?;
        let mut moved = destination.clone();
        moved.endpoint = moved.endpoint.at(&agency.address().to_string());
        let announced = demo.announced().filter(|(id, _)| *id == moved.id.as_str());
        moved
            .terms
            .outages
            .extend(announced.map(|(_, window)| Outage {
                when: OutageTime::Once {
                    from: window.from,
                    to: window.to,
                },
                reason: "maintenance".to_owned(),
            }));
        routes = routes.with_destination(&moved);
    }
    Ok(routes)
}

/// Ports wherever there is room.
fn anywhere() -> DemoPorts {
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    DemoPorts {
        justice: any,
        police: any,
        social_insurance: any,
        province: any,
    }
}

fn listen_anywhere(settings: &mut Settings) {
    let anywhere = ([127, 0, 0, 1], 0).into();
    settings.gateway.listen = anywhere;
    settings.tracker.listen = anywhere;
    settings.courier.listen = anywhere;
    settings.courier.pull_listen = anywhere;
}

/// Where the demo's data lies.
struct DataDir {
    path: PathBuf,
    is_scratch: bool,
}

// === impl DataDir ===

impl DataDir {
    fn choose(args: &DemoArgs) -> Result<Self, Failure> {
        if let Some(path) = &args.data_dir {
            return Ok(Self {
                path: path.clone(),
                is_scratch: false,
            });
        }
        let name = format!("lienthong-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make the scratch directory {}", path.display()))
            .map_err(Failure::Usage)?;
        Ok(Self {
            path,
            is_scratch: !args.keep,
        })
    }

    fn leave(&self) {
        if self.is_scratch {
            let _ = std::fs::remove_dir_all(&self.path);
        } else {
            output::note(format_args!("data kept in {}", self.path.display()));
        }
    }
}

/// The built-in calendars, for commands that have no plan.
///
/// # Errors
/// They are damaged.
pub(crate) fn calendars() -> Result<Arc<Calendars>, Failure> {
    Calendars::built_in()
        .map(Arc::new)
        .map_err(|error| Failure::Other(error.into()))
}
