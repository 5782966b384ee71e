//! `lienthong delivery`: deliveries that wait for a person without being dead letters.

use proto::v1::{ListReviewsRequest, ListUnknownRequest, SettleRequest};
use serde_json::json;

use super::{client::courier, consent::Signature, dead::print_letters};
use crate::{
    cli::{CourierArgs, DeliveryCommand, Output},
    exit::{Failure, from_status},
    output,
    settings::Settings,
};

/// Runs the command.
///
/// # Errors
/// The courier cannot be reached, or knows what became of a delivery.
pub async fn run(
    command: DeliveryCommand,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    match command {
        DeliveryCommand::Unknown {
            destination,
            limit,
            courier: at,
        } => {
            let request = ListUnknownRequest {
                destination: destination.unwrap_or_default(),
                page_size: limit.clamp(1, 1_000),
                page_token: String::new(),
            };
            let page = courier(at, settings)
                .await?
                .list_unknown(request)
                .await
                .map_err(|status| from_status("courier", &status))?;
            print_letters(&page.into_inner().deliveries, format)
        }
        DeliveryCommand::Reviews {
            destination,
            limit,
            courier: at,
        } => {
            let request = ListReviewsRequest {
                destination: destination.unwrap_or_default(),
                page_size: limit.clamp(1, 1_000),
                page_token: String::new(),
            };
            let page = courier(at, settings)
                .await?
                .list_reviews(request)
                .await
                .map_err(|status| from_status("courier", &status))?;
            print_letters(&page.into_inner().deliveries, format)
        }
        DeliveryCommand::Settle {
            deliveries,
            arrived,
            consent,
            courier: at,
            ..
        } => {
            let Some(signature) = consent.or_say(what(deliveries.len(), arrived))? else {
                return Ok(());
            };
            let Signature { by, reason } = signature;
            let request = SettleRequest {
                deliveries,
                arrived,
                by,
                reason,
            };
            settle(request, at, settings, format).await
        }
    }
}

fn what(deliveries: usize, arrived: bool) -> String {
    let end = if arrived {
        "would count as arrived"
    } else {
        "would be sent again"
    };
    format!("{deliveries} delivery(ies) {end}")
}

async fn settle(
    request: SettleRequest,
    at: CourierArgs,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    let done = courier(at, settings)
        .await?
        .settle(request)
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    if format == Output::Json {
        output::json(&json!({"settled": done.settled, "not_unknown": done.not_unknown}))?;
    } else {
        output::line(format_args!("{} settled", done.settled));
    }
    if done.not_unknown.is_empty() {
        return Ok(());
    }
    let text = format!("the outcome is known: {}", done.not_unknown.join(", "));
    Err(Failure::Finding(text))
}
