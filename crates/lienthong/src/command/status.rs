//! `lienthong status`: roles, lag and counts of a running system.

use proto::v1::{
    GetSummaryRequest, GetSummaryResponse, ListLanesRequest, ListLanesResponse,
    courier_client::CourierClient, tracker_client::TrackerClient,
};
use serde_json::{Value, json};

use super::{client::connect, dossier::state_word};
use crate::{
    cli::Output,
    exit::{Failure, from_status},
    output::{self, rfc3339, safe, time},
    settings::Settings,
};

/// Runs the command.
///
/// # Errors
/// Tracker or courier cannot be reached.
pub async fn run(settings: &Settings, format: Output) -> Result<(), Failure> {
    let tracker = connect("tracker", &settings.tracker.listen.to_string()).await?;
    let summary = TrackerClient::new(tracker)
        .get_summary(GetSummaryRequest {})
        .await
        .map_err(|status| from_status("tracker", &status))?
        .into_inner();
    let courier = connect("courier", &settings.courier.listen.to_string()).await?;
    let lanes = CourierClient::new(courier)
        .list_lanes(ListLanesRequest {})
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner();
    let admin = admin_status(settings).await;
    match format {
        Output::Json => output::json(&as_json(&summary, &lanes, admin))?,
        Output::Table => print(&summary, &lanes, &admin),
    }
    Ok(())
}

/// What the process on `admin.listen` tells of its roles; null where it does not answer.
async fn admin_status(settings: &Settings) -> Value {
    match fetch(settings).await {
        Ok(value) => value,
        Err(error) => {
            output::note(format_args!(
                "{} does not tell of its roles: {error}",
                settings.admin.listen
            ));
            Value::Null
        }
    }
}

async fn fetch(settings: &Settings) -> anyhow::Result<Value> {
    use http_body_util::{BodyExt, Empty};
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<Empty<bytes::Bytes>>();
    let uri = format!("http://{}/status", settings.admin.listen).parse()?;
    let body = client
        .get(uri)
        .await?
        .into_body()
        .collect()
        .await?
        .to_bytes();
    Ok(serde_json::from_slice(&body)?)
}

fn as_json(summary: &GetSummaryResponse, lanes: &ListLanesResponse, roles: Value) -> Value {
    let states: serde_json::Map<String, Value> = summary
        .states
        .iter()
        .map(|count| (state_word(count.state).to_owned(), count.count.into()))
        .collect();
    let lanes: Vec<Value> = lanes
        .lanes
        .iter()
        .map(|lane| {
            json!({
                "destination": lane.destination,
                "queued": lane.queued,
                "in_flight": lane.in_flight,
                "waiting": lane.waiting,
                "dead": lane.dead,
                "oldest_at": rfc3339(lane.oldest_at),
                "lag_working_seconds": lane.lag_working_seconds,
                "resting": lane.resting,
                "next_probe_at": rfc3339(lane.next_probe_at),
            })
        })
        .collect();
    json!({
        "roles": roles,
        "events": summary.events,
        "dossiers": states,
        "on_time": summary.on_time,
        "late": summary.late,
        "unreadable": summary.unreadable,
        "lanes": lanes,
    })
}

fn print(summary: &GetSummaryResponse, lanes: &ListLanesResponse, roles: &Value) {
    if let Some(roles) = roles.as_object() {
        let rows: Vec<[String; 2]> = roles
            .iter()
            .map(|(role, told)| {
                [
                    role.clone(),
                    safe(told["readiness"].as_str().unwrap_or_default()),
                ]
            })
            .collect();
        output::table(["ROLE", "STATE"], &rows);
        output::line("");
    }
    let states: Vec<String> = summary
        .states
        .iter()
        .map(|count| format!("{} {}", count.count, state_word(count.state)))
        .collect();
    output::line(format_args!(
        "{} events · dossiers: {}",
        summary.events,
        states.join(", ")
    ));
    output::line(format_args!(
        "{} on time · {} late · {} unreadable records",
        summary.on_time, summary.late, summary.unreadable
    ));
    output::line("");
    let rows: Vec<[String; 8]> = lanes
        .lanes
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
                safe(&lane.resting),
            ]
        })
        .collect();
    output::table(
        [
            "DESTINATION",
            "DUE",
            "IN FLIGHT",
            "WAITING",
            "DEAD",
            "OLDEST (UTC+7)",
            "WORKING LAG",
            "RESTING",
        ],
        &rows,
    );
}
