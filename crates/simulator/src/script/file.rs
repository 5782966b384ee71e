//! An agency's script as a TOML file.

#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::StepId;
use jiff::Timestamp;
use serde::Deserialize;
use toml::Spanned;

use super::{
    Beyond, Capacity, Early, Flapping, Manners, Script, ScriptedAnswer, Signatures, Window,
};
use words::{CodeWord, Length, Share, Span, code_of, status_of};

/// A script file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A place in it is wrong.
    #[error("{}:{line}: {reason}, in `{text}`", path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The field, and what is wrong with it.
        reason: String,
        /// The line as it is.
        text: String,
    },
}

/// The file as it is written. Everything may be left out.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    latency: Length,
    work: Length,
    late: Option<Late>,
    busy: Option<Busy>,
    refused: Share,
    half_success: HalfSuccess,
    answers: Vec<Spanned<Answer>>,
    outages: Vec<Outage>,
    flapping: Option<Spanned<Turns>>,
    capacity: Option<Spanned<Room>>,
    order: Order,
    remember: bool,
    idempotent: bool,
    check_content: bool,
    ignore_unknown: bool,
    signatures: SignatureWord,
    largest_payload: Option<usize>,
    take_garbage: bool,
    lock_cut: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Late {
    share: Share,
    by: Length,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Busy {
    share: Share,
    retry_after: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HalfSuccess {
    error: Share,
    drop: Share,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    share: Share,
    status: Option<u16>,
    code: Option<CodeWord>,
    retry_after: Option<Span>,
    #[serde(default)]
    text: String,
    taken: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outage {
    from: Span,
    length: Span,
    #[serde(default)]
    kind: OutageKind,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OutageKind {
    #[default]
    Closed,
    Hang,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turns {
    up: Span,
    down: Span,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Room {
    at_once: usize,
    beyond: BeyondWord,
    slower_by: Option<Span>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BeyondWord {
    Busy,
    TooMany,
    Slower,
    Drop,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    early: EarlyWord,
    after: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EarlyWord {
    #[default]
    Take,
    Refuse,
    Fail,
    Hang,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SignatureWord {
    #[default]
    Ignore,
    Check,
    Fail,
}

/// What is wrong, and from which byte on.
type Wrong = (usize, String);

// === impl Script ===

impl Script {
    /// Reads a script from a TOML file; its outages are counted from `start`.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn load(path: &Path, start: Timestamp) -> Result<Self, ScriptError> {
        let text = fs::read_to_string(path).map_err(|source| ScriptError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path, start)
    }

    /// Reads a script from its text; `path` is named in errors.
    ///
    /// # Errors
    /// Something in it is wrong.
    pub fn parse(text: &str, path: &Path, start: Timestamp) -> Result<Self, ScriptError> {
        let file: Result<File, Wrong> = toml::from_str(text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            (at, error.message().replace('\n', " "))
        });
        file.and_then(|file| file.script(start))
            .map_err(|(at, reason)| ScriptError::at(text, path, at, reason))
    }
}

// === impl ScriptError ===

impl ScriptError {
    fn at(text: &str, path: &Path, at: usize, reason: String) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count();
        Self::Place {
            path: path.to_owned(),
            line: line + 1,
            reason,
            text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
        }
    }
}

// === impl File ===

impl File {
    fn script(self, start: Timestamp) -> Result<Script, Wrong> {
        let answers = self.answers.iter().map(Answer::scripted);
        let answers: Vec<ScriptedAnswer> = answers.collect::<Result<_, _>>()?;
        let all: f64 = answers.iter().map(|answer| answer.share).sum();
        if all > 1.0 + 1e-9 {
            let last = self.answers.last().map_or(0, |last| last.span().start);
            let reason = format!("answers.share: together they are {all}, and may be 1 at most");
            return Err((last, reason));
        }
        let windows = |kind| {
            let of_kind = self
                .outages
                .iter()
                .filter(move |outage| outage.kind == kind);
            of_kind
                .map(|outage| Window::after(start, outage.from.0, outage.length.0))
                .collect()
        };
        let (outages, hangs) = (windows(OutageKind::Closed), windows(OutageKind::Hang));
        let flapping = self.flapping.as_ref().map(|turns| turns_of(turns, start));
        let usual = Script::default();
        Ok(Script {
            latency: self.latency.spread(),
            work: self.work.spread(),
            late_rate: self.late.as_ref().map_or(0.0, |late| late.share.0),
            late: self
                .late
                .as_ref()
                .map_or(usual.late, |late| late.by.spread()),
            busy_rate: self.busy.as_ref().map_or(0.0, |busy| busy.share.0),
            retry_after: self
                .busy
                .as_ref()
                .and_then(|busy| busy.retry_after)
                .map(|wait| wait.0),
            not_taken_rate: self.refused.0,
            lost_answer_rate: self.half_success.error.0,
            dropped_answer_rate: self.half_success.drop.0,
            answers,
            outages,
            hangs,
            flapping: flapping.transpose()?,
            capacity: self.capacity.as_ref().map(room_of).transpose()?,
            manners: self.manners()?,
            ..usual
        })
    }

    fn manners(&self) -> Result<Manners, Wrong> {
        let step = |name: &String| {
            let step: Result<StepId, _> = name.parse();
            step.map_err(|error| (0, format!("order.after: {error}")))
        };
        let pairs = self.order.after.iter();
        let predecessors: Result<_, Wrong> = pairs
            .map(|(later, earlier)| Ok((step(later)?, step(earlier)?)))
            .collect();
        Ok(Manners {
            remembers: self.remember,
            idempotent: self.idempotent,
            checks_content: self.check_content,
            predecessors: predecessors?,
            early: match self.order.early {
                EarlyWord::Take => Early::Take,
                EarlyWord::Refuse => Early::Refuse,
                EarlyWord::Fail => Early::Fail,
                EarlyWord::Hang => Early::Hang,
            },
            ignores_unknown: self.ignore_unknown,
            signatures: match self.signatures {
                SignatureWord::Ignore => Signatures::Ignore,
                SignatureWord::Check => Signatures::Check,
                SignatureWord::Fail => Signatures::Fail,
            },
            largest_payload: self.largest_payload,
            takes_garbage: self.take_garbage,
            locks_cut: self.lock_cut,
        })
    }
}

impl Default for File {
    fn default() -> Self {
        Self {
            latency: Length::Fixed(Span(Duration::ZERO)),
            work: Length::Fixed(Span(Duration::from_secs(60))),
            late: None,
            busy: None,
            refused: Share::default(),
            half_success: HalfSuccess::default(),
            answers: Vec::new(),
            outages: Vec::new(),
            flapping: None,
            capacity: None,
            order: Order::default(),
            remember: true,
            idempotent: true,
            check_content: true,
            ignore_unknown: true,
            signatures: SignatureWord::default(),
            largest_payload: None,
            take_garbage: false,
            lock_cut: false,
        }
    }
}

fn turns_of(turns: &Spanned<Turns>, from: Timestamp) -> Result<Flapping, Wrong> {
    let (up, down) = (turns.get_ref().up.0, turns.get_ref().down.0);
    if up.is_zero() || down.is_zero() {
        let reason = "flapping: `up` and `down` must be longer than nothing".to_owned();
        return Err((turns.span().start, reason));
    }
    Ok(Flapping { from, up, down })
}

fn room_of(room: &Spanned<Room>) -> Result<Capacity, Wrong> {
    let wrong = |reason: &str| (room.span().start, format!("capacity: {reason}"));
    let Room {
        at_once,
        beyond,
        slower_by,
    } = *room.get_ref();
    if at_once == 0 {
        return Err(wrong("`at_once` must be 1 at least"));
    }
    let beyond = match (beyond, slower_by) {
        (BeyondWord::Slower, Some(by)) => Beyond::Slower(by.0),
        (BeyondWord::Slower, None) => {
            return Err(wrong("`beyond = \"slower\"` needs `slower_by`"));
        }
        (_, Some(_)) => return Err(wrong("`slower_by` goes with `beyond = \"slower\"` only")),
        (BeyondWord::Busy, None) => Beyond::Busy,
        (BeyondWord::TooMany, None) => Beyond::TooMany,
        (BeyondWord::Drop, None) => Beyond::Drop,
    };
    Ok(Capacity { at_once, beyond })
}

// === impl Answer ===

impl Answer {
    /// The answer in both protocols: what is not named for one of them follows from the other.
    fn scripted(this: &Spanned<Self>) -> Result<ScriptedAnswer, Wrong> {
        let answer = this.get_ref();
        let wrong = |reason: String| (this.span().start, format!("answers: {reason}"));
        let (status, code) = match (answer.status, answer.code) {
            (Some(status), Some(code)) => (status, code.0),
            (Some(status), None) => (status, code_of(status)),
            (None, Some(code)) => (status_of(code.0), code.0),
            (None, None) => return Err(wrong("needs `status` or `code`".to_owned())),
        };
        if !(200..=599).contains(&status) {
            return Err(wrong(format!("`status` must be 200 to 599, got {status}")));
        }
        Ok(ScriptedAnswer {
            share: answer.share.0,
            status,
            code,
            retry_after: answer.retry_after.map(|wait| wait.0),
            text: answer.text.clone(),
            taken: answer.taken.unwrap_or(status < 300),
        })
    }
}
