//! `lienthong up` and each single-role command: run until stopped.

use runtime::{Background, BackgroundThreads, Clock, ErrorChain, Metrics, Tasks};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::{
    exit::Failure,
    output,
    pipeline::{self, Addresses, Pipeline, Role},
    settings::Settings,
};

/// Runs the roles until a signal or until one of them ends.
///
/// # Errors
/// They cannot start, or one of them failed.
pub async fn run(settings: Settings, roles: &[Role]) -> Result<(), Failure> {
    let metrics = Metrics::install().map_err(anyhow::Error::from)?;
    pipeline::describe_metrics();
    let grace = settings.grace();
    let tasks = Tasks::default();
    // An event is taken at once, whatever the other roles have to do beside it.
    let threads = if roles.len() > 1 {
        Some(BackgroundThreads::start().map_err(anyhow::Error::from)?)
    } else {
        None
    };
    let background = match &threads {
        Some(threads) => threads.background().clone(),
        None => Background::none(),
    };
    let started = async {
        let pipeline = Pipeline::open(settings, roles, Clock::system(), background).await?;
        let admin = pipeline.start_admin(Some(metrics), &tasks).await?;
        let addresses = pipeline.start(roles, &tasks).await?;
        Ok::<_, pipeline::StartError>(Addresses {
            admin: Some(admin),
            ..addresses
        })
    };
    let started = tokio::select! {
        started = started => started,
        signal = any_signal() => {
            signal?;
            info!("stopping before everything had started");
            let _ = tasks.drain(grace).await;
            return Ok(());
        }
    };
    match started {
        Ok(addresses) => announce(&addresses),
        Err(error) => {
            let text = ErrorChain(&error).to_string();
            let _ = tasks.drain(grace).await;
            return Err(Failure::Usage(anyhow::anyhow!(text)));
        }
    }
    stop_asked(&tasks).await?;
    info!("stopping: finishing what is in hand");
    tokio::select! {
        stopped = tasks.drain(grace) => stopped.map_err(anyhow::Error::from)?,
        second = any_signal() => {
            second?;
            warn!("second signal: exiting at once");
            return Err(Failure::Other(anyhow::anyhow!("stopped before the work in hand was finished")));
        }
    }
    Ok(())
}

fn announce(addresses: &Addresses) {
    let shown = [
        ("events", addresses.gateway),
        ("dossiers", addresses.tracker),
        ("lanes", addresses.courier),
        ("pulling", addresses.pull),
        ("metrics and health", addresses.admin),
    ];
    for (what, address) in shown {
        if let Some(address) = address {
            output::note(format_args!("{what}: {address}"));
        }
    }
}

/// Waits for a signal, or for a task that ended on its own.
async fn stop_asked(tasks: &Tasks) -> Result<(), Failure> {
    tokio::select! {
        signal = any_signal() => signal.map_err(Failure::Other),
        () = tasks.stopping() => Ok(()),
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// Signals cannot be listened for.
pub async fn any_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
