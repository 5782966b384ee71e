//! `lienthong replay`: a recorded event log through the gateway, in its own order and rhythm.
//!
//! ```text
//! log ─ mapping ─▶ Recording ─ pace ─▶ gateway … tracker ─▶ traces ─▶ Report
//! ```

mod accounting;
mod mapping;
mod pace;
mod recording;
mod report;
mod rows;
mod trace;

use std::{fs::File, io::BufReader, path::Path};

use anyhow::Context;
use domain::{Event, EventId};
use futures_util::{Stream, StreamExt, stream};
use runtime::Tasks;
use simulator::{Answer, Publisher, PublisherOptions};
use tokio::time::{self, Instant};

use self::{
    accounting::Accounting,
    mapping::Mapping,
    recording::{Recording, Refused},
    report::Report,
    trace::Position,
};
use super::client::connect;
use crate::{
    cli::{Output, ReplayArgs},
    exit::Failure,
    output,
    settings::Settings,
};

/// What the gateway answered, by event in the order of sending.
struct Answers<'a> {
    recording: &'a Recording,
    /// Where the accepted ones lie.
    positions: Vec<Option<Position>>,
    refused: Vec<Refused>,
    /// Whether any was sent again after a cut or an unknown answer.
    is_resent: bool,
}

/// Runs the command.
///
/// # Errors
/// The log or the mapping is wrong, a service cannot be reached, or something is refused, unaccounted
/// for or out of order.
pub async fn run(args: ReplayArgs, settings: Settings, format: Output) -> Result<(), Failure> {
    if !args.speed.is_finite() || args.speed < 0.0 {
        let error = anyhow::anyhow!("--speed must be 0 or above, got {}", args.speed);
        return Err(Failure::Usage(error));
    }
    let mapping = Mapping::load(&args.mapping).map_err(|error| Failure::Usage(error.into()))?;
    let recording = read(&args.log, &mapping).map_err(Failure::Usage)?;
    let gateway = args
        .gateway
        .unwrap_or_else(|| settings.gateway.listen.to_string());
    connect("gateway", &gateway).await?;
    let tracker = args
        .tracker
        .unwrap_or_else(|| settings.tracker.listen.to_string());
    let accounting = Accounting::new(connect("tracker", &tracker).await?, mapping.source.clone());

    let mut report = Report::of(&recording);
    let begun = Instant::now();
    let answers = publish(&recording, args.speed, &gateway, &settings).await?;
    report.publish_seconds = begun.elapsed().as_secs_f64();
    let (accepted, proofs) = (answers.accepted(), answers.proofs());
    report.accepted = accepted.len() as u64;
    report.refused.extend(answers.refused);
    report.refused.sort_by_key(|refused| refused.line);
    report.missing(accounting.missing(accepted).await?);
    let traces = accounting.traces(&recording, &proofs).await?;
    report.count(&recording, &traces);
    report.print(format)
}

fn read(log: &Path, mapping: &Mapping) -> anyhow::Result<Recording> {
    let file = File::open(log).with_context(|| format!("cannot read {}", log.display()))?;
    Recording::read(BufReader::new(file), mapping).with_context(|| log.display().to_string())
}

async fn publish<'a>(
    recording: &'a Recording,
    speed: f64,
    gateway: &str,
    settings: &Settings,
) -> Result<Answers<'a>, Failure> {
    let tasks = Tasks::default();
    let publisher = Publisher::connect(gateway, PublisherOptions::default(), &tasks)
        .map_err(|error| Failure::Usage(error.into()))?;
    let mut answers = Answers::new(recording);
    let sent = publisher
        .pump(paced(recording, speed), |id, answer| {
            answers.take(id, answer)
        })
        .await;
    let is_resent = publisher.counts().resent > 0;
    drop(publisher);
    let _ = tasks.drain(settings.grace()).await;
    sent.map_err(anyhow::Error::from)?;
    answers.is_resent = is_resent;
    Ok(answers)
}

/// The events, each when it is due.
fn paced(recording: &Recording, speed: f64) -> impl Stream<Item = Event> {
    let times = recording.entries.iter().map(|entry| entry.event.time);
    let events = recording.entries.iter().map(|entry| entry.event.clone());
    let start = Instant::now();
    stream::iter(pace::due(times, speed).zip(events)).then(move |(due, event)| async move {
        if !due.is_zero() {
            time::sleep_until(start + due).await;
        }
        event
    })
}

// === impl Answers ===

impl<'a> Answers<'a> {
    const TELL_EVERY: usize = 2_000;

    fn new(recording: &'a Recording) -> Self {
        Self {
            recording,
            positions: Vec::new(),
            refused: Vec::new(),
            is_resent: false,
        }
    }

    fn take(&mut self, id: &EventId, answer: &Answer) {
        let entry = &self.recording.entries[self.positions.len()];
        debug_assert_eq!(
            &entry.event.id, id,
            "answers come in the order of the events"
        );
        match answer {
            Answer::Accepted { partition, offset } => {
                self.positions.push(Some((*partition, *offset)));
            }
            Answer::Refused { field, reason } => {
                let (field, reason) = (field.clone(), reason.clone());
                self.refused.push(Refused {
                    line: entry.line,
                    field,
                    reason,
                });
                self.positions.push(None);
            }
        }
        let given = self.positions.len();
        if given.is_multiple_of(Self::TELL_EVERY) {
            let all = self.recording.entries.len();
            output::note(format_args!("{given} of {all} events answered"));
        }
    }

    /// The ids of the accepted events.
    fn accepted(&self) -> Vec<String> {
        let answered = self.recording.entries.iter().zip(&self.positions);
        let accepted = answered.filter(|(_, position)| position.is_some());
        accepted
            .map(|(entry, _)| entry.event.id.to_string())
            .collect()
    }

    /// The positions that prove an order: that of an event sent twice may be its repeat's.
    fn proofs(&self) -> Vec<Option<Position>> {
        if self.is_resent {
            vec![None; self.positions.len()]
        } else {
            self.positions.clone()
        }
    }
}
