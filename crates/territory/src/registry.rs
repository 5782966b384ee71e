use std::fmt;

use domain::{ProvinceCode, UnitCode};
use jiff::civil::Date;

use crate::{Certainty, Kind, ProvinceKind, TWO_TIER_SINCE, fold};

/// The units of Viet Nam since 1 July 2025, those before, and how the one became the other.
///
/// Sorted arrays over the embedded text: names are slices of it, look-ups are binary searches.
#[derive(Debug)]
pub struct Territory {
    pub(crate) provinces: Vec<ProvinceRow>,
    /// Sorted by code.
    pub(crate) units: Vec<UnitRow>,
    /// Indices into `units`, sorted by (province, code).
    pub(crate) by_province: Vec<u16>,
    pub(crate) changes: Vec<Change>,
    /// Units on 30 June 2025, sorted by code.
    pub(crate) old: Vec<OldRow>,
    /// The successors that `OldRow::heirs` points into, main successor first.
    pub(crate) heirs: Vec<UnitCode>,
    /// (new, old), sorted.
    pub(crate) origins: Vec<(UnitCode, UnitCode)>,
    pub(crate) areas: Vec<Area>,
    pub(crate) dissolved: Vec<DissolvedRow>,
}

/// A commune-level unit as it was on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// Its code; only meaningful together with the day.
    pub code: UnitCode,
    /// The province it belonged to on that day: one of 34, or of 63 before 1 July 2025.
    pub province: ProvinceCode,
    /// What it was on that day.
    pub kind: Kind,
    /// Its name without the word for its kind.
    pub name: &'a str,
    /// Relative load for spreading work, an estimate from the old units inside, not a population
    /// figure. 0 for a unit that ended on 30 June 2025.
    pub weight: u32,
}

/// One of the 34 provinces since 1 July 2025.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Province<'a> {
    /// Its code.
    pub code: ProvinceCode,
    /// Its name without the word for its kind.
    pub name: &'a str,
    first_kind: ProvinceKind,
    change: Option<(Date, ProvinceKind)>,
}

#[derive(Debug)]
pub(crate) struct ProvinceRow {
    pub(crate) code: ProvinceCode,
    pub(crate) name: &'static str,
    pub(crate) folded: String,
    pub(crate) kind: ProvinceKind,
    pub(crate) change: Option<(Date, ProvinceKind)>,
}

#[derive(Debug)]
pub(crate) struct UnitRow {
    pub(crate) code: UnitCode,
    pub(crate) province: ProvinceCode,
    pub(crate) kind: Kind,
    pub(crate) weight: u32,
    pub(crate) name: &'static str,
}

/// A unit's kind from a day on; sorted by (code, day).
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) code: UnitCode,
    pub(crate) from: Date,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) struct OldRow {
    pub(crate) code: UnitCode,
    pub(crate) province: ProvinceCode,
    pub(crate) kind: Kind,
    pub(crate) certainty: Certainty,
    pub(crate) heir_count: u8,
    pub(crate) first_heir: u32,
    pub(crate) name: &'static str,
}

/// What had no commune code before 1 July 2025: island districts, land outside any commune.
#[derive(Debug)]
pub(crate) struct Area {
    pub(crate) name: &'static str,
    pub(crate) heir: UnitCode,
}

#[derive(Debug)]
pub(crate) struct DissolvedRow {
    pub(crate) code: UnitCode,
    pub(crate) gone_by: Date,
    pub(crate) into: Option<UnitCode>,
}

// === impl Territory ===

impl Territory {
    /// The 34 provinces, by code.
    pub fn provinces(&self) -> impl Iterator<Item = Province<'_>> {
        self.provinces.iter().map(ProvinceRow::view)
    }

    /// A province by code or by name, however the name is spelt: `38`, `Thanh Hóa`,
    /// `tinh thanh hoa`. Names of provinces that ended on 30 June 2025 find nothing.
    pub fn province(&self, text: &str) -> Option<Province<'_>> {
        let folded = fold(text);
        let bare = ["tinh ", "thanh pho ", "tp "]
            .iter()
            .find_map(|word| folded.strip_prefix(word))
            .unwrap_or(&folded);
        let matches = |row: &&ProvinceRow| row.code.as_str() == bare || row.folded == bare;
        self.provinces.iter().find(matches).map(ProvinceRow::view)
    }

    /// The units of a province in force since 1 July 2025, by code, with the kind of the last change
    /// known. A province code of before that day yields what its code means since.
    pub fn units_of(&self, province: &ProvinceCode) -> impl Iterator<Item = Unit<'_>> {
        let of = |at: &u16| self.units[usize::from(*at)].province;
        let from = self.by_province.partition_point(|at| of(at) < *province);
        let to = self.by_province.partition_point(|at| of(at) <= *province);
        self.by_province[from..to]
            .iter()
            .map(|at| self.view(&self.units[usize::from(*at)], Date::MAX))
    }

    /// The unit that a code meant on a day. Before 1 July 2025 that is the unit as it was on
    /// 30 June 2025; earlier changes are not recorded.
    pub fn unit(&self, code: &UnitCode, on: Date) -> Option<Unit<'_>> {
        if on >= TWO_TIER_SINCE {
            return self.current(code).map(|row| self.view(row, on));
        }
        self.old(code).map(|row| Unit {
            code: row.code,
            province: row.province,
            kind: row.kind,
            name: row.name,
            weight: 0,
        })
    }

    /// The old units of which a unit in force today took all or a part, by code.
    pub fn predecessors(&self, unit: &UnitCode) -> impl Iterator<Item = UnitCode> {
        let from = self.origins.partition_point(|(new, _)| new < unit);
        self.origins[from..]
            .iter()
            .take_while(move |(new, _)| new == unit)
            .map(|(_, old)| *old)
    }

    /// Places without a commune code of their own before 1 July 2025 that went into this unit: an
    /// island district, or land outside any commune.
    pub fn former_areas(&self, unit: &UnitCode) -> impl Iterator<Item = &str> {
        self.areas
            .iter()
            .filter(move |area| area.heir == *unit)
            .map(|area| area.name)
    }

    /// Bytes on the heap; the names themselves are part of the program's read-only text.
    pub fn heap_bytes(&self) -> usize {
        fn of<T>(items: &Vec<T>) -> usize {
            items.capacity() * size_of::<T>()
        }
        let folded: usize = self.provinces.iter().map(|row| row.folded.capacity()).sum();
        of(&self.provinces)
            + folded
            + of(&self.units)
            + of(&self.by_province)
            + of(&self.changes)
            + of(&self.old)
            + of(&self.heirs)
            + of(&self.origins)
            + of(&self.areas)
            + of(&self.dissolved)
    }

    pub(crate) fn current(&self, code: &UnitCode) -> Option<&UnitRow> {
        find(&self.units, code, |row| row.code)
    }

    pub(crate) fn old(&self, code: &UnitCode) -> Option<&OldRow> {
        find(&self.old, code, |row| row.code)
    }

    pub(crate) fn dissolved(&self, code: &UnitCode) -> Option<&DissolvedRow> {
        find(&self.dissolved, code, |row| row.code)
    }

    pub(crate) fn heirs_of(&self, row: &OldRow) -> &[UnitCode] {
        &self.heirs[row.first_heir as usize..][..usize::from(row.heir_count)]
    }

    pub(crate) fn view<'a>(&self, row: &'a UnitRow, on: Date) -> Unit<'a> {
        let from = self
            .changes
            .partition_point(|change| change.code < row.code);
        let kind = self.changes[from..]
            .iter()
            .take_while(|change| change.code == row.code && change.from <= on)
            .last()
            .map_or(row.kind, |change| change.kind);
        Unit {
            code: row.code,
            province: row.province,
            kind,
            name: row.name,
            weight: row.weight,
        }
    }
}

/// Finds a row in rows sorted by code.
fn find<'a, R>(rows: &'a [R], code: &UnitCode, of: impl Fn(&R) -> UnitCode) -> Option<&'a R> {
    rows.binary_search_by_key(code, of).ok().map(|at| &rows[at])
}

// === impl Unit ===

/// The full name: `Phường Hạc Thành`.
impl fmt::Display for Unit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

// === impl Province ===

impl Province<'_> {
    /// What it was on a day since 1 July 2025.
    pub fn kind(&self, on: Date) -> ProvinceKind {
        match self.change {
            Some((from, kind)) if from <= on => kind,
            _ => self.first_kind,
        }
    }
}

// === impl ProvinceRow ===

impl ProvinceRow {
    fn view(&self) -> Province<'_> {
        Province {
            code: self.code,
            name: self.name,
            first_kind: self.kind,
            change: self.change,
        }
    }
}
