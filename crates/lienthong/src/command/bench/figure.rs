use serde::Serialize;

use super::machine::Machine;
use crate::output;

/// One measured figure beside its baseline.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// Which figure, and on what.
    pub(crate) name: String,
    /// The median over the rounds.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// The baseline of the same rounds.
    pub(crate) baseline: Option<f64>,
    /// Value by baseline, the median over the rounds.
    pub(crate) ratio: Option<f64>,
    /// What is asked for: of the ratio where there is one, else of the value.
    pub(crate) target: Option<f64>,
    /// Whether it is met.
    pub(crate) met: Option<bool>,
    /// The lowest and highest ratio, else value, over the rounds.
    pub(crate) spread: Option<(f64, f64)>,
}

/// All figures, and the machine they were measured on.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) figures: Vec<Figure>,
}

/// The columns of a table of figures.
pub(crate) const HEADINGS: [&str; 8] = [
    "FIGURE", "VALUE", "UNIT", "BASELINE", "RATIO", "SPREAD", "TARGET", "",
];

// === impl Figure ===

impl Figure {
    /// A figure without baseline or target.
    pub(crate) fn plain(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            baseline: None,
            ratio: None,
            target: None,
            met: None,
            spread: None,
        }
    }

    /// A figure that must not exceed its target.
    pub(crate) fn at_most(
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        target: f64,
    ) -> Self {
        let met = Some(value <= target);
        Self {
            target: Some(target),
            met,
            ..Self::plain(name, value, unit)
        }
    }

    /// A figure that is a ratio of each round, and must not exceed its target.
    pub(crate) fn ratios(
        name: impl Into<String>,
        value: f64,
        unit: &'static str,
        ratios: &[f64],
        target: Option<f64>,
    ) -> Self {
        let ratio = median(ratios);
        Self {
            ratio: Some(ratio),
            target,
            met: target.map(|target| ratio <= target),
            spread: spread(ratios),
            ..Self::plain(name, value, unit)
        }
    }

    /// A rate judged by its ratio to the baseline of its round.
    pub(crate) fn at_least_ratio(
        name: impl Into<String>,
        rounds: &[(f64, f64)],
        unit: &'static str,
        target: f64,
    ) -> Self {
        let ratios: Vec<f64> = rounds.iter().map(|(value, base)| value / base).collect();
        let ratio = median(&ratios);
        Self {
            baseline: Some(median(
                &rounds.iter().map(|(_, base)| *base).collect::<Vec<_>>(),
            )),
            ratio: Some(ratio),
            target: Some(target),
            met: Some(ratio >= target),
            spread: spread(&ratios),
            ..Self::plain(
                name,
                median(&rounds.iter().map(|r| r.0).collect::<Vec<_>>()),
                unit,
            )
        }
    }

    /// The cells of its row, under [`HEADINGS`].
    pub(crate) fn cells(&self) -> [String; 8] {
        let optional = |value: Option<f64>| value.map(number).unwrap_or_default();
        let spread = self
            .spread
            .map(|(low, high)| format!("{}–{}", number(low), number(high)));
        let met = self.met.map(|met| if met { "met" } else { "MISSED" });
        [
            self.name.clone(),
            number(self.value),
            self.unit.to_owned(),
            optional(self.baseline),
            optional(self.ratio),
            spread.unwrap_or_default(),
            optional(self.target),
            met.unwrap_or_default().to_owned(),
        ]
    }
}

/// The middle value; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let lowest = values.iter().copied().min_by(f64::total_cmp)?;
    let highest = values.iter().copied().max_by(f64::total_cmp)?;
    Some((lowest, highest))
}

// === impl Report ===

impl Report {
    /// Prints the figures for people.
    pub(crate) fn print(&self) {
        self.machine.print();
        let rows: Vec<[String; 8]> = self.figures.iter().map(Figure::cells).collect();
        output::table(HEADINGS, &rows);
    }
}

/// A number as people read it.
pub(crate) fn number(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_judged_round_by_round() {
        let figure =
            Figure::at_least_ratio("x", &[(10.0, 20.0), (9.0, 10.0), (3.0, 10.0)], "1/s", 0.5);
        assert_eq!(
            (figure.ratio, figure.met, figure.spread),
            (Some(0.5), Some(true), Some((0.3, 0.9)))
        );
    }
}
