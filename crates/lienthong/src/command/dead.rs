//! `lienthong dead`: dead letters.

use proto::v1::{
    DeadLetter, GetDeliveryRequest, ListDeadLettersRequest, RedriveRequest,
    courier_client::CourierClient,
};
use serde_json::{Value, json};

use super::client::connect;
use crate::{
    cli::{DeadCommand, Output},
    exit::{Failure, from_status},
    output::{self, rfc3339, safe, time},
    settings::Settings,
};

/// Runs the command.
///
/// # Errors
/// The courier cannot be reached, or knows no such delivery.
pub async fn run(command: DeadCommand, settings: &Settings, format: Output) -> Result<(), Failure> {
    let address =
        |given: Option<String>| given.unwrap_or_else(|| settings.courier.listen.to_string());
    match command {
        DeadCommand::List {
            destination,
            limit,
            courier,
        } => {
            list(
                destination.unwrap_or_default(),
                limit,
                &address(courier),
                format,
            )
            .await
        }
        DeadCommand::Show { delivery, courier } => show(delivery, &address(courier), format).await,
        DeadCommand::Redrive {
            deliveries,
            reason,
            yes,
            courier,
        } => {
            if !yes {
                output::note(format_args!(
                    "{} delivery(ies) would be sent again; add --yes to do it",
                    deliveries.len()
                ));
                return Ok(());
            }
            redrive(deliveries, reason, &address(courier), format).await
        }
    }
}

async fn list(
    destination: String,
    limit: u32,
    courier: &str,
    format: Output,
) -> Result<(), Failure> {
    let mut client = CourierClient::new(connect("courier", courier).await?);
    let request = ListDeadLettersRequest {
        destination,
        page_size: limit.clamp(1, 1_000),
        page_token: String::new(),
    };
    let page = client
        .list_dead_letters(request)
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    if format == Output::Json {
        let list: Vec<Value> = page.dead_letters.iter().map(letter_json).collect();
        return Ok(output::json(&list)?);
    }
    let rows: Vec<[String; 7]> = page
        .dead_letters
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
    output::table(
        [
            "DELIVERY",
            "DOSSIER",
            "STEP",
            "DESTINATION",
            "TRIES",
            "SINCE (UTC+7)",
            "REASON",
        ],
        &rows,
    );
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

async fn show(delivery: String, courier: &str, format: Output) -> Result<(), Failure> {
    let mut client = CourierClient::new(connect("courier", courier).await?);
    let found = client
        .get_delivery(GetDeliveryRequest { delivery })
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    if format == Output::Json {
        let attempts: Vec<Value> = found
            .attempts
            .iter()
            .map(|attempt| {
                json!({
                    "number": attempt.number,
                    "started_at": rfc3339(attempt.started_at),
                    "took_millis": attempt.took_millis,
                    "class": attempt.class,
                    "detail": attempt.detail,
                })
            })
            .collect();
        return Ok(output::json(&json!({
            "dossier": found.dossier,
            "destination": found.destination,
            "state": found.state,
            "attempts": attempts,
        }))?);
    }
    output::line(format_args!(
        "dossier {} · destination {} · {}",
        safe(&found.dossier),
        safe(&found.destination),
        safe(&found.state)
    ));
    let rows: Vec<[String; 5]> = found
        .attempts
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
    Ok(())
}

async fn redrive(
    deliveries: Vec<String>,
    reason: String,
    courier: &str,
    format: Output,
) -> Result<(), Failure> {
    let mut client = CourierClient::new(connect("courier", courier).await?);
    let done = client
        .redrive(RedriveRequest { deliveries, reason })
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    if format == Output::Json {
        output::json(&json!({"redriven": done.redriven, "not_dead": done.not_dead}))?;
    } else {
        output::line(format_args!("{} on their way again", done.redriven));
    }
    if done.not_dead.is_empty() {
        return Ok(());
    }
    Err(Failure::Finding(format!(
        "no dead letters: {}",
        done.not_dead.join(", ")
    )))
}
