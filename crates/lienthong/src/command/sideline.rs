//! `lienthong sideline`: deliveries that stand aside for a while.

use proto::v1::{ListSidelinesRequest, SidelineOrder, SidelineRequest, SidelineRule, SidelineWay};
use serde_json::{Value, json};

use super::{client::courier, consent::Signature};
use crate::{
    cli::{Consent, CourierArgs, Output, SidelineCommand, SubjectArgs},
    exit::{Failure, from_status},
    output::{self, rfc3339, safe, time},
    settings::Settings,
};

/// Runs the command.
///
/// # Errors
/// The courier cannot be reached, or what was named cannot be.
pub async fn run(
    command: SidelineCommand,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    match command {
        SidelineCommand::List { courier: at } => {
            let rules = courier(at, settings)
                .await?
                .list_sidelines(ListSidelinesRequest {})
                .await
                .map_err(|status| from_status("courier", &status))?;
            list(&rules.into_inner().rules, format)
        }
        SidelineCommand::Add {
            subject,
            until,
            demote,
            consent,
            courier: at,
        } => {
            let subject = text(&subject);
            let (way, end) = if demote {
                (SidelineWay::Demote, "come last")
            } else {
                (SidelineWay::Hold, "wait")
            };
            let what = format!("deliveries of {} would {end} until {until}", safe(&subject));
            let order = SidelineOrder {
                subject,
                way: way.into(),
                until: Some(proto::timestamp_to_wire(until)),
            };
            give(order, consent, &what, at, settings).await
        }
        SidelineCommand::Lift {
            subject,
            consent,
            courier: at,
        } => {
            let subject = text(&subject);
            let what = format!("deliveries of {} would go on", safe(&subject));
            let order = SidelineOrder {
                subject,
                way: SidelineWay::Unspecified.into(),
                until: None,
            };
            give(order, consent, &what, at, settings).await
        }
    }
}

fn text(subject: &SubjectArgs) -> String {
    let named = [
        ("dossier", &subject.dossier),
        ("procedure", &subject.procedure),
        ("agency", &subject.agency),
    ];
    let mut named = named.into_iter();
    let found = named.find_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?)));
    found.unwrap_or_default()
}

async fn give(
    order: SidelineOrder,
    consent: Consent,
    what: &str,
    at: CourierArgs,
    settings: &Settings,
) -> Result<(), Failure> {
    let Some(Signature { by, reason }) = consent.or_say(what)? else {
        return Ok(());
    };
    let request = SidelineRequest {
        order: Some(order),
        by,
        reason,
    };
    courier(at, settings)
        .await?
        .sideline(request)
        .await
        .map_err(|status| from_status("courier", &status))?;
    output::note("ordered");
    Ok(())
}

fn list(rules: &[SidelineRule], format: Output) -> Result<(), Failure> {
    if format == Output::Json {
        let list: Vec<Value> = rules.iter().map(rule_json).collect();
        return Ok(output::json(&list)?);
    }
    let rows: Vec<[String; 6]> = rules
        .iter()
        .map(|rule| {
            [
                safe(&rule.subject),
                way_word(rule.way).to_owned(),
                time(rule.since),
                time(rule.until),
                safe(&rule.by),
                safe(&rule.reason),
            ]
        })
        .collect();
    let headings = [
        "DELIVERIES OF",
        "HOW",
        "SINCE (UTC+7)",
        "UNTIL",
        "BY",
        "REASON",
    ];
    output::table(headings, &rows);
    Ok(())
}

fn rule_json(rule: &SidelineRule) -> Value {
    json!({
        "subject": rule.subject,
        "way": way_word(rule.way),
        "since": rfc3339(rule.since),
        "until": rfc3339(rule.until),
        "by": rule.by,
        "reason": rule.reason,
    })
}

fn way_word(way: i32) -> &'static str {
    match SidelineWay::try_from(way).unwrap_or_default() {
        SidelineWay::Unspecified => "lifted",
        SidelineWay::Hold => "hold",
        SidelineWay::Demote => "demote",
    }
}
