use domain::{ProvinceCode, UnitCode};
use jiff::civil::Date;

use crate::registry::OldRow;
use crate::{TWO_TIER_SINCE, Territory, fold};

/// The unit that answers today for a code received on some day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The unit in force today.
    pub unit: UnitCode,
    /// Its province today.
    pub province: ProvinceCode,
    /// What happened to the unit that the code meant.
    pub way: Way,
    /// How sure the choice is.
    pub certainty: Certainty,
}

/// What happened between the unit that the code meant and the one in force today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The same unit with the same name and extent.
    Unchanged,
    /// The same extent under another name, kind or code.
    Renamed,
    /// The whole unit went into one with others.
    Merged,
    /// The unit was divided. With the code alone the main successor is taken; the village or parcel
    /// decides.
    Split {
        /// The successors that were not taken.
        others: Vec<UnitCode>,
    },
    /// The code was gone before 1 July 2025; its successor then was followed on.
    Dissolved {
        /// The code was gone by this day.
        until: Date,
    },
}

/// How sure a resolution is, surest first. All but [`Certainty::Certain`] are derived, not official.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// One successor in the official conversion table, or the unit itself.
    Certain,
    /// A split whose main successor the sources agree on.
    High,
    /// A split whose sources disagree, or a code dissolved before 1 July 2025.
    Medium,
    /// A split on whose main successor little more than one point speaks.
    Low,
}

/// Why a code has no unit today.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// No unit had this code on that day, as far as the registry knows.
    #[error("no unit has code {code} on {on}")]
    UnknownCode {
        /// The code.
        code: UnitCode,
        /// The day it was received.
        on: Date,
    },
    /// The unit was dissolved and no source names a successor.
    #[error("unit {code} was dissolved by {gone_by} and has no known successor")]
    NoSuccessor {
        /// The code.
        code: UnitCode,
        /// The unit was gone by this day.
        gone_by: Date,
    },
}

// === impl Territory ===

impl Territory {
    /// The unit in force today for a code as it was meant on the day of receipt.
    ///
    /// Old codes go through the succession table alone, also where the same code still exists. A code
    /// that was closed before the day of receipt is followed to its successor: closed codes are not
    /// issued again (Decision 19/2025/QĐ-TTg).
    pub fn resolve(&self, code: &UnitCode, received_on: Date) -> Result<Resolved, Unresolved> {
        if received_on >= TWO_TIER_SINCE
            && let Some(unit) = self.current(code)
        {
            let (unit, province) = (unit.code, unit.province);
            return Ok(Resolved {
                unit,
                province,
                way: Way::Unchanged,
                certainty: Certainty::Certain,
            });
        }
        let unknown = Unresolved::UnknownCode {
            code: *code,
            on: received_on,
        };
        if let Some(old) = self.old(code) {
            return self.succeed(old).ok_or(unknown);
        }
        let Some(gone) = self.dissolved(code) else {
            return Err(unknown);
        };
        let next = gone
            .into
            .and_then(|into| self.old(&into))
            .and_then(|old| self.succeed(old));
        let next = next.ok_or(Unresolved::NoSuccessor {
            code: *code,
            gone_by: gone.gone_by,
        })?;
        Ok(Resolved {
            way: Way::Dissolved {
                until: gone.gone_by,
            },
            certainty: next.certainty.max(Certainty::Medium),
            ..next
        })
    }

    fn succeed(&self, old: &OldRow) -> Option<Resolved> {
        let (main, others) = self.heirs_of(old).split_first()?;
        let new = self.current(main)?;
        let alone =
            self.predecessors(main).nth(1).is_none() && self.former_areas(main).next().is_none();
        let same = new.code == old.code && new.kind == old.kind && fold(new.name) == fold(old.name);
        let way = match (others, alone, same) {
            ([], true, true) => Way::Unchanged,
            ([], true, false) => Way::Renamed,
            ([], false, _) => Way::Merged,
            (others, _, _) => Way::Split {
                others: others.to_vec(),
            },
        };
        Some(Resolved {
            unit: new.code,
            province: new.province,
            way,
            certainty: old.certainty,
        })
    }
}

// === impl Certainty ===

impl Certainty {
    pub(crate) fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "C" => Some(Self::Certain),
            "H" => Some(Self::High),
            "M" => Some(Self::Medium),
            "L" => Some(Self::Low),
            _ => None,
        }
    }
}
