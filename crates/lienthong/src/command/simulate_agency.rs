//! `lienthong simulate agency`: the reference implementation of a receiving agency.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use runtime::{Clock, Tasks};
use serde_json::json;
use simulator::{
    Agency, AgencyOptions, Arrival, History, Protocol, Publisher, PublisherOptions, Script,
};
use tokio::sync::mpsc;

use super::up::any_signal;
use crate::{
    cli::{AgencyArgs, AgencyProtocol, Output},
    exit::Failure,
    output,
    settings::Settings,
};

/// Runs the command: the agency receives until a signal.
///
/// # Errors
/// The script is wrong, the port is taken, or the arrivals cannot be written.
pub async fn run(args: AgencyArgs, settings: Settings, format: Output) -> Result<(), Failure> {
    let usage = |error: anyhow::Error| Failure::Usage(error);
    let clock = Clock::system();
    let script = match &args.script {
        Some(path) => Script::load(path, clock.now()),
        None => Ok(Script::default()),
    };
    let script = script.map_err(|error| usage(error.into()))?;
    let file = args.arrivals.as_deref().map(create).transpose()?;
    let tasks = Tasks::default();
    let (reader, arrivals) = mpsc::unbounded_channel();
    let options = AgencyOptions {
        id: args.id.parse().context("--id").map_err(usage)?,
        listen: args.listen,
        protocol: match args.protocol {
            AgencyProtocol::Grpc => Protocol::Grpc,
            AgencyProtocol::Http => Protocol::Http,
            AgencyProtocol::Soap => Protocol::Soap,
        },
        script,
        seed: args.seed,
    };
    let history = History::read_by(reader);
    let publisher = match &args.events {
        Some(gateway) => Some(
            Publisher::connect(gateway, PublisherOptions::default(), &tasks)
                .map_err(|error| usage(error.into()))?,
        ),
        None => None,
    };
    let is_silent = publisher.is_none();
    let agency = Agency::start(options, clock, history, publisher, &tasks)
        .await
        .map_err(|error| usage(error.into()))?;
    if is_silent {
        agency.stay_silent();
    }
    output::note(format_args!("agency {}: {}", agency.id(), agency.address()));
    let written = tokio::select! {
        written = write(arrivals, file) => written,
        signal = any_signal() => signal,
        () = tasks.stopping() => Ok(()),
    };
    let _ = tasks.drain(settings.grace()).await;
    written?;
    report(&agency, format)
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path)
        .with_context(|| format!("cannot write arrivals to {}", path.display()))
        .map_err(Failure::Usage)?;
    Ok(BufWriter::new(file))
}

/// Writes arrivals as they come; flushed whenever none is waiting.
async fn write(
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    mut file: Option<BufWriter<File>>,
) -> anyhow::Result<()> {
    const AT_ONCE: usize = 1_024;
    let mut batch = Vec::new();
    while arrivals.recv_many(&mut batch, AT_ONCE).await > 0 {
        let Some(file) = &mut file else {
            batch.clear();
            continue;
        };
        let lines = batch.drain(..).try_for_each(|arrival| line(file, &arrival));
        lines
            .and_then(|()| file.flush())
            .context("an arrival cannot be written")?;
    }
    Ok(())
}

fn line(file: &mut impl Write, arrival: &Arrival) -> io::Result<()> {
    let line = json!({
        "time": arrival.at.to_string(),
        "id": arrival.delivery.to_string(),
        "digest": format!("sha256:{}", arrival.data.hex()),
        "message_digest": format!("sha256:{}", arrival.message.hex()),
        "dossier": arrival.dossier.as_str(),
        "step": arrival.step.as_str(),
        "sequence": arrival.sequence,
        "answer": arrival.answer,
    });
    writeln!(file, "{line}")
}

fn report(agency: &Agency, format: Output) -> Result<(), Failure> {
    let (taken, effects) = (agency.taken(), agency.effects());
    if format == Output::Json {
        return Ok(output::json(
            &json!({ "taken": taken, "effects": effects }),
        )?);
    }
    output::line(format_args!("{taken} taken, {effects} effects"));
    Ok(())
}
