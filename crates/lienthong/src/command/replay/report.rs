//! What a replay amounts to.

use serde::Serialize;

use super::{
    recording::{Recording, Refused},
    trace::{Against, Trace},
};
use crate::{
    cli::Output,
    exit::Failure,
    output::{self, safe},
};

/// The report, as `-o json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Report {
    /// Rows of the log.
    pub(super) rows: u64,
    /// Events sent: one for each row that can be sent, and the ends of cases.
    pub(super) published: u64,
    /// How many of them are ends of cases.
    pub(super) case_ends: u64,
    /// Events that the gateway made durable.
    pub(super) accepted: u64,
    /// Rows that cannot be sent, and events that the gateway refused.
    pub(super) refused: Vec<Refused>,
    /// Accepted events that are on no timeline.
    pub(super) unaccounted: u64,
    /// Their ids, the first few.
    pub(super) unaccounted_ids: Vec<String>,
    /// Cases.
    pub(super) cases: u64,
    /// Cases whose events were taken and are listed in the recorded order.
    pub(super) in_order: u64,
    /// Keys of the others.
    pub(super) out_of_order: Vec<String>,
    /// Keys of cases whose timeline shows another event under an id that was sent.
    pub(super) changed: Vec<String>,
    /// Cases that ended.
    pub(super) ended: u64,
    /// Cases that did not.
    pub(super) open: u64,
    /// Against each case's own deadline.
    pub(super) deadline: Limits,
    /// Against each case's planned end.
    pub(super) planned: Limits,
    /// How long sending took.
    pub(super) publish_seconds: f64,
}

/// Cases against one of their limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Limits {
    /// Ended after it.
    pub(super) late: u64,
    /// Ended by then, or open and not past it when the log ended.
    pub(super) in_time: u64,
    /// Not ended, and past it when the log ended.
    pub(super) open_past: u64,
    /// No such limit in the log.
    pub(super) without: u64,
}

// === impl Report ===

impl Report {
    const IDS_SHOWN: usize = 20;

    /// A report of what was read, before anything is sent.
    pub(super) fn of(recording: &Recording) -> Self {
        Self {
            rows: recording.rows,
            published: recording.entries.len() as u64,
            case_ends: recording
                .entries
                .iter()
                .filter(|entry| entry.is_end)
                .count() as u64,
            refused: recording.refused.clone(),
            cases: recording.cases.len() as u64,
            ..Self::default()
        }
    }

    /// Notes the events that did not arrive.
    pub(super) fn missing(&mut self, mut ids: Vec<String>) {
        self.unaccounted = ids.len() as u64;
        ids.truncate(Self::IDS_SHOWN);
        self.unaccounted_ids = ids;
    }

    /// Counts what the timelines prove; `traces` are by case.
    pub(super) fn count(&mut self, recording: &Recording, traces: &[Trace]) {
        let log_ends_at = recording.ends_at();
        for (case, trace) in recording.cases.iter().zip(traces) {
            if trace.in_order {
                self.in_order += 1;
            } else {
                self.out_of_order.push(case.key.to_string());
            }
            if trace.is_changed {
                self.changed.push(case.key.to_string());
            }
            match trace.ended_at {
                Some(_) => self.ended += 1,
                None => self.open += 1,
            }
            let [deadline, planned] = Against::both(case, trace.ended_at, log_ends_at);
            self.deadline.count(deadline);
            self.planned.count(planned);
        }
    }

    /// What is wrong, if anything is.
    pub(super) fn finding(&self) -> Option<String> {
        let counts = [
            (self.refused.len(), "refused"),
            (
                usize::try_from(self.unaccounted).unwrap_or(usize::MAX),
                "unaccounted",
            ),
            (self.out_of_order.len(), "cases out of order"),
            (self.changed.len(), "cases changed"),
        ];
        let found: Vec<_> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!found.is_empty()).then(|| found.join(", "))
    }

    /// Prints the report.
    ///
    /// # Errors
    /// Something is wrong: see [`Report::finding`].
    pub(super) fn print(&self, format: Output) -> Result<(), Failure> {
        match format {
            Output::Json => output::json(self)?,
            Output::Table => self.table(),
        }
        self.finding()
            .map_or(Ok(()), |found| Err(Failure::Finding(found)))
    }

    fn table(&self) {
        let row = |name: &str, value: u64, note: String| [name.to_owned(), value.to_string(), note];
        let of_rows = format!(
            "{} rows, {} case ends",
            self.published - self.case_ends,
            self.case_ends
        );
        let took = format!("in {:.1} s", self.publish_seconds);
        output::table(
            ["FIGURE", "COUNT", ""],
            &[
                row("rows read", self.rows, String::new()),
                row("events published", self.published, of_rows),
                row("accepted", self.accepted, took),
                row("refused", self.refused.len() as u64, String::new()),
                row(
                    "unaccounted",
                    self.unaccounted,
                    self.unaccounted_ids.join(" "),
                ),
                row(
                    "cases",
                    self.cases,
                    format!("{} ended, {} open", self.ended, self.open),
                ),
                row("in order", self.in_order, some(&self.out_of_order)),
                row("changed", self.changed.len() as u64, some(&self.changed)),
                row("late: deadline", self.deadline.late, self.deadline.words()),
                row("late: planned end", self.planned.late, self.planned.words()),
            ],
        );
        for Refused {
            line,
            field,
            reason,
        } in &self.refused
        {
            output::line(format_args!(
                "line {line}, {}: {}",
                safe(field),
                safe(reason)
            ));
        }
    }
}

fn some(keys: &[String]) -> String {
    keys.iter()
        .take(Report::IDS_SHOWN)
        .map(|key| safe(key))
        .collect::<Vec<_>>()
        .join(" ")
}

// === impl Limits ===

impl Limits {
    fn count(&mut self, against: Against) {
        match against {
            Against::NoLimit => self.without += 1,
            Against::InTime => self.in_time += 1,
            Against::Late => self.late += 1,
            Against::OpenPast => self.open_past += 1,
        }
    }

    fn words(self) -> String {
        let Self {
            in_time,
            open_past,
            without,
            ..
        } = self;
        format!("{in_time} in time, {open_past} open past it, {without} without one")
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{recording::tests as sample, trace::tests::timeline},
        *,
    };

    fn replayed(log: &str) -> Report {
        let recording = sample::read(log);
        let mut report = Report::of(&recording);
        let traces: Vec<_> = recording
            .by_case()
            .iter()
            .map(|places| {
                let sent: Vec<_> = places.iter().map(|p| &recording.entries[*p]).collect();
                Trace::of(&sent, &[], &timeline(&sent))
            })
            .collect();
        report.count(&recording, &traces);
        report
    }

    #[test]
    fn late_cases_are_counted_against_each_limit() {
        let report = replayed(sample::LOG);
        assert_eq!((report.rows, report.published, report.case_ends), (6, 8, 2));
        assert_eq!((report.cases, report.ended, report.open), (3, 2, 1));
        // `b` ended after its deadline, `a` before, `c` is open past it when the log ends.
        let expected = Limits {
            late: 1,
            in_time: 1,
            open_past: 1,
            without: 0,
        };
        assert_eq!(report.deadline, expected);
        // Both ended after the plan; `c` has none.
        assert_eq!(
            report.planned,
            Limits {
                late: 2,
                without: 1,
                ..Limits::default()
            }
        );
        assert_eq!((report.in_order, report.finding()), (3, None));
    }

    #[test]
    fn whatever_is_not_accounted_for_is_a_finding() {
        let mut report = replayed(&sample::LOG.replacen("2026-01-05T09:00", "05/01/2026 9h", 1));
        assert_eq!(report.finding().as_deref(), Some("1 refused"));
        report.missing((0..30).map(|n| format!("e-{n}")).collect());
        assert_eq!((report.unaccounted, report.unaccounted_ids.len()), (30, 20));
        report.out_of_order.push("a".to_owned());
        assert_eq!(
            report.finding().as_deref(),
            Some("1 refused, 30 unaccounted, 1 cases out of order")
        );
    }
}
