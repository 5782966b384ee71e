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
    /// Play a province against a running system, from outside; or one agency alone.
    Simulate(SimulateArgs),
    /// Play the published case list against an agency's endpoint.
    Conformance(ConformanceArgs),
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
    /// Look after the files of destinations.
    #[command(subcommand)]
    Destinations(DestinationsCommand),
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

/// What is simulated.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SimulateArgs {
    /// The province, unless a part of it is named.
    #[command(flatten)]
    pub province: DemoArgs,
    /// A part of the world alone.
    #[command(subcommand)]
    pub part: Option<SimulateCommand>,
}

/// Which part of the world is simulated alone.
#[derive(Clone, Debug, Subcommand)]
pub enum SimulateCommand {
    /// The reference implementation of a receiving agency, as good or as bad as its script.
    Agency(AgencyArgs),
}

/// How an agency is played.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    lienthong simulate agency --protocol http --script deploy/agency/good.toml\n  \
    lienthong simulate agency --listen 127.0.0.1:7103 --protocol http --events 127.0.0.1:7001\n  \
    lienthong simulate agency --protocol grpc --script deploy/agency/slow.toml --arrivals seen.jsonl\n\n\
    A script's fields: docs/conformance.md.")]
pub struct AgencyArgs {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:7200")]
    pub listen: std::net::SocketAddr,
    /// What it speaks.
    #[arg(long, value_enum, default_value_t = AgencyProtocol::Grpc)]
    pub protocol: AgencyProtocol,
    /// How it behaves (TOML); without it, well.
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// The gateway to which it answers by events; without it, it takes deliveries and stays silent.
    #[arg(long, value_name = "GATEWAY")]
    pub events: Option<String>,
    /// Its name: the source of its events.
    #[arg(long, default_value = "reference-agency")]
    pub id: String,
    /// The seed of everything that is drawn.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where every arrival is written, one JSON line each.
    #[arg(long, value_name = "FILE")]
    pub arrivals: Option<PathBuf>,
}

/// What a simulated agency speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AgencyProtocol {
    /// The `Inbox` service: calls and streams.
    Grpc,
    /// CloudEvents in binary mode.
    Http,
    /// The same, or envelopes, with the answers of an old SOAP service.
    Soap,
}

/// What is played against whom.
#[derive(Clone, Debug, Args)]
#[command(
    group = clap::ArgGroup::new("whom").required(true).args(["endpoint", "destination"]),
    after_help = "Every delivery is invented: its dossier begins with `conformance-`.\n\n\
    Examples:\n  \
    lienthong conformance --endpoint http://127.0.0.1:7200/deliveries\n  \
    lienthong conformance --endpoint grpc://127.0.0.1:7200 --only duplicate -o json\n  \
    lienthong conformance --destination demo-justice\n\n\
    The cases, each with its reason: docs/conformance.md."
)]
pub struct ConformanceArgs {
    /// The endpoint: grpc://host:port, grpc+unary://host:port or http://host:port/path.
    #[arg(long)]
    pub endpoint: Option<String>,
    /// The destination whose endpoint and time-out are meant.
    #[arg(long)]
    pub destination: Option<String>,
    /// Where destination files lie; default: routes.destinations_dir, or the samples.
    #[arg(long, value_name = "DIR", requires = "destination")]
    pub destinations_dir: Option<PathBuf>,
    /// How long one answer may take, such as `10s`; default: what the destination declares, or 10s.
    #[arg(long)]
    pub timeout: Option<String>,
    /// Only this case.
    #[arg(long, value_name = "CASE")]
    pub only: Option<String>,
    /// The procedure that the deliveries are about.
    #[arg(long, default_value = "3.000722")]
    pub procedure: String,
    /// The commune-level unit that they are about.
    #[arg(long, default_value = "14797")]
    pub unit: String,
    /// The agency's step.
    #[arg(long, default_value = "civil-status")]
    pub step: String,
    /// A later step of the same dossier, for the case `out-of-order`.
    #[arg(long, default_value = "residence")]
    pub later_step: String,
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

/// What to do with the files of destinations.
#[derive(Clone, Debug, Subcommand)]
pub enum DestinationsCommand {
    /// Read destination files and rule sets, tell all that is wrong with them, and say which recorded replies are
    /// read otherwise than they should be.
    #[command(
        after_help = "Exit codes: 0 all are read as they should be, 1 some are not, 64 a file is wrong."
    )]
    Check {
        /// The directory of destination files whose `replies` holds rule sets, or one of rule sets alone;
        /// default: routes.destinations_dir, else the built-in samples.
        dir: Option<PathBuf>,
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
    /// One role alone.
    #[command(subcommand)]
    pub role: Option<BenchRole>,
}

/// One role alone.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchRole {
    /// The courier against HTTP endpoints of 1 to 1,000 ms, beside a bare loop of the same run.
    Courier(Box<BenchCourierArgs>),
    /// The endpoints of `courier`, in a process of their own.
    #[command(hide = true)]
    CourierEndpoint,
}

/// What to measure of the courier.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    lienthong bench courier\n  \
    lienthong bench courier --brokers 127.0.0.1:9092 --postgres postgres://lienthong@127.0.0.1/lienthong\n  \
    lienthong bench courier --endpoint http://127.0.0.1:8080/inbox --records 5000 --rate 500")]
pub struct BenchCourierArgs {
    /// How many dossiers; the deliveries of each keep their order.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,
    /// How many destinations; each dossier has one.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub destinations: u64,
    /// How many deliveries each figure takes; fewer where the endpoints would need more than 5 s.
    #[arg(long, default_value_t = 25_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub records: u64,
    /// Append so many deliveries a second instead of all before the start.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// How many deliveries may be in flight over all destinations.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub in_flight: u64,
    /// How long the endpoints work, in milliseconds.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1_000])]
    pub delays: Vec<u64>,
    /// How many rounds; default: 3, with --endpoint 1.
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Which log; default: embedded, or kafka where --brokers is named.
    #[arg(long, value_parser = ["embedded", "kafka"])]
    pub log: Option<String>,
    /// Which store; default: sqlite, or postgres where --postgres is named.
    #[arg(long, value_parser = ["sqlite", "postgres"])]
    pub store: Option<String>,
    /// Where Kafka is; default: log.kafka.brokers.
    #[arg(long)]
    pub brokers: Option<String>,
    /// Where PostgreSQL is; default: store.postgres.url.
    #[arg(long)]
    pub postgres: Option<String>,
    /// Deliver to this HTTP server instead, as POST URL/{destination}; it does the counting.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// With --endpoint: the bare loop delivers there too, under dossiers of its own.
    #[arg(long)]
    pub bare: bool,
    /// Only these parts.
    #[arg(long, value_delimiter = ',', value_parser = ["throughput", "healthy", "parked", "move", "drain", "intake", "horizons"])]
    pub only: Vec<String>,
    /// How many pairs of runs tell what a fault does to its neighbours, and a release to the intake.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: u32,
    /// How long each run of a pair takes, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(2..))]
    pub seconds: u64,
    /// How many deliveries are parked for a dead destination.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub parked: u64,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_province_is_simulated_unless_an_agency_is_named() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let part = |line: &str| match parse(line).map(|cli| cli.command) {
            Ok(Command::Simulate(args)) => (args.province.speed, args.part.is_some()),
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(part("lienthong simulate --speed 3000"), (3000.0, false));
        assert!(part("lienthong simulate agency --seed 7").1);
        assert!(parse("lienthong simulate --speed 3000 agency").is_err());
        assert!(parse("lienthong conformance").is_err());
    }
}
