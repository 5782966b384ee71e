//! `lienthong conformance`: the published case list against an agency's endpoint.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use domain::{Endpoint, UnitRef};
use jiff::SignedDuration;
use runtime::Clock;
use serde_json::json;
use simulator::{Case, CaseReport, CaseResult, Conformance, ConformanceOptions, Sample};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    cli::{ConformanceArgs, Output},
    exit::Failure,
    output::{self, safe},
    plan,
    settings::Settings,
};

/// Whose endpoint is tested.
struct Target {
    name: domain::DestinationId,
    endpoint: Endpoint,
    timeout: Duration,
}

/// Runs the command.
///
/// # Errors
/// The arguments are wrong, nobody listens at the endpoint, or a case failed.
pub async fn run(args: ConformanceArgs, settings: Settings, format: Output) -> Result<(), Failure> {
    let clock = Clock::system();
    let target = target(&args, &settings)?;
    let cases = match &args.only {
        Some(name) => vec![name.parse().map_err(usage)?],
        None => Case::ALL.to_vec(),
    };
    let run = format!("{:x}", clock.now().as_millisecond());
    reach(&target).await?;
    output::note(format_args!(
        "{} invented case(s) go to {}: dossiers `conformance-{run}-...`, no real person in them. \
         An agency that acts on them acts on nothing: use a test system.",
        cases.len(),
        target.endpoint
    ));
    let options = ConformanceOptions {
        sample: sample(&args, &target, &clock)?,
        endpoint: target.endpoint.clone(),
        timeout: target.timeout,
        run,
    };
    let kit = Conformance::new(options, clock).map_err(usage)?;
    let mut reports = Vec::new();
    for case in cases {
        let report = kit.play(case).await;
        if format == Output::Table {
            show(&report);
        }
        reports.push(report);
    }
    finish(&target, &reports, format)
}

fn target(args: &ConformanceArgs, settings: &Settings) -> Result<Target, Failure> {
    const USUAL_TIMEOUT: Duration = Duration::from_secs(10);
    let given = args.timeout.as_deref().map(time_out).transpose()?;
    if let Some(endpoint) = &args.endpoint {
        return Ok(Target {
            name: "conformance".parse().map_err(usage)?,
            endpoint: endpoint.parse().map_err(usage)?,
            timeout: given.unwrap_or(USUAL_TIMEOUT),
        });
    }
    let name = args.destination.as_deref().unwrap_or_default();
    let routes = match &args.destinations_dir {
        Some(dir) => Arc::new(plan::destinations_alone(dir, &settings.routes).map_err(usage)?),
        None => plan::load(&settings.routes).map_err(usage)?.routes,
    };
    let mut destinations = routes.destinations();
    let found = destinations.find(|destination| destination.id.as_str() == name);
    let destination = found.ok_or_else(|| {
        let known: Vec<&str> = routes.destinations().map(|d| d.id.as_str()).collect();
        let known = known.join(", ");
        Failure::NotFound(format!("no destination `{name}`; there are: {known}"))
    })?;
    Ok(Target {
        name: destination.id.clone(),
        endpoint: destination.endpoint.clone(),
        timeout: given.unwrap_or(destination.timeout),
    })
}

fn time_out(text: &str) -> Result<Duration, Failure> {
    let span: Option<SignedDuration> = text.parse().ok();
    span.and_then(|span| Duration::try_from(span).ok())
        .filter(|span| !span.is_zero())
        .ok_or_else(|| Failure::Usage(anyhow!("--timeout is a time such as `10s`, got `{text}`")))
}

fn sample(args: &ConformanceArgs, target: &Target, clock: &Clock) -> Result<Sample, Failure> {
    let in_vietnam = jiff::tz::Offset::constant(7).to_datetime(clock.now());
    Ok(Sample {
        procedure: args
            .procedure
            .parse()
            .context("--procedure")
            .map_err(Failure::Usage)?,
        unit: UnitRef {
            code: args
                .unit
                .parse()
                .context("--unit")
                .map_err(Failure::Usage)?,
            valid_on: in_vietnam.date(),
        },
        step: args
            .step
            .parse()
            .context("--step")
            .map_err(Failure::Usage)?,
        later_step: args
            .later_step
            .parse()
            .context("--later-step")
            .map_err(Failure::Usage)?,
        destination: target.name.clone(),
    })
}

/// Says at once when nobody is there, instead of eleven times.
async fn reach(target: &Target) -> Result<(), Failure> {
    let Some(peer) = target.endpoint.peer() else {
        return Ok(()); // the kit itself says that it calls nobody there
    };
    let connected = timeout(target.timeout, TcpStream::connect(&peer.authority)).await;
    let connected = connected
        .map_err(anyhow::Error::from)
        .and_then(|connected| connected.map_err(anyhow::Error::from));
    connected
        .with_context(|| format!("nobody answers at {}; is it running?", target.endpoint))
        .map_err(Failure::Unreachable)?;
    Ok(())
}

fn show(report: &CaseReport) {
    let result = match report.result {
        CaseResult::Passed => "passed",
        CaseResult::Failed => "FAILED",
        CaseResult::NotChecked => "not checked",
    };
    let (case, reason) = (report.case, safe(&report.reason));
    output::line(format_args!("{case:<14}{result:<13}{reason}"));
    if !report.remedy.is_empty() {
        output::line(format_args!("{:<27}what to do: {}", "", report.remedy));
    }
}

fn finish(target: &Target, reports: &[CaseReport], format: Output) -> Result<(), Failure> {
    let count = |result| {
        reports
            .iter()
            .filter(|report| report.result == result)
            .count()
    };
    let (passed, failed) = (count(CaseResult::Passed), count(CaseResult::Failed));
    let not_checked = count(CaseResult::NotChecked);
    if format == Output::Json {
        output::json(&json!({
            "endpoint": target.endpoint.to_string(),
            "passed": passed,
            "failed": failed,
            "not_checked": not_checked,
            "cases": reports,
        }))?;
    } else {
        output::line(format_args!(
            "{passed} passed, {failed} failed, {not_checked} not checked"
        ));
    }
    if failed > 0 {
        return Err(Failure::Finding(format!("{failed} case(s) failed")));
    }
    Ok(())
}

fn usage(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Usage(error.into())
}
