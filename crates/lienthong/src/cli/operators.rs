//! Commands of operators.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

/// Where the courier is.
#[derive(Clone, Debug, Default, Args)]
pub struct CourierArgs {
    /// The courier's address; default: courier.listen.
    #[arg(long)]
    pub courier: Option<String>,
}

/// Whether to act, and in whose name.
#[derive(Clone, Debug, Args)]
pub struct Consent {
    /// Do it; without this flag it only says what would be done.
    #[arg(long, requires = "reason")]
    pub yes: bool,
    /// Why; kept with the order.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who asks; kept with the order.
    #[arg(long, value_name = "NAME", default_value = "command line")]
    pub by: String,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, Args)]
pub struct DeadFilterArgs {
    /// Only those of this destination.
    #[arg(long)]
    pub destination: Option<String>,
    /// Only those whose last answer is of this class.
    #[arg(long)]
    pub class: Option<String>,
    /// Only those of this group, as `dead groups` names it.
    #[arg(long, value_name = "FINGERPRINT")]
    pub group: Option<String>,
    /// Only those of this procedure.
    #[arg(long, value_name = "CODE")]
    pub procedure: Option<String>,
    /// Only dead letters since then: 2026-11-20T08:00:00+07:00.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only dead letters before then.
    #[arg(long, value_name = "TIME")]
    pub before: Option<Timestamp>,
}

/// What to do with dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum DeadCommand {
    /// Dead letters by cause, the largest group first.
    Groups {
        /// Which.
        #[command(flatten)]
        filter: DeadFilterArgs,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// Dead letters, oldest first.
    List {
        /// Only those of this destination.
        #[arg(long)]
        destination: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// The attempts of one delivery, and what operators ordered of it.
    Show {
        /// The delivery's id.
        delivery: String,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// Send dead letters on their way again, under the same ids.
    Redrive(RedriveArgs),
    /// Give dead letters up, for good.
    Discard {
        /// Their delivery ids.
        #[arg(required = true)]
        deliveries: Vec<String>,
        /// Whether to act.
        #[command(flatten)]
        consent: Consent,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// Publish a corrected event, then give the dead letter up that it replaces.
    Resend(ResendArgs),
    /// Jobs that send many again, the newest first.
    Jobs {
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// End a job before its last item.
    Cancel {
        /// The job's id.
        job: String,
        /// Whether to act.
        #[command(flatten)]
        consent: Consent,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
}

/// Which dead letters to send again.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Ids are sent again at once. A filter begins a job: first look at what it means, then\n\
    name the number that was shown:\n  \
    lienthong dead redrive --group 4f1c9a5277b04c1e\n  \
    lienthong dead redrive --group 4f1c9a5277b04c1e --count 212 --yes --reason 'form corrected'"
)]
pub struct RedriveArgs {
    /// Their delivery ids; or a filter.
    #[arg(conflicts_with_all = ["destination", "class", "group", "procedure", "since", "before"])]
    pub deliveries: Vec<String>,
    /// Which.
    #[command(flatten)]
    pub filter: DeadFilterArgs,
    /// How many the filter means, as shown before.
    #[arg(long)]
    pub count: Option<u64>,
    /// So many a second.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// The job's id; the same start given twice is one job.
    #[arg(long, value_name = "ID")]
    pub job: Option<String>,
    /// Whether to act.
    #[command(flatten)]
    pub consent: Consent,
    /// The courier.
    #[command(flatten)]
    pub courier: CourierArgs,
}

/// Which dead letter a corrected event replaces.
#[derive(Clone, Debug, Args)]
pub struct ResendArgs {
    /// The dead letter's delivery id.
    pub delivery: String,
    /// The corrected event: one JSON line, as `publish` reads it, under an id of its own.
    #[arg(long, value_name = "FILE")]
    pub event: PathBuf,
    /// Whether to act.
    #[command(flatten)]
    pub consent: Consent,
    /// The gateway's address; default: gateway.listen.
    #[arg(long)]
    pub gateway: Option<String>,
    /// The courier.
    #[command(flatten)]
    pub courier: CourierArgs,
}

/// What to do with destinations.
#[derive(Clone, Debug, Subcommand)]
pub enum DestinationCommand {
    /// Destinations and how their lanes stand.
    List {
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// One destination: how its lane stands, and what operators ordered of it.
    Show {
        /// The destination.
        destination: String,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// Try whether a destination can be reached: by its canary, else by opening a connection. Sends it nothing
    /// else, and leaves its lane as it is.
    Test {
        /// The destination.
        destination: String,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// Hold everything.
    Pause(LaneArgs),
    /// Work again.
    Resume(LaneArgs),
    /// Try the destination now, whatever its lane waits for.
    Probe(LaneArgs),
    /// Limit how many deliveries are in flight at once.
    Limit {
        /// At most so many; 0 lifts the limit.
        #[arg(long)]
        in_flight: u32,
        /// The destination.
        #[command(flatten)]
        lane: LaneArgs,
    },
    /// Announce that a destination will be away, or that it will not be after all.
    Window {
        /// From then on: 2026-11-20T17:00:00+07:00.
        #[arg(long, value_name = "TIME")]
        from: Timestamp,
        /// Until then.
        #[arg(long, value_name = "TIME", required_unless_present = "cancel")]
        to: Option<Timestamp>,
        /// Cancel the window that begins then.
        #[arg(long, conflicts_with = "to")]
        cancel: bool,
        /// The destination.
        #[command(flatten)]
        lane: LaneArgs,
    },
}

/// Which destination, and whether to act.
#[derive(Clone, Debug, Args)]
pub struct LaneArgs {
    /// The destination.
    pub destination: String,
    /// Whether to act.
    #[command(flatten)]
    pub consent: Consent,
    /// The courier.
    #[command(flatten)]
    pub courier: CourierArgs,
}

/// What to do with deliveries that wait for a person.
#[derive(Clone, Debug, Subcommand)]
pub enum DeliveryCommand {
    /// Deliveries of which nobody knows whether they arrived.
    Unknown {
        /// Only those of this destination.
        #[arg(long)]
        destination: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// Undelivered ones whose last answer no rule reads.
    Reviews {
        /// Only those of this destination.
        #[arg(long)]
        destination: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// Say what became of deliveries of which nobody knows it.
    Settle {
        /// Their ids.
        #[arg(required = true)]
        deliveries: Vec<String>,
        /// The destination has them.
        #[arg(long, required_unless_present = "not_arrived")]
        arrived: bool,
        /// The destination does not have them: they are sent again.
        #[arg(long, conflicts_with = "arrived")]
        not_arrived: bool,
        /// Whether to act.
        #[command(flatten)]
        consent: Consent,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
}

/// What to let stand aside.
#[derive(Clone, Debug, Subcommand)]
pub enum SidelineCommand {
    /// Let deliveries wait, or come last, until a time.
    Add {
        /// Whose: of this dossier, procedure or agency.
        #[command(flatten)]
        subject: SubjectArgs,
        /// Until then: 2026-11-20T17:00:00+07:00.
        #[arg(long, value_name = "TIME")]
        until: Timestamp,
        /// They may go, after all others; without this flag they wait.
        #[arg(long)]
        demote: bool,
        /// Whether to act.
        #[command(flatten)]
        consent: Consent,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// What stands aside.
    List {
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
    /// Let them go on.
    Lift {
        /// Whose: of this dossier, procedure or agency.
        #[command(flatten)]
        subject: SubjectArgs,
        /// Whether to act.
        #[command(flatten)]
        consent: Consent,
        /// The courier.
        #[command(flatten)]
        courier: CourierArgs,
    },
}

/// Whose deliveries.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SubjectArgs {
    /// Of the dossier with this key.
    #[arg(long, value_name = "KEY")]
    pub dossier: Option<String>,
    /// Of this procedure.
    #[arg(long, value_name = "CODE")]
    pub procedure: Option<String>,
    /// Caused by events of this agency.
    #[arg(long, value_name = "ID")]
    pub agency: Option<String>,
}
