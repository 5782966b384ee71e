//! `lienthong publish`: events given as JSON lines.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::Context;
use domain::Event;
use proto::v1;
use runtime::Tasks;
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::{Answer, Publisher, PublisherOptions};

use crate::{
    cli::{Output, PublishArgs},
    exit::Failure,
    output::{self, safe},
    settings::Settings,
};

/// One event as a JSON line. `data` is any JSON value; with another `content_type`, a string.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    source: String,
    r#type: String,
    time: jiff::Timestamp,
    dossier: String,
    #[serde(default)]
    dossier_code: String,
    procedure: String,
    unit: String,
    unit_valid_on: String,
    #[serde(default)]
    step: String,
    #[serde(default)]
    classification: domain::Classification,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    traceparent: String,
}

/// How many events were answered how.
#[derive(Default)]
struct Counts {
    accepted: u64,
    refused: Vec<Value>,
}

/// Runs the command: every line is sent, whatever the others are.
///
/// # Errors
/// The file cannot be read, the gateway cannot be reached, or lines were refused.
pub async fn run(args: PublishArgs, settings: &Settings, format: Output) -> Result<(), Failure> {
    let gateway = args
        .gateway
        .unwrap_or_else(|| settings.gateway.listen.to_string());
    super::client::connect("gateway", &gateway).await?;
    let tasks = Tasks::default();
    let options = PublisherOptions::default();
    let publisher = Publisher::connect(&gateway, options, &tasks)
        .map_err(|error| Failure::Usage(error.into()))?;
    let mut counts = Counts::default();
    for (number, line) in open(&args.file)?.lines().enumerate() {
        let text = line.context("cannot read on").map_err(Failure::Other)?;
        if text.trim().is_empty() {
            continue;
        }
        let number = number + 1;
        match read(&text) {
            Err(reason) => counts
                .refused
                .push(json!({"line": number, "reason": reason})),
            Ok(event) => {
                let id = event.id.to_string();
                let answer = publisher
                    .publish(event)
                    .await
                    .map_err(anyhow::Error::from)?;
                counts.count(number, &id, answer);
            }
        }
    }
    let _ = tasks.drain(settings.grace()).await;
    counts.report(format)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(path)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(Failure::Usage)?;
    Ok(Box::new(BufReader::new(file)))
}

pub(super) fn read(text: &str) -> Result<Event, String> {
    let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Event::try_from(v1::Event::from(line)).map_err(|error| error.to_string())
}

// === impl Counts ===

impl Counts {
    fn count(&mut self, line: usize, id: &str, answer: Answer) {
        match answer {
            Answer::Accepted { .. } => self.accepted += 1,
            Answer::Refused { field, reason } => {
                self.refused
                    .push(json!({"line": line, "id": id, "field": field, "reason": reason}));
            }
        }
    }

    fn report(self, format: Output) -> Result<(), Failure> {
        if format == Output::Json {
            output::json(&json!({"accepted": self.accepted, "refused": self.refused}))?;
        } else {
            output::line(format_args!("{} accepted", self.accepted));
            for refused in &self.refused {
                let text = |name: &str| refused[name].as_str().unwrap_or_default().to_owned();
                output::line(format_args!(
                    "line {}: {} {}",
                    refused["line"],
                    safe(&text("field")),
                    safe(&text("reason"))
                ));
            }
        }
        if self.refused.is_empty() {
            return Ok(());
        }
        Err(Failure::Finding(format!("{} refused", self.refused.len())))
    }
}

// === impl Line ===

impl From<Line> for v1::Event {
    fn from(line: Line) -> Self {
        let is_text = !line.content_type.is_empty() && !line.content_type.contains("json");
        let data = match line.data {
            None => Vec::new(),
            Some(Value::String(text)) if is_text => text.into_bytes(),
            Some(value) => value.to_string().into_bytes(),
        };
        let content_type = if line.content_type.is_empty() {
            "application/json".to_owned()
        } else {
            line.content_type
        };
        let classification = match line.classification {
            domain::Classification::Public => v1::Classification::Public,
            domain::Classification::Internal => v1::Classification::Internal,
            domain::Classification::Personal => v1::Classification::Personal,
            domain::Classification::Confidential => v1::Classification::Confidential,
        };
        Self {
            id: line.id,
            source: line.source,
            r#type: line.r#type,
            time: Some(proto::timestamp_to_wire(line.time)),
            dossier: line.dossier,
            dossier_code: line.dossier_code,
            procedure: line.procedure,
            unit: line.unit,
            unit_valid_on: line.unit_valid_on,
            step: line.step,
            classification: classification.into(),
            content_type,
            data: data.into(),
            traceparent: line.traceparent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":"e-1","source":"desk","type":"vn.lienthong.dossier.accepted.v1",
        "time":"2026-11-20T02:00:00Z","dossier":"d-1","procedure":"3.000722","unit":"14797",
        "unit_valid_on":"2026-11-20","data":{"a":1}}"#;

    #[test]
    fn a_line_is_an_event() {
        let event = read(LINE).unwrap();
        assert_eq!(
            (event.id.as_str(), event.data.as_ref()),
            ("e-1", &b"{\"a\":1}"[..])
        );
    }

    #[test]
    fn a_wrong_line_says_what_is_wrong() {
        let unknown = LINE.replacen("\"id\"", "\"identity\"", 1);
        assert!(
            read(&unknown)
                .unwrap_err()
                .contains("unknown field `identity`")
        );
        let unit = LINE.replacen("14797", "999", 1);
        assert_eq!(
            read(&unit).unwrap_err(),
            "event.unit: unit code must be 5 digits, got `999`"
        );
    }
}
