use std::{collections::BTreeSet, fmt};

use domain::{Destination, ProvinceCode, UnitCode};
use jiff::civil::Date;

use crate::{AgencyRole, Validity};

/// A destination together with the role, the units and the days for which it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationBinding {
    /// Endpoint, limits and calendar.
    pub destination: Destination,
    /// The agency role that it answers for.
    pub role: AgencyRole,
    /// The units for which it does.
    pub serves: Serves,
    /// The days on which it does.
    pub valid: Validity,
}

/// The units that a destination serves. Named units win over named provinces, these over all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serves {
    /// Whole provinces.
    pub provinces: Provinces,
    /// Single units.
    pub units: BTreeSet<UnitCode>,
}

/// Whole provinces that a destination serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provinces {
    /// Every province.
    All,
    /// These; may be none when single units are named.
    Only(BTreeSet<ProvinceCode>),
}

/// No destination is bound for an agency role and a unit or province on a day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no destination serves agency `{agency}` for {}province {province} on {on}", UnitOf(.unit))]
pub struct NoDestination {
    /// The role asked for.
    pub agency: AgencyRole,
    /// The unit asked for; none if its province was.
    pub unit: Option<UnitCode>,
    /// Its province.
    pub province: ProvinceCode,
    /// The day asked for.
    pub on: Date,
}

struct UnitOf<'a>(&'a Option<UnitCode>);

/// One entry of what a destination serves, the most specific first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Unit(UnitCode),
    Province(ProvinceCode),
    All,
}

// === impl Serves ===

impl Serves {
    /// Each of its entries.
    pub(crate) fn reaches(&self) -> impl Iterator<Item = Reach> {
        let (all, provinces) = match &self.provinces {
            Provinces::All => (Some(Reach::All), None),
            Provinces::Only(codes) => (None, Some(codes.iter().copied().map(Reach::Province))),
        };
        let units = self.units.iter().copied().map(Reach::Unit);
        units.chain(provinces.into_iter().flatten()).chain(all)
    }
}

// === impl UnitOf ===

impl fmt::Display for UnitOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(unit) => write!(f, "unit {unit} of "),
            None => Ok(()),
        }
    }
}
