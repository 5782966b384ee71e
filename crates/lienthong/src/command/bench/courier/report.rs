use courier::HorizonRow;
use serde::Serialize;

use crate::{
    command::bench::{
        figure::{Figure, HEADINGS, number},
        machine::Machine,
    },
    output,
};

/// All figures, and what they were measured on and with.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) machine: Machine,
    pub(super) setting: Setting,
    pub(super) figures: Vec<Row>,
    /// A destination away over a weekend, here and at others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) horizons: Vec<HorizonRow>,
    /// What was left out, and why.
    pub(super) skipped: Vec<String>,
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Setting {
    pub(super) ground: &'static str,
    pub(super) keys: u64,
    pub(super) destinations: u64,
    pub(super) in_flight: u64,
    pub(super) payload_bytes: usize,
    pub(super) rounds: u32,
    pub(super) rate: Option<u64>,
}

/// A figure, and what belongs beside it.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) figure: Figure,
    #[serde(flatten)]
    pub(super) beside: Option<Beside>,
}

/// What belongs beside a throughput.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    /// Of each round.
    pub(super) records: u64,
    /// Deliveries a second that nobody can exceed: min(keys, in flight) / work time.
    pub(super) limit: Option<f64>,
    pub(super) share_of_limit: Option<f64>,
    /// Processor time of this process a delivery: neither the endpoints' nor a broker's or server's.
    pub(super) cpu_micros: f64,
    pub(super) baseline_cpu_micros: Option<f64>,
    /// As the endpoints counted, over all rounds; none where somebody else counts.
    pub(super) lost: Option<u64>,
    pub(super) duplicates: Option<u64>,
    pub(super) out_of_order: Option<u64>,
    /// From the due append to the arrival; only at a fixed rate.
    pub(super) p99_millis: Option<f64>,
    pub(super) baseline_p99_millis: Option<f64>,
}

const THROUGHPUTS: [&str; 13] = [
    "FIGURE",
    "/S",
    "BARE /S",
    "SHARE",
    "SPREAD",
    "TARGET",
    "",
    "RECORDS",
    "LIMIT /S",
    "OF LIMIT",
    "CPU µs",
    "BARE µs",
    "LOST/TWICE/DISORDER",
];

// === impl Report ===

impl Report {
    pub(super) fn print(&self) {
        self.machine.print();
        let Setting {
            ground,
            keys,
            destinations,
            in_flight,
            payload_bytes,
            rounds,
            rate,
        } = &self.setting;
        let rate = rate.map_or("all appended before the start".to_owned(), |rate| {
            format!("appended at {rate}/s")
        });
        output::line(format_args!(
            "{ground}: {keys} dossiers over {destinations} destinations, {in_flight} in flight, \
             {payload_bytes} bytes each, {rate}; medians of {rounds} rounds"
        ));
        let (throughputs, others): (Vec<&Row>, Vec<&Row>) =
            self.figures.iter().partition(|row| row.beside.is_some());
        if !throughputs.is_empty() {
            let rows: Vec<_> = throughputs.into_iter().filter_map(Row::cells).collect();
            output::table(THROUGHPUTS, &rows);
        }
        if !others.is_empty() {
            let rows: Vec<_> = others.into_iter().map(|row| row.figure.cells()).collect();
            output::table(HEADINGS, &rows);
        }
        super::horizons::print(&self.horizons);
        for skipped in &self.skipped {
            output::line(format_args!("left out: {skipped}"));
        }
    }
}

// === impl Row ===

impl Row {
    fn cells(&self) -> Option<[String; 13]> {
        let beside = self.beside.as_ref()?;
        let optional = |value: Option<f64>| value.map(number).unwrap_or_default();
        let count = |value: Option<u64>| value.map_or("?".to_owned(), |n| n.to_string());
        let [name, value, _, baseline, ratio, spread, target, met] = self.figure.cells();
        Some([
            name,
            value,
            baseline,
            ratio,
            spread,
            target,
            met,
            beside.records.to_string(),
            optional(beside.limit),
            optional(beside.share_of_limit),
            number(beside.cpu_micros),
            optional(beside.baseline_cpu_micros),
            format!(
                "{}/{}/{}",
                count(beside.lost),
                count(beside.duplicates),
                count(beside.out_of_order)
            ),
        ])
    }
}

impl From<Figure> for Row {
    fn from(figure: Figure) -> Self {
        Self {
            figure,
            beside: None,
        }
    }
}

// === impl Beside ===

impl Beside {
    /// Whether nothing was lost, twice, or out of order.
    pub(super) fn is_clean(&self) -> bool {
        [self.lost, self.duplicates, self.out_of_order]
            .iter()
            .all(|count| count.unwrap_or(0) == 0)
    }
}
