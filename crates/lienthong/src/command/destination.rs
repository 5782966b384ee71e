//! `lienthong destination`: destinations and their lanes.

use jiff::Timestamp;
use proto::v1::{
    self, GetLaneRequest, GetLaneResponse, Lane, LaneOrder, ListLanesRequest, OrderLaneRequest,
    OrderRecord, TestDestinationRequest, TestDestinationResponse, lane_order::Action,
};
use serde_json::{Value, json};

use super::{client::courier, consent::Signature};
use crate::{
    cli::{CourierArgs, DestinationCommand, LaneArgs, Output},
    exit::{Failure, from_status},
    output::{self, rfc3339, safe, time},
    settings::Settings,
};

/// Runs the command.
///
/// # Errors
/// The courier cannot be reached, or has no such lane.
pub async fn run(
    command: DestinationCommand,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    match command {
        DestinationCommand::List { courier: at } => {
            let lanes = courier(at, settings)
                .await?
                .list_lanes(ListLanesRequest {})
                .await
                .map_err(|status| from_status("courier", &status))?;
            list(&lanes.into_inner().lanes, format)
        }
        DestinationCommand::Show {
            destination,
            courier: at,
        } => {
            let lane = courier(at, settings)
                .await?
                .get_lane(GetLaneRequest { destination })
                .await
                .map_err(|status| from_status("courier", &status))?;
            show(&lane.into_inner(), format)
        }
        DestinationCommand::Test {
            destination,
            courier: at,
        } => test(destination, at, settings, format).await,
        DestinationCommand::Pause(lane) => {
            let pause = Action::Pause(v1::PauseLane {});
            order(lane, pause, "everything would be held", settings).await
        }
        DestinationCommand::Resume(lane) => {
            let resume = Action::Resume(v1::ResumeLane {});
            order(lane, resume, "the lane would work again", settings).await
        }
        DestinationCommand::Probe(lane) => {
            let probe = Action::Probe(v1::ProbeLane {});
            order(lane, probe, "the destination would be tried now", settings).await
        }
        DestinationCommand::Limit { in_flight, lane } => {
            let what = match in_flight {
                0 => "the limit would be lifted".to_owned(),
                limit => format!("at most {limit} would be in flight"),
            };
            let limit = Action::Limit(v1::LimitLane { in_flight });
            order(lane, limit, &what, settings).await
        }
        DestinationCommand::Window { from, to, lane, .. } => {
            let (window, what) = window(from, to);
            order(lane, window, &what, settings).await
        }
    }
}

/// Announces a window, or cancels the one that begins then.
fn window(from: Timestamp, to: Option<Timestamp>) -> (Action, String) {
    let wire = |at| Some(proto::timestamp_to_wire(at));
    match to {
        Some(to) => {
            let window = v1::AnnounceWindow {
                from: wire(from),
                to: wire(to),
            };
            let what = format!("everything would be held from {from} to {to}");
            (Action::Window(window), what)
        }
        None => {
            let window = v1::CancelWindow { from: wire(from) };
            let what = format!("the window from {from} would be cancelled");
            (Action::CancelWindow(window), what)
        }
    }
}

async fn test(
    destination: String,
    at: CourierArgs,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    let request = TestDestinationRequest {
        destination: destination.clone(),
    };
    let seen = courier(at, settings)
        .await?
        .test_destination(request)
        .await
        .map_err(|status| from_status("courier", &status))?;
    tested(&destination, &seen.into_inner(), format)
}

async fn order(
    lane: LaneArgs,
    action: Action,
    what: &str,
    settings: &Settings,
) -> Result<(), Failure> {
    let LaneArgs {
        destination,
        consent,
        courier: at,
    } = lane;
    let what = format!("{}: {what}", safe(&destination));
    let Some(Signature { by, reason }) = consent.or_say(what)? else {
        return Ok(());
    };
    let request = OrderLaneRequest {
        order: Some(LaneOrder {
            destination,
            action: Some(action),
        }),
        by,
        reason,
    };
    courier(at, settings)
        .await?
        .order_lane(request)
        .await
        .map_err(|status| from_status("courier", &status))?;
    output::note("ordered");
    Ok(())
}

fn list(lanes: &[Lane], format: Output) -> Result<(), Failure> {
    if format == Output::Json {
        let list: Vec<Value> = lanes.iter().map(lane_json).collect();
        return Ok(output::json(&list)?);
    }
    let rows: Vec<[String; 8]> = lanes
        .iter()
        .map(|lane| {
            [
                safe(&lane.destination),
                lane.queued.to_string(),
                lane.in_flight.to_string(),
                lane.waiting.to_string(),
                lane.dead.to_string(),
                time(lane.oldest_at),
                format!("{} min", lane.lag_working_seconds / 60),
                safe(held(lane)),
            ]
        })
        .collect();
    let headings = [
        "DESTINATION",
        "QUEUED",
        "IN FLIGHT",
        "WAITING",
        "DEAD",
        "OLDEST (UTC+7)",
        "WORKING LAG",
        "HELD",
    ];
    output::table(headings, &rows);
    Ok(())
}

fn held(lane: &Lane) -> &str {
    if lane.hold.is_empty() {
        &lane.resting
    } else {
        &lane.hold
    }
}

fn show(found: &GetLaneResponse, format: Output) -> Result<(), Failure> {
    let lane = found.lane.clone().unwrap_or_default();
    if format == Output::Json {
        return Ok(output::json(&whole_json(&lane, found))?);
    }
    list(std::slice::from_ref(&lane), format)?;
    if !held(&lane).is_empty() {
        output::line(format_args!("held: {}", safe(held(&lane))));
    }
    output::line(format_args!(
        "in flight: {}, at most {} now",
        lane.in_flight, lane.limit
    ));
    if lane.unknown > 0 {
        output::line(format_args!("unknown outcomes: {}", lane.unknown));
    }
    if let Some(paused) = &found.paused {
        output::line(format_args!(
            "paused since {} by {}: {}",
            time(paused.since),
            safe(&paused.by),
            safe(&paused.reason)
        ));
    }
    if found.ordered_limit > 0 {
        output::line(format_args!(
            "at most {} in flight by order",
            found.ordered_limit
        ));
    }
    for window in &found.windows {
        output::line(format_args!(
            "away from {} to {}: {}",
            time(window.from),
            time(window.to),
            safe(&window.reason)
        ));
    }
    if !found.orders.is_empty() {
        output::line("");
        print_orders(&found.orders);
    }
    Ok(())
}

fn tested(
    destination: &str,
    seen: &TestDestinationResponse,
    format: Output,
) -> Result<(), Failure> {
    if format == Output::Json {
        output::json(&json!({
            "destination": destination,
            "asked": seen.asked,
            "works": seen.works,
            "class": seen.class,
            "detail": seen.detail,
            "took_millis": seen.took_millis,
        }))?;
    }
    let text = format!(
        "{}: {}: {} ({}, {} ms)",
        safe(destination),
        safe(&seen.asked),
        safe(&seen.detail),
        safe(&seen.class),
        seen.took_millis
    );
    if !seen.works {
        return Err(Failure::Finding(text));
    }
    if format == Output::Table {
        output::line(text);
    }
    Ok(())
}

fn lane_json(lane: &Lane) -> Value {
    json!({
        "destination": lane.destination,
        "queued": lane.queued,
        "in_flight": lane.in_flight,
        "waiting": lane.waiting,
        "dead": lane.dead,
        "oldest_at": rfc3339(lane.oldest_at),
        "lag_working_seconds": lane.lag_working_seconds,
        "hold": held(lane),
        "hold_until": rfc3339(lane.hold_until),
        "next_probe_at": rfc3339(lane.next_probe_at),
        "hold_word": lane.hold_word,
        "limit": lane.limit,
        "unknown": lane.unknown,
    })
}

fn whole_json(lane: &Lane, found: &GetLaneResponse) -> Value {
    let mut value = lane_json(lane);
    value["paused"] = found.paused.as_ref().map_or(
        Value::Null,
        |paused| json!({"since": rfc3339(paused.since), "by": paused.by, "reason": paused.reason}),
    );
    value["ordered_limit"] = found.ordered_limit.into();
    let windows = found.windows.iter().map(|window| {
        json!({
            "from": rfc3339(window.from),
            "to": rfc3339(window.to),
            "reason": window.reason,
        })
    });
    value["windows"] = windows.collect();
    value["orders"] = found.orders.iter().map(order_json).collect();
    value
}

/// Prints what operators ordered.
pub(super) fn print_orders(orders: &[OrderRecord]) {
    let rows: Vec<[String; 5]> = orders
        .iter()
        .map(|order| {
            [
                time(order.at),
                safe(&order.action),
                safe(&order.by),
                safe(&order.result),
                safe(&order.reason),
            ]
        })
        .collect();
    output::table(["TIME (UTC+7)", "ORDER", "BY", "RESULT", "REASON"], &rows);
}

/// What an operator ordered.
pub(super) fn order_json(order: &OrderRecord) -> Value {
    json!({
        "at": rfc3339(order.at),
        "by": order.by,
        "action": order.action,
        "reason": order.reason,
        "result": order.result,
    })
}
