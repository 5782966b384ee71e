use std::{collections::BTreeMap, time::Duration};

use domain::StepId;
use jiff::Timestamp;
use tonic::Code;

use super::{Window, later};

/// An answer in place of the usual one.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedAnswer {
    /// Of all pushes of deliveries that it does not have; between 0 and 1.
    pub share: f64,
    /// The status over HTTP.
    pub status: u16,
    /// The code over gRPC; *ok* is the verdict *taken*.
    pub code: Code,
    /// How long it asks the caller to wait.
    pub retry_after: Option<Duration>,
    /// In words.
    pub text: String,
    /// Whether it takes the delivery all the same.
    pub taken: bool,
}

/// How far an agency keeps the rules of receiving. The default keeps all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Keeps the ids of what it took. If not, a repeat is taken as new.
    pub remembers: bool,
    /// A repeat has no second effect, even when it is answered *already taken*.
    pub idempotent: bool,
    /// Refuses another content under an id that it has. If not, it is taken as new.
    pub checks_content: bool,
    /// Which step must have come before a step of the same dossier.
    pub predecessors: BTreeMap<StepId, StepId>,
    /// What it does with a step whose predecessor has not come.
    pub early: Early,
    /// Ignores fields that it does not know, as it must. If not, it refuses the delivery.
    pub ignores_unknown: bool,
    /// What it does with signatures.
    pub signatures: Signatures,
    /// The most bytes of payload that it takes, if there is a limit.
    pub largest_payload: Option<usize>,
    /// Says *taken* to what is no delivery.
    pub takes_garbage: bool,
    /// When a call is cut before its answer, the delivery stays locked: every repeat is told *busy*.
    pub locks_cut: bool,
}

/// What an agency does with a step whose predecessor has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Early {
    /// Takes it.
    Take,
    /// Refuses it, and says that it is out of order.
    Refuse,
    /// Fails without saying why.
    Fail,
    /// Never answers.
    Hang,
}

/// What an agency does with a signed delivery. It has no key: every signature is a wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// Does not look at them.
    Ignore,
    /// Refuses what is signed wrongly.
    Check,
    /// Fails over them.
    Fail,
}

/// How much an agency can do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// So many pushes.
    pub at_once: usize,
    /// What becomes of the others.
    pub beyond: Beyond,
}

/// What becomes of pushes beyond an agency's capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// *Busy*: 503 over HTTP.
    Busy,
    /// 429 over HTTP, `RESOURCE_EXHAUSTED` over gRPC.
    TooMany,
    /// Each one beyond makes its answer so much slower.
    Slower(Duration),
    /// Their connection is cut.
    Drop,
}

/// A port that is open and closed by turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// When the first turn begins, with an open port.
    pub from: Timestamp,
    /// How long it is open.
    pub up: Duration,
    /// How long it is closed.
    pub down: Duration,
}

// === impl Manners ===

impl Default for Manners {
    fn default() -> Self {
        Self {
            remembers: true,
            idempotent: true,
            checks_content: true,
            predecessors: BTreeMap::new(),
            early: Early::Take,
            ignores_unknown: true,
            signatures: Signatures::Ignore,
            largest_payload: None,
            takes_garbage: false,
            locks_cut: false,
        }
    }
}

// === impl Flapping ===

impl Flapping {
    /// The turn in which the port is closed at `now`, or the next one.
    pub(super) fn next_down(&self, now: Timestamp) -> Option<Window> {
        let turn = (self.up + self.down).as_nanos();
        let passed = now.duration_since(self.from).as_nanos().max(0);
        let turns = u128::try_from(passed).ok()?.checked_div(turn)?;
        let begun = u64::try_from(turns * turn).ok().map(Duration::from_nanos)?;
        Some(Window::after(later(self.from, begun), self.up, self.down))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flapping_port_is_open_first_and_then_closed_by_turns() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let flapping = Flapping {
            from: at(100),
            up: Duration::from_secs(10),
            down: Duration::from_secs(5),
        };
        let down = |now, from, to| {
            let window = Window {
                from: at(from),
                to: at(to),
            };
            assert_eq!(flapping.next_down(at(now)), Some(window), "{now}");
        };
        down(0, 110, 115);
        down(100, 110, 115);
        down(114, 110, 115);
        down(115, 125, 130);
        down(1_600, 1_610, 1_615);
    }
}
