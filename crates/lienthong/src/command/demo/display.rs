use std::{io::IsTerminal, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use simulator::{LaneSnapshot, Phase, Progress, Snapshot};

use crate::{cli::Output, output};

/// Something that shows progress and can be put away.
pub(crate) trait Display: Progress {
    /// Leaves the terminal as it was found.
    fn close(&mut self);
}

/// A live display on a terminal, plain lines where there is none.
pub(crate) fn display(format: Output) -> Box<dyn Display> {
    let is_terminal = std::io::stderr().is_terminal();
    if format == Output::Table && is_terminal {
        return Box::new(Live::new());
    }
    Box::new(Plain { shown: None })
}

struct Live {
    bars: MultiProgress,
    dossiers: ProgressBar,
    counts: ProgressBar,
    lanes: Vec<ProgressBar>,
}

struct Plain {
    shown: Option<jiff::civil::DateTime>,
}

const LINE_EVERY: Duration = Duration::from_secs(30 * 60);

// === impl Live ===

impl Live {
    fn new() -> Self {
        let bars = MultiProgress::new();
        let style =
            ProgressStyle::with_template("{prefix:>24} {bar:32.cyan/dim} {pos}/{len} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let dossiers = bars.add(ProgressBar::new(0).with_style(style));
        let counts = bars.add(line());
        Self {
            bars,
            dossiers,
            counts,
            lanes: Vec::new(),
        }
    }
}

fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>24} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

impl Progress for Live {
    fn show(&mut self, snapshot: &Snapshot) {
        self.dossiers.set_prefix(clock_text(snapshot));
        self.dossiers.set_length(snapshot.planned);
        self.dossiers.set_position(snapshot.handed_in);
        self.dossiers.set_message(phase_text(snapshot.phase));
        self.counts.set_message(counts_text(snapshot));
        while self.lanes.len() < snapshot.lanes.len() {
            self.lanes.push(self.bars.add(line()));
        }
        for (bar, lane) in self.lanes.iter().zip(&snapshot.lanes) {
            bar.set_prefix(lane.destination.clone());
            bar.set_message(lane_text(lane, snapshot.local_time));
        }
    }
}

impl Display for Live {
    fn close(&mut self) {
        let _ = self.bars.clear();
    }
}

// === impl Plain ===

impl Progress for Plain {
    fn show(&mut self, snapshot: &Snapshot) {
        let now = snapshot.local_time;
        let due = self
            .shown
            .is_none_or(|shown| now.duration_since(shown).unsigned_abs() >= LINE_EVERY);
        if !due {
            return;
        }
        self.shown = Some(now);
        let lanes: Vec<String> = snapshot
            .lanes
            .iter()
            .filter(|lane| lane.pending > 0)
            .map(|lane| format!("{} {}", lane.destination, lane_text(lane, now)))
            .collect();
        output::note(format_args!(
            "{} {}/{} {} · {} {}",
            clock_text(snapshot),
            snapshot.handed_in,
            snapshot.planned,
            phase_text(snapshot.phase),
            counts_text(snapshot),
            lanes.join(" · "),
        ));
    }
}

impl Display for Plain {
    fn close(&mut self) {}
}

fn clock_text(snapshot: &Snapshot) -> String {
    snapshot
        .local_time
        .strftime("%a %Y-%m-%d %H:%M")
        .to_string()
}

fn phase_text(phase: Phase) -> String {
    match phase {
        Phase::Day { number, of } => format!("day {number} of {of}"),
        Phase::Night => "night, passing fast".to_owned(),
        Phase::Finishing => "desks closed, agencies finish".to_owned(),
    }
}

fn counts_text(snapshot: &Snapshot) -> String {
    let silent = if snapshot.tracker_silent {
        " (the tracker does not answer)"
    } else {
        ""
    };
    format!(
        "{} events accepted · {} open, {} held, {} ended · {} on time, {} late{silent}",
        snapshot.events_accepted,
        snapshot.open,
        snapshot.held,
        snapshot.completed,
        snapshot.on_time,
        snapshot.late,
    )
}

fn lane_text(lane: &LaneSnapshot, now: jiff::civil::DateTime) -> String {
    let mut text = format!(
        "{} delivered, {} waiting, {} dead",
        lane.delivered, lane.pending, lane.dead
    );
    if lane.unknown > 0 {
        text.push_str(&format!(", {} unknown", lane.unknown));
    }
    if !lane.resting.is_empty() {
        let today = format!("{} ", now.date());
        text.push_str(&format!(" · HELD {}", lane.resting.replace(&today, "")));
        return text;
    }
    if let Some(due) = lane.catching_up {
        let limit = lane.limit;
        text.push_str(&format!(
            " · CATCHING UP {due} due, least time left first, {limit} at once"
        ));
        return text;
    }
    text.push_str(&format!(
        " · lag {} s = {} working min",
        lane.lag.as_secs(),
        lane.lag_working.as_minutes(),
    ));
    if lane.limit > 0 {
        text.push_str(&format!(" · {} at once", lane.limit));
    }
    text
}
