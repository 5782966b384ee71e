use domain::UnitCode;

use crate::data::{DataError, Row, Table};
use crate::registry::{Area, Change, DissolvedRow, OldRow, ProvinceRow, UnitRow};
use crate::{Certainty, Kind, ProvinceKind, Territory, fold};

macro_rules! table {
    ($file:literal) => {
        Table {
            file: $file,
            text: include_str!(concat!("../data/", $file)),
        }
    };
}

const PROVINCES: Table = table!("provinces.tsv");
const UNITS: Table = table!("units.tsv");
const CHANGES: Table = table!("changes.tsv");
const OLD_UNITS: Table = table!("old_units.tsv");
const SUCCESSION: Table = table!("succession.tsv");
const AREAS: Table = table!("areas.tsv");
const DISSOLVED: Table = table!("dissolved.tsv");

// === impl Territory ===

impl Territory {
    /// Loads the registry that is part of the program. Takes a few milliseconds; do it once.
    pub fn embedded() -> Result<Self, DataError> {
        let mut territory = Self {
            provinces: collect(PROVINCES, province)?,
            units: collect(UNITS, unit)?,
            by_province: Vec::new(),
            changes: Vec::new(),
            old: Vec::new(),
            heirs: Vec::new(),
            origins: Vec::new(),
            areas: collect(AREAS, area)?,
            dissolved: collect(DISSOLVED, dissolved)?,
        };
        UNITS.check_order(territory.units.iter().map(|row| row.code))?;
        DISSOLVED.check_order(territory.dissolved.iter().map(|row| row.code))?;
        territory.read_changes()?;
        territory.read_old()?;
        territory.index()?;
        Ok(territory)
    }

    /// Kinds that changed later: a province has at most one change, a unit any number.
    fn read_changes(&mut self) -> Result<(), DataError> {
        for mut row in CHANGES.rows() {
            let level = row.text("level")?;
            if level == "province" {
                let code = row.parse("code")?;
                let kind = row.read("kind", ProvinceKind::from_letter)?;
                let from = row.parse("day in force")?;
                let province = self
                    .provinces
                    .iter_mut()
                    .find(|province| province.code == code);
                province.ok_or_else(|| CHANGES.dangling(code))?.change = Some((from, kind));
            } else {
                let code: UnitCode = row.parse("code")?;
                let kind = row.read("kind", Kind::from_letter)?;
                self.current(&code).ok_or_else(|| CHANGES.dangling(code))?;
                self.changes.push(Change {
                    code,
                    from: row.parse("day in force")?,
                    kind,
                });
            }
        }
        CHANGES.check_order(
            self.changes
                .iter()
                .map(|change| Day(change.code, change.from)),
        )
    }

    /// Old units and their successors: the same codes in the same order in two files.
    fn read_old(&mut self) -> Result<(), DataError> {
        self.old.reserve_exact(OLD_UNITS.len());
        self.heirs.reserve_exact(SUCCESSION.len() + 600);
        let mut successions = SUCCESSION.rows();
        for mut row in OLD_UNITS.rows() {
            let code: UnitCode = row.parse("code")?;
            let mut line = successions
                .next()
                .ok_or_else(|| SUCCESSION.dangling(code))?;
            if line.parse::<UnitCode>("old code")? != code {
                return Err(SUCCESSION.dangling(code));
            }
            let first_heir = self.heirs.len();
            for heir in line.text("successors")?.split(' ') {
                let heir: UnitCode = heir.parse().map_err(|_| line.bad("successors"))?;
                self.current(&heir)
                    .ok_or_else(|| SUCCESSION.dangling(heir))?;
                self.heirs.push(heir);
                self.origins.push((heir, code));
            }
            self.old.push(OldRow {
                code,
                province: row.parse("province")?,
                kind: row.read("kind", Kind::from_letter)?,
                certainty: line.read("confidence", Certainty::from_letter)?,
                heir_count: u8::try_from(self.heirs.len() - first_heir)
                    .map_err(|_| line.bad("successors"))?,
                first_heir: u32::try_from(first_heir).map_err(|_| line.bad("successors"))?,
                name: row.text("name")?,
            });
        }
        if let Some(mut line) = successions.next() {
            return Err(SUCCESSION.dangling(line.text("old code")?));
        }
        OLD_UNITS.check_order(self.old.iter().map(|row| row.code))
    }

    fn index(&mut self) -> Result<(), DataError> {
        self.origins.sort_unstable();
        self.origins.shrink_to_fit();
        let count = u16::try_from(self.units.len()).map_err(|_| UNITS.dangling("row 65536"))?;
        self.by_province = (0..count).collect();
        let units = &self.units;
        self.by_province
            .sort_by_key(|at| units[usize::from(*at)].province);
        let homeless = units
            .iter()
            .find(|u| !self.provinces.iter().any(|p| p.code == u.province));
        if let Some(unit) = homeless {
            return Err(UNITS.dangling(unit.province));
        }
        let lost = self.dissolved.iter().filter_map(|row| row.into);
        match lost.into_iter().find(|into| self.old(into).is_none()) {
            Some(into) => Err(DISSOLVED.dangling(into)),
            None => Ok(()),
        }
    }
}

/// A unit's change as a sort key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Day(UnitCode, jiff::civil::Date);

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.0, self.1)
    }
}

fn collect<T>(
    table: Table,
    read: impl Fn(&mut Row) -> Result<T, DataError>,
) -> Result<Vec<T>, DataError> {
    let mut items = Vec::with_capacity(table.len());
    for mut row in table.rows() {
        items.push(read(&mut row)?);
    }
    Ok(items)
}

fn province(row: &mut Row) -> Result<ProvinceRow, DataError> {
    let code = row.parse("code")?;
    let kind = row.read("kind", ProvinceKind::from_letter)?;
    let name = row.text("name")?;
    Ok(ProvinceRow {
        code,
        name,
        folded: fold(name),
        kind,
        change: None,
    })
}

fn unit(row: &mut Row) -> Result<UnitRow, DataError> {
    Ok(UnitRow {
        code: row.parse("code")?,
        province: row.parse("province")?,
        kind: row.read("kind", Kind::from_letter)?,
        weight: row.parse("load")?,
        name: row.text("name")?,
    })
}

fn area(row: &mut Row) -> Result<Area, DataError> {
    row.text("level")?;
    row.text("district")?;
    Ok(Area {
        heir: row.parse("successor")?,
        name: row.text("name")?,
    })
}

fn dissolved(row: &mut Row) -> Result<DissolvedRow, DataError> {
    Ok(DissolvedRow {
        code: row.parse("code")?,
        gone_by: row.parse("gone by")?,
        into: row.read("successor", |text| match text {
            "-" => Some(None),
            code => code.parse().ok().map(Some),
        })?,
    })
}
