//! Dead letters on their way again, or given up.

use std::fs;

use anyhow::{Context, anyhow};
use proto::v1::{
    DeadFilter, DiscardRequest, PreviewRedriveRequest, PreviewRedriveResponse, RedriveRequest,
    Refusal, StartJobRequest,
};
use runtime::Tasks;
use serde_json::{Value, json};
use simulator::{Answer, Publisher, PublisherOptions};

use super::super::{client::courier, consent::Signature, publish};
use crate::{
    cli::{Consent, CourierArgs, Output, RedriveArgs, ResendArgs},
    exit::{Failure, from_status},
    output::{self, safe},
    settings::Settings,
};

pub(super) async fn run(
    args: RedriveArgs,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    let filter = DeadFilter::from(args.filter.clone());
    if !args.deliveries.is_empty() {
        return each(args, settings, format).await;
    }
    if filter == DeadFilter::default() {
        let text = "name delivery ids, or a filter such as --group or --destination";
        return Err(Failure::Usage(anyhow!(text)));
    }
    if !args.consent.yes {
        return preview(filter, args.courier, settings, format).await;
    }
    let Some(count) = args.count else {
        let text = "--yes with a filter needs --count N: the number that was shown without --yes";
        return Err(Failure::Usage(anyhow!(text)));
    };
    let Some(Signature { by, reason }) = args.consent.or_say("")? else {
        return Ok(());
    };
    let request = StartJobRequest {
        filter: Some(filter),
        count,
        rate_per_second: args.rate,
        job: args.job.unwrap_or_default(),
        by,
        reason,
    };
    let started = courier(args.courier, settings)
        .await?
        .start_job(request)
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    if format == Output::Json {
        return Ok(output::json(
            &json!({"job": started.job, "total": started.total}),
        )?);
    }
    output::line(format_args!(
        "job {} sends {} again; see `lienthong dead jobs`",
        started.job, started.total
    ));
    Ok(())
}

async fn preview(
    filter: DeadFilter,
    at: CourierArgs,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    let request = PreviewRedriveRequest {
        filter: Some(filter),
    };
    let found = courier(at, settings)
        .await?
        .preview_redrive(request)
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    if format == Output::Json {
        return Ok(output::json(&preview_json(&found))?);
    }
    for one in &found.destinations {
        output::line(format_args!(
            "{} delivery(ies) would go to {} again",
            one.count,
            safe(&one.destination)
        ));
    }
    if found.refused > 0 {
        output::line(format_args!(
            "{} may not go as things stand:",
            found.refused
        ));
        found.refusals.iter().for_each(print_refusal);
    }
    super::print_letters(&found.sample, format)?;
    output::note(format_args!(
        "{} in all; add --yes --count {} --reason TEXT to do it",
        found.count, found.count
    ));
    Ok(())
}

fn preview_json(found: &PreviewRedriveResponse) -> Value {
    let destinations = found.destinations.iter();
    let destinations = destinations.map(|one| (one.destination.clone(), Value::from(one.count)));
    json!({
        "count": found.count,
        "destinations": Value::Object(destinations.collect()),
        "refused": found.refused,
        "refusals": found.refusals.iter().map(refusal_json).collect::<Vec<_>>(),
        "sample": found.sample.iter().map(super::letter_json).collect::<Vec<_>>(),
    })
}

fn refusal_json(refusal: &Refusal) -> Value {
    json!({"delivery": refusal.delivery, "reason": refusal.reason})
}

fn print_refusal(refusal: &Refusal) {
    output::line(format_args!(
        "  {}: {}",
        safe(&refusal.delivery),
        safe(&refusal.reason)
    ));
}

async fn each(args: RedriveArgs, settings: &Settings, format: Output) -> Result<(), Failure> {
    let deliveries = args.deliveries;
    let what = format!("{} delivery(ies) would be sent again", deliveries.len());
    let Some(Signature { by, reason }) = args.consent.or_say(what)? else {
        return Ok(());
    };
    let request = RedriveRequest {
        deliveries,
        reason,
        by,
    };
    let done = courier(args.courier, settings)
        .await?
        .redrive(request)
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    if format == Output::Json {
        output::json(&json!({
            "redriven": done.redriven,
            "not_dead": done.not_dead,
            "refused": done.refused.iter().map(refusal_json).collect::<Vec<_>>(),
        }))?;
    } else {
        output::line(format_args!("{} on their way again", done.redriven));
        done.refused.iter().for_each(print_refusal);
    }
    if done.not_dead.is_empty() && done.refused.is_empty() {
        return Ok(());
    }
    let text = match done.not_dead.as_slice() {
        [] => format!("{} may not go", done.refused.len()),
        ids => format!("no dead letters: {}", ids.join(", ")),
    };
    Err(Failure::Finding(text))
}

pub(super) async fn discard(
    deliveries: Vec<String>,
    consent: Consent,
    at: CourierArgs,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    let what = format!(
        "{} dead letter(s) would be given up for good",
        deliveries.len()
    );
    let Some(Signature { by, reason }) = consent.or_say(what)? else {
        return Ok(());
    };
    let request = DiscardRequest {
        deliveries,
        by,
        reason,
    };
    let done = courier(at, settings)
        .await?
        .discard(request)
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    if format == Output::Json {
        output::json(&json!({"discarded": done.discarded, "not_dead": done.not_dead}))?;
    } else {
        output::line(format_args!("{} given up", done.discarded));
    }
    if done.not_dead.is_empty() {
        return Ok(());
    }
    let text = format!("no dead letters: {}", done.not_dead.join(", "));
    Err(Failure::Finding(text))
}

/// Publishing comes first: given again after a fault, it publishes the same event, which counts once.
pub(super) async fn resend(
    args: ResendArgs,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    let text = fs::read_to_string(&args.event)
        .with_context(|| format!("cannot read {}", args.event.display()))
        .map_err(Failure::Usage)?;
    let event = publish::read(&text).map_err(|reason| Failure::Usage(anyhow!(reason)))?;
    let (id, source) = (event.id.to_string(), event.source.to_string());
    let what = format!(
        "event {id} of {source} would be published, and delivery {} given up",
        safe(&args.delivery)
    );
    let Some(Signature { by, reason }) = args.consent.or_say(what)? else {
        return Ok(());
    };
    let gateway = args.gateway;
    let gateway = gateway.unwrap_or_else(|| settings.gateway.listen.to_string());
    super::super::client::connect("gateway", &gateway).await?;
    let tasks = Tasks::default();
    let publisher = Publisher::connect(&gateway, PublisherOptions::default(), &tasks)
        .map_err(|error| Failure::Usage(error.into()))?;
    let answer = publisher
        .publish(event)
        .await
        .map_err(anyhow::Error::from)?;
    let _ = tasks.drain(settings.grace()).await;
    if let Answer::Refused { field, reason } = answer {
        let text = format!("the event was refused: {} {}", safe(&field), safe(&reason));
        return Err(Failure::Finding(text));
    }
    let consent = Consent {
        yes: true,
        reason: Some(format!("replaced by event {id} of {source}: {reason}")),
        by,
    };
    let deliveries = vec![args.delivery];
    discard(deliveries, consent, args.courier, settings, format).await
}
