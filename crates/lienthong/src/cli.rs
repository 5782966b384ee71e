//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod operators;

pub use operators::{
    Consent, CourierArgs, DeadCommand, DeadFilterArgs, DeliveryCommand, DestinationCommand,
    LaneArgs, RedriveArgs, ResendArgs, SidelineCommand, SubjectArgs,
};

/// The pipeline under interlinked administrative procedures: events in, work out, answers back.
#[derive(Debug, Parser)]
#[command(
    name = "lienthong",
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        lienthong demo                          a working day of Thanh Hoa in two minutes\n  \
        lienthong up                            all roles on this machine, until stopped\n  \
        lienthong publish events.jsonl          send events given as JSON lines\n  \
        lienthong dossier show thanh-hoa-1-42   where a dossier stands, and why\n\n\
        Exit codes: 0 ok, 1 finding, 2 not found, 64 wrong usage or settings, 69 unreachable."
)]
pub struct Cli {
    /// The settings file; without it the documented defaults hold.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON value on standard output, everything else on standard error.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play a province's working day against simulated agencies, and report.
    Demo(DemoArgs),
    /// Run all roles in one process until stopped.
    Up(DataArgs),
    /// Run the gateway alone: takes events from agencies.
    Gateway,
    /// Run the router alone: decides which steps open.
    Router,
    /// Run the courier alone: hands work over.
    Courier,
    /// Run the tracker alone: answers where dossiers stand.
    Tracker,
    /// Play a province against a running system, from outside.
    Simulate(DemoArgs),
    /// Send events given as JSON lines.
    Publish(PublishArgs),
    /// Feed a recorded event log through the gateway in its own order and rhythm.
    Replay(ReplayArgs),
    /// Look at dossiers.
    #[command(subcommand)]
    Dossier(DossierCommand),
    /// Look at dead letters, and send them on their way again or give them up.
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Look at destinations and their lanes, and steer them.
    #[command(subcommand)]
    Destination(DestinationCommand),
    /// Look at deliveries that wait for a person, and settle them.
    #[command(subcommand)]
    Delivery(DeliveryCommand),
    /// Let deliveries of a dossier, a procedure or a sender stand aside for a while.
    #[command(subcommand)]
    Sideline(SidelineCommand),
    /// Roles, lag and counts of a running system.
    Status,
    /// Measure this machine: throughput, latency, memory, each beside its baseline.
    Bench(BenchArgs),
}

/// Where data lies.
#[derive(Clone, Debug, Default, Args)]
pub struct DataArgs {
    /// Where log and store lie; overrides data.dir.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// How a province is played.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  lienthong demo\n  lienthong demo --province 'Đắk Lắk' --days 2\n  \
    lienthong demo --speed 1000 --seed 7 -o json"
)]
pub struct DemoArgs {
    /// How many working days.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=30))]
    pub days: u32,
    /// How many times faster than life the office hours pass; nights pass faster.
    #[arg(long, default_value_t = 300.0)]
    pub speed: f64,
    /// The seed of everything that is drawn.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The province, by code or name.
    #[arg(long, default_value = "Thanh Hóa")]
    pub province: String,
    /// Where log and store lie; without it a scratch directory.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Keep the scratch directory, and say where it is.
    #[arg(long)]
    pub keep: bool,
    /// A destination that is away all the time, to see that it hurts nobody else.
    #[arg(long, value_name = "DESTINATION")]
    pub dead: Option<String>,
}

/// Which events to send.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Each line is one event:\n  \
    {\"id\":\"e-1\",\"source\":\"thanh-hoa-desk\",\"type\":\"vn.lienthong.dossier.accepted.v1\",\n   \
    \"time\":\"2026-11-20T02:00:00Z\",\"dossier\":\"d-1\",\"procedure\":\"3.000722\",\"unit\":\"14797\",\n   \
    \"unit_valid_on\":\"2026-11-20\",\"data\":{\"applicant\":\"Nguoi Nop Thu\"}}")]
pub struct PublishArgs {
    /// The file; `-` reads standard input.
    pub file: PathBuf,
    /// The gateway's address; default: gateway.listen.
    #[arg(long)]
    pub gateway: Option<String>,
}

/// Which recorded log to feed, and how.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// The recorded event log, CSV with a header line.
    pub log: PathBuf,
    /// Which column and which activity means what (TOML).
    #[arg(long)]
    pub mapping: PathBuf,
    /// How many times faster than recorded; 0: as fast as it goes.
    #[arg(long, default_value_t = 0.0)]
    pub speed: f64,
    /// The gateway's address; default: gateway.listen.
    #[arg(long)]
    pub gateway: Option<String>,
    /// The tracker's address; default: tracker.listen.
    #[arg(long)]
    pub tracker: Option<String>,
}

/// What to do with dossiers.
#[derive(Clone, Debug, Subcommand)]
pub enum DossierCommand {
    /// A dossier's steps and timeline, by official code or internal key.
    Show {
        /// The official code or the internal key.
        name: String,
        /// The tracker's address; default: tracker.listen.
        #[arg(long)]
        tracker: Option<String>,
    },
    /// Dossiers, by filter.
    List {
        /// Only open ones past their deadline.
        #[arg(long)]
        late: bool,
        /// Only those that are held.
        #[arg(long)]
        held: bool,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// The tracker's address; default: tracker.listen.
        #[arg(long)]
        tracker: Option<String>,
    },
}

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// How long each throughput figure runs, in seconds.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
    /// Where Kafka is; with a PostgreSQL url too, both set-ups are measured.
    #[arg(long)]
    pub brokers: Option<String>,
    /// Where PostgreSQL is.
    #[arg(long)]
    pub postgres: Option<String>,
    /// How many deliveries are parked for a dead destination in the memory figure.
    #[arg(long, default_value_t = 100_000)]
    pub parked: u64,
    /// Only these figures: baseline, throughput, latency, memory, or isolation (ten demo days: the other
    /// destinations while one is dead).
    #[arg(long, value_parser = ["baseline", "throughput", "latency", "memory", "isolation"])]
    pub only: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
