//! `lienthong`: the pipeline under interlinked administrative procedures.

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};
use lienthong::{
    cli::{Cli, Command, SimulateArgs, SimulateCommand},
    command,
    exit::Failure,
    output,
    pipeline::Role,
    settings::Settings,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let is_help = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return if is_help {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(64)
            };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(format_args!("lienthong: {}", failure.text()));
            failure.code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let mut settings =
        Settings::load(cli.config.as_deref()).map_err(|error| Failure::Usage(error.into()))?;
    if let Command::Up(args) = &cli.command
        && let Some(dir) = &args.data_dir
    {
        settings.data.dir.clone_from(dir);
    }
    let is_quiet = matches!(cli.command, Command::Demo(_) | Command::Bench(_));
    let filter = if is_quiet && settings.logs.filter == "info" {
        "error"
    } else {
        &settings.logs.filter
    };
    runtime::init_logs(settings.logs.format, filter);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)?;
    runtime.block_on(dispatch(cli, settings))
}

async fn dispatch(cli: Cli, settings: Settings) -> Result<(), Failure> {
    let format = cli.output;
    match cli.command {
        Command::Demo(args) => command::demo::run(args, settings, format).await,
        Command::Up(_) => command::up::run(settings, &Role::ALL).await,
        Command::Gateway => command::up::run(settings, &[Role::Gateway]).await,
        Command::Router => command::up::run(settings, &[Role::Router]).await,
        Command::Courier => command::up::run(settings, &[Role::Courier]).await,
        Command::Tracker => command::up::run(settings, &[Role::Tracker]).await,
        Command::Simulate(SimulateArgs { province, part }) => match part {
            None => command::simulate::run(province, settings, format).await,
            Some(SimulateCommand::Agency(args)) => {
                command::simulate_agency::run(args, settings, format).await
            }
        },
        Command::Conformance(args) => command::conformance::run(args, settings, format).await,
        Command::Publish(args) => command::publish::run(args, &settings, format).await,
        Command::Replay(args) => command::replay::run(args, settings, format).await,
        Command::Dossier(verb) => command::dossier::run(verb, &settings, format).await,
        Command::Dead(verb) => command::dead::run(verb, &settings, format).await,
        Command::Destinations(verb) => command::destinations::run(&verb, &settings, format),
        Command::Destination(verb) => command::destination::run(verb, &settings, format).await,
        Command::Delivery(verb) => command::delivery::run(verb, &settings, format).await,
        Command::Sideline(verb) => command::sideline::run(verb, &settings, format).await,
        Command::Status => command::status::run(&settings, format).await,
        Command::Bench(args) => command::bench::run(args, settings, format).await,
    }
}
