//! `lienthong dead`: dead letters.

mod jobs;
mod redrive;

use proto::v1::{
    AttemptRecord, DeadFilter, DeadGroup, DeadLetter, GetDeliveryRequest, GetDeliveryResponse,
    ListDeadGroupsRequest, ListDeadLettersRequest,
};
use serde_json::{Value, json};

use super::client::courier;
use crate::{
    cli::{DeadCommand, DeadFilterArgs, Output},
    exit::{Failure, from_status},
    output::{self, rfc3339, safe, time},
    settings::Settings,
};

/// Runs the command.
///
/// # Errors
/// The courier cannot be reached, knows no such delivery, or found something else than was named.
pub async fn run(command: DeadCommand, settings: &Settings, format: Output) -> Result<(), Failure> {
    match command {
        DeadCommand::Groups {
            filter,
            courier: at,
        } => {
            let request = ListDeadGroupsRequest {
                filter: Some(filter.into()),
            };
            let found = courier(at, settings)
                .await?
                .list_dead_groups(request)
                .await
                .map_err(|status| from_status("courier", &status))?;
            print_groups(&found.into_inner().groups, format)
        }
        DeadCommand::List {
            destination,
            limit,
            courier: at,
        } => {
            let request = ListDeadLettersRequest {
                destination: destination.unwrap_or_default(),
                page_size: limit.clamp(1, 1_000),
                page_token: String::new(),
            };
            let page = courier(at, settings)
                .await?
                .list_dead_letters(request)
                .await
                .map_err(|status| from_status("courier", &status))?;
            print_letters(&page.into_inner().dead_letters, format)
        }
        DeadCommand::Show {
            delivery,
            courier: at,
        } => {
            let found = courier(at, settings)
                .await?
                .get_delivery(GetDeliveryRequest { delivery })
                .await
                .map_err(|status| from_status("courier", &status))?;
            print_delivery(&found.into_inner(), format)
        }
        DeadCommand::Redrive(args) => redrive::run(args, settings, format).await,
        DeadCommand::Discard {
            deliveries,
            consent,
            courier: at,
        } => redrive::discard(deliveries, consent, at, settings, format).await,
        DeadCommand::Resend(args) => redrive::resend(args, settings, format).await,
        DeadCommand::Jobs { courier: at } => jobs::list(at, settings, format).await,
        DeadCommand::Cancel {
            job,
            consent,
            courier: at,
        } => jobs::cancel(job, consent, at, settings).await,
    }
}

fn print_groups(groups: &[DeadGroup], format: Output) -> Result<(), Failure> {
    if format == Output::Json {
        let list: Vec<Value> = groups.iter().map(group_json).collect();
        return Ok(output::json(&list)?);
    }
    let rows: Vec<[String; 7]> = groups
        .iter()
        .map(|group| {
            [
                group.group.clone(),
                safe(&group.destination),
                group.class.clone(),
                group.count.to_string(),
                time(group.first_at),
                time(group.last_at),
                safe(&group.text),
            ]
        })
        .collect();
    let headings = [
        "GROUP",
        "DESTINATION",
        "CLASS",
        "COUNT",
        "FIRST (UTC+7)",
        "LAST",
        "CAUSE",
    ];
    output::table(headings, &rows);
    Ok(())
}

fn group_json(group: &DeadGroup) -> Value {
    json!({
        "group": group.group,
        "destination": group.destination,
        "class": group.class,
        "count": group.count,
        "first_at": rfc3339(group.first_at),
        "last_at": rfc3339(group.last_at),
        "text": group.text,
        "sample": group.sample,
    })
}

/// Prints deliveries that wait for a person.
pub(super) fn print_letters(letters: &[DeadLetter], format: Output) -> Result<(), Failure> {
    if format == Output::Json {
        let list: Vec<Value> = letters.iter().map(letter_json).collect();
        return Ok(output::json(&list)?);
    }
    let rows: Vec<[String; 7]> = letters
        .iter()
        .map(|letter| {
            [
                letter.delivery.clone(),
                safe(&letter.dossier),
                safe(&letter.step),
                safe(&letter.destination),
                letter.attempts.to_string(),
                time(letter.dead_at),
                safe(&letter.reason),
            ]
        })
        .collect();
    let headings = [
        "DELIVERY",
        "DOSSIER",
        "STEP",
        "DESTINATION",
        "TRIES",
        "SINCE (UTC+7)",
        "REASON",
    ];
    output::table(headings, &rows);
    Ok(())
}

fn letter_json(letter: &DeadLetter) -> Value {
    json!({
        "delivery": letter.delivery,
        "dossier": letter.dossier,
        "step": letter.step,
        "destination": letter.destination,
        "attempts": letter.attempts,
        "class": letter.class,
        "reason": letter.reason,
        "dead_at": rfc3339(letter.dead_at),
        "due_at": rfc3339(letter.due_at),
    })
}

fn print_delivery(found: &GetDeliveryResponse, format: Output) -> Result<(), Failure> {
    if format == Output::Json {
        return Ok(output::json(&delivery_json(found))?);
    }
    output::line(format_args!(
        "dossier {} · destination {} · {}",
        safe(&found.dossier),
        safe(&found.destination),
        safe(&found.state)
    ));
    print_attempts(&found.attempts);
    if !found.late.is_empty() {
        output::line("");
        output::line("late, kept as facts: the lane had gone to another courier");
        print_attempts(&found.late);
    }
    print_plan(found);
    if !found.orders.is_empty() {
        output::line("");
        super::destination::print_orders(&found.orders);
    }
    Ok(())
}

fn print_attempts(attempts: &[AttemptRecord]) {
    let rows: Vec<[String; 5]> = attempts
        .iter()
        .map(|attempt| {
            [
                attempt.number.to_string(),
                time(attempt.started_at),
                format!("{} ms", attempt.took_millis),
                safe(&attempt.class),
                safe(&attempt.detail),
            ]
        })
        .collect();
    output::table(["TRY", "TIME (UTC+7)", "TOOK", "CLASS", "ANSWER"], &rows);
}

fn print_plan(found: &GetDeliveryResponse) {
    if found.planned.is_empty() {
        return;
    }
    let planned: Vec<String> = found.planned.iter().map(|at| time(Some(*at))).collect();
    let last_chance = match found.last_chance {
        Some(at) => format!("last chance {}", time(Some(at))),
        None => "too late to be in time".to_owned(),
    };
    output::line(format_args!("next {}; {last_chance}", planned.join(", ")));
}

fn delivery_json(found: &GetDeliveryResponse) -> Value {
    let attempt = |attempt: &AttemptRecord| {
        json!({
            "number": attempt.number,
            "started_at": rfc3339(attempt.started_at),
            "took_millis": attempt.took_millis,
            "class": attempt.class,
            "detail": attempt.detail,
        })
    };
    let orders = found.orders.iter().map(super::destination::order_json);
    json!({
        "dossier": found.dossier,
        "destination": found.destination,
        "state": found.state,
        "attempts": found.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "late": found.late.iter().map(attempt).collect::<Vec<_>>(),
        "orders": orders.collect::<Vec<_>>(),
        "planned": found.planned.iter().map(|at| rfc3339(Some(*at))).collect::<Vec<_>>(),
        "last_chance": rfc3339(found.last_chance),
    })
}

// === impl DeadFilterArgs ===

impl From<DeadFilterArgs> for DeadFilter {
    fn from(args: DeadFilterArgs) -> Self {
        Self {
            destination: args.destination.unwrap_or_default(),
            class: args.class.unwrap_or_default(),
            group: args.group.unwrap_or_default(),
            procedure: args.procedure.unwrap_or_default(),
            dead_from: args.since.map(proto::timestamp_to_wire),
            dead_to: args.before.map(proto::timestamp_to_wire),
        }
    }
}
