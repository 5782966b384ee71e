//! `lienthong dossier`: where dossiers stand.

use proto::v1::{
    DeadlineState, Dossier, DossierState, GetDossierRequest, GetDossierResponse,
    ListDossiersRequest, Step, TimelineEntry, get_dossier_request::Name,
    tracker_client::TrackerClient,
};
use serde_json::{Value, json};

use super::client::connect;
use crate::{
    cli::{DossierCommand, Output},
    exit::{Failure, from_status},
    output::{self, rfc3339, safe, time},
    settings::Settings,
};

/// Runs the command.
///
/// # Errors
/// The tracker cannot be reached, or knows no such dossier.
pub async fn run(
    command: DossierCommand,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    match command {
        DossierCommand::Show { name, tracker } => {
            show(&name, &address(tracker, settings), format).await
        }
        DossierCommand::List {
            late,
            held,
            limit,
            tracker,
        } => {
            let state = if held {
                DossierState::Held
            } else {
                DossierState::Unspecified
            };
            let deadline = if late {
                DeadlineState::Overdue
            } else {
                DeadlineState::Unspecified
            };
            let request = ListDossiersRequest {
                state: state.into(),
                deadline: deadline.into(),
                page_size: limit.clamp(1, 1_000),
                ..ListDossiersRequest::default()
            };
            list(request, &address(tracker, settings), format).await
        }
    }
}

fn address(given: Option<String>, settings: &Settings) -> String {
    given.unwrap_or_else(|| settings.tracker.listen.to_string())
}

async fn show(name: &str, tracker: &str, format: Output) -> Result<(), Failure> {
    let mut client = TrackerClient::new(connect("tracker", tracker).await?);
    let is_code = name.parse::<domain::DossierCode>().is_ok();
    let mut names = vec![Name::Key(name.to_owned())];
    if is_code {
        names.insert(0, Name::Code(name.to_owned()));
    }
    let mut last = None;
    for name in names {
        match client
            .get_dossier(GetDossierRequest { name: Some(name) })
            .await
        {
            Ok(response) => return print(&response.into_inner(), format),
            Err(status) => last = Some(from_status("tracker", &status)),
        }
    }
    Err(last.unwrap_or_else(|| Failure::NotFound(format!("no dossier `{}`", safe(name)))))
}

fn print(response: &GetDossierResponse, format: Output) -> Result<(), Failure> {
    let dossier = response.dossier.clone().unwrap_or_default();
    if format == Output::Json {
        let timeline: Vec<Value> = response.timeline.iter().map(entry_json).collect();
        let mut value = dossier_json(&dossier);
        value["steps"] = dossier.steps.iter().map(step_json).collect();
        value["timeline"] = timeline.into();
        return Ok(output::json(&value)?);
    }
    let code = if dossier.code.is_empty() {
        "no code yet"
    } else {
        &dossier.code
    };
    output::line(format_args!(
        "dossier {} ({}) · procedure {} · unit {} · route {}",
        safe(&dossier.key),
        safe(code),
        safe(&dossier.procedure),
        safe(&dossier.unit),
        safe(&dossier.route),
    ));
    output::line(format_args!(
        "{} · received {} · due {} · {}{}",
        state_word(dossier.state),
        time(dossier.received_at),
        time(dossier.due_at),
        deadline_word(dossier.deadline),
        reason(&dossier),
    ));
    let steps: Vec<[String; 8]> = dossier.steps.iter().map(step_row).collect();
    output::line("");
    output::table(
        [
            "STEP",
            "AGENCY",
            "OPENED",
            "DELIVERED",
            "TRIES",
            "DUE",
            "ENDED",
            "DEADLINE",
        ],
        &steps,
    );
    let entries: Vec<[String; 5]> = response
        .timeline
        .iter()
        .map(|entry| {
            [
                time(entry.at),
                safe(&entry.what),
                safe(&entry.who),
                safe(&entry.step),
                safe(&entry.detail),
            ]
        })
        .collect();
    output::line("");
    output::table(["TIME (UTC+7)", "WHAT", "WHO", "STEP", "DETAIL"], &entries);
    Ok(())
}

async fn list(request: ListDossiersRequest, tracker: &str, format: Output) -> Result<(), Failure> {
    let mut client = TrackerClient::new(connect("tracker", tracker).await?);
    let page = client
        .list_dossiers(request)
        .await
        .map_err(|status| from_status("tracker", &status))?
        .into_inner();
    if format == Output::Json {
        let list: Vec<Value> = page.dossiers.iter().map(dossier_json).collect();
        return Ok(output::json(
            &json!({"dossiers": list, "next": page.next_page_token}),
        )?);
    }
    let rows: Vec<[String; 6]> = page
        .dossiers
        .iter()
        .map(|dossier| {
            [
                safe(&dossier.key),
                safe(&dossier.procedure),
                safe(&dossier.unit),
                format!("{}{}", state_word(dossier.state), reason(dossier)),
                time(dossier.due_at),
                deadline_word(dossier.deadline).to_owned(),
            ]
        })
        .collect();
    output::table(
        ["DOSSIER", "PROCEDURE", "UNIT", "STATE", "DUE", "DEADLINE"],
        &rows,
    );
    if !page.next_page_token.is_empty() {
        output::note("there are more; raise --limit");
    }
    Ok(())
}

fn reason(dossier: &Dossier) -> String {
    if dossier.hold_reason.is_empty() {
        String::new()
    } else {
        format!(" ({})", safe(&dossier.hold_reason))
    }
}

fn step_row(step: &Step) -> [String; 8] {
    [
        safe(&step.id),
        safe(&step.agency),
        time(step.opened_at),
        time(step.delivered_at),
        step.attempts.to_string(),
        time(step.due_at),
        time(step.ended_at),
        deadline_word(step.deadline).to_owned(),
    ]
}

fn dossier_json(dossier: &Dossier) -> Value {
    json!({
        "key": dossier.key,
        "code": dossier.code,
        "procedure": dossier.procedure,
        "route": dossier.route,
        "unit": dossier.unit,
        "status": dossier.status,
        "state": state_word(dossier.state),
        "hold_reason": dossier.hold_reason,
        "received_at": rfc3339(dossier.received_at),
        "due_at": rfc3339(dossier.due_at),
        "ended_at": rfc3339(dossier.ended_at),
        "deadline": deadline_word(dossier.deadline),
    })
}

fn step_json(step: &Step) -> Value {
    json!({
        "id": step.id,
        "agency": step.agency,
        "unit": step.unit,
        "destination": step.destination,
        "delivery": step.delivery,
        "attempts": step.attempts,
        "status": step.status,
        "opened_at": rfc3339(step.opened_at),
        "delivered_at": rfc3339(step.delivered_at),
        "due_at": rfc3339(step.due_at),
        "ended_at": rfc3339(step.ended_at),
        "deadline": deadline_word(step.deadline),
        "task": step.task,
        "product": step.product,
        "legal_basis": step.legal_basis,
    })
}

fn entry_json(entry: &TimelineEntry) -> Value {
    json!({
        "at": rfc3339(entry.at),
        "recorded_at": rfc3339(entry.recorded_at),
        "what": entry.what,
        "who": entry.who,
        "step": entry.step,
        "detail": entry.detail,
        "id": entry.id,
    })
}

/// The word of a dossier's state.
pub fn state_word(state: i32) -> &'static str {
    match DossierState::try_from(state).unwrap_or_default() {
        DossierState::Unspecified => "unknown",
        DossierState::Open => "open",
        DossierState::Held => "held",
        DossierState::Completed => "completed",
        DossierState::Partial => "partial",
        DossierState::Refused => "refused",
        DossierState::Withdrawn => "withdrawn",
    }
}

fn deadline_word(state: i32) -> &'static str {
    match DeadlineState::try_from(state).unwrap_or_default() {
        DeadlineState::Unspecified => "no deadline",
        DeadlineState::OnTrack => "on track",
        DeadlineState::AtRisk => "at risk",
        DeadlineState::Overdue => "overdue",
        DeadlineState::Met => "met",
        DeadlineState::Missed => "missed",
        DeadlineState::Paused => "paused",
    }
}
