//! What arrived, as the endpoint alone sees it. No clock, no I/O.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::command::bench::latency::histogram;

/// The arrivals of one cell: one contender at one delay.
#[derive(Debug)]
pub(crate) struct Cell {
    dossiers: HashMap<String, Dossier>,
    arrived: u64,
    answered: u64,
    distinct: u64,
    duplicates: u64,
    out_of_order: u64,
    micros: Histogram<u64>,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Arrivals in each tenth of a second since the first.
    tenths: Vec<u64>,
}

/// One request as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) dossier: &'a str,
    /// The number within the dossier, from one.
    pub(crate) sequence: u64,
    pub(crate) at: Instant,
    /// Since the delivery was meant to be appended.
    pub(crate) waited: Duration,
}

/// The sums of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) arrived: u64,
    pub(crate) answered: u64,
    pub(crate) distinct: u64,
    /// Arrivals of what had arrived before.
    pub(crate) duplicates: u64,
    /// First arrivals behind a later one of their dossier, with a gap before them, or while one of their
    /// dossier was not answered.
    pub(crate) out_of_order: u64,
    pub(crate) p50_micros: u64,
    pub(crate) p99_micros: u64,
    /// From the first arrival to the last.
    pub(crate) span_millis: u64,
    /// The most arrivals in any tenth of a second.
    pub(crate) highest_tenth: u64,
}

#[derive(Debug, Default)]
struct Dossier {
    highest: u64,
    /// One bit for each sequence that arrived.
    seen: Vec<u64>,
    open: u64,
}

// === impl Cell ===

impl Default for Cell {
    fn default() -> Self {
        Self {
            dossiers: HashMap::new(),
            arrived: 0,
            answered: 0,
            distinct: 0,
            duplicates: 0,
            out_of_order: 0,
            micros: histogram(),
            first: None,
            last: None,
            tenths: Vec::new(),
        }
    }
}

impl Cell {
    pub(crate) fn arrived(&mut self, arrival: Arrival<'_>) {
        let first = *self.first.get_or_insert(arrival.at);
        self.last = Some(arrival.at);
        let tenth = arrival.at.duration_since(first).as_millis() / 100;
        let tenth = usize::try_from(tenth).unwrap_or(usize::MAX).min(1 << 16);
        if self.tenths.len() <= tenth {
            self.tenths.resize(tenth + 1, 0);
        }
        self.tenths[tenth] += 1;
        self.arrived += 1;
        let micros = u64::try_from(arrival.waited.as_micros()).unwrap_or(u64::MAX);
        self.micros.saturating_record(micros);
        if !self.dossiers.contains_key(arrival.dossier) {
            self.dossiers
                .insert(arrival.dossier.to_owned(), Dossier::default());
        }
        let Some(dossier) = self.dossiers.get_mut(arrival.dossier) else {
            return;
        };
        let (is_new, is_next) = dossier.take(arrival.sequence);
        self.distinct += u64::from(is_new);
        self.duplicates += u64::from(!is_new);
        self.out_of_order += u64::from(is_new && !is_next);
    }

    pub(crate) fn answered(&mut self, dossier: &str) {
        self.answered += 1;
        if let Some(dossier) = self.dossiers.get_mut(dossier) {
            dossier.open = dossier.open.saturating_sub(1);
        }
    }

    /// Forgets the latencies so far: those of the start.
    pub(crate) fn forget_latencies(&mut self) {
        self.micros.reset();
    }

    pub(crate) fn counts(&self) -> Counts {
        let span = self
            .first
            .zip(self.last)
            .map_or(Duration::ZERO, |(first, last)| last.duration_since(first));
        Counts {
            arrived: self.arrived,
            answered: self.answered,
            distinct: self.distinct,
            duplicates: self.duplicates,
            out_of_order: self.out_of_order,
            p50_micros: self.micros.value_at_quantile(0.5),
            p99_micros: self.micros.value_at_quantile(0.99),
            span_millis: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
            highest_tenth: self.tenths.iter().copied().max().unwrap_or(0),
        }
    }
}

// === impl Dossier ===

impl Dossier {
    /// Whether it arrives for the first time, and whether it is its turn.
    fn take(&mut self, sequence: u64) -> (bool, bool) {
        let word = usize::try_from(sequence / 64)
            .unwrap_or(usize::MAX)
            .min(1 << 20);
        let bit = 1 << (sequence % 64);
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        let is_next = sequence == self.highest + 1 && self.open == 0;
        self.highest = self.highest.max(sequence);
        self.open += 1;
        (is_new, is_next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arrivals as `(dossier, sequence)`, each answered before the next where `answered`.
    #[track_caller]
    fn check(arrivals: &[(&str, u64)], answered: bool, expected: (u64, u64, u64)) {
        let mut cell = Cell::default();
        for (dossier, sequence) in arrivals {
            cell.arrived(Arrival {
                dossier,
                sequence: *sequence,
                at: Instant::now(),
                waited: Duration::ZERO,
            });
            if answered {
                cell.answered(dossier);
            }
        }
        let counts = cell.counts();
        let found = (counts.distinct, counts.duplicates, counts.out_of_order);
        assert_eq!(found, expected, "{arrivals:?}");
    }

    #[test]
    fn arrivals_in_turn_are_neither_twice_nor_out_of_order() {
        check(&[("a", 1), ("b", 1), ("a", 2), ("b", 2)], true, (4, 0, 0));
    }

    #[test]
    fn what_comes_twice_too_early_or_too_late_is_counted() {
        check(&[("a", 1), ("a", 1), ("a", 2)], true, (2, 1, 0));
        check(&[("a", 1), ("a", 3), ("a", 2)], true, (3, 0, 2));
        check(&[("a", 2)], true, (1, 0, 1));
        check(&[("a", 1), ("a", 2)], false, (2, 0, 1));
    }

    #[test]
    fn the_highest_tenth_of_a_second_is_found() {
        let (mut cell, begun) = (Cell::default(), Instant::now());
        for (sequence, millis) in (1..).zip([0, 99, 100, 150, 199, 450]) {
            cell.arrived(Arrival {
                dossier: "a",
                sequence,
                at: begun + Duration::from_millis(millis),
                waited: Duration::ZERO,
            });
        }
        let counts = cell.counts();
        assert_eq!((counts.highest_tenth, counts.span_millis), (3, 450));
    }
}
